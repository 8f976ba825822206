//! The network is cut, in both directions or in one; everything that the node kept is there after it was mended.

use super::{Scenario, expect_everything, second, usual};
use crate::operation::{Host, NetOperation};
use crate::world::World;

pub(super) const BOTH_WAYS: Scenario = Scenario {
    name: "a_node_is_cut_off_in_both_directions",
    world: |seed| cut(seed, Host::Node(0), NetOperation::Partition),
    expect: expect_everything,
};

pub(super) const TO_SIDECAR: Scenario = Scenario {
    name: "what_a_node_sends_does_not_arrive",
    world: |seed| cut(seed, Host::Node(0), NetOperation::ToSidecar),
    expect: expect_everything,
};

pub(super) const FROM_SIDECAR: Scenario = Scenario {
    name: "what_the_sidecar_asks_does_not_arrive",
    world: |seed| cut(seed, Host::Node(0), NetOperation::FromSidecar),
    expect: expect_everything,
};

pub(super) const SUBSCRIBERS: Scenario = Scenario {
    name: "subscribers_are_cut_off_and_come_back",
    world: |seed| cut(seed, Host::Subscribers, NetOperation::Partition),
    expect: |history| {
        expect_everything(history);
        for subscriber in 0..2 {
            let of = |session: &&crate::history::Session| session.subscriber == subscriber;
            assert!(history.sessions.iter().filter(of).count() > 1, "it came back");
        }
    },
};

fn cut(seed: u64, host: Host, operation: NetOperation) -> World {
    usual(seed, 1)
        .net_at(second(6), host, operation)
        .net_at(second(21), host, NetOperation::Repair)
        .settle(second(55))
        .healed()
}
