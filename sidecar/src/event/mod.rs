//! One event of a node: what one look at its JSON tells, and the bytes it travels in.
//!
//! Pure: no I/O, no clock. A payload is validated and classified once ([`Message::parse`]), and from then on
//! its bytes are only moved: they are stored, framed and served exactly as the node sent them. No type here
//! mirrors a whole block or deploy: only the fields that identify an event or that a look-up needs are read.

mod delivery;
mod identity;
mod kind;
mod message;
mod node_state;
mod payload;
mod version;

pub use delivery::{Cursor, Delivery, News};
pub use identity::{Identity, Key};
pub use kind::{Channel, Endpoint, Filter, Kind};
pub use message::{Malformed, Message};
pub use node_state::NodeState;
pub use payload::Payload;
pub use version::ApiVersion;

/// The place of an entry in the log, and the `id` that subscribers see.
///
/// The first is 1 and they are dense over all endpoints; 0 stands before the first. They stay below 2^53 in
/// the life of any real chain, so every JSON reader and browser can hold one.
pub type EntryId = u64;

/// What the sidecar calls itself where nodes have their names.
pub const SIDECAR: &str = "sidecar";

/// One event as a node sent it, classified.
#[derive(Debug, Clone)]
pub struct Event {
    /// What the JSON tag says it is.
    pub kind: Kind,
    /// Which outbound stream shows it.
    pub channel: Channel,
    /// What makes two events of two nodes the same event.
    pub identity: Identity,
    /// What look-ups other than by identity find it under.
    pub keys: Vec<Key>,
    /// The moment the chain gives for it, in milliseconds since the Unix epoch: only blocks tell one.
    pub block_time: Option<u64>,
    /// The JSON, byte for byte.
    pub payload: Payload,
}
