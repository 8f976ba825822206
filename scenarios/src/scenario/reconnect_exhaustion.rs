//! The public page's story of the sidecar's own Shutdown: the only node goes away for good, the attempts are used up,
//! subscribers of `events/sidecar` are told, all streams end, and the process exits with status 1.

use std::num::NonZeroU32;
use std::time::Duration;

use casper_event_sidecar::event::Endpoint;

use super::Scenario;
use crate::history::{History, LifeEnd, SessionEnd};
use crate::operation::NodeOperation;
use crate::subscriber::{Resume, Subscriber};
use crate::world::World;

pub(super) const SCENARIO: Scenario =
    Scenario { name: "the_sidecar_says_shutdown_when_its_nodes_are_exhausted", world, expect };

fn world(seed: u64) -> World {
    let second = Duration::from_secs;
    World::new(seed)
        .node()
        .connections(|connection| connection.max_attempts = NonZeroU32::MIN.saturating_add(2))
        .subscriber(Subscriber::new(Endpoint::Main).resume(Resume::Never))
        .subscriber(Subscriber::new(Endpoint::Sidecar).resume(Resume::Never))
        .emit(0, second(1), second(3), 0, 20)
        .node_at(second(6), 0, NodeOperation::Shutdown)
}

fn expect(history: &History) {
    assert_eq!(
        history.last_end(),
        Some(&LifeEnd::Ended {
            success: false,
            outcome: "Outcome { cause: NodesGone, complete: true }".to_owned()
        })
    );
    for session in &history.sessions {
        assert!(matches!(session.end, Some((_, SessionEnd::Closed))), "{:?}", session.end);
    }
    let told: Vec<_> = history.sessions.iter().find(|session| session.endpoint == Endpoint::Sidecar).map_or(
        Vec::new(),
        |session| {
            session.messages.iter().map(|message| (message.id.is_some(), message.data.as_str())).collect()
        },
    );
    assert_eq!(told.last(), Some(&(true, "\"Shutdown\"")), "{told:?}");
    assert_eq!(told.len(), 2, "the SidecarVersion and the Shutdown");
}
