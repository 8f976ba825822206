//! The log: the one ordered, durable sequence of distinct events, and the cursors that were moved with it.
//!
//! Contract of every implementation (the suite in `contract` holds each to it):
//!
//! - [`Store::append`] is one transaction: either all of a batch is durable when it returns, or none of it. An
//!   error may also mean that it is durable after all (the answer was lost): to append the same batch again is
//!   always safe, and [`Store::page`] then shows what the first try did.
//! - Ids are dense, rise strictly and are never used twice, not even after a prune or a crash.
//! - An event whose identity the log holds, or that came earlier in the same batch, is a duplicate: it gets no id.
//! - One writer: whoever opens the store holds it against any other until it is dropped.
//! - Reads never wait for a write, and see whole batches only.
//!
//! The three implementations are [`sqlite`], which is the default, [`postgres`], and [`model`], which keeps
//! everything in memory, and in which simulations inject faults. [`any`] is what a configuration chose.

pub mod any;
#[cfg(test)]
mod contract;
pub mod model;
pub mod postgres;
pub mod sqlite;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

pub use crate::event::Cursor;
use crate::event::{ApiVersion, Channel, Endpoint, EntryId, Event, Identity, Key, Kind, Payload};

/// Entries with more JSON than this many bytes are read in slices, so that a reader of the log holds a bounded
/// amount of memory whatever the log holds. It is well above a usual event (a DeployProcessed has some 10 kB).
pub const LARGE: usize = 64 * 1024;

/// Most entries of one page.
pub const PAGE_ENTRIES: usize = 512;

/// A page ends with the entry that brings it to this many bytes of JSON.
pub const PAGE_BYTES: usize = 256 * 1024;

/// The API version in force, and the node that set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The version.
    pub version: ApiVersion,
    /// The node as the configuration names it.
    pub node: Arc<str>,
}

/// An event on its way into the log.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The event.
    pub event: Event,
    /// The API version in force where it takes its place; none for the sidecar's own events before any is known.
    pub version: Option<ApiVersion>,
    /// Who sent it: a node as the configuration names it, or `sidecar`.
    pub node: Arc<str>,
    /// When it was received, in milliseconds since the Unix epoch.
    pub received_at: u64,
}

/// What one transaction makes durable.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Events in the order in which they take their places.
    pub arrivals: Vec<Arrival>,
    /// Cursors to move, at most one for each node and filter.
    pub cursors: Vec<Cursor>,
    /// The version in force from now on, if it changed.
    pub in_force: Option<InForce>,
    /// The name of the chain, when it becomes known.
    pub chain: Option<Arc<str>>,
}

/// What became of each arrival of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is in the log under this id.
    New(EntryId),
    /// The log has it already. Not an error: several nodes send the same event.
    Duplicate,
}

/// What the store remembers of earlier runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Id of the newest entry; 0 if there was never one.
    pub head: EntryId,
    /// Id of the oldest entry that is still held; `head + 1` if none is.
    pub oldest: EntryId,
    /// All cursors, ordered by node and filter.
    pub cursors: Vec<Cursor>,
    /// The API version in force.
    pub in_force: Option<InForce>,
    /// The chain that this log is of.
    pub chain: Option<Arc<str>>,
}

/// One event in its place in the log.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its place.
    pub id: EntryId,
    /// What it is.
    pub kind: Kind,
    /// Where it is shown.
    pub channel: Channel,
    /// The API version that was in force.
    pub version: Option<ApiVersion>,
    /// Who sent it first.
    pub node: Arc<str>,
    /// When it was received, in milliseconds since the Unix epoch.
    pub received_at: u64,
    /// Its JSON.
    pub body: Body,
}

/// The JSON of an entry, or where to get it.
#[derive(Debug, Clone)]
pub enum Body {
    /// At most [`LARGE`] bytes of JSON.
    Whole(Payload),
    /// More than that: to be read with [`Store::slice`].
    Large {
        /// Length of the JSON in bytes.
        len: u64,
    },
}

impl Body {
    /// Length of the JSON in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Whole(payload) => payload.len() as u64,
            Self::Large { len } => *len,
        }
    }

    /// Whether there is no JSON at all, which no valid event is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A part of the log as one endpoint shows it.
#[derive(Debug, Clone)]
pub struct Page {
    /// In order of their ids.
    pub entries: Vec<Entry>,
    /// Where to read on: every entry that the endpoint shows before this id, and from the asked id on, is in
    /// the page. Greater than the asked id unless the log ends there.
    pub next: EntryId,
}

/// What a listing asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listing {
    /// The only kind that is shown, if it is one.
    pub kind: Option<Kind>,
    /// The first id that may be shown; with [`Order::NewestFirst`] the last one.
    pub from: EntryId,
    /// In which order.
    pub order: Order,
    /// Most entries that are shown. [`PAGE_ENTRIES`] and [`PAGE_BYTES`] hold all the same.
    pub limit: usize,
}

/// The order of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Ids rise.
    OldestFirst,
    /// Ids fall.
    NewestFirst,
}

/// A part of the log as a listing shows it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// In the order that was asked for.
    pub entries: Vec<Entry>,
    /// Id of the entry that comes next, if there is one.
    pub next: Option<EntryId>,
}

/// What a look-up asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// The one entry with this identity.
    Identity(Identity),
    /// All entries with one of these identities, in order of their ids: what is known of a deploy, at once.
    Identities([Identity; 3]),
    /// All entries with this key, in order of their ids.
    Key(Key),
    /// The block of the greatest height, whenever it arrived.
    GreatestBlock,
    /// The entry with this id.
    Id(EntryId),
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// May succeed later: ingest waits and retries, REST answers 503.
    #[error("the database is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Retrying cannot help: REST answers 500, a replay ends its connection.
    #[error("entry {id} cannot be read back")]
    Corrupt {
        /// Which entry.
        id: EntryId,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The log is not this sidecar's to write any more, or not as it left it: the run ends.
    #[error("the database is lost to this sidecar")]
    Lost(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// What is there must not be used, or cannot be: the message says what it is and what to do.
    #[error("{0}")]
    Refused(String),
    /// It may be there later.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// The log and what is kept beside it. See the module's contract.
pub trait Store: Send + Sync + 'static {
    /// What earlier runs left.
    fn state(&self) -> impl Future<Output = Result<State, StoreError>> + Send;

    /// Makes one batch durable, and says what became of each of its arrivals, in their order.
    ///
    /// To drop the future before it ends leaves open whether the batch is durable, as an error does.
    fn append(&self, batch: &Batch) -> impl Future<Output = Result<Vec<Appended>, StoreError>> + Send;

    /// Entries that `endpoint` shows with an id of at least `from`: up to [`PAGE_ENTRIES`] and about
    /// [`PAGE_BYTES`] of them, at least one if there is any. `None` stands for the whole log.
    fn page(
        &self,
        endpoint: Option<Endpoint>,
        from: EntryId,
    ) -> impl Future<Output = Result<Page, StoreError>> + Send;

    /// A part of the JSON of one entry, in bytes. Shorter than asked only at the JSON's end; [`StoreError::Corrupt`]
    /// if there is no such entry, or no longer.
    fn slice(
        &self,
        id: EntryId,
        offset: u64,
        length: usize,
    ) -> impl Future<Output = Result<Bytes, StoreError>> + Send;

    /// Entries that a look-up finds, in order of their ids.
    fn find(&self, lookup: Lookup) -> impl Future<Output = Result<Vec<Entry>, StoreError>> + Send;

    /// Entries of one kind or all, in either order. No `Shutdown` is listed, whatever is asked for.
    fn list(&self, listing: Listing) -> impl Future<Output = Result<Listed, StoreError>> + Send;

    /// All who ever sent an entry, in the order in which the log met them, which never changes.
    fn senders(&self) -> impl Future<Output = Result<Vec<Arc<str>>, StoreError>> + Send;

    /// Forgets all entries with an id below `before`, and says how many. Ids are not used again.
    fn prune(&self, before: EntryId) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Bytes that the log takes on disk.
    fn size(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Ends in good order. Nothing may be asked afterwards.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Unavailable(error.into())
}

fn corrupt(id: EntryId, reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Corrupt { id, source: reason.into() }
}

/// An id as databases have integers: signed. Nothing has an id beyond.
fn signed(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}
