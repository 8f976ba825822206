//! The log in memory, for simulations: the contract of the real stores, and faults on demand.
//!
//! A [`Disk`] stands for what survives a crash of the process: it outlives the [`Model`]s that are opened on it,
//! one at a time. Whoever holds a clone of it also says how long things take and what goes wrong. Everything is
//! deterministic and in virtual time; the suite in `contract` holds the model to what SQLite does.

mod log;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time;

use super::{Appended, Batch, Entry, Listed, Listing, Lookup, OpenError, Page, State, Store, StoreError};
use crate::event::{Endpoint, EntryId};

use log::Log;

/// What goes wrong with an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing becomes durable, and the answer is an error.
    Fail,
    /// The batch becomes durable, but the answer is an error.
    FailAfterCommit,
    /// It waits until it is told to go on by [`Disk::heal`], and then succeeds.
    Hang,
    /// It stops before anything is durable, and never ends: [`Disk::is_torn`] tells that it is time for the
    /// simulated host to crash.
    TearBeforeCommit,
    /// It stops when the batch is durable, and never ends.
    TearAfterCommit,
}

/// How often each was called since the disk was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Successful openings.
    pub opened: u64,
    /// Appends that were begun.
    pub appends: u64,
    /// Batches that became durable.
    pub commits: u64,
    /// Appends that ended with an error.
    pub failed_appends: u64,
    /// Pages, slices, look-ups and states that were asked for.
    pub reads: u64,
}

/// What is durable, and what is to go wrong. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<DiskState>,
    healed: Notify,
}

#[derive(Debug, Default)]
struct DiskState {
    log: Log,
    held: bool,
    torn: bool,
    append_latency: Duration,
    read_latency: Duration,
    next: VecDeque<Fault>,
    lasting: Option<Fault>,
    reads_fail: bool,
    capacity: Option<u64>,
    counts: Counts,
}

impl Disk {
    /// An empty disk on which everything works at once.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, DiskState> {
        self.shared.state.lock().expect("nothing panics while it holds this lock")
    }

    /// How long an append and a read take from now on. A batch becomes durable half-way through its append.
    pub fn set_latency(&self, append: Duration, read: Duration) {
        let mut state = self.state();
        state.append_latency = append;
        state.read_latency = read;
    }

    /// The next `times` appends go wrong like this, after those that were told so before.
    pub fn fail_next(&self, times: usize, fault: Fault) {
        self.state().next.extend(std::iter::repeat_n(fault, times));
    }

    /// All appends go wrong like this until [`Disk::heal`].
    pub fn fail_from_now_on(&self, fault: Fault) {
        self.state().lasting = Some(fault);
    }

    /// All reads fail until [`Disk::heal`].
    pub fn fail_reads(&self) {
        self.state().reads_fail = true;
    }

    /// The disk has room for this many bytes: an append that would exceed it fails.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Ends all faults, and lets appends that hang go on. Latencies and the capacity stay.
    pub fn heal(&self) {
        {
            let mut state = self.state();
            state.next.clear();
            state.lasting = None;
            state.reads_fail = false;
        }
        self.shared.healed.notify_waiters();
    }

    /// Whether an append stopped at a [`Fault::TearBeforeCommit`] or [`Fault::TearAfterCommit`] since the disk
    /// was last opened.
    pub fn is_torn(&self) -> bool {
        self.state().torn
    }

    /// How often each was called.
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Everything that is durable, for whoever checks it: at once, without latency and faults, and uncounted.
    pub fn entries(&self) -> Vec<Entry> {
        self.state().log.entries()
    }

    /// Id of the newest durable entry.
    pub fn head(&self) -> EntryId {
        self.state().log.head()
    }

    /// What a store that is opened now would find.
    pub fn durable_state(&self) -> State {
        self.state().log.state()
    }
}

/// The log in memory.
#[derive(Debug)]
pub struct Model {
    disk: Disk,
    writer: tokio::sync::Mutex<()>,
}

impl Model {
    /// Opens the log on `disk`, as its one writer.
    ///
    /// # Errors
    /// [`OpenError::Refused`] while another model is open on it.
    pub fn open(disk: &Disk) -> Result<Self, OpenError> {
        let mut state = disk.state();
        if state.held {
            return Err(OpenError::Refused("the disk is in use by another sidecar: stop that one".into()));
        }
        state.held = true;
        state.torn = false;
        state.counts.opened += 1;
        drop(state);
        Ok(Self { disk: disk.clone(), writer: tokio::sync::Mutex::default() })
    }

    async fn read<T>(&self, read: impl FnOnce(&Log) -> T) -> Result<T, StoreError> {
        let latency = {
            let mut state = self.disk.state();
            state.counts.reads += 1;
            state.read_latency
        };
        if !latency.is_zero() {
            time::sleep(latency).await;
        }
        let state = self.disk.state();
        if state.reads_fail { Err(failed("a read was told to fail")) } else { Ok(read(&state.log)) }
    }

    /// The outcome of an append as it is; the caller counts it.
    async fn try_append(&self, batch: &Batch) -> Result<Vec<Appended>, StoreError> {
        let (fault, half) = {
            let mut state = self.disk.state();
            state.counts.appends += 1;
            (state.next.pop_front().or(state.lasting), state.append_latency / 2)
        };
        if !half.is_zero() {
            time::sleep(half).await;
        }
        match fault {
            Some(Fault::Fail) => return Err(failed("an append was told to fail")),
            Some(Fault::Hang) => self.disk.shared.healed.notified().await,
            Some(Fault::TearBeforeCommit) => return self.tear().await,
            Some(Fault::FailAfterCommit | Fault::TearAfterCommit) | None => {}
        }
        let appended = self.commit(batch)?;
        if !half.is_zero() {
            time::sleep(half).await;
        }
        match fault {
            Some(Fault::FailAfterCommit) => Err(failed("an append was told to lose its answer")),
            Some(Fault::TearAfterCommit) => self.tear().await,
            Some(Fault::Fail | Fault::Hang | Fault::TearBeforeCommit) | None => Ok(appended),
        }
    }

    fn commit(&self, batch: &Batch) -> Result<Vec<Appended>, StoreError> {
        let mut state = self.disk.state();
        if let Some(capacity) = state.capacity
            && state.log.size() + batch_size(batch) > capacity
        {
            return Err(failed("the disk is full"));
        }
        state.counts.commits += 1;
        Ok(state.log.append(batch))
    }

    async fn tear<T>(&self) -> T {
        self.disk.state().torn = true;
        future::pending().await
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.disk.state().held = false;
    }
}

impl Store for Model {
    async fn state(&self) -> Result<State, StoreError> {
        self.read(Log::state).await
    }

    async fn append(&self, batch: &Batch) -> Result<Vec<Appended>, StoreError> {
        let _one_at_a_time = self.writer.lock().await;
        let outcome = self.try_append(batch).await;
        if outcome.is_err() {
            self.disk.state().counts.failed_appends += 1;
        }
        outcome
    }

    async fn page(&self, endpoint: Option<Endpoint>, from: EntryId) -> Result<Page, StoreError> {
        self.read(|log| log.page(endpoint, from)).await
    }

    async fn slice(&self, id: EntryId, offset: u64, length: usize) -> Result<Bytes, StoreError> {
        self.read(|log| log.slice(id, offset, length))
            .await?
            .ok_or_else(|| StoreError::Corrupt { id, source: "there is no such entry, or no longer".into() })
    }

    async fn find(&self, lookup: Lookup) -> Result<Vec<Entry>, StoreError> {
        self.read(|log| log.find(lookup)).await
    }

    async fn list(&self, listing: Listing) -> Result<Listed, StoreError> {
        self.read(|log| log.list(listing)).await
    }

    async fn senders(&self) -> Result<Vec<Arc<str>>, StoreError> {
        self.read(Log::senders).await
    }

    async fn prune(&self, before: EntryId) -> Result<u64, StoreError> {
        let _one_at_a_time = self.writer.lock().await;
        Ok(self.disk.state().log.prune(before))
    }

    async fn size(&self) -> Result<u64, StoreError> {
        self.read(Log::size).await
    }

    async fn close(&self) {}
}

fn failed(reason: &'static str) -> StoreError {
    StoreError::Unavailable(reason.into())
}

fn batch_size(batch: &Batch) -> u64 {
    batch.arrivals.iter().map(|arrival| arrival.event.payload.len() as u64).sum()
}
