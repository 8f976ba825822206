//! The process dies in the middle of a commit: before it is durable, after it, or it lives on and only the answer is
//! lost. Each time each event is stored once and seen once.

use casper_event_sidecar::store::model::Fault;

use super::{Scenario, expect_everything, second, usual};
use crate::history::History;
use crate::operation::StoreOperation;
use crate::world::World;

pub(super) const BEFORE: Scenario = Scenario {
    name: "the_process_dies_before_the_commit",
    world: |seed| torn(seed, Fault::TearBeforeCommit),
    expect: expect_deaths,
};

pub(super) const AFTER: Scenario = Scenario {
    name: "the_process_dies_after_the_commit",
    world: |seed| torn(seed, Fault::TearAfterCommit),
    expect: expect_deaths,
};

pub(super) const LOST_ANSWER: Scenario = Scenario {
    name: "the_answer_to_a_commit_is_lost",
    world: |seed| torn(seed, Fault::FailAfterCommit),
    expect: expect_everything,
};

/// At every fifth second another commit is the unlucky one.
fn torn(seed: u64, fault: Fault) -> World {
    let at = [2, 7, 12, 17, 22];
    at.into_iter()
        .fold(usual(seed, 2), |world, at| world.store_at(second(at), StoreOperation::FailNext(1, fault)))
        .healed()
}

#[track_caller]
fn expect_deaths(history: &History) {
    expect_everything(history);
    assert!(history.lives.len() > 3, "it died several times: {}", history.lives.len());
}
