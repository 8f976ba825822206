//! P7: what one node contributed from one filter keeps that node's order.

use std::collections::BTreeMap;

use mock_node::Filter;

use super::shortened;
use crate::history::{History, channel_of};

pub(super) fn check(history: &History) -> Result<(), String> {
    // What is recovered later after a hole is out of its order, and is meant to be.
    if history.operations.iter().any(|(_, what)| what.contains("WithId(")) {
        return Ok(());
    }
    for node in &history.nodes {
        for filter in Filter::ALL {
            let sent: Vec<_> = node.emitted.iter().filter(|emitted| emitted.filter == filter).collect();
            let mut places = BTreeMap::new();
            for (place, emitted) in sent.iter().enumerate() {
                places.entry(&*emitted.data).or_insert(place);
            }
            let mut last = (0, 0);
            for entry in &history.log {
                let Some(data) = entry.data.as_deref().filter(|data| *data != "\"Shutdown\"") else {
                    continue;
                };
                if entry.node != node.name || entry.channel != channel_of(filter) {
                    continue;
                }
                // What no node sent is for P1 to tell.
                let Some(place) = places.get(data.as_bytes()).copied() else { continue };
                let of = |place: usize| (sent[place].run, sent[place].id);
                if place < last.0 {
                    return Err(format!(
                        "entry {} ({:?}) is what {} sent on {filter} as {:?}, and entry {} what it sent as {:?}",
                        entry.id,
                        shortened(data),
                        node.name,
                        of(place),
                        last.1,
                        of(last.0)
                    ));
                }
                last = (place, entry.id);
            }
        }
    }
    Ok(())
}
