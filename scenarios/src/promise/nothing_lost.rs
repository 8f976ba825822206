//! P6: whatever a node still holds ends up in the log, and the sidecar finds back to every node that it can reach.

use std::collections::BTreeSet;

use super::shortened;
use crate::history::{History, channel_of};

/// The state of a connected node in `node_statuses`.
const CONNECTED: f64 = 2.;

pub(super) fn check(history: &History) -> Result<(), String> {
    let stored: BTreeSet<_> =
        history.log.iter().filter_map(|entry| Some((entry.channel, entry.data.as_deref()?))).collect();
    let large = history.log.iter().any(|entry| entry.data.is_none());
    for node in &history.nodes {
        let series = format!("node_statuses{{node=\"{}\"}}", node.name);
        match history.metric(&series) {
            Some(CONNECTED) => {}
            state if history.healed => {
                return Err(format!("{} is not connected again (state {state:?})", node.name));
            }
            _ => continue,
        }
        for held in node.held() {
            let data = String::from_utf8_lossy(&held.data);
            let is_event = serde_json::from_str::<serde::de::IgnoredAny>(&data).is_ok();
            let too_large = large && data.len() > 64 * 1024;
            if is_event && !too_large && !stored.contains(&(channel_of(held.filter), &*data)) {
                return Err(format!(
                    "{} still has {:?} on {} under id {:?}, and it is not in the log",
                    node.name,
                    shortened(&data),
                    held.filter,
                    held.id
                ));
            }
        }
    }
    Ok(())
}
