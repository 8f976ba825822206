//! P3: an event is one entry of the log, and each subscriber gets it once.

use std::collections::{BTreeMap, BTreeSet};

use super::shortened;
use crate::history::{History, Start, channel_of};

const SHUTDOWN: &str = "\"Shutdown\"";

pub(super) fn check(history: &History) -> Result<(), String> {
    entries_are_distinct(history)?;
    shutdowns_are_counted(history)?;
    deliveries_are_distinct(history)
}

fn entries_are_distinct(history: &History) -> Result<(), String> {
    let mut seen = BTreeMap::new();
    for entry in &history.log {
        let Some(data) = entry.data.as_deref().filter(|data| *data != SHUTDOWN) else { continue };
        if let Some(first) = seen.insert(data, entry.id) {
            let data = shortened(data);
            return Err(format!("the log has {data:?} twice: as entries {first} and {}", entry.id));
        }
    }
    Ok(())
}

/// One node sends each of its Shutdowns once on a filter, under an id that it does not use again.
fn shutdowns_are_counted(history: &History) -> Result<(), String> {
    for node in &history.nodes {
        for filter in mock_node::Filter::ALL {
            let sent = node.emitted.iter().filter(|emitted| emitted.filter == filter);
            let sent: BTreeSet<_> = sent
                .filter(|emitted| emitted.data == SHUTDOWN)
                .map(|emitted| (emitted.run, emitted.id))
                .collect();
            let logged = history.log.iter().filter(|entry| {
                entry.node == node.name
                    && entry.channel == channel_of(filter)
                    && entry.data.as_deref() == Some(SHUTDOWN)
            });
            let logged = logged.count();
            if logged > sent.len() {
                return Err(format!(
                    "{} sent {} Shutdowns on {filter}, and the log has {logged}",
                    node.name,
                    sent.len()
                ));
            }
        }
    }
    Ok(())
}

fn deliveries_are_distinct(history: &History) -> Result<(), String> {
    let mut seen: BTreeMap<usize, BTreeSet<u64>> = BTreeMap::new();
    let mut last: BTreeMap<usize, u64> = BTreeMap::new();
    for session in &history.sessions {
        let ids = seen.entry(session.subscriber).or_default();
        // Who does not go on after the last one asks to see some again.
        let goes_on = match (session.start, last.get(&session.subscriber)) {
            (Start::From(id), Some(last)) => id > *last,
            (Start::After(id), Some(last)) => id >= *last,
            (Start::Live, _) | (_, None) => false,
        };
        if !goes_on {
            ids.clear();
        }
        for id in session.messages.iter().filter_map(|message| message.id) {
            if !ids.insert(id) {
                return Err(format!("subscriber {} got entry {id} twice", session.subscriber));
            }
            last.insert(session.subscriber, id);
        }
    }
    Ok(())
}
