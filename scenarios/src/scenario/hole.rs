//! A node leaves ids out. The sidecar asks again for what seems to be missing, and then counts it: it is not hidden,
//! and it holds nothing up.

use super::{Scenario, expect_everything, second, usual};
use crate::operation::NodeOperation;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "a_hole_in_a_nodes_ids_is_asked_for_and_then_counted",
    world: |seed| usual(seed, 1).node_at(second(10), 0, NodeOperation::Hole(3)).healed(),
    expect: |history| {
        expect_everything(history);
        let node = &history.nodes[0];
        let ids: Vec<_> = node.emitted.iter().filter_map(|sent| sent.id).collect();
        let before = ids.windows(2).find(|pair| pair[1] > pair[0] + 1).expect("there is a hole")[0];
        assert!(node.asked.iter().any(|asked| asked.start_from == Some(before + 1)), "{:?}", node.asked);
        assert_eq!(history.metric("sidecar_missed_node_ids_total{node=\"node0:9999\"}"), Some(3.));
    },
};
