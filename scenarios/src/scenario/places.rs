//! All places are taken: one subscriber more gets 503, and is let in once another has left.

use casper_event_sidecar::event::Endpoint;

use super::{Scenario, second};
use crate::history::SessionEnd;
use crate::operation::Operation;
use crate::subscriber::Subscriber;
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "a_subscriber_beyond_the_limit_is_refused_until_there_is_room",
    world: |seed| {
        World::new(seed)
            .node()
            .config(|config| config.event_stream_server.max_concurrent_subscribers = 2)
            .subscriber(Subscriber::new(Endpoint::Main))
            .subscriber(Subscriber::new(Endpoint::Sigs))
            .subscriber(Subscriber::new(Endpoint::All).at(second(4)))
            .emit(0, second(1), second(15), 0, 80)
            .at(second(9), Operation::Away(1, true))
            .healed()
    },
    expect: |history| {
        let third: Vec<_> = history.sessions.iter().filter(|session| session.subscriber == 2).collect();
        let (last, refused) = third.split_last().expect("it dialled");
        assert!(refused.len() >= 3, "it was refused while there was no room");
        assert!(refused.iter().all(|session| matches!(session.end, Some((_, SessionEnd::Status(503))))));
        assert!(last.end.is_none() && last.dialled > second(9), "it was let in then");
    },
};
