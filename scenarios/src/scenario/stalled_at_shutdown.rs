//! Some subscribers take nothing any more when the sidecar is asked to stop: it ends in time all the same, the
//! others are told, and what is stored is complete.

use casper_event_sidecar::event::Endpoint;

use super::{Scenario, second};
use crate::history::{LifeEnd, SessionEnd};
use crate::operation::{Operation, SidecarOperation};
use crate::subscriber::{Resume, Subscriber};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "stalled_subscribers_do_not_hold_up_a_shutdown",
    world: |seed| {
        World::new(seed)
            .node()
            .subscriber(Subscriber::new(Endpoint::All).resume(Resume::Never))
            .subscriber(Subscriber::new(Endpoint::All).resume(Resume::Never))
            .subscriber(Subscriber::new(Endpoint::Sidecar).resume(Resume::Never))
            .at(second(2), Operation::Stall(0, true))
            // Far more than a window of the simulated network holds.
            .emit(0, second(3), second(8), 0, 600)
            .sidecar_at(second(15), SidecarOperation::Stop)
            .settle(second(20))
    },
    expect: |history| {
        let outcome = "Outcome { cause: Asked, complete: true }".to_owned();
        assert_eq!(history.last_end(), Some(&LifeEnd::Ended { success: true, outcome }));
        for session in history.sessions.iter().filter(|session| session.subscriber > 0) {
            assert!(matches!(session.end, Some((_, SessionEnd::Closed))), "{:?}", session.end);
        }
        assert_eq!(history.log.len(), 601, "everything that was sent, and the last word");
    },
};
