//! Fresh events: captured ones of a real node, with hashes, heights and eras that no sidecar has seen before.
//!
//! A sidecar keeps every event once, so a run that sent the very events of the run before would see nothing. Only what
//! names an event is exchanged; all else stays as a real node sent it, to the byte.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

const CAPTURED: &str = include_str!("../fixtures/events-1.5.8.sse");
const FAULT: &str = include_str!("../fixtures/fault.sse");

/// What names the captured events: block and deploy hashes.
const HASHES: [&str; 5] = [
    "bead4a68f74366306eea43a4e8fb97c478c1258832466bee22e7e15b390be7de",
    "a853b92fd72e7b52323bdb943590dd4cea3bbd846050c03a90185937ca25bc67",
    "0076534b83e06fab747109f4ff666dddd356d832d192a63087ae5070dc583ee0",
    "f0d68881a6b8ee33f0abafeaa08caed3f883210426ab2955462b80b06bf19ad5",
    "041ea57324594b22f40144e2327eaa36248ee0641d4557678c6bd1c3853ff7f8",
];
/// Heights of the captured blocks, in the order of the events.
const HEIGHTS: [u64; 2] = [30, 32];
/// The era of the captured step and fault.
const ERA: u64 = 4;

/// A source of events that were never sent before.
pub(crate) struct Chain {
    /// Differs from run to run; hashes begin with it.
    base: u64,
    sets: AtomicU64,
}

impl Chain {
    pub(crate) fn new() -> Self {
        // Keys of a `RandomState` are random, and this is all the randomness that is needed.
        Self { base: RandomState::new().hash_one("events") >> 24, sets: AtomicU64::new(0) }
    }

    /// One event of each kind at least: two blocks (the later has the lesser height), a step, deploys accepted,
    /// processed and expired, three signatures of one block, a fault.
    pub(crate) fn events(&self) -> Vec<String> {
        let set = self.base + self.sets.fetch_add(1, Ordering::Relaxed);
        let captured = CAPTURED.lines().chain(FAULT.lines());
        captured
            .filter_map(|line| line.strip_prefix("data:"))
            .filter(|data| !data.starts_with("{\"ApiVersion\""))
            .map(|data| renamed(data, set))
            .collect()
    }

    /// One fresh event of a kind.
    pub(crate) fn event(&self, kind: &str) -> String {
        let tag = format!("{{\"{kind}\"");
        self.events().into_iter().find(|event| event.starts_with(&tag)).unwrap_or_default()
    }
}

fn renamed(data: &str, set: u64) -> String {
    let mut data = data.to_owned();
    for hash in HASHES {
        data = data.replace(hash, &format!("{set:012x}{}", &hash[12..]));
    }
    for (order, height) in HEIGHTS.into_iter().enumerate() {
        let fresh = set * 2 + 1 - order as u64;
        data = data.replace(&format!("\"height\":{height},"), &format!("\"height\":{fresh},"));
    }
    for kind in ["Step", "Fault"] {
        let era = format!("{{\"{kind}\":{{\"era_id\":");
        data = data.replace(&format!("{era}{ERA},"), &format!("{era}{set},"));
    }
    data
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn two_sets_share_no_event_and_have_all_kinds() {
        let chain = Chain::new();
        let (first, second) = (chain.events(), chain.events());
        let all: BTreeSet<_> = first.iter().chain(&second).collect();
        assert_eq!(all.len(), first.len() + second.len());
        for kind in crate::subscription::Endpoint::Root.kinds() {
            let event = chain.event(kind);
            assert!(event.starts_with(&format!("{{\"{kind}\"")), "{kind}: {event}");
            serde_json::from_str::<serde_json::Value>(&event).expect("an event is JSON");
        }
        assert!(!first.iter().any(|event| HASHES.iter().any(|hash| event.contains(hash))));
    }

    #[test]
    fn the_later_block_has_the_lesser_height() {
        let heights: Vec<u64> = Chain::new()
            .events()
            .iter()
            .filter(|event| event.starts_with("{\"BlockAdded\""))
            .map(|event| {
                let block: serde_json::Value = serde_json::from_str(event).expect("an event is JSON");
                block["BlockAdded"]["block"]["header"]["height"].as_u64().expect("a height")
            })
            .collect();
        assert_eq!(heights[0], heights[1] + 1);
    }
}
