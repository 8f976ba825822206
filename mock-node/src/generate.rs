//! `mock-node generate`: a believable chain on one or several nodes.

use std::time::{Duration, UNIX_EPOCH};

use mock_node::{
    Laggards, Node,
    arguments::{Generate, Rate},
    chain::{Chain, ChainConfig, Feed, several},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{Served, end_signal, now};

pub(crate) async fn generate(arguments: Generate) -> anyhow::Result<()> {
    let config = chain_config(&arguments);
    let laggards = if arguments.hold_back { Laggards::HoldBack } else { Laggards::Cut };
    let builders = (1..=arguments.nodes).map(|number| {
        let builder = Node::builder()
            .ring(arguments.ring)
            .laggards(laggards)
            .api_version(&arguments.version)
            .build_version(&arguments.version)
            .chain_name(&config.chain_name);
        (number.to_string(), builder)
    });
    let served = Served::start(&arguments.place, builders.collect()).await?;
    let mut control = JoinSet::new();
    served.control(&arguments.place, None, &mut control).await?;
    let mut sources = JoinSet::new();
    let feeds = several(config, arguments.start_height, arguments.nodes.into());
    let end = arguments.blocks.map(|blocks| arguments.start_height.saturating_add(blocks));
    let free = arguments.rate == Some(Rate::Max);
    for (feed, node) in feeds.into_iter().zip(served.handles()) {
        sources.spawn(feed_node(feed, node, end, free, arguments.wait_subscribers));
    }
    tokio::select! {
        biased;
        signal = end_signal() => signal?,
        () = async { while sources.join_next().await.is_some() {} } => {
            tracing::info!("the last block is out");
            if !arguments.exit {
                end_signal().await?;
            }
        }
    }
    sources.shutdown().await;
    served.stop().await;
    Ok(())
}

fn chain_config(arguments: &Generate) -> ChainConfig {
    let mut config = ChainConfig {
        seed: arguments.seed,
        validators: arguments.validators.into(),
        deploys_per_block: arguments.deploys_per_block,
        era_length: arguments.era_length,
        block_time: arguments.block_time,
        protocol_version: arguments.version.clone(),
        ..ChainConfig::default()
    };
    if let Some(Rate::PerSecond(rate)) = arguments.rate {
        config.block_time = Duration::from_secs_f64(events_per_block(&config) / rate);
    }
    let height = u32::try_from(arguments.start_height).unwrap_or(u32::MAX);
    config.genesis = match arguments.genesis {
        Some(genesis) => genesis.duration_since(UNIX_EPOCH).unwrap_or_default(),
        None => now().saturating_sub(config.block_time.saturating_mul(height)),
    };
    config
}

/// On average over some eras.
fn events_per_block(config: &ChainConfig) -> f64 {
    let blocks = config.era_length.clamp(8, 64) * 4;
    let mut chain = Chain::at(config.clone(), 1);
    let events: usize = (0..blocks).map(|_| chain.next_block().len()).sum();
    events as f64 / blocks as f64
}

async fn feed_node(mut feed: Feed, node: Node, end: Option<u64>, free: bool, wait_subscribers: usize) {
    node.wait_for_subscribers(wait_subscribers).await;
    let begin = Instant::now();
    while end.is_none_or(|end| feed.next_height() < end) {
        let block = feed.next_block();
        if free {
            node.room().await;
            node.emit_all(block.into_iter().map(|scheduled| scheduled.event));
            tokio::task::yield_now().await;
            continue;
        }
        for scheduled in block {
            sleep_until(begin + scheduled.at).await;
            node.room().await;
            node.emit(scheduled.event);
        }
    }
}
