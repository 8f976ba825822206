//! A node: what it keeps, what it emits, and everything a test may do to it.
//!
//! A [`Node`] outlives its serving. What a real node keeps on disk survives a stop (the id counter, saved by an
//! orderly stop only); what it keeps in memory does not (the ring of recent events). All controls are plain calls:
//! they work from inside and outside of any runtime.

mod builder;
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

use self::{
    builder::Config,
    process::{Delivery, Entry, Process},
};
pub use self::{
    builder::{Builder, Laggards},
    process::Subscriber,
    serve::Running,
    spelling::Spelling,
    status::StatusBehaviour,
};
use crate::event::{Event, Filter};

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

impl State {
    /// Writes one event on the wire with the id given, and keeps it as truth.
    fn record(&mut self, config: &Config, id: Option<u32>, event: &Event, delivery: Delivery) -> Entry {
        let wire = encode(event.data(), id);
        let data = wire.slice(5..5 + event.data().len());
        if data.starts_with(b"{\"BlockAdded\"") {
            self.last_block = Some(data.clone());
        }
        self.remember(config, id, event.filter(), data);
        Entry { id, filter: Some(event.filter()), wire, delivery }
    }

    fn remember(&mut self, config: &Config, id: Option<u32>, filter: Filter, data: Bytes) {
        if self.emitted.len() == config.history {
            self.forgotten += 1;
            if self.emitted.pop_front().is_none() {
                return;
            }
        }
        self.emitted.push_back(Emitted { id, filter, data, run: self.run });
    }

    fn take_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        id
    }
}

/// The bytes of one event: no space after the colons, `id` after `data`, as a real node writes it.
fn encode(data: &[u8], id: Option<u32>) -> Bytes {
    use std::io::Write as _;
    let mut wire = Vec::with_capacity(data.len() + 24);
    wire.extend_from_slice(b"data:");
    wire.extend_from_slice(data);
    match id {
        Some(id) => {
            let _infallible = write!(wire, "\nid:{id}\n\n");
        }
        None => wire.extend_from_slice(b"\n\n"),
    }
    Bytes::from(wire)
}

/// Emitting.
impl Node {
    /// A node to be built, with a real node's defaults.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Sends an event under the next id of the counter, which it returns.
    ///
    /// On a node that is down nothing happens, as on a real one: the event is lost to this node's clients, and
    /// the id returned is the one that the counter still stands at. Ask [`Node::is_up`] where that matters.
    pub fn emit(&self, event: impl Into<Event>) -> u32 {
        self.emit_as(event, Delivery::Whole)
    }

    /// Sends many events in one go: cheaper than one by one.
    pub fn emit_all(&self, events: impl IntoIterator<Item = Event>) {
        let mut state = self.inner.state();
        if !state.up {
            return;
        }
        let entries: Vec<Entry> = events
            .into_iter()
            .map(|event| {
                let id = state.take_id();
                state.record(&self.inner.config, Some(id), &event, Delivery::Whole)
            })
            .collect();
        state.process.append(entries);
    }

    /// Sends an event in pieces of `bytes` bytes with a pause after each to everybody who is connected.
    pub fn emit_slowly(&self, event: impl Into<Event>, bytes: usize, pause: Duration) -> u32 {
        self.emit_as(event, Delivery::Slow(bytes, pause))
    }

    /// Sends the first `bytes` bytes of an event's wire form to everybody who is connected to its filter, then
    /// breaks these connections off. The event is in the ring: who asks again gets it whole.
    pub fn emit_cut(&self, event: impl Into<Event>, bytes: usize) -> u32 {
        self.emit_as(event, Delivery::Cut(bytes))
    }

    /// Sends an event in another legal spelling of SSE. The ring keeps it so.
    pub fn emit_spelled(&self, event: impl Into<Event>, spelling: Spelling) -> u32 {
        let event = event.into();
        let mut state = self.inner.state();
        if !state.up {
            return state.next_id;
        }
        let id = state.take_id();
        let (wire, data) = spelling.encode(event.data(), Some(id));
        state.remember(&self.inner.config, Some(id), event.filter(), data);
        let entry = Entry { id: Some(id), filter: Some(event.filter()), wire, delivery: Delivery::Whole };
        state.process.append([entry]);
        id
    }

    fn emit_as(&self, event: impl Into<Event>, delivery: Delivery) -> u32 {
        let event = event.into();
        let mut state = self.inner.state();
        if !state.up {
            return state.next_id;
        }
        let id = state.take_id();
        let entry = state.record(&self.inner.config, Some(id), &event, delivery);
        state.process.append([entry]);
        id
    }

    /// Sends an event under an id of your choice, such as one that was used before. The counter does not move.
    pub fn emit_with_id(&self, event: impl Into<Event>, id: u32) {
        self.emit_odd(event, Some(id));
    }

    /// Sends an event without an id. It is not replayed.
    pub fn emit_without_id(&self, event: impl Into<Event>) {
        self.emit_odd(event, None);
    }

    fn emit_odd(&self, event: impl Into<Event>, id: Option<u32>) {
        let mut state = self.inner.state();
        if state.up {
            let entry = state.record(&self.inner.config, id, &event.into(), Delivery::Whole);
            state.process.append([entry]);
        }
    }

    /// Writes bytes as they are to everybody who is connected to the filter: other spellings of SSE, nonsense,
    /// whatever. They have no id and are not replayed.
    pub fn write_raw(&self, filter: Filter, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        let mut state = self.inner.state();
        if state.up {
            state.remember(&self.inner.config, None, filter, bytes.clone());
            let entry = Entry { id: None, filter: Some(filter), wire: bytes, delivery: Delivery::Whole };
            state.process.append([entry]);
        }
    }

    /// Leaves `count` ids out: a hole, which to a reader looks like loss.
    pub fn skip_ids(&self, count: u32) {
        let mut state = self.inner.state();
        state.next_id = state.next_id.wrapping_add(count);
    }

    /// Sets the counter: the next event gets this id.
    pub fn set_id(&self, id: u32) {
        self.inner.state().next_id = id;
    }

    /// The id that the next event gets.
    pub fn next_id(&self) -> u32 {
        self.inner.state().next_id
    }

    /// Everything sent so far, in order: the last 100,000 events unless [`Builder::history`] said otherwise.
    pub fn emitted(&self) -> Vec<Emitted> {
        self.inner.state().emitted.iter().cloned().collect()
    }

    /// How many events [`Node::emitted`] no longer has.
    pub fn forgotten(&self) -> u64 {
        self.inner.state().forgotten
    }

    /// Waits until the slowest subscriber is less than one ring behind, if the node holds back for laggards
    /// ([`Laggards::HoldBack`]); returns at once otherwise. Cancel safe.
    pub async fn room(&self) {
        let process = self.inner.state().process.clone();
        process.room().await;
    }
}

/// Stopping, starting and misbehaving.
impl Node {
    /// Whether the node's process runs.
    pub fn is_up(&self) -> bool {
        self.inner.state().up
    }

    /// Stops in order: `Shutdown` on all three filters with one id, the streams end cleanly, the counter is saved,
    /// and connections are refused until [`Node::restart`]. Does nothing on a node that is down.
    pub fn shutdown(&self) {
        let mut state = self.inner.state();
        if !state.up {
            return;
        }
        let id = state.take_id();
        let data = Bytes::from_static(b"\"Shutdown\"");
        for filter in Filter::ALL {
            state.remember(&self.inner.config, Some(id), filter, data.clone());
        }
        let wire = encode(&data, Some(id));
        state.process.append([Entry { id: Some(id), filter: None, wire, delivery: Delivery::Whole }]);
        state.saved_id = state.next_id;
        state.up = false;
        state.process.end();
        self.inner.publish(&state);
    }

    /// Dies at once, as by SIGKILL: connections break off, the ring is lost, and the id counter falls back to where
    /// the last orderly stop left it. Connections are refused until [`Node::restart`].
    pub fn crash(&self) {
        let mut state = self.inner.state();
        if !state.up {
            return;
        }
        state.next_id = state.saved_id;
        state.up = false;
        state.process.kill();
        self.inner.publish(&state);
    }

    /// Starts a node that was shut down or has crashed: with an empty ring, and with the saved id counter unless
    /// [`Node::set_id`] changed it meanwhile. Does nothing on a node that is up.
    pub fn restart(&self) {
        let mut state = self.inner.state();
        if state.up {
            return;
        }
        let config = &self.inner.config;
        state.process = Arc::new(Process::new(config.ring, config.laggards, state.paused));
        state.up = true;
        state.run += 1;
        state.started = None;
        self.inner.seats.send_replace(0);
        self.inner.publish(&state);
    }

    /// What `build_version` of `/status` says from now on.
    pub fn set_build_version(&self, version: impl Into<String>) {
        self.inner.state().build_version = version.into();
    }

    /// What `ApiVersion` says to those who connect from now on, and `/status`.
    pub fn set_api_version(&self, version: impl Into<String>) {
        self.inner.state().api_version = version.into();
    }

    /// Breaks off the connections of one filter. They may come back. Returns how many there were.
    pub fn drop_filter(&self, filter: Filter) -> usize {
        let process = self.inner.state().process.clone();
        process.cut(|subscriber| subscriber.filter == filter)
    }

    /// Breaks off all event streams. They may come back. Returns how many there were.
    pub fn drop_connections(&self) -> usize {
        let process = self.inner.state().process.clone();
        process.cut(|_| true)
    }

    /// Closes one filter: its connections are broken off and new requests to it are broken off unanswered, while
    /// the other two go on. `false` opens it again.
    pub fn close_filter(&self, filter: Filter, closed: bool) {
        {
            let mut state = self.inner.state();
            state.closed_filters.retain(|other| *other != filter);
            if closed {
                state.closed_filters.push(filter);
            }
        }
        if closed {
            self.drop_filter(filter);
        }
    }

    /// Refuses new connections to both ports; those that are there go on.
    pub fn refuse_connections(&self, refuse: bool) {
        let mut state = self.inner.state();
        state.refuse = refuse;
        self.inner.publish(&state);
    }

    /// Accepts connections to the event stream and never answers them. Those that are there go on.
    pub fn accept_silently(&self, silent: bool) {
        let mut state = self.inner.state();
        state.silent = silent;
        self.inner.publish(&state);
    }

    /// How `/status` answers from now on.
    pub fn status(&self, behaviour: StatusBehaviour) {
        self.inner.state().status = behaviour;
    }

    /// No `:` comments any more, on present and future connections.
    pub fn stop_keep_alives(&self, stop: bool) {
        self.inner.keep_alives.store(!stop, Ordering::Relaxed);
    }

    /// Hangs: connections stay, nothing is sent on them, no keep-alive either. `false` goes on where it stood.
    pub fn pause(&self, paused: bool) {
        let mut state = self.inner.state();
        state.paused = paused;
        state.process.pause(paused);
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
