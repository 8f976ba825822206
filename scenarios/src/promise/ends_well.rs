//! P10: SIGTERM, or the last node exhausted, ends in a controlled shutdown within ten seconds.

use std::time::Duration;

use casper_event_sidecar::event::{Channel, Endpoint};

use crate::history::{History, Life, LifeEnd, SessionEnd};

/// The promised time, and a step of the simulation.
const GRACE: Duration = Duration::from_millis(10_100);

/// Time in which the end of a connection reaches a subscriber who reads.
const LATENCY: Duration = Duration::from_millis(500);

pub(super) fn check(history: &History) -> Result<(), String> {
    for life in &history.lives {
        ends_in_time(history, life)?;
        streams_end(history, life)?;
    }
    let last_words = history.log.iter().filter(|entry| entry.channel == Channel::Sidecar).count();
    let complete = history.lives.iter().filter(|life| is_complete(life)).count();
    if last_words < complete || last_words > history.lives.len() {
        return Err(format!(
            "{complete} of {} lives ended completely, and the log has {last_words} Shutdowns of the sidecar",
            history.lives.len()
        ));
    }
    Ok(())
}

fn is_complete(life: &Life) -> bool {
    matches!(&life.ended, Some((_, LifeEnd::Ended { outcome, .. })) if outcome.contains("complete: true"))
}

fn ends_in_time(history: &History, life: &Life) -> Result<(), String> {
    let Some(asked) = life.asked else {
        return match &life.ended {
            Some((_, LifeEnd::Ended { success: true, .. })) => {
                Err("it ended with status 0 though nobody asked it to".to_owned())
            }
            Some((_, LifeEnd::Ended { outcome, .. })) if outcome.contains("Failure") => {
                Err(format!("a part of it failed: {outcome}"))
            }
            // A store that cannot be read ends the start: whoever started it tries again.
            Some((_, LifeEnd::Failed(why))) if !has_store_trouble(history) => {
                Err(format!("it could not start: {why}"))
            }
            _ => Ok(()),
        };
    };
    match &life.ended {
        Some((at, end)) if *at <= asked + GRACE => match end {
            LifeEnd::Ended { success: false, outcome } if !has_store_trouble(history) => {
                Err(format!("it was asked to stop while all was well, and ended with {outcome}"))
            }
            _ => Ok(()),
        },
        Some((at, _)) => Err(format!("it was asked to stop at {asked:?} and ended at {at:?}")),
        None if asked + GRACE > history.end => Ok(()),
        None => Err(format!("it was asked to stop at {asked:?} and did not")),
    }
}

fn has_store_trouble(history: &History) -> bool {
    history.operations.iter().any(|(_, what)| what.starts_with("store:"))
}

/// Whoever was reading when the sidecar ended in order sees the end of his stream, and on `events/sidecar` the
/// last word before it.
fn streams_end(history: &History, life: &Life) -> Result<(), String> {
    let Some((ended, LifeEnd::Ended { .. })) = &life.ended else { return Ok(()) };
    if history.operations.iter().any(|(_, what)| what.starts_with("network to Subscribers")) {
        return Ok(());
    }
    for session in &history.sessions {
        let Some((answered, 200, _)) = session.answered else { continue };
        let alive = answered >= life.started
            && answered <= *ended
            && session.end.as_ref().is_none_or(|(at, _)| at >= ended);
        if !alive || session.stalled || session.slow || *ended + LATENCY > history.end {
            continue;
        }
        let who = format!("subscriber {} of {}", session.subscriber, session.endpoint.path());
        match &session.end {
            Some((at, end)) if *at <= *ended + LATENCY || *end == SessionEnd::Left => {}
            end => return Err(format!("the sidecar ended at {ended:?}, and the stream of {who} at {end:?}")),
        }
        let told = session.messages.last().is_some_and(|last| last.data == "\"Shutdown\"");
        let closed = matches!(session.end, Some((_, SessionEnd::Closed)));
        if session.endpoint == Endpoint::Sidecar && is_complete(life) && closed && !told {
            return Err(format!("{who} was not told of the Shutdown"));
        }
    }
    Ok(())
}
