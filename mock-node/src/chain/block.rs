//! The events of one block.

use super::{ChainConfig, Seed, deploys::Deploys, timestamp};
use crate::event::{
    Block, BlockAdded, BlockBody, BlockHeader, DeployExpired, Effect, EraEnd, EraReport, Fault,
    FinalitySignature, Payload, Reward, Step, TransformEntry, ValidatorWeight,
};

/// Blocks after its acceptance at which a deploy that nobody took is told to be expired.
const EXPIRES_AFTER: u64 = 3;

#[derive(Debug, Clone)]
pub(super) struct Blocks {
    config: ChainConfig,
    seed: Seed,
    validators: Vec<String>,
    deploys: Deploys,
}

impl Blocks {
    pub(super) fn new(mut config: ChainConfig) -> Self {
        config.validators = config.validators.max(1);
        config.era_length = config.era_length.max(1);
        let seed = Seed(config.seed);
        let validators =
            (0..config.validators as u64).map(|number| seed.public_key("validator", number)).collect();
        Self { deploys: Deploys::new(&config), seed, validators, config }
    }

    pub(super) fn config(&self) -> &ChainConfig {
        &self.config
    }

    /// The block of height 0 is an era of its own.
    fn era(&self, height: u64) -> u64 {
        height.div_ceil(self.config.era_length)
    }

    fn ends_era(&self, height: u64) -> bool {
        height.is_multiple_of(self.config.era_length)
    }

    fn hash(&self, height: u64) -> String {
        self.seed.hash("block", height, 0)
    }

    pub(super) fn payloads(&self, height: u64) -> Vec<Payload> {
        let mut payloads = Vec::new();
        payloads.extend(self.deploys.accepted(height).map(Payload::DeployAccepted));
        if self.ends_era(height) {
            payloads.push(Payload::Step(self.step(height)));
        }
        // A node sees some signatures before it has executed the block, the rest after.
        let mut signatures = self.signatures(height);
        let early = self.seed.below(signatures.len() as u64 + 1, "early", height, 0) as usize;
        let late = signatures.split_off(early);
        payloads.extend(signatures.into_iter().map(Payload::FinalitySignature));
        payloads.push(Payload::BlockAdded(self.block_added(height)));
        let hash = self.hash(height);
        payloads.extend(self.deploys.processed(height, &hash).map(Payload::DeployProcessed));
        if let Some(accepted) = height.checked_sub(EXPIRES_AFTER) {
            let expired = self.deploys.expired(accepted);
            payloads.extend(expired.map(|deploy_hash| Payload::DeployExpired(DeployExpired { deploy_hash })));
        }
        payloads.extend(late.into_iter().map(Payload::FinalitySignature));
        payloads.extend(self.fault(height).map(Payload::Fault));
        payloads
    }

    fn signatures(&self, height: u64) -> Vec<FinalitySignature> {
        let count = self.validators.len();
        let first = self.seed.below(count as u64, "signers", height, 0) as usize;
        let signature = |position: usize| {
            let number = (first + position) % count;
            let public_key = self.validators[number].clone();
            FinalitySignature {
                block_hash: self.hash(height),
                era_id: self.era(height),
                signature: self.seed.signature(&public_key, "finality", height, number as u64),
                public_key,
            }
        };
        (0..count).map(signature).collect()
    }

    fn timestamp(&self, height: u64) -> String {
        let height = u32::try_from(height).unwrap_or(u32::MAX);
        timestamp(self.config.genesis + self.config.block_time * height)
    }

    fn block_added(&self, height: u64) -> BlockAdded {
        let hash = self.hash(height);
        let proposer = match height {
            0 => "00".to_owned(),
            _ => {
                let number = self.seed.below(self.validators.len() as u64, "proposer", height, 0);
                self.validators[number as usize].clone()
            }
        };
        let (deploy_hashes, transfer_hashes) = self.deploys.hashes_in(height);
        BlockAdded {
            block_hash: hash.clone(),
            block: Block {
                hash,
                header: BlockHeader {
                    parent_hash: height.checked_sub(1).map_or("0".repeat(64), |parent| self.hash(parent)),
                    state_root_hash: self.seed.hash("state", height, 0),
                    body_hash: self.seed.hash("body", height, 0),
                    random_bit: self.seed.below(2, "bit", height, 0) == 1,
                    accumulated_seed: self.seed.hash("accumulated", height, 0),
                    era_end: self.ends_era(height).then(|| self.era_end(height)),
                    timestamp: self.timestamp(height),
                    era_id: self.era(height),
                    height,
                    protocol_version: self.config.protocol_version.clone(),
                },
                body: BlockBody { proposer, deploy_hashes, transfer_hashes },
                proofs: Vec::new(),
            },
        }
    }

    fn stake(&self, number: usize) -> u64 {
        300_000_000_000_000 + 100_000_000_000_000 * self.seed.below(4, "stake", number as u64, 0)
    }

    fn era_end(&self, height: u64) -> EraEnd {
        let reward = |(number, validator): (usize, &String)| Reward {
            validator: validator.clone(),
            amount: 1_000_000_000_000 + self.seed.below(2_000_000_000_000, "reward", height, number as u64),
        };
        let weight = |(number, validator): (usize, &String)| ValidatorWeight {
            validator: validator.clone(),
            weight: (self.stake(number) + height).to_string(),
        };
        let rewards = match height {
            0 => Vec::new(),
            _ => self.validators.iter().enumerate().map(reward).collect(),
        };
        let equivocators = self.fault(height).map(|fault| fault.public_key).into_iter().collect();
        EraEnd {
            era_report: EraReport { equivocators, rewards, inactive_validators: Vec::new() },
            next_era_validator_weights: self.validators.iter().enumerate().map(weight).collect(),
        }
    }

    fn fault(&self, height: u64) -> Option<Fault> {
        let era = self.era(height);
        let faulty = self.config.fault_every > 0
            && era > 0
            && self.ends_era(height)
            && self.seed.below(self.config.fault_every, "fault", era, 0) == 0;
        faulty.then(|| {
            let number = self.seed.below(self.validators.len() as u64, "equivocator", era, 0);
            Fault {
                era_id: era,
                public_key: self.validators[number as usize].clone(),
                timestamp: self.timestamp(height),
            }
        })
    }

    fn step(&self, height: u64) -> Step {
        let era = self.era(height);
        let identity = |number: usize| {
            // A handful of system contracts, touched again and again.
            let contract = self.seed.below(7, "touched", era, number as u64);
            let key = format!("hash-{}", self.seed.hash("contract", contract, 0));
            TransformEntry::new(key, "\"Identity\"")
        };
        let mut transforms: Vec<_> = (0..self.config.step_transforms).map(identity).collect();
        transforms.extend(self.validators.iter().enumerate().map(|(number, validator)| {
            let purse = self.seed.hash("bonding purse", number as u64, 0);
            TransformEntry::new(
                format!("bid-{}", self.seed.hash("bid", number as u64, 0)),
                format!(
                    concat!(
                        r#"{{"WriteBid":{{"validator_public_key":"{}","bonding_purse":"uref-{}-007","#,
                        r#""staked_amount":"{}","delegation_rate":{},"vesting_schedule":null,"#,
                        r#""delegators":{{}},"inactive":false}}}}"#
                    ),
                    validator,
                    purse,
                    self.stake(number) + height,
                    number % 11,
                ),
            )
        }));
        let allocations: Vec<String> = self
            .validators
            .iter()
            .enumerate()
            .map(|(number, validator)| {
                let amount = self.seed.below(900_000_000, "allocation", era, number as u64);
                format!(r#"{{"Validator":{{"validator_public_key":"{validator}","amount":"{amount}"}}}}"#)
            })
            .collect();
        transforms.push(TransformEntry::new(
            format!("era-summary-{}", "0".repeat(64)),
            format!(r#"{{"WriteEraInfo":{{"seigniorage_allocations":[{}]}}}}"#, allocations.join(",")),
        ));
        Step { era_id: era, execution_effect: Effect { operations: Vec::new(), transforms } }
    }
}
