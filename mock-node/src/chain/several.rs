//! Several nodes of one chain: the same events, in other orders and at other times.

use std::time::Duration;

use super::{ChainConfig, Seed, block::Blocks};
use crate::event::{Event, Filter, Payload};

/// An event and when its node sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduled {
    /// Time since the feed began.
    pub at: Duration,
    /// What is sent.
    pub event: Event,
}

/// What one of several nodes sends, without end. See [`several`].
#[derive(Debug, Clone)]
pub struct Feed {
    blocks: Blocks,
    seed: Seed,
    node: u64,
    first: u64,
    height: u64,
    pending: std::vec::IntoIter<Scheduled>,
}

/// What each of several nodes of one chain sends, from the block of `height` on.
///
/// All send the same events. As among real nodes the order within `main` is the chain's, so a DeployProcessed comes
/// after its block; signatures and accepted deploys come in another order on each node, signatures before and after
/// their block; and each node is late by up to a tenth of a block in its own way. Since a node's ids come from one
/// counter, the same event has other ids on other nodes.
///
/// ```
/// use mock_node::chain::{ChainConfig, several};
///
/// let feeds = several(ChainConfig::default(), 0, 3);
/// let count = 200;
/// let mut sent: Vec<Vec<_>> = feeds
///     .into_iter()
///     .map(|feed| feed.take(count).map(|scheduled| scheduled.event.data().clone()).collect())
///     .collect();
/// assert_ne!(sent[0], sent[1]);
/// ```
pub fn several(config: ChainConfig, height: u64, nodes: usize) -> Vec<Feed> {
    let seed = Seed(config.seed);
    let blocks = Blocks::new(config);
    (0..nodes as u64)
        .map(|node| Feed {
            blocks: blocks.clone(),
            seed,
            node,
            first: height,
            height,
            pending: Vec::new().into_iter(),
        })
        .collect()
}

impl Feed {
    /// Height of the block whose events come once the present one's are through.
    pub fn next_height(&self) -> u64 {
        self.height
    }

    /// All events of the next block with the time at which this node sends each.
    pub fn next_block(&mut self) -> Vec<Scheduled> {
        let height = self.height;
        self.height += 1;
        let span = self.blocks.config().block_time;
        let begin = span * u32::try_from(height - self.first).unwrap_or(u32::MAX);
        // Thousandths of the span: the block in the middle, deploys before it, signatures on both sides of it.
        let late = self.seed.below(100, "node is late", self.node, height);
        let mut events: Vec<(u64, Event)> = Vec::new();
        for (number, payload) in self.blocks.payloads(height).into_iter().enumerate() {
            let number = number as u64;
            let spread = |bound| self.seed.below(bound, "order", height, self.node << 32 | number);
            let moment = match &payload {
                Payload::DeployAccepted(_) => spread(400),
                Payload::FinalitySignature(_) => 450 + spread(450),
                _ => 500 + late,
            };
            events.push((moment, Event::from(payload)));
        }
        // Stable: `main`, whose moments are equal, keeps the chain's order.
        events.sort_by_key(|(moment, event)| (*moment, event.filter() != Filter::Main));
        events
            .into_iter()
            .map(|(moment, event)| Scheduled { at: begin + span * moment as u32 / 1000, event })
            .collect()
    }
}

impl Iterator for Feed {
    type Item = Scheduled;

    fn next(&mut self) -> Option<Scheduled> {
        loop {
            if let Some(scheduled) = self.pending.next() {
                return Some(scheduled);
            }
            self.pending = self.next_block().into_iter();
        }
    }
}
