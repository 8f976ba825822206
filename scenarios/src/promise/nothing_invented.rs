//! P1: every `data` that a subscriber receives is byte-identical to what some node sent.

use std::collections::BTreeSet;

use casper_event_sidecar::event::Endpoint;

use super::shortened;
use crate::history::{History, SessionEnd};

pub(super) fn check(history: &History) -> Result<(), String> {
    let sent: BTreeSet<&[u8]> =
        history.nodes.iter().flat_map(|node| node.emitted.iter().map(|emitted| &*emitted.data)).collect();
    let versions: BTreeSet<String> = history
        .nodes
        .iter()
        .flat_map(|node| node.versions.iter())
        .map(|(_, version)| format!("{{\"ApiVersion\":\"{version}\"}}"))
        .collect();
    for session in &history.sessions {
        let who = format!("subscriber {} of {}", session.subscriber, session.endpoint.path());
        if let Some((_, SessionEnd::Garbled(what))) = &session.end {
            return Err(format!("{who} was sent {what}"));
        }
        for message in &session.messages {
            let data = message.data.as_str();
            let known = match (session.endpoint, message.id) {
                (Endpoint::Sidecar, Some(_)) => data == "\"Shutdown\"",
                (Endpoint::Sidecar, None) => data.starts_with("{\"SidecarVersion\":\""),
                (_, Some(_)) => sent.contains(data.as_bytes()),
                (_, None) => versions.contains(data) || sent.contains(data.as_bytes()),
            };
            if !known {
                return Err(format!(
                    "{who} received {:?} under id {:?}, which no node sent",
                    shortened(data),
                    message.id
                ));
            }
        }
    }
    Ok(())
}
