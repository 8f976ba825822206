//! A node: what it keeps, what it emits, and everything a test may do to it.
//!
//! A [`Node`] outlives its serving. What a real node keeps on disk survives a stop (the id counter, saved by an
//! orderly stop only); what it keeps in memory does not (the ring of recent events). All controls are plain calls:
//! they work from inside and outside of any runtime.

mod builder;
mod control;
mod emit;
mod process;
mod serve;
mod spelling;
mod sse;
mod status;
mod stream;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::watch, time::Instant};

use self::{builder::Config, process::Process};
pub use self::{
    builder::{Builder, Laggards},
    process::Subscriber,
    serve::Running,
    spelling::Spelling,
    status::StatusBehaviour,
};
use crate::event::Filter;

/// Subscribers that have left and are still told of by [`Node::all_subscribers`].
const REMEMBERED: usize = 1000;

/// A scriptable Casper node. Clones are handles of the same node.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

/// One event as the node sent it: the truth against which a test compares what its consumer saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emitted {
    /// The id on the wire. `None` for what was sent without one.
    pub id: Option<u32>,
    /// Where it went. A `Shutdown` is listed three times, once for each filter.
    pub filter: Filter,
    /// The bytes of the `data` field; of a raw write, all bytes as written.
    pub data: Bytes,
    /// During which run of the node's process: 0 is the first, each restart begins another. Ids repeat
    /// after a crash, so only (run, id, filter) names an event.
    pub run: u32,
}

/// What a client meets when it dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reach {
    /// The ports are open.
    open: bool,
    /// Connections to the event stream are accepted and never answered.
    silent: bool,
    run: u32,
}

struct Inner {
    config: Config,
    state: Mutex<State>,
    keep_alives: AtomicBool,
    connections: AtomicU64,
    reach: watch::Sender<Reach>,
    seats: watch::Sender<usize>,
}

struct State {
    process: Arc<Process>,
    up: bool,
    refuse: bool,
    silent: bool,
    paused: bool,
    run: u32,
    next_id: u32,
    /// The content of a real node's `sse_index` file, written by an orderly stop.
    saved_id: u32,
    build_version: String,
    api_version: String,
    status: StatusBehaviour,
    closed_filters: Vec<Filter>,
    emitted: VecDeque<Emitted>,
    forgotten: u64,
    last_block: Option<Bytes>,
    started: Option<Instant>,
    left: VecDeque<Subscriber>,
    sse_addr: Option<SocketAddr>,
    rest_addr: Option<SocketAddr>,
}

impl Inner {
    fn new(builder: Builder) -> Self {
        let Builder { config, build_version, api_version, first_id } = builder;
        let state = State {
            process: Arc::new(Process::new(config.ring, config.laggards, false)),
            up: true,
            refuse: false,
            silent: false,
            paused: false,
            run: 0,
            next_id: first_id,
            saved_id: first_id,
            build_version,
            api_version,
            status: StatusBehaviour::Normal,
            closed_filters: Vec::new(),
            emitted: VecDeque::new(),
            forgotten: 0,
            last_block: None,
            started: None,
            left: VecDeque::new(),
            sse_addr: None,
            rest_addr: None,
        };
        Self {
            config,
            state: Mutex::new(state),
            keep_alives: AtomicBool::new(true),
            connections: AtomicU64::new(0),
            reach: watch::Sender::new(Reach { open: true, silent: false, run: 0 }),
            seats: watch::Sender::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent between any two statements that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_alives(&self) -> bool {
        self.keep_alives.load(Ordering::Relaxed)
    }

    fn left(&self, subscriber: Subscriber) {
        let mut state = self.state();
        if state.left.len() == REMEMBERED {
            state.left.pop_front();
        }
        state.left.push_back(subscriber);
        let seats = state.process.taken_seats();
        drop(state);
        self.seats.send_replace(seats);
    }

    /// Tells the listeners what is to be met at the ports.
    fn publish(&self, state: &State) {
        let reach = Reach { open: state.up && !state.refuse, silent: state.silent, run: state.run };
        self.reach.send_if_modified(|current| std::mem::replace(current, reach) != reach);
    }
}

impl Node {
    /// A node to be built, with a real node's defaults.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

/// Looking.
impl Node {
    /// Who is connected, and what each has received.
    pub fn subscribers(&self) -> Vec<Subscriber> {
        let process = self.inner.state().process.clone();
        process.subscribers()
    }

    /// Those who have left (the last 1000), then those who are connected.
    pub fn all_subscribers(&self) -> Vec<Subscriber> {
        let (mut all, process) = {
            let state = self.inner.state();
            (Vec::from(state.left.clone()), state.process.clone())
        };
        all.extend(process.subscribers());
        all
    }

    /// Waits until everything was handed to everybody who is connected, or for `limit`.
    pub async fn drained(&self, limit: Duration) {
        let process = self.inner.state().process.clone();
        let _left_behind = tokio::time::timeout(limit, process.drained()).await;
    }

    /// Waits until at least `count` subscribers are connected. Cancel safe.
    pub async fn wait_for_subscribers(&self, count: usize) {
        let mut seats = self.inner.seats.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        drop(seats.wait_for(|seats| *seats >= count).await);
    }

    /// Where the event stream is served, once it was bound.
    pub fn bound_sse_addr(&self) -> Option<SocketAddr> {
        self.inner.state().sse_addr
    }

    /// Where `/status` is served, once it was bound.
    pub fn bound_rest_addr(&self) -> Option<SocketAddr> {
        self.inner.state().rest_addr
    }

    /// How often the node was started again.
    pub fn run(&self) -> u32 {
        self.inner.state().run
    }

    /// The versions: `build_version` and `api_version`.
    pub fn versions(&self) -> (String, String) {
        let state = self.inner.state();
        (state.build_version.clone(), state.api_version.clone())
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.inner.state();
        formatter
            .debug_struct("Node")
            .field("up", &state.up)
            .field("run", &state.run)
            .field("next_id", &state.next_id)
            .field("sse_addr", &state.sse_addr)
            .finish_non_exhaustive()
    }
}
