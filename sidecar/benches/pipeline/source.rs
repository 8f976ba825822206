//! What the mock nodes send.

use anyhow::Context;
use bytes::Bytes;
use mock_node::chain::{Chain, ChainConfig};
use mock_node::{Event, Filter, Laggards, Node, RealNetwork, Running};

/// A node that holds back instead of cutting who does not keep up.
pub(crate) async fn node(ring: usize) -> anyhow::Result<Running> {
    let node = Node::builder().ring(ring).history(0).laggards(Laggards::HoldBack).build();
    node.start(RealNetwork::loopback()).await.context("cannot start a mock node")
}

/// Sends all events as fast as they are taken.
pub(crate) async fn feed(node: &Node, mut events: Box<dyn Iterator<Item = Event> + Send>) {
    loop {
        node.room().await;
        let some: Vec<_> = events.by_ref().take(500).collect();
        if some.is_empty() {
            return;
        }
        node.emit_all(some);
    }
}

/// Finality signatures of 344 bytes, ten for each block.
pub(crate) fn signatures(count: usize) -> Box<dyn Iterator<Item = Event> + Send> {
    Box::new((0..count).map(|number| {
        let json = format!(
            "{{\"FinalitySignature\":{{\"block_hash\":\"{:064x}\",\"era_id\":{},\"signature\":\"01{:0128x}\",\"public_key\":\"01{:064x}\"}}}}",
            number / 10,
            1000 + number / 1000 % 9000,
            number,
            number % 10
        );
        Event::raw(Filter::Sigs, Bytes::from(json))
    }))
}

/// Events of a chain: blocks, deploys, signatures, steps.
pub(crate) fn mixed(count: usize) -> Box<dyn Iterator<Item = Event> + Send> {
    let config = ChainConfig { deploys_per_block: 8, validators: 20, ..ChainConfig::default() };
    Box::new(Chain::new(config).take(count))
}

/// Processed deploys with `bytes` bytes of JSON.
pub(crate) fn sized(count: usize, bytes: usize) -> Box<dyn Iterator<Item = Event> + Send> {
    Box::new((0..count).map(move |number| {
        let head = format!(
            "{{\"DeployProcessed\":{{\"deploy_hash\":\"{number:064x}\",\"ttl\":\"30m\",\"filler\":\""
        );
        let filler = "x".repeat(bytes - head.len() - 3);
        Event::raw(Filter::Main, Bytes::from(format!("{head}{filler}\"}}}}")))
    }))
}
