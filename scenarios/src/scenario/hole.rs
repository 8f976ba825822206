//! A node leaves ids out. The sidecar asks again for what seems to be missing, and then counts it: it is not hidden,
//! and it holds nothing up.

use super::{Scenario, expect_everything, second, usual};
use crate::operation::NodeOperation;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "a_hole_in_a_nodes_ids_is_asked_for_and_then_counted",
    world: |seed| usual(seed, 1).node_at(second(10), 0, NodeOperation::Hole(3)).healed(),
    expect: |history| {
        expect_everything(history);
        assert_eq!(history.metric("sidecar_missed_node_ids_total{node=\"node0:9999\"}"), Some(3.));
    },
};
