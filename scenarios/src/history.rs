//! What was seen in a run: all that the promises are checked against.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use casper_event_sidecar::Outcome;
use casper_event_sidecar::event::{Channel, Endpoint, Kind};
use casper_event_sidecar::store::{Body, Entry, State};
use mock_node::{Emitted, Filter};

/// Everything that was seen in one run of a world, with virtual times since its begin.
#[derive(Debug, Clone)]
pub struct History {
    /// The seed.
    pub seed: u64,
    /// The nodes, in the order of the configuration.
    pub nodes: Vec<NodeHistory>,
    /// What is durable at the end.
    pub log: Vec<Logged>,
    /// What is durable beside the log at the end.
    pub state: State,
    /// All connections that the subscribers made, in the order in which they dialled.
    pub sessions: Vec<Session>,
    /// The lives of the sidecar's process.
    pub lives: Vec<Life>,
    /// What `/metrics` says at the end, if the sidecar runs.
    pub metrics: Option<String>,
    /// All is well at the end, and every node must be connected.
    pub healed: bool,
    /// What was done, in words.
    pub operations: Vec<(Duration, String)>,
    /// When the run ended.
    pub end: Duration,
}

/// One node.
#[derive(Debug, Clone)]
pub struct NodeHistory {
    /// As the sidecar calls it.
    pub name: String,
    /// Everything it sent.
    pub emitted: Vec<Emitted>,
    /// Who subscribed to it, with what each asked for and got.
    pub asked: Vec<mock_node::Subscriber>,
    /// The versions that it announced, and since when.
    pub versions: Vec<(Duration, String)>,
    /// Whether its process runs at the end.
    pub up: bool,
    /// Which run of its process that is, counted from 0.
    pub run: u32,
    /// How many events it keeps for whoever asks again.
    pub ring: usize,
}

/// An entry of the log, in the words of the checkers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Its place.
    pub id: u64,
    /// The kind that the sidecar stored.
    pub kind: Kind,
    /// Where it is shown.
    pub channel: Channel,
    /// Which node it came from.
    pub node: String,
    /// The version that was in force, as the message that tells it.
    pub version: Option<String>,
    /// Its JSON; `None` if it is too large to be listed.
    pub data: Option<String>,
}

impl From<Entry> for Logged {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id,
            kind: entry.kind,
            channel: entry.channel,
            node: entry.node.to_string(),
            version: entry.version.map(|version| version.json().to_owned()),
            data: match entry.body {
                Body::Whole(payload) => Some(payload.json().to_owned()),
                Body::Large { .. } => None,
            },
        }
    }
}

/// From where a subscriber asked to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Start {
    /// Without saying where.
    Live,
    /// By `start_from`.
    From(u64),
    /// By `Last-Event-ID`.
    After(u64),
}

impl Start {
    /// The first id that is asked for, if one is.
    pub fn first(self) -> Option<u64> {
        match self {
            Self::Live => None,
            Self::From(id) => Some(id.max(1)),
            Self::After(id) => Some(id + 1),
        }
    }
}

/// One connection of a subscriber.
#[derive(Debug, Clone)]
pub struct Session {
    /// Whose it is.
    pub subscriber: usize,
    /// What it reads.
    pub endpoint: Endpoint,
    /// From where.
    pub start: Start,
    /// When it dialled.
    pub dialled: Duration,
    /// When the header of the answer came, its status, and the head of the durable log at that moment.
    pub answered: Option<(Duration, u16, u64)>,
    /// What came.
    pub messages: Vec<Received>,
    /// When it ended, and how.
    pub end: Option<(Duration, SessionEnd)>,
    /// Whether the subscriber pauses after each piece that it read.
    pub slow: bool,
    /// Whether the subscriber ever stopped reading while it was open.
    pub stalled: bool,
}

/// How a subscriber's connection ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SessionEnd {
    /// No connection was made.
    Refused,
    /// It was answered with an error.
    Status(u16),
    /// The body ended in good order.
    Closed,
    /// It broke off.
    Broken,
    /// Nothing came for so long that the subscriber gave up.
    Silent,
    /// What came was not an event stream in the documented layout.
    Garbled(String),
    /// The subscriber left.
    Left,
}

/// One message that a subscriber received.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Received {
    /// When.
    pub at: Duration,
    /// Its id.
    pub id: Option<u64>,
    /// Its `data`.
    pub data: String,
    /// The head of the durable log at that moment.
    pub head: u64,
}

/// One life of the sidecar's process.
#[derive(Debug, Clone)]
pub struct Life {
    /// When it was started.
    pub started: Duration,
    /// When it was asked to stop.
    pub asked: Option<Duration>,
    /// When it ended, and how.
    pub ended: Option<(Duration, LifeEnd)>,
}

/// How a life of the sidecar's process ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LifeEnd {
    /// By itself, with this outcome: the exit status, and why in words.
    Ended {
        /// The exit status would be 0.
        success: bool,
        /// In words.
        outcome: String,
    },
    /// It could not start.
    Failed(String),
    /// It was killed.
    Killed,
}

impl LifeEnd {
    /// What `run` returned.
    pub fn of(result: &anyhow::Result<Outcome>) -> Self {
        match result {
            Ok(outcome) => Self::Ended { success: outcome.is_success(), outcome: format!("{outcome:?}") },
            Err(error) => Self::Failed(format!("{error:#}")),
        }
    }
}

impl History {
    /// A hash of everything that was seen, with its times. Two runs with one hash were the same.
    pub fn trace(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for session in &self.sessions {
            (session.subscriber, session.endpoint, session.start, session.dialled).hash(&mut hasher);
            (session.answered, &session.messages, &session.end).hash(&mut hasher);
        }
        for life in &self.lives {
            (life.started, life.asked, &life.ended).hash(&mut hasher);
        }
        for entry in &self.log {
            (entry.id, entry.kind, entry.channel, &entry.node, &entry.version, &entry.data).hash(&mut hasher);
        }
        for node in &self.nodes {
            (&node.name, node.up, node.emitted.len()).hash(&mut hasher);
        }
        self.end.hash(&mut hasher);
        hasher.finish()
    }

    /// The value of one series at the end, such as `node_statuses{node="node1:9999"}`; `None` if the sidecar does not
    /// run, 0 if there is no such series.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = self.metrics.as_ref()?;
        let of = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        Some(text.lines().find_map(of).unwrap_or(0.))
    }

    /// The entries that an endpoint shows, by the documented rules.
    pub fn shown(&self, endpoint: Endpoint) -> impl Iterator<Item = &Logged> {
        self.log.iter().filter(move |entry| entry.is_shown_on(endpoint))
    }

    /// The sidecar's outcome in its last life, if that has ended.
    pub fn last_end(&self) -> Option<&LifeEnd> {
        self.lives.last()?.ended.as_ref().map(|(_, end)| end)
    }
}

impl NodeHistory {
    /// What the node still has for whoever asks again: the newest of its present run, each with the filter.
    pub fn held(&self) -> Vec<&Emitted> {
        if !self.up {
            return Vec::new();
        }
        let of_run = self.emitted.iter().rev().take_while(|emitted| emitted.run == self.run);
        let mut held: Vec<_> = of_run.take(self.ring).filter(|emitted| emitted.id.is_some()).collect();
        held.reverse();
        held
    }
}

impl Logged {
    /// Whether an endpoint shows it, by the documented rules, told from its JSON.
    pub fn is_shown_on(&self, endpoint: Endpoint) -> bool {
        let data = self.data.as_deref().unwrap_or("{\"Step\"");
        let home = match mock_node::event::kind_of(data.as_bytes()).as_deref() {
            Some("BlockAdded" | "DeployProcessed" | "DeployExpired" | "Fault" | "Step") => Channel::Main,
            Some("DeployAccepted") => Channel::Deploys,
            Some("FinalitySignature") => Channel::Sigs,
            // A Shutdown and an unknown kind are shown where they came from, which the log alone tells.
            _ => self.channel,
        };
        match endpoint {
            Endpoint::Main => home == Channel::Main,
            Endpoint::Deploys => home == Channel::Deploys,
            Endpoint::Sigs => home == Channel::Sigs,
            Endpoint::Sidecar => home == Channel::Sidecar,
            Endpoint::All if data == "\"Shutdown\"" => home == Channel::Main,
            Endpoint::All => home != Channel::Sidecar,
        }
    }
}

/// The channel that shows what a node's filter carries.
pub fn channel_of(filter: Filter) -> Channel {
    match filter {
        Filter::Main => Channel::Main,
        Filter::Deploys => Channel::Deploys,
        Filter::Sigs => Channel::Sigs,
    }
}

impl fmt::Display for History {
    /// A shortened trace for people: what was done, how the connections went, how the sidecar ended.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}, {:?} of virtual time, {} entries in the log",
            self.seed,
            self.end,
            self.log.len()
        )?;
        for (at, what) in &self.operations {
            writeln!(f, "  {:>9.3}s {what}", at.as_secs_f64())?;
        }
        for life in &self.lives {
            writeln!(f, "  sidecar: {life:?}")?;
        }
        for session in &self.sessions {
            let ids: Vec<_> = session.messages.iter().filter_map(|message| message.id).collect();
            writeln!(
                f,
                "  subscriber {} {} {:?} at {:?}: {:?}, {} events {:?}..{:?}, {:?}",
                session.subscriber,
                session.endpoint.path(),
                session.start,
                session.dialled,
                session.answered,
                ids.len(),
                ids.first(),
                ids.last(),
                session.end,
            )?;
        }
        for node in &self.nodes {
            writeln!(
                f,
                "  {}: {} messages, run {}, up {}",
                node.name,
                node.emitted.len(),
                node.run,
                node.up
            )?;
        }
        Ok(())
    }
}
