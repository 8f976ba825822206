//! Single events of a kind, to be changed and emitted.

use std::collections::BTreeMap;

use super::{Chain, ChainConfig};
use crate::event::{
    BlockAdded, Deploy, DeployExpired, DeployProcessed, Fault, FinalitySignature, Payload, Step,
};

/// Makes typed events of any kind, another one each time: change what the test is about, emit the rest as it is.
///
/// ```
/// use mock_node::{Node, chain::{ChainConfig, Samples}};
///
/// let node = Node::builder().build();
/// let mut samples = Samples::new(ChainConfig::default());
/// let mut block = samples.block_added();
/// block.block.header.height = 4_000_000;
/// node.emit(block);
/// node.emit(samples.deploy_accepted());
/// assert!(node.emitted()[0].data.starts_with(b"{\"BlockAdded\":{\"block_hash\":\""));
/// ```
#[derive(Debug, Clone)]
pub struct Samples {
    config: ChainConfig,
    /// For each kind, where it has got to in the chain.
    places: BTreeMap<&'static str, Place>,
}

#[derive(Debug, Clone)]
struct Place {
    chain: Chain,
    pending: std::vec::IntoIter<Payload>,
}

impl Samples {
    /// Same configuration, same samples. They are events of that chain: for others than [`Chain`] gives, take another
    /// seed.
    pub fn new(config: ChainConfig) -> Self {
        // There must be some of each kind.
        let deploys_per_block = config.deploys_per_block.max(1);
        Self { config: ChainConfig { deploys_per_block, fault_every: 1, ..config }, places: BTreeMap::new() }
    }

    fn next<T>(&mut self, kind: &'static str, pick: impl Fn(Payload) -> Option<T>) -> T {
        let config = &self.config;
        let place = self.places.entry(kind).or_insert_with(|| {
            // The first block is like no other: samples are ordinary ones.
            Place { chain: Chain::at(config.clone(), 1), pending: Vec::new().into_iter() }
        });
        loop {
            match place.pending.next() {
                Some(payload) => {
                    if let Some(found) = pick(payload) {
                        return found;
                    }
                }
                None => place.pending = place.chain.next_block().into_iter(),
            }
        }
    }
}

macro_rules! samples {
    ($($(#[$doc:meta])* $name:ident: $kind:ident -> $payload:ty;)*) => {
        impl Samples {$(
            $(#[$doc])*
            pub fn $name(&mut self) -> $payload {
                self.next(stringify!($kind), |payload| match payload {
                    Payload::$kind(found) => Some(found),
                    _ => None,
                })
            }
        )*}
    };
}

samples! {
    /// The blocks of the chain from height 1 on.
    block_added: BlockAdded -> BlockAdded;
    /// A deploy, for `DeployAccepted`.
    deploy_accepted: DeployAccepted -> Deploy;
    /// A deploy's outcome.
    deploy_processed: DeployProcessed -> DeployProcessed;
    /// A deploy that did not make it.
    deploy_expired: DeployExpired -> DeployExpired;
    /// A validator's fault.
    fault: Fault -> Fault;
    /// A signature of one of the blocks.
    finality_signature: FinalitySignature -> FinalitySignature;
    /// The end of an era.
    step: Step -> Step;
}
