//! The newest entries, encoded once, and the waking of those who wait for more.
//!
//! The hub knows what is durable and nothing else: ingest publishes here after the commit. Subscribers have no
//! queues: each is a place in the log, and asks what there is from its place on. One lock gives the answer, so
//! nothing falls between replay and live.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use tokio::sync::watch;

use crate::event::{ApiVersion, Channel, Endpoint, EntryId, Kind};

/// Messages larger than this have a budget of their own, so that a few Steps (30 MB and more each) do not push
/// everything else out of the ring.
const LARGE_MESSAGE: usize = 1 << 20;

/// Bytes of large messages that are kept: the newest ones, since live subscribers all want the same.
const LARGE_BYTES: usize = 64 << 20;

/// Bytes of the other messages that are kept: 5000 entries of a usual mix (2.6 kB on average) fit.
const RING_BYTES: usize = 16 << 20;

/// Entries looked at, and bytes handed out, while the lock is held once.
const TURN_ENTRIES: usize = 1024;
const TURN_BYTES: usize = 256 * 1024;

/// A version, and the message that tells it.
#[derive(Debug)]
pub(crate) struct Announcement {
    /// The version.
    pub version: ApiVersion,
    /// `data:{"ApiVersion":"1.5.8"}` and a blank line; it has no id.
    pub message: Bytes,
}

impl Announcement {
    /// The announcement of `version`.
    pub(crate) fn new(version: ApiVersion) -> Self {
        let message = format!("data:{}\n\n", version.json().replace('\n', "\ndata:")).into();
        Self { version, message }
    }
}

/// A durable entry as subscribers get it.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    /// Its place in the log.
    pub id: EntryId,
    /// What it is.
    pub kind: Kind,
    /// Where it is shown.
    pub channel: Channel,
    /// The version in force.
    pub version: Option<Arc<Announcement>>,
    /// The whole message, or nothing if it must be read from the store.
    pub message: Option<Bytes>,
}

/// What there is for a subscriber from its place on.
#[derive(Debug)]
pub(crate) enum Position {
    /// Its place is older than the ring: the store has it.
    Behind,
    /// Entries that its endpoint shows, perhaps none, and the place after them.
    Within {
        /// The entries.
        entries: Vec<Published>,
        /// The place after them.
        next: EntryId,
    },
    /// There is nothing yet. Whoever waits must have marked the receiver as seen before asking.
    AtHead {
        /// The version in force, if its place is exactly the one after the newest entry.
        version: Option<Arc<Announcement>>,
    },
    /// There will be nothing any more.
    Closed,
}

/// The ring of the newest entries.
#[derive(Debug)]
pub(crate) struct Hub {
    ring: RwLock<Ring>,
    /// One for each endpoint, so that nobody is woken for what he does not see.
    wakers: [watch::Sender<()>; Endpoint::ALL.len()],
}

#[derive(Debug)]
struct Ring {
    /// Dense in their ids.
    entries: VecDeque<Published>,
    /// Id of the entry that comes next.
    next: EntryId,
    version: Option<Arc<Announcement>>,
    capacity: usize,
    bytes: usize,
    /// The large messages that are kept, oldest first.
    large: VecDeque<EntryId>,
    large_bytes: usize,
    closed: bool,
}

impl Hub {
    /// An empty ring for `capacity` entries, after the entry `head`, while `version` is in force.
    pub(crate) fn new(capacity: usize, head: EntryId, version: Option<ApiVersion>) -> Self {
        Self {
            ring: RwLock::new(Ring {
                entries: VecDeque::new(),
                next: head + 1,
                version: version.map(|version| Arc::new(Announcement::new(version))),
                capacity,
                bytes: 0,
                large: VecDeque::new(),
                large_bytes: 0,
                closed: false,
            }),
            wakers: Endpoint::ALL.map(|_| watch::channel(()).0),
        }
    }

    /// Publishes durable entries, the next in order, and the version in force after them.
    ///
    /// # Panics
    /// If the entries are not the next in order: an entry would be shown twice or never.
    pub(crate) fn publish(&self, entries: Vec<Published>, version: Option<Arc<Announcement>>) {
        let mut woken = [false; Endpoint::ALL.len()];
        {
            let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
            if version.as_ref().map(|new| &new.version) != ring.version.as_ref().map(|old| &old.version) {
                woken = [true; Endpoint::ALL.len()];
            }
            ring.version = version;
            for entry in entries {
                for endpoint in Endpoint::ALL {
                    woken[endpoint as usize] |= endpoint.shows(entry.channel, entry.kind);
                }
                ring.push(entry);
            }
        }
        self.wake(woken);
    }

    /// No more will be published: subscribers end when they have seen everything.
    pub(crate) fn close(&self) {
        self.ring.write().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.wake([true; Endpoint::ALL.len()]);
    }

    /// Id of the newest entry.
    pub(crate) fn head(&self) -> EntryId {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).next - 1
    }

    /// The version in force.
    pub(crate) fn version(&self) -> Option<Arc<Announcement>> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).version.clone()
    }

    /// Changes whenever there is something new for `endpoint`.
    pub(crate) fn watch(&self, endpoint: Endpoint) -> watch::Receiver<()> {
        self.wakers[endpoint as usize].subscribe()
    }

    /// What there is for a subscriber of `endpoint` from `from` on.
    pub(crate) fn position(&self, endpoint: Endpoint, from: EntryId) -> Position {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).position(endpoint, from)
    }

    fn wake(&self, woken: [bool; Endpoint::ALL.len()]) {
        for (waker, woken) in self.wakers.iter().zip(woken) {
            if woken {
                waker.send_replace(());
            }
        }
    }
}

impl Ring {
    fn push(&mut self, entry: Published) {
        assert_eq!(entry.id, self.next, "entries are published in order, each once");
        self.next += 1;
        let size = entry.message.as_ref().map_or(0, Bytes::len);
        if size > LARGE_MESSAGE {
            self.large.push_back(entry.id);
            self.large_bytes += size;
        } else {
            self.bytes += size;
        }
        self.entries.push_back(entry);
        while self.entries.len() > self.capacity || self.bytes > RING_BYTES {
            self.evict();
        }
        while self.large_bytes > LARGE_BYTES
            && let Some(id) = self.large.pop_front()
        {
            let oldest = self.next - self.entries.len() as u64;
            let message = usize::try_from(id - oldest).ok().and_then(|at| self.entries[at].message.take());
            self.large_bytes -= message.map_or(0, |message| message.len());
        }
    }

    fn evict(&mut self) {
        let Some(entry) = self.entries.pop_front() else { return };
        let size = entry.message.as_ref().map_or(0, Bytes::len);
        if self.large.front() == Some(&entry.id) {
            self.large.pop_front();
            self.large_bytes -= size;
        } else {
            self.bytes -= size;
        }
    }

    fn position(&self, endpoint: Endpoint, from: EntryId) -> Position {
        let oldest = self.next - self.entries.len() as u64;
        if from >= self.next {
            return match self.closed {
                true => Position::Closed,
                false => Position::AtHead { version: self.version.clone().filter(|_| from == self.next) },
            };
        }
        let Some(at) = from.checked_sub(oldest).and_then(|at| usize::try_from(at).ok()) else {
            return Position::Behind;
        };
        let mut entries = Vec::new();
        let (mut next, mut bytes) = (from, 0);
        for entry in self.entries.range(at..).take(TURN_ENTRIES) {
            if bytes >= TURN_BYTES {
                break;
            }
            next = entry.id + 1;
            if endpoint.shows(entry.channel, entry.kind) {
                bytes += entry.message.as_ref().map_or(0, Bytes::len);
                entries.push(entry.clone());
            }
        }
        Position::Within { entries, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: EntryId, channel: Channel, size: usize) -> Published {
        let kind = Kind::Step;
        Published { id, kind, channel, version: None, message: Some(Bytes::from(vec![b'x'; size])) }
    }

    fn ids(position: Position) -> (Vec<EntryId>, EntryId) {
        match position {
            Position::Within { entries, next } => (entries.iter().map(|entry| entry.id).collect(), next),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_place_is_behind_within_or_at_the_head() {
        let hub = Hub::new(2, 10, None);
        assert!(matches!(hub.position(Endpoint::Main, 11), Position::AtHead { .. }));
        assert!(matches!(hub.position(Endpoint::Main, 10), Position::Behind));
        hub.publish((11..=13).map(|id| entry(id, Channel::Main, 1)).collect(), None);
        assert!(matches!(hub.position(Endpoint::Main, 11), Position::Behind));
        assert_eq!(ids(hub.position(Endpoint::Main, 12)), (vec![12, 13], 14));
        assert_eq!(ids(hub.position(Endpoint::Sigs, 12)), (vec![], 14));
        assert!(matches!(hub.position(Endpoint::Main, 14), Position::AtHead { .. }));
        hub.close();
        assert_eq!(ids(hub.position(Endpoint::Main, 13)), (vec![13], 14));
        assert!(matches!(hub.position(Endpoint::Main, 14), Position::Closed));
    }

    #[test]
    fn only_those_who_see_an_entry_are_woken() {
        let hub = Hub::new(10, 0, None);
        let (mut main, mut sigs) = (hub.watch(Endpoint::Main), hub.watch(Endpoint::Sigs));
        hub.publish(vec![entry(1, Channel::Main, 1)], None);
        assert!(main.has_changed().expect("open") && !sigs.has_changed().expect("open"));
        main.mark_unchanged();
        let version =
            Announcement::new(ApiVersion::new("{\"ApiVersion\":\"1.5.8\"}", "1.5.8").expect("valid"));
        hub.publish(vec![], Some(Arc::new(version)));
        assert!(main.has_changed().expect("open") && sigs.has_changed().expect("open"));
        sigs.mark_unchanged();
    }

    #[test]
    fn the_ring_is_bounded_in_bytes() {
        let hub = Hub::new(1000, 0, None);
        hub.publish((1..=40).map(|id| entry(id, Channel::Main, LARGE_MESSAGE)).collect(), None);
        let ring = hub.ring.read().expect("not poisoned");
        assert!(ring.bytes <= RING_BYTES);
        assert_eq!(ring.entries.len(), RING_BYTES / LARGE_MESSAGE);
    }

    #[test]
    fn large_messages_push_out_each_other_and_nothing_else() {
        let hub = Hub::new(1000, 0, None);
        hub.publish((1..=10).map(|id| entry(id, Channel::Main, 10)).collect(), None);
        hub.publish((11..=13).map(|id| entry(id, Channel::Main, 30 << 20)).collect(), None);
        let ring = hub.ring.read().expect("not poisoned");
        assert_eq!(ring.entries.len(), 13);
        let kept: Vec<_> = ring.entries.iter().map(|entry| entry.message.is_some()).collect();
        assert_eq!(kept[9..], [true, false, true, true]);
        assert!(ring.large_bytes <= LARGE_BYTES);
    }

    #[test]
    #[should_panic(expected = "published in order")]
    fn an_entry_out_of_order_is_a_defect() {
        Hub::new(10, 0, None).publish(vec![entry(2, Channel::Main, 1)], None);
    }
}
