//! The store is slow, fails for a minute, is full and then freed, cannot be read, or is dead at the end: nothing that
//! was taken from a node is dropped, and nobody sees what is not durable.

use std::time::Duration;

use casper_event_sidecar::store::model::Fault;

use super::{Scenario, expect_everything, second, usual};
use crate::history::{History, LifeEnd, Start};
use crate::operation::{SidecarOperation, StoreOperation};
use crate::subscriber::Subscriber;
use crate::world::World;
use casper_event_sidecar::event::Endpoint;

pub(super) const SLOW: Scenario = Scenario {
    name: "the_store_is_slow",
    world: |seed| {
        let (append, read) = (Duration::from_millis(900), Duration::from_millis(300));
        usual(seed, 2).store_at(second(0), StoreOperation::Latency(append, read)).healed()
    },
    expect: expect_everything,
};

pub(super) const FAILING: Scenario = Scenario {
    name: "the_store_fails_for_a_minute",
    world: |seed| trouble(seed, StoreOperation::Fail(Fault::Fail)),
    expect: expect_recovery,
};

pub(super) const FULL: Scenario = Scenario {
    name: "the_store_is_full_and_then_freed",
    world: |seed| trouble(seed, StoreOperation::Full),
    expect: expect_recovery,
};

pub(super) const UNREADABLE: Scenario = Scenario {
    name: "a_replay_waits_for_a_store_that_cannot_be_read",
    world: |seed| {
        usual(seed, 1)
            .config(|config| config.event_stream_server.buffer_length = 5)
            .store_at(second(10), StoreOperation::FailReads)
            .subscriber(Subscriber::new(Endpoint::All).at(second(12)))
            .subscriber(Subscriber::new(Endpoint::Sigs).at(second(12)).start(Start::After(3)))
            .store_at(second(24), StoreOperation::Heal)
            .healed()
    },
    expect: expect_everything,
};

pub(super) const DEAD_AT_SHUTDOWN: Scenario = Scenario {
    name: "a_sidecar_with_a_dead_store_stops_in_time_and_says_so",
    world: |seed| {
        usual(seed, 1)
            .store_at(second(8), StoreOperation::Fail(Fault::Hang))
            .sidecar_at(second(14), SidecarOperation::Stop)
            .settle(second(12))
    },
    expect: |history| {
        let outcome = "Outcome { cause: Asked, complete: false }".to_owned();
        assert_eq!(history.last_end(), Some(&LifeEnd::Ended { success: false, outcome }));
    },
};

fn trouble(seed: u64, operation: StoreOperation) -> World {
    usual(seed, 2).store_at(second(8), operation).store_at(second(68), StoreOperation::Heal).healed()
}

#[track_caller]
fn expect_recovery(history: &History) {
    expect_everything(history);
    assert_eq!(history.metric("sidecar_store_failing"), Some(0.));
    let meanwhile = second(10)..second(67);
    let seen = history.sessions.iter().flat_map(|session| &session.messages);
    assert!(!seen.filter(|message| message.id.is_some()).any(|message| meanwhile.contains(&message.at)));
}
