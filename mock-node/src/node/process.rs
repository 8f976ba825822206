//! What lives and dies with one run of a node's process: the ring of recent events and the subscribers.
//!
//! Each event is encoded once. A subscriber is nothing but a position in the shared ring: there is no queue per
//! subscriber, and one lock answers "what is next" and "wake me when there is more", so no wake-up is missed.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Laggards;
use crate::event::Filter;

/// Entries that a subscriber takes under one lock.
const BATCH: usize = 64;

/// How those who are connected get an entry. Who replays it later gets it whole.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Delivery {
    Whole,
    /// So many bytes of it, then the connection breaks off.
    Cut(usize),
    /// In pieces of so many bytes with a pause after each.
    Slow(usize, Duration),
}

/// One entry of the ring.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Without an id it is never replayed.
    pub(crate) id: Option<u32>,
    /// `None` means all three.
    pub(crate) filter: Option<Filter>,
    /// The bytes on the wire.
    pub(crate) wire: Bytes,
    pub(crate) delivery: Delivery,
}

impl Entry {
    fn is_for(&self, filter: Filter) -> bool {
        self.filter.is_none_or(|own| own == filter)
    }
}

/// A connection to one of the filters, and what it got so far.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Subscriber {
    /// Number of the connection, counted over the node's life.
    pub connection: u64,
    /// Who it is.
    #[schema(value_type = String)]
    pub peer: SocketAddr,
    /// Which filter it reads.
    pub filter: Filter,
    /// Its `start_from`, if it gave one.
    pub start_from: Option<u32>,
    /// Events handed to its connection, `ApiVersion` and keep-alives not counted.
    pub events: u64,
    /// Bytes of those events.
    pub bytes: u64,
    /// Id of the last of them.
    pub last_id: Option<u32>,
    /// False once the connection has ended.
    pub connected: bool,
}

struct Seat {
    info: Subscriber,
    /// Sequence number of the next entry to look at.
    cursor: u64,
    /// Entries before this one are replay: they do not count as lag.
    live_from: u64,
    waker: Option<Waker>,
    cut: CancellationToken,
}

/// What [`Process::take`] found.
pub(crate) enum Take {
    /// There are entries in the buffer.
    Taken,
    /// Nothing new. The waker will be called.
    Waiting,
    /// The node is paused. The waker will be called.
    Held,
    /// The node has stopped in an orderly way and everything was taken.
    Ended,
    /// The subscriber is too far behind.
    Lagged,
}

/// One run of a node's process.
pub(crate) struct Process {
    log: Mutex<Log>,
    /// Cancelled by a crash, and when the process has ended otherwise and its streams are to go as well.
    pub(crate) killed: CancellationToken,
    /// Cancelled by an orderly stop.
    pub(crate) stopping: CancellationToken,
    /// Told whenever a subscriber moved on or left, if the node holds back.
    moved: Notify,
}

struct Log {
    ring: usize,
    laggards: Laggards,
    entries: VecDeque<Entry>,
    /// Sequence number of the first entry.
    first: u64,
    seats: BTreeMap<u64, Seat>,
    ended: bool,
    paused: bool,
}

impl Log {
    fn head(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// How far a subscriber may fall behind: 1.2 x the ring, as on a real node.
    fn limit(&self) -> u64 {
        (self.ring as u64 * 12).div_ceil(10)
    }

    /// Where a replay from id `start` begins. A real node compares ids shifted by the length of its ring when the
    /// first one in it is near the wrap-around.
    fn replay_start(&self, start: u32) -> u64 {
        let ring = self.ring.min(u32::MAX as usize) as u32;
        let oldest = self.head().saturating_sub(self.ring as u64).max(self.first);
        let replayable = || {
            (oldest..self.head()).filter_map(|at| Some((at, self.entries[(at - self.first) as usize].id?)))
        };
        let near_wrap = replayable().next().is_some_and(|(_, id)| id < ring || id > u32::MAX - ring);
        let shift = if near_wrap { ring } else { 0 };
        replayable()
            .find(|(_, id)| id.wrapping_add(shift) >= start.wrapping_add(shift))
            .map_or(self.head(), |(at, _)| at)
    }

    /// Drops what nobody can ask for any more: a replay starts at most one ring behind the head and may fall
    /// behind by the limit while it runs.
    fn trim(&mut self) {
        let keep = self.ring as u64 + self.limit();
        while self.entries.len() as u64 > keep {
            if self.laggards == Laggards::HoldBack
                && self.seats.values().any(|seat| seat.cursor <= self.first)
            {
                return;
            }
            self.entries.pop_front();
            self.first += 1;
        }
    }
}

impl Process {
    pub(crate) fn new(ring: usize, laggards: Laggards, paused: bool) -> Self {
        Self {
            log: Mutex::new(Log {
                ring,
                laggards,
                entries: VecDeque::new(),
                first: 0,
                seats: BTreeMap::new(),
                ended: false,
                paused,
            }),
            killed: CancellationToken::new(),
            stopping: CancellationToken::new(),
            moved: Notify::new(),
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        // The log is consistent between any two statements that could panic.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends entries and wakes whoever waits for one of them.
    pub(crate) fn append(&self, entries: impl IntoIterator<Item = Entry>) {
        let mut wakers = Vec::new();
        {
            let mut log = self.log();
            for entry in entries {
                let head = log.head();
                for seat in log.seats.values_mut() {
                    if entry.is_for(seat.info.filter) {
                        wakers.extend(seat.waker.take());
                    } else if seat.cursor == head {
                        // Nothing to wake it for; but it is not behind either.
                        seat.cursor += 1;
                    }
                }
                log.entries.push_back(entry);
            }
            log.trim();
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// No more entries will come: the streams end when they have read everything.
    pub(crate) fn end(&self) {
        self.log().ended = true;
        self.stopping.cancel();
        self.wake_all();
    }

    /// Breaks all connections off.
    pub(crate) fn kill(&self) {
        self.log().ended = true;
        self.killed.cancel();
        self.moved.notify_waiters();
    }

    pub(crate) fn pause(&self, paused: bool) {
        self.log().paused = paused;
        self.wake_all();
    }

    /// Wakes all subscribers, to look again at what has changed.
    pub(crate) fn wake_all(&self) {
        let wakers: Vec<Waker> = self.log().seats.values_mut().filter_map(|seat| seat.waker.take()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Takes a seat, unless all of them are taken.
    pub(crate) fn subscribe(&self, mut info: Subscriber, seats: usize, cut: CancellationToken) -> bool {
        let mut log = self.log();
        if log.seats.len() >= seats {
            return false;
        }
        let head = log.head();
        let cursor = info.start_from.map_or(head, |start| log.replay_start(start));
        info.connected = true;
        log.seats.insert(info.connection, Seat { info, cursor, live_from: head, waker: None, cut });
        true
    }

    /// How many seats are taken.
    pub(crate) fn taken_seats(&self) -> usize {
        self.log().seats.len()
    }

    /// Gives the seat back and tells what its holder got.
    pub(crate) fn leave(&self, connection: u64) -> Option<Subscriber> {
        let seat = self.log().seats.remove(&connection);
        self.moved.notify_waiters();
        seat.map(|seat| Subscriber { connected: false, ..seat.info })
    }

    /// The next entries for a subscriber, in the form in which it is to get them.
    pub(crate) fn take(&self, connection: u64, waker: &Waker, out: &mut VecDeque<Entry>) -> Take {
        let mut log = self.log();
        let (head, first, limit) = (log.head(), log.first, log.limit());
        let Log { entries, seats, laggards, ended, paused, .. } = &mut *log;
        let Some(seat) = seats.get_mut(&connection) else { return Take::Lagged };
        if *laggards == Laggards::Cut && head - seat.cursor.max(seat.live_from) > limit {
            return Take::Lagged;
        }
        if *paused {
            seat.waker = Some(waker.clone());
            return Take::Held;
        }
        let before = seat.cursor;
        while seat.cursor < head && out.len() < BATCH {
            let entry = &entries[(seat.cursor - first) as usize];
            let live = seat.cursor >= seat.live_from;
            seat.cursor += 1;
            if !entry.is_for(seat.info.filter) || (!live && entry.id.is_none()) {
                continue;
            }
            seat.info.events += 1;
            seat.info.bytes += entry.wire.len() as u64;
            seat.info.last_id = entry.id.or(seat.info.last_id);
            let delivery = if live { entry.delivery } else { Delivery::Whole };
            out.push_back(Entry { delivery, ..entry.clone() });
        }
        if *laggards == Laggards::HoldBack && seat.cursor != before {
            self.moved.notify_waiters();
        }
        if !out.is_empty() {
            return Take::Taken;
        }
        if *ended {
            return Take::Ended;
        }
        seat.waker = Some(waker.clone());
        Take::Waiting
    }

    /// Waits until the slowest subscriber is less than one ring behind. Returns at once on a node that cuts laggards.
    pub(crate) async fn room(&self) {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            {
                let log = self.log();
                let full = |seat: &Seat| log.head() - seat.cursor >= log.ring as u64;
                if log.laggards == Laggards::Cut || log.ended || !log.seats.values().any(full) {
                    return;
                }
            }
            moved.await;
        }
    }

    /// Waits until every subscriber has read to the end: of a node that was stopped, until all have left.
    pub(crate) async fn drained(&self) {
        loop {
            {
                let log = self.log();
                let head = log.head();
                let behind = |seat: &Seat| log.ended || seat.cursor < head;
                if self.killed.is_cancelled() || !log.seats.values().any(behind) {
                    return;
                }
            }
            // Polled, not told: only the end of a process asks this.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Breaks off the connections that `chosen` picks.
    pub(crate) fn cut(&self, chosen: impl Fn(&Subscriber) -> bool) -> usize {
        let cuts: Vec<CancellationToken> = self
            .log()
            .seats
            .values()
            .filter(|seat| chosen(&seat.info))
            .map(|seat| seat.cut.clone())
            .collect();
        cuts.iter().for_each(CancellationToken::cancel);
        cuts.len()
    }

    pub(crate) fn subscribers(&self) -> Vec<Subscriber> {
        self.log().seats.values().map(|seat| seat.info.clone()).collect()
    }
}
