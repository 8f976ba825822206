//! Three nodes send the same blocks; subscribers of every endpoint see each event once.

use std::time::Duration;

use casper_event_sidecar::event::Endpoint;

use super::Scenario;
use crate::history::{History, Start};
use crate::subscriber::Subscriber;
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario { name: "happy_path", world, expect };

fn world(seed: u64) -> World {
    let world = Endpoint::ALL.into_iter().fold(World::new(seed).nodes(3), |world, endpoint| {
        world
            .subscriber(Subscriber::new(endpoint))
            .subscriber(Subscriber::new(endpoint).start(Start::Live).at(Duration::from_secs(10)))
    });
    world.emit_blocks(Duration::from_secs(1), Duration::from_secs(2), 0, 10)
}

fn expect(history: &History) {
    let sent = &history.nodes[0].emitted;
    assert!(sent.len() > 70, "{}", sent.len());
    assert_eq!(history.log.len(), sent.len(), "each event of the three nodes is one entry");
    assert!(history.sessions.iter().all(|session| session.end.is_none()), "all stay connected");
    let first = history.sessions.iter().find(|session| session.endpoint == Endpoint::All);
    let received = first.expect("it dialled").messages.iter().filter(|message| message.id.is_some()).count();
    assert_eq!(received, sent.len());
}
