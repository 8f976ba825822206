//! P5: a connected subscriber sees every entry of its endpoint; nobody is skipped ahead silently.

use std::time::Duration;

use crate::history::{History, Session, Start};

pub(super) fn check(history: &History) -> Result<(), String> {
    history.sessions.iter().try_for_each(|session| check_session(history, session))
}

fn check_session(history: &History, session: &Session) -> Result<(), String> {
    let Some((answered, 200, head)) = session.answered else { return Ok(()) };
    let received: Vec<u64> = session.messages.iter().filter_map(|message| message.id).collect();
    // What was asked for; of the live stream, what became durable after the answer at the latest. An id beyond the
    // head goes live at once.
    let first = match session.start.first() {
        Some(first) => first.min(head + 1),
        None => head + 1,
    };
    let from = match (session.start, received.first()) {
        (Start::Live, Some(earlier)) => first.min(*earlier),
        _ => first,
    };
    // Up to here it must have seen everything: to the end of the log, if it is still connected and had time.
    let last = session.messages.last().map_or(answered, |last| last.at);
    // One who reads slowly, and was still reading shortly before the end, is not there yet; one who was cut off meanwhile
    // does not know yet.
    let cut_off = history.operations.iter().any(|(_, what)| what.starts_with("network to Subscribers"));
    let reading = session.slow && (cut_off || last + Duration::from_secs(2) > history.end);
    // Nor is one whose sidecar is gone: of a connection that was dropped with a full window the end is lost (see
    // `network::SimIo`).
    let gone = history.lives.iter().any(|life| life.ended.as_ref().is_some_and(|(at, _)| *at >= answered));
    let open = session.end.is_none() && !session.stalled && !reading && !gone;
    let to = match (open, received.last()) {
        (true, _) => u64::MAX,
        (false, Some(last)) => *last,
        (false, None) => return Ok(()),
    };
    let expected =
        history.shown(session.endpoint).map(|entry| entry.id).filter(|id| (from..=to).contains(id));
    let who = || format!("subscriber {} of {}", session.subscriber, session.endpoint.path());
    let mut expected = expected.peekable();
    // It may be given earlier entries than it must: those between the hub's head and the durable one.
    let received = received.into_iter().filter(|id| *id >= from);
    for id in received {
        match expected.next() {
            Some(next) if next == id => {}
            next => {
                return Err(format!(
                    "{}, which asked for {:?} and was answered at {answered:?}, got entry {id} where {next:?} was next",
                    who(),
                    session.start
                ));
            }
        }
    }
    match expected.next() {
        None => Ok(()),
        Some(missing) => Err(format!(
            "{}, which asked for {:?} and was answered at {answered:?}, did not get entry {missing}",
            who(),
            session.start
        )),
    }
}
