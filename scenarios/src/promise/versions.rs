//! P8: a subscriber learns the version before the first event and each change at its place; the version in force is
//! the highest seen, and falls only with the node that set it.

use std::collections::BTreeMap;

use casper_event_sidecar::event::Endpoint;

use crate::history::{History, NodeHistory, Session};

pub(super) fn check(history: &History) -> Result<(), String> {
    changes_are_allowed(history)?;
    let in_force: BTreeMap<u64, Option<&str>> =
        history.log.iter().map(|entry| (entry.id, entry.version.as_deref())).collect();
    history.sessions.iter().try_for_each(|session| check_session(session, &in_force))
}

/// The version of the log rises, and falls only to a version to which some node fell.
fn changes_are_allowed(history: &History) -> Result<(), String> {
    let mut last: Option<(u64, u64, u64)> = None;
    for entry in &history.log {
        let version = entry.version.as_deref().and_then(number_of_message);
        if entry.node != "sidecar" && version.is_none() {
            return Err(format!("entry {} came before any version", entry.id));
        }
        if let (Some(old), Some(new)) = (last, version)
            && new < old
            && !falls(history, old, new)
        {
            return Err(format!(
                "the version fell from {old:?} to {new:?} at entry {}, and no node did that",
                entry.id
            ));
        }
        last = version.or(last);
    }
    Ok(())
}

/// Whether a node that announced `old` fell to `new`, or lower, from where another node raised it to `new`.
fn falls(history: &History, old: (u64, u64, u64), new: (u64, u64, u64)) -> bool {
    let announced = |node: &NodeHistory| -> Vec<_> {
        node.versions.iter().filter_map(|(_, version)| number(version)).collect()
    };
    let fell = |versions: Vec<(u64, u64, u64)>| {
        let mut versions = versions.into_iter();
        versions.any(|version| version == old) && versions.any(|version| version <= new)
    };
    history.nodes.iter().any(|node| fell(announced(node)))
        && history.nodes.iter().any(|node| announced(node).contains(&new))
}

fn check_session(session: &Session, in_force: &BTreeMap<u64, Option<&str>>) -> Result<(), String> {
    if session.endpoint == Endpoint::Sidecar {
        return match session.messages.first() {
            Some(first) if !first.data.starts_with("{\"SidecarVersion\"") => Err(format!(
                "subscriber {} of events/sidecar was not told the SidecarVersion first",
                session.subscriber
            )),
            _ => Ok(()),
        };
    }
    let who = || format!("subscriber {} of {}", session.subscriber, session.endpoint.path());
    let mut told: Option<&str> = None;
    for message in &session.messages {
        match message.id {
            None if told == Some(&message.data) => {
                return Err(format!("{} was told {} twice in a row", who(), message.data));
            }
            None => told = Some(&message.data),
            Some(id) => {
                let version = in_force.get(&id).copied().flatten();
                if version.is_some() && told != version {
                    return Err(format!(
                        "{} was told {told:?} before entry {id}, at which {version:?} was in force",
                        who()
                    ));
                }
            }
        }
    }
    Ok(())
}

fn number_of_message(message: &str) -> Option<(u64, u64, u64)> {
    number(message.strip_prefix("{\"ApiVersion\":\"")?.strip_suffix("\"}")?)
}

fn number(version: &str) -> Option<(u64, u64, u64)> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}
