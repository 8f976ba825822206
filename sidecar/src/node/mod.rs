//! One node: connects to it, keeps the connection, and hands over what it sends.
//!
//! [`Node::run`] is one task. Within it the pure parts decide ([`continuity`], [`holes`]) and a [`session`] acts:
//! it dials, reads the three filters at once, and hands deliveries to a bounded channel. While that is full the
//! sockets are not read, so that back-pressure reaches the node. This module does not know that there is a
//! database: what it needs of earlier runs comes in as cursors, and what it has to say goes out as deliveries.

mod continuity;
mod holes;
mod progress;
mod request;
mod session;
mod sse;
mod status;
mod subscription;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::Connection;
use crate::environment::Environment;
use crate::event::{Cursor, Delivery, News, NodeState};
use crate::metrics::Metrics;
use progress::Progress;
use session::End;

/// How often a node of a wrong version is looked at again: it may have been upgraded.
pub(crate) const RECHECK: Duration = Duration::from_secs(15);

/// The chain that the log is of, once known. The first node that is connected to says which it is.
pub(crate) type Chain = Arc<OnceLock<Arc<str>>>;

/// Bytes of events that may be on their way from the nodes to the log, in units of 1 KiB. It is shared by all
/// nodes; a single event that is larger takes it whole.
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    all: u32,
}

impl Budget {
    /// Room for this many KiB.
    pub(crate) fn new(units: u32) -> Self {
        Self { units: Arc::new(Semaphore::new(units as usize)), all: units }
    }

    async fn reserve(&self, bytes: usize) -> Option<tokio::sync::OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).min(self.all);
        self.units.clone().acquire_many_owned(units).await.ok()
    }
}

/// What all nodes of one run share.
#[derive(Clone)]
pub(crate) struct Shared<E> {
    /// The way out.
    pub environment: E,
    /// Where to count.
    pub metrics: Arc<Metrics>,
    /// Where deliveries go.
    pub deliveries: mpsc::Sender<Delivery>,
    /// What deliveries may hold.
    pub budget: Arc<Budget>,
    /// Which chain the log is of.
    pub chain: Chain,
    /// Longest JSON of a message, in bytes.
    pub max_event_size: usize,
}

/// The connection to one node.
pub(crate) struct Node<E> {
    connection: Arc<Connection>,
    name: Arc<str>,
    shared: Shared<E>,
    state: watch::Sender<NodeState>,
    progress: Progress,
}

impl<E: Environment> Node<E> {
    /// The node of `connection`, going on from those of `cursors` that are its own; and what tells its state.
    pub(crate) fn new(
        connection: Connection,
        shared: Shared<E>,
        cursors: &[Cursor],
    ) -> (Self, watch::Receiver<NodeState>) {
        let name: Arc<str> = connection.name().into();
        let (state, told) = watch::channel(NodeState::Preparing);
        shared.metrics.node_state(&name, NodeState::Preparing);
        let progress = Progress::new(name.clone(), shared.metrics.clone(), cursors);
        (Self { connection: Arc::new(connection), name, shared, state, progress }, told)
    }

    /// Listens to the node until `shutdown` fires or its attempts are used up.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = self.attempts() => {}
        }
    }

    /// One session after the other, until as many in a row as are allowed have failed.
    async fn attempts(&mut self) {
        let max = self.connection.max_attempts.get();
        let mut failed = 0;
        self.set_state(NodeState::Connecting);
        loop {
            let end = self.session().await;
            if *self.state.borrow() == NodeState::Connected {
                self.deliver(News::Left, 0).await;
            }
            match end {
                End::AskAgain => {}
                End::Incompatible(why) => {
                    error!(node = %self.name, "no events are taken from this node: {why}");
                    self.shared.metrics.error("connection_manager", "incompatible_node");
                    self.set_state(NodeState::Incompatible);
                    failed = 0;
                    sleep(RECHECK).await;
                    continue;
                }
                End::Lost { why, proved } => {
                    failed = if proved { 0 } else { failed + 1 };
                    self.shared.metrics.error("connection_manager", "connection_failed");
                    if failed >= max {
                        error!(node = %self.name, attempts = max, "giving the node up until the sidecar is started again: {why}; see to the node, or raise max_attempts");
                        self.set_state(NodeState::Exhausted);
                        return;
                    }
                    let delay = self.connection.delay_between_retries;
                    warn!(node = %self.name, "{why}; attempt {} of {max} follows in {delay:?}", failed + 1);
                    self.set_state(NodeState::Reconnecting);
                    sleep(delay).await;
                }
            }
            self.set_state(NodeState::Reconnecting);
        }
    }

    fn set_state(&self, state: NodeState) {
        let changed = self.state.send_if_modified(|old| std::mem::replace(old, state) != state);
        if changed {
            self.shared.metrics.node_state(&self.name, state);
            if self.connection.enable_logging {
                info!(node = %self.name, state = state.name(), "the node's state changed");
            }
        }
    }

    /// Hands something over, and says how long there was no room for it.
    async fn deliver(&self, news: News, bytes: usize) -> Duration {
        let began = tokio::time::Instant::now();
        let reserved = if bytes > 0 { self.shared.budget.reserve(bytes).await } else { None };
        let received_at = crate::environment::unix_milliseconds(self.shared.environment.now());
        let delivery = Delivery { node: self.name.clone(), received_at, news, reserved };
        if self.shared.deliveries.send(delivery).await.is_err() {
            // Nobody takes anything any more: the run is about to end, and ends this task with it.
            std::future::pending::<()>().await;
        }
        began.elapsed()
    }
}
