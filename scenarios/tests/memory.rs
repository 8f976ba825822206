//! P9: however slow subscribers are, however large events are and however long the store is down, memory stays
//! bounded. In a process of its own, since it is the peak of the whole process that is looked at.
#![cfg(target_os = "linux")]

use std::time::Duration;

use casper_event_sidecar::event::Endpoint;
use casper_event_sidecar::store::model::Fault;
use mock_node::{Event, Filter};
use scenarios::operation::{Operation, StoreOperation};
use scenarios::promise::violations;
use scenarios::subscriber::Subscriber;
use scenarios::world::World;

const STEPS: usize = 60;
const STEP_BYTES: usize = 2 << 20;
const STALLED: usize = 40;

/// Peak resident memory of this process, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is there");
    let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}

#[test]
fn stalled_subscribers_and_a_store_that_is_down_cost_a_bounded_amount_of_memory() {
    let second = Duration::from_secs;
    let mut world = World::new(1).tick(Duration::from_millis(20)).node();
    for _ in 0..STALLED {
        world = world.subscriber(Subscriber::new(Endpoint::Main));
    }
    for subscriber in 0..STALLED {
        world = world.at(second(1), Operation::Stall(subscriber, true));
    }
    world = world
        .store_at(second(4), StoreOperation::Fail(Fault::Fail))
        .store_at(second(20), StoreOperation::Heal);
    for era in 0..STEPS {
        let padding = "x".repeat(STEP_BYTES);
        let json = format!("{{\"Step\":{{\"era_id\":{era},\"padding\":\"{padding}\"}}}}");
        let at = second(2) + Duration::from_millis(100) * u32::try_from(era).expect("few");
        world = world.at(at, Operation::Emit(0, Event::raw(Filter::Main, json)));
    }
    let before = peak();
    let history = world.run();
    assert_eq!(violations(&history), []);
    assert_eq!(history.log.len(), STEPS, "all of it was stored in the end");
    // The node and the store keep all of it, and the ring 64 MiB; what is under way is 32 MiB from the nodes, and for each
    // subscriber a window of the network (1 MiB) and what is about to be written. Without a bound it would be 4.8 GB.
    let all = STEPS * STEP_BYTES;
    let bound = 2 * all + (64 << 20) + (32 << 20) + STALLED * (6 << 20) + (64 << 20);
    let used = peak() - before;
    println!("{} MiB of {} MiB", used >> 20, bound >> 20);
    assert!(used < bound, "{} MiB, and the bound is {} MiB", used >> 20, bound >> 20);
}
