//! What can happen to a world, as data.

use std::fmt;
use std::time::Duration;

use casper_event_sidecar::store::model::Fault;
use mock_node::{Event, Filter, StatusBehaviour};

/// Something that happens at a moment. Nodes and subscribers are told by their numbers.
#[derive(Debug, Clone)]
pub enum Operation {
    /// A node sends an event, if it is up.
    Emit(usize, Event),
    /// Something else happens to a node.
    Node(usize, NodeOperation),
    /// Something happens to the network between the sidecar and another host.
    Net(Host, NetOperation),
    /// Something happens to the store.
    Store(StoreOperation),
    /// Something happens to the sidecar's process.
    Sidecar(SidecarOperation),
    /// A subscriber stops reading, or goes on.
    Stall(usize, bool),
    /// A subscriber leaves, or comes back.
    Away(usize, bool),
}

/// Something that happens to a node.
#[derive(Debug, Clone)]
pub enum NodeOperation {
    /// It stops in order, with a `Shutdown`.
    Shutdown,
    /// It dies at once.
    Crash,
    /// It starts again, unless it runs.
    Restart,
    /// The version that it announces from now on.
    ApiVersion(&'static str),
    /// The version of its software from now on.
    BuildVersion(&'static str),
    /// Its counter stands here now.
    SetId(u32),
    /// It leaves this many ids out.
    Hole(u32),
    /// Sends some bytes of an event, then breaks off.
    Cut(Event, usize),
    /// Sends an event in pieces.
    Slowly(Event, usize, Duration),
    /// Sends an event under an id that is not the counter's.
    WithId(Event, u32),
    /// Sends an event without an id.
    WithoutId(Event),
    /// Writes these bytes as they are.
    Raw(Filter, &'static str),
    /// A filter is closed, or opened again.
    CloseFilter(Filter, bool),
    /// All streams break off.
    DropConnections,
    /// The streams of one filter break off.
    DropFilter(Filter),
    /// It refuses new connections, or no longer.
    Refuse(bool),
    /// It takes connections and never answers, or no longer.
    Silent(bool),
    /// It hangs, or goes on.
    Pause(bool),
    /// It sends keep-alives no more, or again.
    NoKeepAlives(bool),
    /// How it answers `/status`.
    Status(StatusBehaviour),
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// A node.
    Node(usize),
    /// The machine of all subscribers.
    Subscribers,
}

/// Something that happens to the network between two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetOperation {
    /// Everything is lost in both directions. What was lost of a connection is never sent again, so that the
    /// connection is dead without knowing it.
    Partition,
    /// Everything is lost on its way to the sidecar.
    ToSidecar,
    /// Everything is lost on its way from the sidecar.
    FromSidecar,
    /// Nothing is lost from now on.
    Repair,
    /// Everything waits.
    Hold,
    /// What waits is delivered.
    Release,
}

/// Something that happens to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOperation {
    /// How long an append and a read take from now on.
    Latency(Duration, Duration),
    /// The next appends go wrong.
    FailNext(usize, Fault),
    /// All appends go wrong.
    Fail(Fault),
    /// All reads go wrong.
    FailReads,
    /// There is room for so many bytes.
    Capacity(Option<u64>),
    /// There is no room for anything beyond what is there.
    Full,
    /// Nothing goes wrong any more.
    Heal,
}

/// Something that happens to the sidecar's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SidecarOperation {
    /// It is asked to stop, as by SIGTERM.
    Stop,
    /// It is killed, as by SIGKILL.
    Kill,
    /// Its whole machine loses its power, and comes back with [`SidecarOperation::Start`].
    PowerLoss,
    /// It is started.
    Start,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Emit(node, event) => write!(f, "node {node} emits {}", shortened(event)),
            Self::Node(node, NodeOperation::Cut(event, bytes)) => {
                write!(f, "node {node} cuts off after {bytes} bytes of {}", shortened(event))
            }
            Self::Node(node, NodeOperation::Slowly(event, ..)) => {
                write!(f, "node {node} slowly emits {}", shortened(event))
            }
            Self::Node(node, operation) => write!(f, "node {node}: {operation:?}"),
            Self::Net(host, operation) => write!(f, "network to {host:?}: {operation:?}"),
            Self::Store(operation) => write!(f, "store: {operation:?}"),
            Self::Sidecar(operation) => write!(f, "sidecar: {operation:?}"),
            Self::Stall(subscriber, on) => write!(f, "subscriber {subscriber} stalls: {on}"),
            Self::Away(subscriber, on) => write!(f, "subscriber {subscriber} is away: {on}"),
        }
    }
}

fn shortened(event: &Event) -> String {
    String::from_utf8_lossy(&event.data()[..event.data().len().min(60)]).into_owned()
}
