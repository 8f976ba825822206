//! The typed form of every event kind of a 1.x node. The fields stand in the order of the wire.

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use super::{Deploy, Filter};

/// One event, typed. Serialises to the bytes that a casper-node 1.5 sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Payload {
    /// The protocol version: the first message of each connection, without an id.
    ApiVersion(String),
    /// A block was added to the chain.
    BlockAdded(BlockAdded),
    /// A deploy passed the node's checks. On the wire its fields stand directly below the tag.
    DeployAccepted(Deploy),
    /// A deploy was executed in a block.
    DeployProcessed(DeployProcessed),
    /// A deploy's time to live passed before it got into a block.
    DeployExpired(DeployExpired),
    /// A validator equivocated.
    Fault(Fault),
    /// A validator signed a block.
    FinalitySignature(FinalitySignature),
    /// What the end of an era changed.
    Step(Step),
    /// The node stops: on all three filters, with one id.
    Shutdown,
}

impl Payload {
    /// The name of the kind on the wire.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ApiVersion(_) => "ApiVersion",
            Self::BlockAdded(_) => "BlockAdded",
            Self::DeployAccepted(_) => "DeployAccepted",
            Self::DeployProcessed(_) => "DeployProcessed",
            Self::DeployExpired(_) => "DeployExpired",
            Self::Fault(_) => "Fault",
            Self::FinalitySignature(_) => "FinalitySignature",
            Self::Step(_) => "Step",
            Self::Shutdown => "Shutdown",
        }
    }

    /// The filter on which a real node sends it; `main` for those that are not of one filter alone.
    pub fn filter(&self) -> Filter {
        Filter::of_kind(self.kind()).unwrap_or(Filter::Main)
    }
}

/// A block and its hash.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BlockAdded {
    /// 64 hex digits.
    pub block_hash: String,
    /// The block.
    pub block: Block,
}

/// A block as the event stream shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Block {
    /// The same as [`BlockAdded::block_hash`].
    pub hash: String,
    /// The signed part.
    pub header: BlockHeader,
    /// Who proposed it, and what it holds.
    pub body: BlockBody,
    /// Empty on a real node's stream: signatures come as events of their own.
    pub proofs: Vec<Value>,
}

/// The header of a block.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BlockHeader {
    /// Hash of the block before; zeros for the first.
    pub parent_hash: String,
    /// Root of the global state after this block.
    pub state_root_hash: String,
    /// Hash of [`BlockBody`].
    pub body_hash: String,
    /// Input of the next era's leader choice.
    pub random_bit: bool,
    /// The random bits so far.
    pub accumulated_seed: String,
    /// Only in a switch block, the last of an era.
    pub era_end: Option<EraEnd>,
    /// RFC 3339 with milliseconds.
    pub timestamp: String,
    /// The era the block is in.
    pub era_id: u64,
    /// Blocks before this one.
    pub height: u64,
    /// Such as `1.5.8`.
    pub protocol_version: String,
}

/// What an era's end brings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EraEnd {
    /// Rewards and misbehaviour.
    pub era_report: EraReport,
    /// Who validates next, by what weight.
    pub next_era_validator_weights: Vec<ValidatorWeight>,
}

/// Rewards and misbehaviour in an era.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct EraReport {
    /// Public keys.
    pub equivocators: Vec<String>,
    /// Who earned how much.
    pub rewards: Vec<Reward>,
    /// Public keys.
    pub inactive_validators: Vec<String>,
}

/// A validator's reward.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reward {
    /// Public key.
    pub validator: String,
    /// A share of the era's rewards, an integer on the wire.
    pub amount: u64,
}

/// A validator of the next era.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ValidatorWeight {
    /// Public key.
    pub validator: String,
    /// Motes, as a decimal string.
    pub weight: String,
}

/// What a block holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct BlockBody {
    /// Public key; `00` in the first block.
    pub proposer: String,
    /// Deploys other than native transfers.
    pub deploy_hashes: Vec<String>,
    /// Native transfers.
    pub transfer_hashes: Vec<String>,
}

/// A deploy was executed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeployProcessed {
    /// 64 hex digits.
    pub deploy_hash: String,
    /// Public key of the sender.
    pub account: String,
    /// When the sender made it.
    pub timestamp: String,
    /// Such as `30m`.
    pub ttl: String,
    /// Hashes of deploys that had to come before.
    pub dependencies: Vec<String>,
    /// The block that holds it.
    pub block_hash: String,
    /// What came of it.
    pub execution_result: ExecutionResult,
}

/// What came of a deploy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ExecutionResult {
    /// It failed; the fee is taken all the same.
    Failure {
        /// What it changed.
        effect: Effect,
        /// Transfer addresses.
        transfers: Vec<String>,
        /// Motes, as a decimal string.
        cost: String,
        /// Such as `User error: 6`.
        error_message: String,
    },
    /// It succeeded.
    Success {
        /// What it changed.
        effect: Effect,
        /// Transfer addresses.
        transfers: Vec<String>,
        /// Motes, as a decimal string.
        cost: String,
    },
}

/// What an execution changed in the global state.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Effect {
    /// Empty on a 1.5 node.
    pub operations: Vec<Value>,
    /// The changes in order.
    pub transforms: Vec<TransformEntry>,
}

/// One change of the global state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TransformEntry {
    /// A key of the global state, such as `balance-..` or `uref-..-007`.
    pub key: String,
    /// The change as JSON: kept as it is, there are some thirty shapes.
    pub transform: Box<RawValue>,
}

impl TransformEntry {
    /// A change given as JSON text.
    ///
    /// # Panics
    /// If the text is no JSON.
    pub fn new(key: impl Into<String>, transform: impl Into<String>) -> Self {
        let transform = RawValue::from_string(transform.into()).expect("the transform must be JSON");
        Self { key: key.into(), transform }
    }
}

/// A deploy did not make it into a block in time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeployExpired {
    /// 64 hex digits.
    pub deploy_hash: String,
}

/// A validator equivocated.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fault {
    /// In which era.
    pub era_id: u64,
    /// Who.
    pub public_key: String,
    /// When.
    pub timestamp: String,
}

/// A validator's signature of a block.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FinalitySignature {
    /// Which block.
    pub block_hash: String,
    /// Its era.
    pub era_id: u64,
    /// Algorithm tag and 64 bytes, 130 hex digits.
    pub signature: String,
    /// Who signed.
    pub public_key: String,
}

/// What the end of an era changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Step {
    /// The era that ended.
    pub era_id: u64,
    /// What it changed; from 4 kB up to more than 30 MB on a large chain.
    pub execution_effect: Effect,
}
