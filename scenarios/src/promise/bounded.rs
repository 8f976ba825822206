//! P9: memory stays bounded. Bytes are measured by a test of their own (`tests/memory.rs`); here it is the number
//! of places: nobody is served beyond the limit, and none is lost.

use crate::history::{History, Session, SessionEnd};

/// Places of the event stream server, unless a scenario configures others.
pub(crate) const PLACES: usize = 100;

pub(super) fn check(history: &History) -> Result<(), String> {
    let is_served = |session: &&Session| session.answered.is_some_and(|(_, status, _)| status == 200);
    let served = history.sessions.iter().filter(is_served);
    let open = served.clone().filter(|session| session.end.is_none()).count();
    if open > PLACES {
        return Err(format!("{open} subscribers are served, and there are {PLACES} places"));
    }
    // Whoever left gave his place back: the sidecar counts no more than are there and than may not know yet that
    // they are not (a connection that died silently is found out by its writes).
    let silent = served.filter(|session| matches!(session.end, Some((_, SessionEnd::Silent)))).count();
    let endpoints = ["events", "events/main", "events/deploys", "events/sigs", "events/sidecar"];
    let counted: f64 = endpoints
        .iter()
        .filter_map(|endpoint| history.metric(&format!("sidecar_subscribers{{endpoint=\"{endpoint}\"}}")))
        .sum();
    let most = open + silent;
    #[expect(clippy::cast_precision_loss, reason = "a handful of subscribers")]
    if counted > most as f64 {
        return Err(format!("the sidecar counts {counted} subscribers, and {most} at most are there"));
    }
    Ok(())
}
