//! The id counter of a node: a crash takes it back, a wiped storage begins it anew, and at 2^32 it wraps around.
//! An id alone never says that an event is known.

use casper_event_sidecar::event::Endpoint;

use super::{Scenario, expect_everything, second, usual};
use crate::history::History;
use crate::operation::{NodeOperation, SidecarOperation};
use crate::subscriber::Subscriber;
use crate::world::World;

pub(super) const CRASHED: Scenario = Scenario {
    name: "a_node_that_crashed_uses_its_ids_again",
    world: |seed| {
        usual(seed, 1)
            .node_at(second(6), 0, NodeOperation::Crash)
            .node_at(second(7), 0, NodeOperation::Restart)
            .node_at(second(15), 0, NodeOperation::Crash)
            .node_at(second(16), 0, NodeOperation::Restart)
            .healed()
    },
    // What was under way when it died is gone, with its ring.
    expect: expect_last_run,
};

pub(super) const WIPED: Scenario = Scenario {
    name: "a_node_with_a_wiped_storage_counts_from_0",
    world: |seed| {
        usual(seed, 1)
            .node_at(second(0), 0, NodeOperation::SetId(5000))
            .node_at(second(10), 0, NodeOperation::Shutdown)
            .node_at(second(12), 0, NodeOperation::SetId(0))
            .node_at(second(12), 0, NodeOperation::Restart)
            .healed()
    },
    expect: expect_everything,
};

pub(super) const SAME_SHUTDOWN: Scenario = Scenario {
    name: "a_wiped_node_says_shutdown_under_an_id_that_it_used_before",
    world: |seed| {
        World::new(seed)
            .node()
            .subscriber(Subscriber::new(Endpoint::Main))
            .emit(0, second(1), second(3), 0, 20)
            .node_at(second(6), 0, NodeOperation::Shutdown)
            .node_at(second(8), 0, NodeOperation::SetId(0))
            .node_at(second(8), 0, NodeOperation::Restart)
            .emit(0, second(12), second(3), 100, 20)
            .node_at(second(20), 0, NodeOperation::Shutdown)
            .node_at(second(22), 0, NodeOperation::Restart)
            .healed()
    },
    expect: |history| {
        expect_everything(history);
        let shutdowns = history.log.iter().filter(|entry| entry.data.as_deref() == Some("\"Shutdown\""));
        assert_eq!(shutdowns.count(), 6, "two, on each of three filters");
    },
};

pub(super) const WRAPPED: Scenario = Scenario {
    name: "ids_wrap_around_while_the_connection_and_the_sidecar_change",
    world: |seed| {
        usual_from(seed, u32::MAX - 30)
            .node_at(second(5), 0, NodeOperation::DropConnections)
            .sidecar_at(second(11), SidecarOperation::Kill)
            .sidecar_at(second(13), SidecarOperation::Start)
            .node_at(second(17), 0, NodeOperation::DropConnections)
            .healed()
    },
    expect: expect_everything,
};

pub(super) const FIRST_MET_NEAR_THE_WRAP: Scenario = Scenario {
    name: "a_node_that_is_first_met_before_the_wrap_gives_everything",
    world: |seed| {
        usual_from(seed, u32::MAX - 60)
            .node_at(second(0), 0, NodeOperation::Refuse(true))
            .node_at(second(6), 0, NodeOperation::Refuse(false))
            .healed()
    },
    expect: expect_everything,
};

fn usual_from(seed: u64, id: u32) -> World {
    usual(seed, 1).first_id(id)
}

#[track_caller]
fn expect_last_run(history: &History) {
    let node = &history.nodes[0];
    assert_eq!(node.run, 2);
    assert!(node.held().len() > 20, "P6 checked that these are in the log");
}
