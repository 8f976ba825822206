//! The one writer: takes what is waiting, makes it durable in one transaction, and then tells the hub.
//!
//! A transaction drops what the log already has, appends the rest and moves the cursors. Nothing is published
//! before its commit. A store that fails is tried again until it works: meanwhile the bounded channel fills, the
//! nodes' sockets are not read, and nothing that was taken from one is dropped. Ingest ends when its input ends
//! and everything taken is durable; it needs no timer.

mod recent;
mod versions;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tracing::{error, info};

use crate::environment::{Environment, unix_milliseconds};
use crate::event::{ApiVersion, Channel, Cursor, Delivery, Event, Identity, Kind, News, Payload, SIDECAR};
use crate::hub::{Announcement, Hub, Published};
use crate::metrics::Metrics;
use crate::store::{Appended, Arrival, Batch, Body, Entry, State, Store, StoreError};
use recent::Recent;
use versions::Versions;

/// Most deliveries of one transaction. Their bytes are bounded by the budget that they hold.
const MOST_DELIVERIES: usize = 256;

/// Wait after the first failure of the store, and the longest wait.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// The one writer of a store.
pub(crate) struct Ingest<E: Environment> {
    environment: E,
    store: Arc<E::Store>,
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
    versions: Versions,
    announcement: Option<Arc<Announcement>>,
    recent: Recent,
    /// Cursors that moved over nothing but duplicates. They are written with the next entries, or at the end:
    /// after a crash the same duplicates come again.
    moved: Vec<Cursor>,
    chain: Option<Arc<str>>,
    newest_block: u64,
}

impl<E: Environment> Ingest<E> {
    /// Goes on from what earlier runs left.
    pub(crate) fn new(
        environment: E,
        store: Arc<E::Store>,
        hub: Arc<Hub>,
        metrics: Arc<Metrics>,
        state: &State,
    ) -> Self {
        metrics.head.set(state.head);
        Self {
            environment,
            store,
            announcement: hub.version(),
            hub,
            metrics,
            versions: Versions::new(state.in_force.clone()),
            recent: Recent::default(),
            moved: Vec::new(),
            chain: state.chain.clone(),
            newest_block: 0,
        }
    }

    /// Takes deliveries until all nodes have ended, then appends the sidecar's own `Shutdown` and closes the hub.
    ///
    /// # Errors
    /// If the store says that trying again cannot help.
    pub(crate) async fn run(mut self, mut deliveries: mpsc::Receiver<Delivery>) -> Result<(), StoreError> {
        let mut waiting = Vec::new();
        while deliveries.recv_many(&mut waiting, MOST_DELIVERIES).await > 0 {
            let batch = self.batch(&mut waiting);
            self.commit(batch).await?;
            // Only now is the budget that these held given back.
            waiting.clear();
        }
        let shutdown = self.own_shutdown();
        let cursors = std::mem::take(&mut self.moved);
        self.commit(Batch { arrivals: vec![shutdown], cursors, ..Batch::default() }).await?;
        self.hub.close();
        Ok(())
    }

    /// What the deliveries are for the store. Empties them, but leaves their share of the budget in place.
    fn batch(&mut self, waiting: &mut [Delivery]) -> Batch {
        let mut batch = Batch::default();
        for delivery in waiting {
            let Delivery { node, received_at, news, .. } = delivery;
            match std::mem::replace(news, News::Left) {
                News::Left => self.versions.left(node),
                News::Chain(chain) => {
                    if self.chain.is_none() {
                        self.chain = Some(chain.clone());
                        batch.chain = Some(chain);
                    }
                }
                News::Version(version) => {
                    if let Some(in_force) = self.versions.announced(node, version) {
                        info!(version = %in_force.version, %node, "the API version in force changed");
                        batch.in_force = Some(in_force.clone());
                    }
                }
                News::Events { events, cursors } => {
                    for cursor in cursors {
                        self.moved.retain(|old| (&old.node, old.filter) != (&cursor.node, cursor.filter));
                        self.moved.push(cursor);
                    }
                    self.arrivals(&mut batch, events, node, *received_at);
                }
            }
        }
        if !batch.arrivals.is_empty() {
            batch.cursors = std::mem::take(&mut self.moved);
        }
        batch
    }

    fn arrivals(&mut self, batch: &mut Batch, events: Vec<Event>, node: &Arc<str>, received_at: u64) {
        self.metrics.events_received(events.len(), node, received_at);
        self.metrics.events_saving(events.len());
        let before = batch.arrivals.len();
        let count = events.len();
        let fresh = events.into_iter().filter(|event| !self.recent.contains(&event.identity));
        let version = self.versions.current();
        batch.arrivals.extend(fresh.map(|event| Arrival {
            event,
            version: version.cloned(),
            node: node.clone(),
            received_at,
        }));
        let known = count - (batch.arrivals.len() - before);
        self.metrics.duplicates.inc_by(known as u64);
        self.metrics.events_saved(known);
    }

    fn own_shutdown(&self) -> Arrival {
        let received_at = unix_milliseconds(self.environment.now());
        // Its place makes it another one each time.
        let name = (self.hub.head() + 1).to_string();
        Arrival {
            event: Event {
                kind: Kind::Shutdown,
                channel: Channel::Sidecar,
                identity: Identity::of(Kind::Shutdown, &[SIDECAR, &name]),
                keys: Vec::new(),
                block_time: None,
                payload: Payload::new("\"Shutdown\""),
            },
            version: self.versions.current().cloned(),
            node: SIDECAR.into(),
            received_at,
        }
    }

    /// Makes a batch durable, however long that takes, and publishes it.
    async fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        if batch.arrivals.is_empty() && batch.in_force.is_none() && batch.chain.is_none() {
            return Ok(());
        }
        let began = Instant::now();
        let mut wait = BACK_OFF.0;
        let mut tries = 0_u32;
        let appended = loop {
            match self.store.append(&batch).await {
                Ok(appended) => break appended,
                Err(StoreError::Unavailable(error)) => {
                    tries += 1;
                    self.metrics.store_retries.inc();
                    self.metrics.store_failing.set(1);
                    self.metrics.error("db", "append_failed");
                    error!(
                        tries,
                        "the database cannot be written, trying again in {wait:?}: {error}; the nodes wait meanwhile, nothing that was taken is lost: see to the disk or the database server"
                    );
                    sleep(wait).await;
                    wait = (wait * 2).min(BACK_OFF.1);
                }
                Err(hopeless @ (StoreError::Corrupt { .. } | StoreError::Lost(_))) => return Err(hopeless),
            }
        };
        if tries > 0 {
            self.metrics.store_failing.set(0);
            info!(tries, "the database can be written again");
        }
        self.metrics.commit_seconds.observe(began.elapsed().as_secs_f64());
        self.publish(batch, &appended, tries > 0).await
    }

    async fn publish(
        &mut self,
        batch: Batch,
        appended: &[Appended],
        retried: bool,
    ) -> Result<(), StoreError> {
        self.metrics.events_saved(appended.len());
        if let Some(in_force) = &batch.in_force {
            self.announcement = Some(Arc::new(Announcement::new(in_force.version.clone())));
        }
        let entries = if retried {
            // An earlier try may have done more than it could tell.
            self.catch_up(&batch).await?
        } else {
            self.entries(batch, appended)
        };
        self.metrics.commit_entries.observe(f64::from(u32::try_from(entries.len()).unwrap_or(u32::MAX)));
        self.metrics.duplicates.inc_by((appended.len() - entries.len().min(appended.len())) as u64);
        self.metrics.events_sent(entries.iter().map(|entry| entry.kind));
        if let Some(last) = entries.last() {
            self.metrics.head.set(last.id);
        }
        self.hub.publish(entries, self.announcement.clone());
        Ok(())
    }

    fn entries(&mut self, batch: Batch, appended: &[Appended]) -> Vec<Published> {
        let mut entries = Vec::with_capacity(appended.len());
        let mut announcement = None;
        for (arrival, appended) in batch.arrivals.into_iter().zip(appended) {
            self.remember(&arrival);
            let Appended::New(id) = *appended else { continue };
            let Event { kind, channel, payload, .. } = arrival.event;
            let version = announce(&mut announcement, self.announcement.as_ref(), arrival.version);
            entries.push(Published { id, kind, channel, version, message: Some(payload.into_message(id)) });
        }
        entries
    }

    fn remember(&mut self, arrival: &Arrival) {
        self.recent.insert(arrival.event.identity);
        if let Some(time) = arrival.event.block_time
            && time > self.newest_block
        {
            self.newest_block = time;
            self.metrics.newest_block(time, arrival.received_at);
        }
    }

    /// What the log has beyond what was published.
    async fn catch_up(&mut self, batch: &Batch) -> Result<Vec<Published>, StoreError> {
        batch.arrivals.iter().for_each(|arrival| self.remember(arrival));
        let mut entries = Vec::new();
        let mut from = self.hub.head() + 1;
        loop {
            let page = match self.store.page(None, from).await {
                Ok(page) => page,
                Err(StoreError::Unavailable(error)) => {
                    error!("the database cannot be read, trying again: {error}");
                    sleep(BACK_OFF.1).await;
                    continue;
                }
                Err(hopeless @ (StoreError::Corrupt { .. } | StoreError::Lost(_))) => return Err(hopeless),
            };
            let mut announcement = None;
            for entry in page.entries {
                let version = entry.version.clone();
                let version = announce(&mut announcement, self.announcement.as_ref(), version);
                entries.push(published(entry, version));
            }
            if page.next == from {
                return Ok(entries);
            }
            from = page.next;
        }
    }
}

fn published(entry: Entry, version: Option<Arc<Announcement>>) -> Published {
    let Entry { id, kind, channel, body, .. } = entry;
    let message = match body {
        Body::Whole(payload) => Some(payload.into_message(id)),
        Body::Large { .. } => None,
    };
    Published { id, kind, channel, version, message }
}

/// The announcement of `version`: shared among neighbours, and with what is in force if it is the same.
fn announce(
    last: &mut Option<Arc<Announcement>>,
    in_force: Option<&Arc<Announcement>>,
    version: Option<ApiVersion>,
) -> Option<Arc<Announcement>> {
    let version = version?;
    let shared = [last.as_ref(), in_force].into_iter().flatten().find(|shared| shared.version == version);
    let announcement = match shared {
        Some(shared) => shared.clone(),
        None => Arc::new(Announcement::new(version)),
    };
    *last = Some(announcement.clone());
    Some(announcement)
}
