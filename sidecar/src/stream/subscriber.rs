//! One subscriber: a place in the log and nothing more.
//!
//! It asks the hub what there is from its place on. Behind the ring it reads pages of the store, within the ring
//! it shares the encoded messages, at the head it waits. It holds at most one turn's worth of bytes; nothing
//! waits for it, and when its connection takes nothing, it is simply not asked.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use futures_util::stream::unfold;
use prometheus::IntGauge;
use prometheus::core::{AtomicU64, GenericCounter};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{error, warn};

use super::query::Start;
use super::{Place, Streams};
use crate::event::{ApiVersion, Endpoint, EntryId};
use crate::hub::{Announcement, Position, Published};
use crate::store::{Body, Entry, Store, StoreError};

/// An idle stream says this often that it is alive (as nodes and the original sidecar do).
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The comment that says so.
const ALIVE: Bytes = Bytes::from_static(b":\n\n");

/// Pause before a store that could not be read is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Messages up to this size are copied together into one chunk; larger ones are shared, uncopied.
const SMALL: usize = 4096;

/// Size of such a chunk, about.
const CHUNK: usize = 64 * 1024;

/// Bytes of a large entry that are read at a time.
const SLICE: usize = 256 * 1024;

/// One subscriber.
pub(super) struct Subscriber<S> {
    streams: Arc<Streams<S>>,
    endpoint: Endpoint,
    watch: watch::Receiver<()>,
    /// Id of the entry that is looked at next.
    next: EntryId,
    /// The version that was told last.
    told: Option<ApiVersion>,
    /// Chunks that are ready to be sent.
    ready: VecDeque<Bytes>,
    /// Entries that are not made into chunks yet.
    entries: VecDeque<Held>,
    /// The large entry that is being read.
    slices: Option<Slices>,
    sent: GenericCounter<AtomicU64>,
    _counted: Counted,
    _place: Place,
}

/// An entry to be sent.
struct Held {
    id: EntryId,
    version: Option<Told>,
    message: Message,
}

/// A version to be told before an entry.
struct Told {
    version: ApiVersion,
    message: Bytes,
}

enum Message {
    Whole(Bytes),
    /// To be read from the store.
    Stored,
}

/// Where the reading of a large entry stands.
struct Slices {
    id: EntryId,
    offset: u64,
}

/// Counts a subscriber while it lives.
struct Counted(IntGauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl<S: Store> Subscriber<S> {
    /// A subscriber of `endpoint` that takes up a place.
    pub(super) fn new(streams: &Arc<Streams<S>>, endpoint: Endpoint, start: Start, place: Place) -> Self {
        let watch = streams.hub.watch(endpoint);
        let live = streams.hub.head() + 1;
        let (gauge, sent) = streams.metrics.endpoint(endpoint);
        gauge.inc();
        let mut ready = VecDeque::new();
        if endpoint == Endpoint::Sidecar {
            let version = concat!("data:{\"SidecarVersion\":\"", env!("CARGO_PKG_VERSION"), "\"}\n\n");
            ready.push_back(Bytes::from_static(version.as_bytes()));
        }
        Self {
            streams: streams.clone(),
            endpoint,
            watch,
            next: match start {
                Start::Live => live,
                Start::From(id) => id.clamp(1, live),
            },
            told: None,
            ready,
            entries: VecDeque::new(),
            slices: None,
            sent,
            _counted: Counted(gauge),
            _place: place,
        }
    }

    /// The body of its response.
    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
        unfold(self, |mut subscriber| async move {
            let chunk = subscriber.chunk().await?;
            subscriber.sent.inc_by(chunk.len() as u64);
            Some((Ok(chunk), subscriber))
        })
    }

    /// The next bytes to send; `None` when there will be no more.
    async fn chunk(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Some(chunk);
            }
            if let Some(slices) = self.slices.take() {
                if let Err(error) = self.slice(&slices).await {
                    self.slices = Some(slices);
                    self.unreadable(error).await?;
                }
                continue;
            }
            if !self.entries.is_empty() {
                self.pack();
                continue;
            }
            // Marked as seen before the hub is asked: what is published in between wakes at once.
            self.watch.borrow_and_update();
            match self.streams.hub.position(self.endpoint, self.next) {
                Position::Within { entries, next } => {
                    self.entries.extend(entries.into_iter().map(Held::from_hub));
                    self.next = next;
                }
                Position::Behind => {
                    if let Err(error) = self.page().await {
                        self.unreadable(error).await?;
                        return Some(ALIVE);
                    }
                }
                Position::AtHead { version } => {
                    if let Some(version) = version {
                        self.tell(Told {
                            version: version.version.clone(),
                            message: version.message.clone(),
                        });
                    }
                    if self.ready.is_empty() && timeout(KEEP_ALIVE, self.watch.changed()).await.is_err() {
                        return Some(ALIVE);
                    }
                }
                Position::Closed => return None,
            }
        }
    }

    /// Reads what is behind the ring.
    async fn page(&mut self) -> Result<(), StoreError> {
        let page = self.streams.store.page(Some(self.endpoint), self.next).await?;
        self.entries.extend(page.entries.into_iter().map(Held::from_store));
        self.next = page.next;
        Ok(())
    }

    /// Reads the next part of a large entry.
    async fn slice(&mut self, slices: &Slices) -> Result<(), StoreError> {
        let Slices { id, offset } = *slices;
        let part = self.streams.store.slice(id, offset, SLICE).await?;
        let is_last = part.len() < SLICE;
        self.slices = (!is_last).then_some(Slices { id, offset: offset + part.len() as u64 });
        // JSON that was spelled over several lines is sent as several `data` lines.
        let lines = memchr::memchr(b'\n', &part).map(|_| part.split(|byte| *byte == b'\n'));
        self.ready.push_back(match lines {
            Some(lines) => lines.collect::<Vec<_>>().join(&b"\ndata:"[..]).into(),
            None => part,
        });
        if is_last {
            self.ready.push_back(format!("\nid:{id}\n\n").into());
        }
        Ok(())
    }

    /// A store that is down is waited for; an entry that cannot be read ends the stream (`None`), since to skip it
    /// would be a silent gap.
    async fn unreadable(&self, error: StoreError) -> Option<()> {
        match error {
            StoreError::Unavailable(error) => {
                warn!(endpoint = %self.endpoint, "a replay waits for the database: {error}");
                sleep(PAUSE).await;
                Some(())
            }
            StoreError::Corrupt { id, source } => {
                error!(endpoint = %self.endpoint, id, "a replay ends, since an entry cannot be read: {source}");
                None
            }
            StoreError::Lost(source) => {
                error!(endpoint = %self.endpoint, "a replay ends, since the database is lost: {source}");
                None
            }
        }
    }

    /// Makes chunks of the entries: small ones together, large ones uncopied.
    fn pack(&mut self) {
        let mut small = BytesMut::new();
        while let Some(entry) = self.entries.pop_front() {
            if let Some(told) = entry.version
                && self.is_news(&told.version)
            {
                small.extend_from_slice(&told.message);
                self.told = Some(told.version);
            }
            match entry.message {
                Message::Whole(message) if message.len() <= SMALL => {
                    if small.len() + message.len() > CHUNK {
                        self.ready.push_back(small.split().freeze());
                    }
                    small.extend_from_slice(&message);
                }
                Message::Whole(message) => {
                    if !small.is_empty() {
                        self.ready.push_back(small.split().freeze());
                    }
                    self.ready.push_back(message);
                }
                Message::Stored => {
                    small.extend_from_slice(b"data:");
                    self.slices = Some(Slices { id: entry.id, offset: 0 });
                    break;
                }
            }
        }
        if !small.is_empty() {
            self.ready.push_back(small.freeze());
        }
    }

    fn tell(&mut self, told: Told) {
        if self.is_news(&told.version) {
            self.told = Some(told.version);
            self.ready.push_back(told.message);
        }
    }

    fn is_news(&self, version: &ApiVersion) -> bool {
        self.endpoint != Endpoint::Sidecar && self.told.as_ref() != Some(version)
    }
}

impl Held {
    fn from_hub(entry: Published) -> Self {
        let told = |announcement: Arc<Announcement>| Told {
            version: announcement.version.clone(),
            message: announcement.message.clone(),
        };
        Self {
            id: entry.id,
            version: entry.version.map(told),
            message: entry.message.map_or(Message::Stored, Message::Whole),
        }
    }

    fn from_store(entry: Entry) -> Self {
        let told =
            |version: ApiVersion| Told { message: Announcement::new(version.clone()).message, version };
        Self {
            id: entry.id,
            version: entry.version.map(told),
            message: match entry.body {
                Body::Whole(payload) => Message::Whole(payload.into_message(entry.id)),
                Body::Large { .. } => Message::Stored,
            },
        }
    }
}
