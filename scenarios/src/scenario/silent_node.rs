//! A node takes connections and stays silent: it is left after the configured time, and tried again.

use super::{Scenario, expect_everything, second, usual};
use crate::operation::NodeOperation;

pub(super) const FROM_THE_BEGINNING: Scenario = Scenario {
    name: "a_node_that_never_answers_is_tried_again",
    world: |seed| {
        usual(seed, 1)
            .node_at(second(0), 0, NodeOperation::Silent(true))
            .node_at(second(20), 0, NodeOperation::Silent(false))
            .healed()
    },
    expect: expect_everything,
};

pub(super) const LATER: Scenario = Scenario {
    name: "a_node_that_falls_silent_is_left",
    world: |seed| {
        usual(seed, 1)
            .node_at(second(6), 0, NodeOperation::Pause(true))
            .node_at(second(32), 0, NodeOperation::Pause(false))
            .settle(second(40))
            .healed()
    },
    expect: |history| {
        expect_everything(history);
        let errors = "error_counts{category=\"connection_manager\",description=\"connection_failed\"}";
        assert!(history.metric(errors) >= Some(1.), "it was left at least once");
    },
};
