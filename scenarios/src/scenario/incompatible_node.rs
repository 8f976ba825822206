//! A node comes back with software that is too old. Nothing is taken from it while the others go on, and when it has
//! been upgraded it is found again.

use super::{Scenario, second, usual};
use crate::operation::NodeOperation;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "a_node_that_returns_incompatible_is_looked_at_again",
    world: |seed| {
        usual(seed, 2)
            .node_at(second(6), 0, NodeOperation::Shutdown)
            .node_at(second(8), 0, NodeOperation::BuildVersion("1.4.15"))
            .node_at(second(8), 0, NodeOperation::Restart)
            .node_at(second(20), 0, NodeOperation::BuildVersion("1.5.8"))
            .settle(second(75))
            .healed()
    },
    expect: |history| {
        let errors = "error_counts{category=\"connection_manager\",description=\"incompatible_node\"}";
        assert_eq!(history.metric(errors), Some(1.));
    },
};
