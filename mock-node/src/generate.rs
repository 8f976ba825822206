//! `mock-node generate`: a believable chain on one or several nodes.

use std::time::{Duration, UNIX_EPOCH};

use mock_node::{
    Laggards, Node,
    arguments::{Generate, Rate, StartHeight},
    chain::{Chain, ChainConfig, Feed, several},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{Served, end_signal, now};

pub(crate) async fn generate(arguments: Generate) -> anyhow::Result<()> {
    let (config, start) = chain_config(&arguments)?;
    let version = arguments.node_version.as_ref().unwrap_or(&arguments.version);
    let laggards = if arguments.hold_back { Laggards::HoldBack } else { Laggards::Cut };
    let builders = (arguments.first_node..).take(arguments.nodes.into()).map(|number| {
        let builder = Node::builder()
            .ring(arguments.ring)
            .laggards(laggards)
            .api_version(version)
            .build_version(version)
            .chain_name(&config.chain_name);
        (number.to_string(), builder)
    });
    let served = Served::start(&arguments.place, builders.collect()).await?;
    let mut control = JoinSet::new();
    served.control(&arguments.place, None, &mut control).await?;
    let mut sources = JoinSet::new();
    let before = usize::from(arguments.first_node - 1);
    let feeds = several(config, start.height, before + usize::from(arguments.nodes)).into_iter().skip(before);
    let end = arguments.blocks.map(|blocks| start.height.saturating_add(blocks));
    let free = arguments.rate == Some(Rate::Max);
    for (feed, node) in feeds.zip(served.handles()) {
        sources.spawn(feed_node(feed, node, end, free, arguments.wait_subscribers, start.after));
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

/// Where the chain begins.
struct Start {
    height: u64,
    /// Time until then.
    after: Duration,
}

fn chain_config(arguments: &Generate) -> anyhow::Result<(ChainConfig, Start)> {
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
    let genesis = arguments.genesis.map(|genesis| genesis.duration_since(UNIX_EPOCH).unwrap_or_default());
    let start = match (arguments.start_height, genesis) {
        (StartHeight::At(height), _) => Start { height, after: Duration::ZERO },
        (StartHeight::Now, Some(genesis)) => next_block(now().saturating_sub(genesis), config.block_time)?,
        (StartHeight::Now, None) => anyhow::bail!("--start-height now needs the --genesis to count from"),
    };
    config.genesis = genesis.unwrap_or_else(|| {
        let height = u32::try_from(start.height).unwrap_or(u32::MAX);
        now().saturating_sub(config.block_time.saturating_mul(height))
    });
    Ok((config, start))
}

/// The block that comes next in a chain of this age.
fn next_block(age: Duration, block_time: Duration) -> anyhow::Result<Start> {
    anyhow::ensure!(!block_time.is_zero(), "--start-height now needs a --block-time above 0");
    // The seconds since 1970 in nanoseconds fit into 64 bits until the year 2554.
    let (age, block_time) = (age.as_nanos(), block_time.as_nanos());
    let height = age / block_time + 1;
    Ok(Start {
        height: u64::try_from(height)?,
        after: Duration::from_nanos(u64::try_from(height * block_time - age)?),
    })
}

/// On average over some eras.
fn events_per_block(config: &ChainConfig) -> f64 {
    let blocks = config.era_length.clamp(8, 64) * 4;
    let mut chain = Chain::at(config.clone(), 1);
    let events: usize = (0..blocks).map(|_| chain.next_block().len()).sum();
    events as f64 / blocks as f64
}

async fn feed_node(
    mut feed: Feed,
    node: Node,
    end: Option<u64>,
    free: bool,
    wait_subscribers: usize,
    after: Duration,
) {
    let begin = Instant::now() + after;
    node.wait_for_subscribers(wait_subscribers).await;
    let begin = begin.max(Instant::now());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(age: u64, block_time: u64, height: u64, after: u64) {
        let millis = Duration::from_millis;
        let start = next_block(millis(age), millis(block_time)).expect("there is a next block");
        assert_eq!((start.height, start.after), (height, millis(after)));
    }

    #[test]
    fn the_next_block_is_that_of_the_clock() {
        check(0, 4000, 1, 4000);
        check(3999, 4000, 1, 1);
        check(4000, 4000, 2, 4000);
        check(40_000_000_001, 2000, 20_000_001, 1999);
    }

    #[test]
    fn there_is_no_next_block_without_a_time_between_blocks() {
        assert!(next_block(Duration::from_secs(1), Duration::ZERO).is_err());
    }
}
