//! The store hangs, so the sidecar does not read; the node loses patience and disconnects it. When the store is back,
//! what the node still has is taken, and what it no longer has is counted.

use std::time::Duration;

use super::{Scenario, second};
use crate::operation::StoreOperation;
use crate::subscriber::Subscriber;
use crate::world::World;
use casper_event_sidecar::event::Endpoint;
use casper_event_sidecar::store::model::Fault;

const RING: usize = 150;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "a_node_disconnects_a_sidecar_that_lags",
    world: |seed| {
        World::new(seed)
            .node()
            .ring(RING)
            .config(|config| config.inbound_channel_size = 1)
            .subscriber(Subscriber::new(Endpoint::All))
            .emit(0, second(1), second(3), 0, 40)
            .store_at(second(5), StoreOperation::FailNext(1, Fault::Hang))
            .emit(0, second(6), Duration::from_millis(2500), 100, 1200)
            .store_at(second(25), StoreOperation::Heal)
            .healed()
    },
    expect: |history| {
        let missed = history.metric("sidecar_missed_node_ids_total{node=\"node0:9999\"}").expect("it runs");
        let lost = history.nodes[0].emitted.len() - history.log.len();
        assert!(lost > 100, "the ring was too small for all: {lost}");
        assert_eq!(missed, lost as f64, "what slipped away is counted");
    },
};
