//! A node says Shutdown and comes back as it was: its Shutdown is shown once on each endpoint of its filters, the
//! version is not told again, and what comes after follows.

use casper_event_sidecar::event::Endpoint;

use super::{Scenario, data, expect_everything, second, versions};
use crate::history::History;
use crate::operation::NodeOperation;
use crate::subscriber::Subscriber;
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario { name: "a_node_says_shutdown_and_returns", world, expect };

fn world(seed: u64) -> World {
    Endpoint::ALL
        .into_iter()
        .fold(World::new(seed).node(), |world, endpoint| world.subscriber(Subscriber::new(endpoint)))
        .emit(0, second(1), second(5), 0, 40)
        .node_at(second(8), 0, NodeOperation::Shutdown)
        .node_at(second(11), 0, NodeOperation::Restart)
        .emit(0, second(13), second(5), 10, 40)
        .healed()
}

fn expect(history: &History) {
    expect_everything(history);
    for session in &history.sessions {
        let shutdowns = data(session).into_iter().filter(|data| *data == "\"Shutdown\"").count();
        let (shown, told) = if session.endpoint == Endpoint::Sidecar { (0, 0) } else { (1, 1) };
        assert_eq!((shutdowns, versions(session).len()), (shown, told), "{}", session.endpoint.path());
    }
}
