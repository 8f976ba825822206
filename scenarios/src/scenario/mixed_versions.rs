//! Nodes of several versions: the highest is in force; an older one is not told, whenever it comes; a lower one is in
//! force only when the very node that set the version comes back with it.

use casper_event_sidecar::event::Endpoint;

use super::{Scenario, expect_everything, second, usual, versions};
use crate::history::History;
use crate::operation::NodeOperation;
use crate::subscriber::Subscriber;
use crate::world::World;

pub(super) const MIDDLEWARE: Scenario = Scenario {
    name: "an_older_version_of_another_node_is_not_told",
    world: |seed| {
        World::new(seed)
            .node()
            .version("1.5.8")
            .node()
            .version("1.5.6")
            // The older one comes when the newer one is there, and again and again.
            .node_at(second(0), 1, NodeOperation::Refuse(true))
            .node_at(second(4), 1, NodeOperation::Refuse(false))
            .node_at(second(9), 1, NodeOperation::DropConnections)
            .subscriber(Subscriber::new(Endpoint::All))
            .emit_blocks(second(1), second(2), 0, 8)
            .healed()
    },
    expect: |history| expect_versions(history, &["1.5.8"]),
};

pub(super) const OUT_OF_STEP: Scenario = Scenario {
    name: "nodes_that_are_upgraded_out_of_step_are_told_once",
    world: |seed| {
        let upgrade = |world: World, node, at, version| {
            world
                .node_at(second(at), node, NodeOperation::Shutdown)
                .node_at(second(at + 2), node, NodeOperation::ApiVersion(version))
                .node_at(second(at + 2), node, NodeOperation::Restart)
        };
        let world = upgrade(usual(seed, 3), 1, 4, "1.5.9");
        let world = upgrade(world, 0, 12, "1.5.9");
        upgrade(world, 2, 16, "1.6.0").node_at(second(22), 2, NodeOperation::Shutdown)
    },
    expect: |history| expect_versions(history, &["1.5.8", "1.5.9", "1.6.0"]),
};

pub(super) const FALLING: Scenario = Scenario {
    name: "the_node_that_set_the_version_comes_back_with_a_lower_one",
    world: |seed| {
        usual(seed, 1)
            .node_at(second(8), 0, NodeOperation::Shutdown)
            .node_at(second(10), 0, NodeOperation::ApiVersion("1.5.6"))
            .node_at(second(10), 0, NodeOperation::Restart)
            .healed()
    },
    expect: |history| expect_versions(history, &["1.5.8", "1.5.6"]),
};

#[track_caller]
fn expect_versions(history: &History, expected: &[&str]) {
    expect_everything(history);
    assert_eq!(versions(&history.sessions[0]), expected);
}
