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
            let sent = node.emitted.iter().filter(|emitted| emitted.filter == filter);
            let mut places = BTreeMap::new();
            for (place, emitted) in sent.enumerate() {
                places.entry(&*emitted.data).or_insert(place);
            }
            let mut last = None;
            for entry in &history.log {
                let Some(data) = entry.data.as_deref().filter(|data| *data != "\"Shutdown\"") else {
                    continue;
                };
                if entry.node != node.name || entry.channel != channel_of(filter) {
                    continue;
                }
                let place = places.get(data.as_bytes()).copied();
                if place < last {
                    return Err(format!(
                        "entry {} ({:?}) came from {} on {filter} before what is earlier in the log",
                        entry.id,
                        shortened(data),
                        node.name
                    ));
                }
                last = place;
            }
        }
    }
    Ok(())
}
