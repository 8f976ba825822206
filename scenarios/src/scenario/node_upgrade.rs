//! The public page's story of an upgrade: the node says Shutdown, comes back with a new API version, and subscribers
//! see the Shutdown, the new ApiVersion, and the events after it, on the connection that they had.

use std::time::Duration;

use casper_event_sidecar::event::Endpoint;

use super::Scenario;
use crate::history::History;
use crate::operation::NodeOperation;
use crate::subscriber::Subscriber;
use crate::world::World;

pub(super) const SCENARIO: Scenario =
    Scenario { name: "an_upgrade_is_told_between_the_events", world, expect };

fn world(seed: u64) -> World {
    let second = Duration::from_secs;
    World::new(seed)
        .node_as(|node| node.build_version("1.5.2").api_version("1.5.2"), |_| {})
        .version("1.5.2")
        .subscriber(Subscriber::new(Endpoint::Main))
        .subscriber(Subscriber::new(Endpoint::Sigs))
        .subscriber(Subscriber::new(Endpoint::Main).at(second(25)))
        .emit(0, second(1), second(5), 0, 40)
        .node_at(second(8), 0, NodeOperation::Shutdown)
        .node_at(second(12), 0, NodeOperation::ApiVersion("1.5.3"))
        .node_at(second(12), 0, NodeOperation::Restart)
        .emit(0, second(15), second(5), 10, 40)
}

fn expect(history: &History) {
    let old = "{\"ApiVersion\":\"1.5.2\"}";
    let new = "{\"ApiVersion\":\"1.5.3\"}";
    for session in &history.sessions {
        assert!(session.end.is_none(), "the connection outlives the node's restart");
        let data: Vec<_> = session.messages.iter().map(|message| message.data.as_str()).collect();
        let place = |what| data.iter().position(|data| *data == what);
        assert_eq!(place(old), Some(0));
        let (shutdown, version) = (place("\"Shutdown\""), place(new));
        assert!(shutdown.is_some() && version == shutdown.map(|at| at + 1), "{shutdown:?} {version:?}");
        assert_eq!(data.iter().filter(|data| data.starts_with("{\"ApiVersion\"")).count(), 2);
        assert!(data.len() > version.unwrap_or_default() + 1, "events follow");
    }
}
