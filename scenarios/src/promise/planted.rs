//! Each checker catches what it is for: a history in which all is well is damaged as a broken sidecar would damage
//! it, and exactly the promise that is broken is named. And worlds are run on stores that are broken.

use std::sync::OnceLock;
use std::time::Duration;

use casper_event_sidecar::event::{Channel, Endpoint};

use super::violations;
use crate::history::{History, LifeEnd, Session, SessionEnd, Start};
use crate::operation::{NodeOperation, SidecarOperation};
use crate::storage::Broken;
use crate::subscriber::{Resume, Subscriber};
use crate::world::World;

/// Two nodes, one of which is upgraded, a restart of the sidecar, and its end.
fn sound() -> History {
    static SOUND: OnceLock<History> = OnceLock::new();
    let run = || {
        let second = Duration::from_secs;
        World::new(1)
            .node()
            .node()
            .subscriber(Subscriber::new(Endpoint::All))
            .subscriber(Subscriber::new(Endpoint::Main).resume(Resume::LastEventId))
            .subscriber(Subscriber::new(Endpoint::Sidecar).resume(Resume::StartFrom))
            .subscriber(Subscriber::new(Endpoint::Main).start(Start::Live).at(second(3)))
            .emit_blocks(second(1), second(2), 0, 12)
            .sidecar_at(second(8), SidecarOperation::Stop)
            .sidecar_at(second(10), SidecarOperation::Start)
            .node_at(second(14), 1, NodeOperation::Shutdown)
            .node_at(second(16), 1, NodeOperation::ApiVersion("1.5.9"))
            .node_at(second(16), 1, NodeOperation::Restart)
            .healed()
            .run()
    };
    SOUND.get_or_init(run).clone()
}

/// Damages a sound history and expects these promises to be violated, by number.
#[track_caller]
fn check(expected: &[&str], damage: impl FnOnce(&mut History)) {
    let mut history = sound();
    assert_eq!(violations(&history), []);
    damage(&mut history);
    let violated = violations(&history);
    let numbers: Vec<_> =
        violated.iter().filter_map(|violation| violation.promise.split(' ').next()).collect();
    assert_eq!(numbers, expected, "{violated:?}");
}

fn session(history: &mut History, number: usize) -> &mut Session {
    &mut history.sessions[number]
}

/// The places of events (not of versions) in what a session received.
fn events(session: &Session) -> Vec<usize> {
    (0..session.messages.len()).filter(|at| session.messages[*at].id.is_some()).collect()
}

#[test]
fn a_sidecar_that_writes_json_anew_is_caught() {
    check(&["P1", "P4"], |history| {
        let session = session(history, 0);
        let at = events(session)[5];
        session.messages[at].data.insert(1, ' ');
    });
}

#[test]
fn a_stream_in_another_layout_is_caught() {
    check(&["P1"], |history| {
        session(history, 0).end = Some((Duration::from_secs(8), SessionEnd::Garbled("data: x".to_owned())));
    });
}

#[test]
fn a_hub_that_publishes_before_the_commit_is_caught() {
    check(&["P2"], |history| {
        let session = session(history, 0);
        let at = events(session)[3];
        session.messages[at].head = session.messages[at].id.unwrap_or_default() - 1;
    });
}

#[test]
fn a_store_that_takes_a_duplicate_is_caught() {
    check(&["P3", "P5"], |history| {
        let mut again = history.log[4].clone();
        again.id = history.log.len() as u64 + 1;
        again.node = "node2:9999".to_owned();
        again.version.clone_from(&history.log[history.log.len() - 1].version);
        history.log.push(again);
    });
}

#[test]
fn a_shutdown_that_is_taken_twice_is_caught() {
    check(&["P3", "P5"], |history| {
        let shutdown = history
            .log
            .iter()
            .find(|entry| entry.data.as_deref() == Some("\"Shutdown\"") && entry.channel == Channel::Sigs);
        let mut again = shutdown.expect("the node stopped").clone();
        again.id = history.log.len() as u64 + 1;
        again.channel = Channel::Main;
        again.version.clone_from(&history.log[history.log.len() - 1].version);
        history.log.push(again);
    });
}

#[test]
fn a_delivery_that_is_repeated_after_a_reconnect_is_caught() {
    check(&["P3"], |history| {
        let last =
            |session: &Session| session.messages.iter().rev().find(|message| message.id.is_some()).cloned();
        let of_all = |session: &&mut Session| session.endpoint == Endpoint::All;
        let mut sessions = history.sessions.iter_mut().filter(of_all);
        let repeated = last(sessions.next().expect("the first")).expect("an event");
        let later = sessions.find(|session| !session.messages.is_empty()).expect("one more");
        let at = events(later)[0];
        later.messages.insert(at, repeated);
    });
}

#[test]
fn ids_that_do_not_rise_are_caught() {
    check(&["P4", "P5"], |history| {
        let session = session(history, 1);
        let at = events(session);
        session.messages.swap(at[2], at[3]);
    });
}

#[test]
fn an_id_that_is_used_again_is_caught() {
    check(&["P4"], |history| {
        let session = session(history, 0);
        let at = events(session);
        let other = session.messages[at[1]].data.clone();
        session.messages[at[2]].data = other;
    });
}

#[test]
fn a_subscriber_that_is_skipped_ahead_is_caught() {
    check(&["P5"], |history| {
        let session = session(history, 0);
        let at = events(session)[4];
        session.messages.remove(at);
    });
}

#[test]
fn a_subscriber_that_is_forgotten_is_caught() {
    check(&["P5"], |history| {
        let open = history.sessions.iter_mut().find(|session| {
            session.end.is_none() && session.endpoint == Endpoint::All && session.messages.len() > 5
        });
        let messages = &mut open.expect("it is connected at the end").messages;
        messages.truncate(messages.len() - 2);
    });
}

#[test]
fn an_off_by_one_in_start_from_is_caught() {
    check(&["P5"], |history| {
        let late = history.sessions.iter_mut().find(|session| {
            matches!(session.start, Start::From(2..))
                && session.endpoint == Endpoint::All
                && session.answered.is_some()
        });
        let late = late.expect("it came back");
        let first = events(late)[0];
        late.messages.remove(first);
    });
}

#[test]
fn an_event_that_was_never_taken_is_caught() {
    check(&["P6"], |history| {
        let mut lost = history.nodes[0].emitted.last().expect("it sent something").clone();
        lost.data = "{\"Step\":{\"era_id\":77}}".into();
        history.nodes[0].emitted.push(lost);
    });
}

#[test]
fn a_node_that_is_not_found_again_is_caught() {
    check(&["P6"], |history| {
        let metrics = history.metrics.take().expect("it runs");
        history.metrics = Some(
            metrics.replace("node_statuses{node=\"node1:9999\"} 2", "node_statuses{node=\"node1:9999\"} 3"),
        );
    });
}

#[test]
fn a_listener_that_swaps_two_events_is_caught() {
    check(&["P7"], |history| {
        let node = &mut history.nodes[0];
        let log = &history.log;
        let of_main: Vec<_> = (0..node.emitted.len())
            .filter(|at| {
                let emitted = &node.emitted[*at];
                emitted.filter == mock_node::Filter::Main
                    && log.iter().any(|entry| {
                        entry.node == node.name
                            && entry.data.as_deref().map(str::as_bytes) == Some(&*emitted.data)
                    })
            })
            .collect();
        node.emitted.swap(of_main[1], of_main[2]);
    });
}

#[test]
fn a_version_that_is_not_told_is_caught() {
    check(&["P8"], |history| {
        let session = session(history, 0);
        session.messages.remove(0);
    });
}

#[test]
fn a_version_that_is_told_again_is_caught() {
    check(&["P8"], |history| {
        let session = session(history, 0);
        let version = session.messages[0].clone();
        session.messages.insert(1, version);
    });
}

#[test]
fn an_older_version_of_another_node_that_is_announced_is_caught() {
    check(&["P8"], |history| {
        let last = history.log.last_mut().expect("not empty");
        last.version = Some("{\"ApiVersion\":\"1.5.7\"}".to_owned());
    });
}

#[test]
fn places_that_are_never_given_back_are_caught() {
    check(&["P9"], |history| {
        let metrics = history.metrics.take().expect("it runs");
        let series = "sidecar_subscribers{endpoint=\"events\"}";
        history.metrics = Some(metrics.replace(&format!("{series} 1"), &format!("{series} 9")));
    });
}

#[test]
fn a_shutdown_that_takes_too_long_is_caught() {
    check(&["P10"], |history| {
        let life = &mut history.lives[0];
        life.asked = life.asked.map(|asked| asked.saturating_sub(Duration::from_secs(7)));
        life.ended = life.ended.take().map(|(at, end)| (at + Duration::from_millis(3500), end));
    });
}

#[test]
fn a_stream_that_does_not_end_with_the_sidecar_is_caught() {
    check(&["P10"], |history| {
        let session = session(history, 0);
        session.end = session.end.take().map(|(at, end)| (at + Duration::from_secs(3), end));
    });
}

#[test]
fn a_shutdown_without_the_last_word_is_caught() {
    check(&["P10"], |history| {
        let told = history.sessions.iter_mut().find(|session| session.endpoint == Endpoint::Sidecar);
        told.expect("there is one").messages.pop();
    });
}

#[test]
fn a_part_that_fails_is_caught() {
    check(&["P10"], |history| {
        let outcome = "Outcome { cause: Failure, complete: true }".to_owned();
        let last = history.lives.last_mut().expect("it was started");
        last.ended = Some((history.end, LifeEnd::Ended { success: false, outcome }));
        history.metrics = None;
        history.healed = false;
    });
}

/// A world in which everything happens that a broken store can make something of, and all is well at the end.
fn eventful() -> World {
    let second = Duration::from_secs;
    World::new(1)
        .node()
        .subscriber(Subscriber::new(Endpoint::All))
        .subscriber(Subscriber::new(Endpoint::Main).resume(Resume::StartFrom))
        .subscriber(Subscriber::new(Endpoint::All).start(Start::From(0)).at(second(28)))
        .emit_blocks(second(1), second(2), 0, 12)
        .sidecar_at(second(7), SidecarOperation::Kill)
        .sidecar_at(second(9), SidecarOperation::Start)
        .node_at(second(10), 0, NodeOperation::Shutdown)
        .node_at(second(11), 0, NodeOperation::ApiVersion("1.5.9"))
        .node_at(second(11), 0, NodeOperation::Restart)
        .sidecar_at(second(18), SidecarOperation::Kill)
        .sidecar_at(second(19), SidecarOperation::Start)
        .healed()
}

/// Runs a world whose store is broken, and expects this promise to be among the violated ones.
#[track_caller]
fn check_broken(broken: Broken, promise: &str, world: World) {
    let history = world.broken(broken).run();
    let violated = violations(&history);
    let caught = violated.iter().any(|violation| violation.promise.split(' ').next() == Some(promise));
    assert!(caught, "{broken:?} is not caught as {promise}: {violated:?}\n{history}");
}

#[test]
fn a_store_that_is_broken_in_a_running_world_is_caught() {
    assert_eq!(violations(&eventful().run()), []);
    check_broken(Broken::PagesInvented, "P1", eventful());
    check_broken(Broken::AnswersBeforeCommit, "P2", eventful());
    check_broken(Broken::TakesDuplicates, "P3", eventful());
    check_broken(Broken::PagesMixedUp, "P4", eventful());
    check_broken(Broken::PagesWithGaps, "P5", eventful());
    check_broken(Broken::LosesArrivals, "P6", eventful());
    check_broken(Broken::SwapsArrivals, "P7", eventful());
    check_broken(Broken::ForgetsVersions, "P8", eventful());
    let with_an_end = eventful().sidecar_at(Duration::from_secs(40), SidecarOperation::Stop);
    check_broken(Broken::NeverCloses, "P10", with_an_end);
}
