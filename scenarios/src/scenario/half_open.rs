//! The connections to a node die without a word (a middlebox forgot them): both sides believe that they live. The
//! sidecar finds out by silence, and another node's events keep coming meanwhile.

use super::{Scenario, expect_everything, second, usual};
use crate::operation::{Host, NetOperation};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "a_connection_that_died_silently_is_replaced",
    world: |seed| {
        // What is lost in this moment is never sent again, so nothing after it is delivered on these connections.
        usual(seed, 2)
            .net_at(second(7), Host::Node(0), NetOperation::Partition)
            .net_at(second(8), Host::Node(0), NetOperation::Repair)
            .healed()
    },
    expect: |history| {
        expect_everything(history);
        let first = &history.sessions[0];
        let meanwhile = first.messages.iter().filter(|message| (second(9)..second(14)).contains(&message.at));
        assert!(meanwhile.count() > 5, "the other node's events kept coming");
    },
};
