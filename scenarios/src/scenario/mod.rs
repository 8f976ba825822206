//! The named scenarios: one readable file for each story and its variants.
//!
//! A scenario is a world and what is expected of its history beyond the promises, which are checked after every run.

mod counter;
mod half_open;
mod happy_path;
mod hole;
mod incompatible_node;
mod lagging;
mod mixed_versions;
mod node_return;
mod node_upgrade;
mod partial_connection;
mod partition;
mod places;
mod reconnect_exhaustion;
mod sidecar_restart;
mod silent_node;
mod stalled_at_shutdown;
mod store_trouble;
mod torn_commit;

use std::time::Duration;

use casper_event_sidecar::event::Endpoint;

use crate::history::{History, Session};
use crate::promise::violations;
use crate::subscriber::{Resume, Subscriber};
use crate::world::World;

/// A named scenario.
pub struct Scenario {
    /// Its name: the behaviour that it shows.
    pub name: &'static str,
    /// What there is, and what happens.
    pub world: fn(seed: u64) -> World,
    /// What is expected beyond the promises; panics if it is not so.
    pub expect: fn(&History),
}

/// All named scenarios.
pub const ALL: &[Scenario] = &[
    happy_path::SCENARIO,
    node_upgrade::SCENARIO,
    node_return::SCENARIO,
    reconnect_exhaustion::SCENARIO,
    mixed_versions::MIDDLEWARE,
    mixed_versions::OUT_OF_STEP,
    mixed_versions::FALLING,
    partial_connection::ONE_MISSING,
    partial_connection::TWO_MISSING,
    partial_connection::REFUSED_WITH_ONE_MISSING,
    partial_connection::REFUSED_WITH_TWO_MISSING,
    silent_node::FROM_THE_BEGINNING,
    silent_node::LATER,
    half_open::SCENARIO,
    partition::BOTH_WAYS,
    partition::TO_SIDECAR,
    partition::FROM_SIDECAR,
    partition::SUBSCRIBERS,
    counter::CRASHED,
    counter::WIPED,
    counter::SAME_SHUTDOWN,
    counter::WRAPPED,
    counter::FIRST_MET_NEAR_THE_WRAP,
    hole::SCENARIO,
    incompatible_node::SCENARIO,
    lagging::SCENARIO,
    store_trouble::SLOW,
    store_trouble::FAILING,
    store_trouble::FULL,
    store_trouble::UNREADABLE,
    store_trouble::DEAD_AT_SHUTDOWN,
    torn_commit::BEFORE,
    torn_commit::AFTER,
    torn_commit::LOST_ANSWER,
    sidecar_restart::CLEAN,
    sidecar_restart::KILLED,
    sidecar_restart::POWER_LOSS,
    places::SCENARIO,
    stalled_at_shutdown::SCENARIO,
];

/// The seeds with which each runs in the tests.
pub const SEEDS: std::ops::Range<u64> = 1..4;

impl Scenario {
    /// Runs it, and checks the promises and what is expected.
    ///
    /// # Panics
    /// If a promise is violated or something else came out than is expected.
    pub fn run(&self, seed: u64) -> History {
        let history = (self.world)(seed).run();
        self.check(&history);
        history
    }

    /// The same with the log on real SQLite files, which are held against the one in memory with every answer.
    ///
    /// # Panics
    /// As [`Scenario::run`], and if the files and the memory differ.
    pub fn run_on_files(&self, seed: u64) -> History {
        let history = (self.world)(seed).on_files().run();
        self.check(&history);
        history
    }

    /// Checks the promises and what is expected.
    ///
    /// # Panics
    /// If a promise is violated or something else came out than is expected.
    pub fn check(&self, history: &History) {
        let violations = violations(history);
        if !violations.is_empty() {
            let lines: Vec<_> = violations.iter().map(ToString::to_string).collect();
            panic!(
                "{}\n{history}\nreplay it: cargo run -p scenarios -- run {} --seed {} --trace",
                lines.join("\n"),
                self.name,
                history.seed
            );
        }
        (self.expect)(history);
    }
}

fn second(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Nodes that send twelve blocks within the first 25 seconds, a subscriber of everything and one who comes back like a
/// browser.
fn usual(seed: u64, nodes: usize) -> World {
    World::new(seed)
        .nodes(nodes)
        .subscriber(Subscriber::new(Endpoint::All))
        .subscriber(Subscriber::new(Endpoint::Main).resume(Resume::LastEventId))
        .emit_blocks(second(1), second(2), 0, 12)
}

/// What a session was told: the data of each message.
fn data(session: &Session) -> Vec<&str> {
    session.messages.iter().map(|message| message.data.as_str()).collect()
}

/// The versions that a session was told, in order.
fn versions(session: &Session) -> Vec<&str> {
    let version = |data: &'_ str| data.starts_with("{\"ApiVersion\"");
    data(session).into_iter().filter(|data| version(data)).map(|data| &data[15..20]).collect()
}

/// How many events all nodes sent, each counted once, without their Shutdowns.
fn distinct(history: &History) -> usize {
    let sent = history.nodes.iter().flat_map(|node| &node.emitted).filter(|sent| sent.data != "\"Shutdown\"");
    sent.map(|sent| &*sent.data).collect::<std::collections::BTreeSet<_>>().len()
}

/// Every event that a node sent is in the log.
#[track_caller]
fn expect_everything(history: &History) {
    let logged = history.log.iter().filter(|entry| entry.data.as_deref() != Some("\"Shutdown\"")).count();
    assert_eq!(logged, distinct(history), "{history}");
}
