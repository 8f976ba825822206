//! The named scenarios: one readable file each.
//!
//! A scenario is a world and what is expected of its history beyond the promises, which are checked after every run.

mod happy_path;
mod node_upgrade;
mod reconnect_exhaustion;

use crate::history::History;
use crate::promise::violations;
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
pub const ALL: &[Scenario] = &[happy_path::SCENARIO, node_upgrade::SCENARIO, reconnect_exhaustion::SCENARIO];

/// The seeds with which each runs in the tests.
pub const SEEDS: std::ops::Range<u64> = 1..3;

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

    /// Checks the promises and what is expected.
    ///
    /// # Panics
    /// If a promise is violated or something else came out than is expected.
    pub fn check(&self, history: &History) {
        let violations = violations(history);
        if !violations.is_empty() {
            let lines: Vec<_> = violations.iter().map(ToString::to_string).collect();
            panic!(
                "{}\n{history}\nreplay it: cargo run -p scenarios -- run {} --seed {}",
                lines.join("\n"),
                self.name,
                history.seed
            );
        }
        (self.expect)(history);
    }
}
