//! A believable chain, made up from a seed.
//!
//! Everything about a block is a function of the seed and its height, so a chain can be entered anywhere: a restarted
//! source goes on where it stopped, with the same history behind it. Hashes never repeat within a seed. Ed25519 keys
//! are points of the curve; signatures are well-formed (right length, reduced scalar) but sign nothing.

mod block;
mod deploys;
mod samples;
mod seed;
mod several;

use std::time::{Duration, UNIX_EPOCH};

use self::{block::Blocks, seed::Seed};
pub use self::{
    samples::Samples,
    several::{Feed, Scheduled, several},
};
use crate::event::{Event, Payload};

/// What the chain is to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainConfig {
    /// Same seed, same chain.
    pub seed: u64,
    /// How many validators sign each block. At least 1. From the fifth on every fifth has a secp256k1 key.
    pub validators: usize,
    /// Deploys accepted per block. Most are processed in that block or the next, one in forty expires.
    pub deploys_per_block: u32,
    /// Blocks per era; the last is the switch block. At least 1. The first block is an era of its own.
    pub era_length: u64,
    /// Changes in a `Step` besides those for the validators: it makes it grow by about 110 bytes each.
    pub step_transforms: usize,
    /// In one of so many eras a validator equivocates; 0 for never.
    pub fault_every: u64,
    /// Time of the first block, since 1970.
    pub genesis: Duration,
    /// Time between blocks.
    pub block_time: Duration,
    /// In each deploy's header.
    pub chain_name: String,
    /// In each block's header.
    pub protocol_version: String,
}

impl Default for ChainConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            validators: 5,
            deploys_per_block: 3,
            era_length: 8,
            step_transforms: 60,
            fault_every: 3,
            genesis: Duration::from_secs(1_704_067_200),
            block_time: Duration::from_millis(4096),
            chain_name: "casper-example".to_owned(),
            protocol_version: "1.5.8".to_owned(),
        }
    }
}

/// The events of a chain in order, without end.
///
/// ```
/// use mock_node::{Filter, chain::{Chain, ChainConfig}};
///
/// let first: Vec<_> = Chain::new(ChainConfig::default()).take(3).collect();
/// // As on a real chain: the Step of era 0, then signatures and the first block.
/// assert!(first[0].data().starts_with(b"{\"Step\":{\"era_id\":0,"));
/// assert_eq!(first[0].filter(), Filter::Main);
/// let again: Vec<_> = Chain::at(ChainConfig::default(), 0).take(3).collect();
/// assert_eq!(first, again);
/// ```
#[derive(Debug, Clone)]
pub struct Chain {
    blocks: Blocks,
    height: u64,
    pending: std::vec::IntoIter<Event>,
}

impl Chain {
    /// From the first block on.
    pub fn new(config: ChainConfig) -> Self {
        Self::at(config, 0)
    }

    /// From the block of this height on. Deploys that were accepted with the block before and are processed in this
    /// one appear here as processed only.
    pub fn at(config: ChainConfig, height: u64) -> Self {
        Self { blocks: Blocks::new(config), height, pending: Vec::new().into_iter() }
    }

    /// Height of the block whose events come once the present one's are through: where to go on with [`Chain::at`].
    pub fn next_height(&self) -> u64 {
        self.height
    }

    /// All events of the next block, in chain order: deploys accepted, the Step if it ends an era, some signatures, the
    /// block, its deploys as processed, expired ones, the other signatures, now and then a fault.
    pub fn next_block(&mut self) -> Vec<Payload> {
        let payloads = self.blocks.payloads(self.height);
        self.height += 1;
        payloads
    }
}

impl Iterator for Chain {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.pending.next() {
                return Some(event);
            }
            let events: Vec<Event> = self.next_block().into_iter().map(Event::from).collect();
            self.pending = events.into_iter();
        }
    }
}

/// A time since 1970 as a node writes it: RFC 3339 in UTC with milliseconds.
pub fn timestamp(since_1970: Duration) -> String {
    // Beyond the year 9999 there is no RFC 3339; nobody's genesis is there.
    let latest = Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_millis(UNIX_EPOCH + since_1970.min(latest)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(millis: u64, expected: &str) {
        assert_eq!(timestamp(Duration::from_millis(millis)), expected);
    }

    #[test]
    fn timestamps_are_rfc_3339() {
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(1_709_251_199_999, "2024-02-29T23:59:59.999Z");
        check(1_795_459_790_000, "2026-11-23T18:49:50.000Z");
        check(4_102_444_800_000, "2100-01-01T00:00:00.000Z");
    }
}
