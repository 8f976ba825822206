//! Filters of a node are missing. With `allow_partial_connection` the others are taken and the missing ones are tried
//! for ever; without, no event is taken until all filters are there.

use mock_node::Filter;

use super::{Scenario, distinct, expect_everything, second, usual};
use crate::history::{History, channel_of};
use crate::operation::NodeOperation;
use crate::world::World;

pub(super) const ONE_MISSING: Scenario = Scenario {
    name: "two_filters_are_taken_while_one_is_missing",
    world: |seed| allowed(seed, &[Filter::Sigs]),
    expect: |history| expect_partial(history, &[Filter::Main, Filter::Deploys]),
};

pub(super) const TWO_MISSING: Scenario = Scenario {
    name: "one_filter_is_taken_while_two_are_missing",
    world: |seed| allowed(seed, &[Filter::Main, Filter::Deploys]),
    expect: |history| expect_partial(history, &[Filter::Sigs]),
};

pub(super) const REFUSED_WITH_ONE_MISSING: Scenario = Scenario {
    name: "nothing_is_taken_while_one_filter_is_missing_if_all_are_needed",
    world: |seed| refused(seed, &[Filter::Deploys]),
    expect: expect_all_or_nothing,
};

pub(super) const REFUSED_WITH_TWO_MISSING: Scenario = Scenario {
    name: "nothing_is_taken_while_two_filters_are_missing_if_all_are_needed",
    world: |seed| refused(seed, &[Filter::Sigs, Filter::Main]),
    expect: expect_all_or_nothing,
};

/// When the missing filters come.
const THERE: u64 = 15;

fn missing(seed: u64, filters: &[Filter]) -> World {
    filters.iter().fold(usual(seed, 1), |world, filter| {
        world.node_at(second(0), 0, NodeOperation::CloseFilter(*filter, true)).node_at(
            second(THERE),
            0,
            NodeOperation::CloseFilter(*filter, false),
        )
    })
}

fn allowed(seed: u64, filters: &[Filter]) -> World {
    missing(seed, filters).connections(|connection| connection.allow_partial_connection = true).healed()
}

fn refused(seed: u64, filters: &[Filter]) -> World {
    missing(seed, filters).healed()
}

/// What had come before the missing filters did is of the others alone; in the end everything is there.
#[track_caller]
fn expect_partial(history: &History, there: &[Filter]) {
    expect_everything(history);
    let first = &history.sessions[0];
    let early =
        first.messages.iter().filter(|message| message.at < second(THERE)).filter_map(|early| early.id);
    let last = early.max().expect("something came early");
    let channels: Vec<_> = there.iter().map(|filter| channel_of(*filter)).collect();
    assert!(
        history.log.iter().filter(|entry| entry.id <= last).all(|entry| channels.contains(&entry.channel))
    );
}

#[track_caller]
fn expect_all_or_nothing(history: &History) {
    expect_everything(history);
    assert!(distinct(history) > 70);
    let early = history.sessions[0].messages.iter().find(|message| message.at < second(THERE));
    assert_eq!(early, None);
}
