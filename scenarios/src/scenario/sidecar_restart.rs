//! The sidecar is stopped, killed or loses its power while nodes and subscribers go on: nothing is missed, nothing is
//! seen twice, and no id is used again.

use casper_event_sidecar::event::Endpoint;

use super::{Scenario, expect_everything, second, usual};
use crate::history::History;
use crate::operation::SidecarOperation;
use crate::subscriber::{Resume, Subscriber};
use crate::world::World;

pub(super) const CLEAN: Scenario = Scenario {
    name: "the_sidecar_is_restarted_in_order",
    world: |seed| restarted(seed, SidecarOperation::Stop),
    expect: expect_resumption,
};

pub(super) const KILLED: Scenario = Scenario {
    name: "the_sidecar_is_killed_and_started_again",
    world: |seed| restarted(seed, SidecarOperation::Kill),
    expect: expect_resumption,
};

pub(super) const POWER_LOSS: Scenario = Scenario {
    name: "the_sidecars_machine_loses_its_power",
    world: |seed| restarted(seed, SidecarOperation::PowerLoss),
    expect: expect_resumption,
};

fn restarted(seed: u64, how: SidecarOperation) -> World {
    [5, 10, 18]
        .into_iter()
        .fold(usual(seed, 2), |world, at| {
            world.sidecar_at(second(at), how).sidecar_at(second(at + 2), SidecarOperation::Start)
        })
        .subscriber(Subscriber::new(Endpoint::Sigs).resume(Resume::LastEventId))
        .subscriber(Subscriber::new(Endpoint::Sidecar))
        .healed()
}

/// A sidecar that was started again asks each node for what follows what it has, and for nothing else.
#[track_caller]
fn expect_resumption(history: &History) {
    expect_everything(history);
    for node in &history.nodes {
        let present: Vec<_> = node.asked.iter().filter(|asked| asked.connected).collect();
        assert_eq!(present.len(), 3);
        assert!(present.iter().all(|asked| asked.start_from > Some(20)), "{present:?}");
    }
}
