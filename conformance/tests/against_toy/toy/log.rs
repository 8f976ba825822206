//! What the toy knows: its nodes, its one ordered log, and its counters.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{Fault, Wrong};

const CAPTURED: &str = include_str!("../../../fixtures/events-1.5.8.sse");
const FAULT: &str = include_str!("../../../fixtures/fault.sse");

/// One item of the log.
pub(super) enum Item {
    /// From here on this API version is in force.
    Version(String),
    Entry(Entry),
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) id: Option<u64>,
    /// `main`, `deploys`, `sigs` or `sidecar`; `everywhere` by a fault.
    pub(super) filter: &'static str,
    pub(super) data: String,
}

impl Entry {
    pub(super) fn kind(&self) -> &str {
        kind(&self.data)
    }

    pub(super) fn payload(&self) -> &str {
        let inner = self.data.strip_suffix('}').and_then(|rest| rest.split_once(':'));
        inner.map_or(self.data.as_str(), |(_, payload)| payload)
    }
}

fn kind(data: &str) -> &str {
    data.trim_start_matches(['{', '"']).split('"').next().unwrap_or_default()
}

fn filter(kind: &str) -> &'static str {
    match kind {
        "DeployAccepted" => "deploys",
        "FinalitySignature" => "sigs",
        _ => "main",
    }
}

pub(super) struct Node {
    up: bool,
    api: String,
    build: String,
    away_since: Option<Instant>,
    exhausted: bool,
    /// Came back to a sidecar that does not look for it.
    lost: bool,
}

pub(super) struct Log {
    pub(super) items: Vec<Item>,
    pub(super) nodes: Vec<Node>,
    pub(super) ended: bool,
    /// Sizes of what came in, by filter.
    pub(super) received: BTreeMap<&'static str, Vec<usize>>,
    pub(super) events: u64,
    pub(super) saved: u64,
    pub(super) sent: u64,
    pub(super) subscribers: usize,
    /// Since when so many requests came, by path.
    pub(super) requests: BTreeMap<String, (Instant, usize)>,
    next_id: u64,
    known: BTreeSet<String>,
    held: Option<String>,
    late: Option<String>,
    fault: Option<Fault>,
}

impl Log {
    pub(super) fn new(nodes: usize, wrong: &Wrong) -> Self {
        let fault = if let Wrong::Fault(fault) = wrong { Some(*fault) } else { None };
        let mut log = Self {
            items: Vec::new(),
            nodes: Vec::new(),
            ended: false,
            received: BTreeMap::new(),
            events: 0,
            saved: 0,
            sent: 0,
            subscribers: 0,
            requests: BTreeMap::new(),
            next_id: 1,
            known: BTreeSet::new(),
            held: None,
            late: None,
            fault,
        };
        for _ in 0..nodes.max(1) {
            log.nodes.push(Node {
                up: true,
                api: "1.5.8".to_owned(),
                build: "1.5.8".to_owned(),
                away_since: None,
                exhausted: false,
                lost: false,
            });
            log.connected(log.nodes.len() - 1);
        }
        if nodes == 0 {
            // In reverse, so that the block of the greatest height is not the one that came last.
            let lines: Vec<_> = CAPTURED.lines().chain(FAULT.lines()).collect();
            for data in lines.into_iter().rev().filter_map(|line| line.strip_prefix("data:")) {
                if !data.starts_with("{\"ApiVersion\"") {
                    log.emit(0, data.to_owned());
                }
            }
        }
        log
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// The version in force at a place of the log.
    pub(super) fn version_at(&self, place: usize) -> Option<&str> {
        self.items[..place].iter().rev().find_map(|item| match item {
            Item::Version(version) => Some(version.as_str()),
            Item::Entry(_) => None,
        })
    }

    pub(super) fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.items.iter().filter_map(|item| match item {
            Item::Entry(entry) => Some(entry),
            Item::Version(_) => None,
        })
    }

    fn append(&mut self, filter: &'static str, data: String) {
        if self.has(Fault::SkipsAnId) && self.next_id == 5 {
            self.next_id += 1;
        }
        let id = Some(self.next_id);
        self.next_id += 1;
        self.items.push(Item::Entry(Entry { id, filter, data }));
    }

    fn connected(&mut self, node: usize) {
        let api = self.nodes[node].api.clone();
        for filter in ["main", "deploys", "sigs"] {
            let size = "{\"ApiVersion\":\"\"}".len() + api.len();
            self.received.entry(filter).or_default().push(size);
        }
        let number = |version: &str| {
            version.split('.').filter_map(|part| part.parse::<u32>().ok()).collect::<Vec<_>>()
        };
        let current = self.version_at(self.items.len()).map(str::to_owned);
        let rises = current.as_deref().is_none_or(|current| number(&api) > number(current));
        let differs = current.as_deref() != Some(&api);
        if self.has(Fault::KeepsOldVersion) && current.is_some() {
            return;
        }
        if rises || self.has(Fault::RepeatsVersion) || (differs && self.has(Fault::AnnouncesEveryVersion)) {
            if self.has(Fault::VersionLate) && current.is_some() {
                self.late = Some(api);
            } else {
                self.items.push(Item::Version(api));
            }
        }
    }

    pub(super) fn emit(&mut self, node: usize, data: String) {
        let Node { up, lost, .. } = self.nodes[node];
        if !up || lost || (node == 1 && self.has(Fault::SecondNodeIgnored)) {
            return;
        }
        let filter = filter(kind(&data));
        for _ in 0..if self.has(Fault::CountsTwice) { 2 } else { 1 } {
            self.received.entry(filter).or_default().push(data.len());
            self.events += 1;
            self.saved += 1;
        }
        if (!self.known.insert(data.clone()) && !self.has(Fault::DeliversAgain))
            || (self.has(Fault::DropsExpired) && kind(&data) == "DeployExpired")
        {
            return;
        }
        self.sent += 1;
        if self.has(Fault::SwapsProcessed) && kind(&data) == "DeployProcessed" {
            match self.held.take() {
                None => {
                    self.held = Some(data);
                    return;
                }
                Some(held) => {
                    self.append(filter, data);
                    self.append(filter, held);
                    return;
                }
            }
        }
        if self.has(Fault::Invents) && kind(&data) == "Fault" {
            self.append(filter, data.replace("\"era_id\":", "\"era_id\": "));
        }
        self.append(filter, data);
        self.items.extend(self.late.take().map(Item::Version));
    }

    pub(super) fn shutdown(&mut self, node: usize) {
        if !self.nodes[node].up || self.nodes[node].lost {
            return;
        }
        for filter in ["main", "deploys", "sigs"] {
            self.received.entry(filter).or_default().push("\"Shutdown\"".len());
            if !self.has(Fault::ShutdownNotOn(filter)) {
                self.append(filter, "\"Shutdown\"".to_owned());
            }
        }
        if self.has(Fault::NodeShutdownOnSidecar) {
            self.append("sidecar", "\"Shutdown\"".to_owned());
        }
        self.nodes[node].up = false;
        self.nodes[node].away_since = Some(Instant::now());
        self.ended |= self.has(Fault::EndsWithNode);
    }

    pub(super) fn restart(&mut self, node: usize) {
        if self.nodes[node].up || self.nodes[node].exhausted {
            return;
        }
        self.nodes[node].up = true;
        self.nodes[node].away_since = None;
        self.nodes[node].lost = self.has(Fault::NeverReconnects);
        if self.status(node) == 2 {
            self.connected(node);
        }
    }

    pub(super) fn versions(&mut self, node: usize, api: Option<&str>, build: Option<&str>) {
        let node = &mut self.nodes[node];
        node.api = api.map_or_else(|| node.api.clone(), str::to_owned);
        if !(self.fault == Some(Fault::NeverLooksAgain) && node.build.starts_with("1.4")) {
            node.build = build.map_or_else(|| node.build.clone(), str::to_owned);
        }
    }

    pub(super) fn status(&self, node: usize) -> i32 {
        let node = &self.nodes[node];
        match node {
            _ if self.has(Fault::StatusStuck) => 2,
            Node { exhausted: true, .. } => -1,
            Node { up: false, .. } | Node { lost: true, .. } => 3,
            Node { build, .. } if build.starts_with("1.4") => -2,
            _ => 2,
        }
    }

    /// Gives nodes up that have been away for too long; ends when all are.
    pub(super) fn give_up(&mut self, limit: Duration) {
        let early = self.has(Fault::EndsWithFirst);
        for node in &mut self.nodes {
            node.exhausted |= node.away_since.is_some_and(|since| since.elapsed() > limit);
        }
        let over = |node: &Node| node.exhausted;
        let all = if early { self.nodes.iter().any(over) } else { self.nodes.iter().all(over) };
        if !all || self.ended {
            return;
        }
        if !self.has(Fault::NoOwnShutdown) {
            let everywhere = self.has(Fault::OwnShutdownEverywhere);
            self.append(if everywhere { "everywhere" } else { "sidecar" }, "\"Shutdown\"".to_owned());
        }
        if self.has(Fault::OwnShutdownWithoutId)
            && let Some(Item::Entry(entry)) = self.items.last_mut()
        {
            entry.id = None;
        }
        self.ended = true;
    }
}
