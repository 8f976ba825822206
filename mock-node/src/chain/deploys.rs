//! Deploys and what becomes of them: processed in the block with which they were accepted, in the next one, or never.

use std::time::Duration;

use super::{ChainConfig, Seed, timestamp};
use crate::event::{
    Approval, CLValue, Deploy, DeployHeader, DeployProcessed, Effect, ExecutableItem, ExecutionResult,
    TransformEntry,
};

/// Senders of deploys. Every fifth has a secp256k1 key.
const ACCOUNTS: u64 = 20;
const TTL: &str = "30m";
/// What a node of this version says of the ways in which deploys fail most often.
const FAILURES: [&str; 4] =
    ["User error: 6", "Insufficient payment", "Out of gas error", "ApiError::Mint(0) [65024]"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    ThisBlock,
    NextBlock,
    Expires,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Transfer,
    Wasm,
    Contract,
}

/// Names one deploy: the height with which it was accepted, and its number there.
#[derive(Debug, Clone, Copy)]
struct Name {
    height: u64,
    number: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Deploys {
    seed: Seed,
    per_block: u64,
    genesis: Duration,
    block_time: Duration,
    chain_name: String,
    accounts: Vec<String>,
}

impl Deploys {
    pub(super) fn new(config: &ChainConfig) -> Self {
        let seed = Seed(config.seed);
        Self {
            seed,
            per_block: u64::from(config.deploys_per_block),
            genesis: config.genesis,
            block_time: config.block_time,
            chain_name: config.chain_name.clone(),
            accounts: (0..ACCOUNTS).map(|number| seed.public_key("account", number)).collect(),
        }
    }

    /// Those accepted with the block of this height. Nobody sends deploys before the first block is there.
    pub(super) fn accepted(&self, height: u64) -> impl Iterator<Item = Deploy> {
        self.names(height).map(|name| self.deploy(name))
    }

    /// Those in the block of this height, in its order.
    pub(super) fn processed(&self, height: u64, block_hash: &str) -> impl Iterator<Item = DeployProcessed> {
        self.names_in(height).map(move |name| self.outcome(name, block_hash))
    }

    /// Hashes of those accepted with the block of this height that never got into a block.
    pub(super) fn expired(&self, height: u64) -> impl Iterator<Item = String> {
        self.names(height).filter(|name| self.fate(*name) == Fate::Expires).map(|name| self.hash(name))
    }

    /// Hashes in the block of this height: deploys, then native transfers.
    pub(super) fn hashes_in(&self, height: u64) -> (Vec<String>, Vec<String>) {
        let mut deploys = Vec::new();
        let mut transfers = Vec::new();
        for name in self.names_in(height) {
            match self.kind(name) {
                Kind::Transfer => transfers.push(self.hash(name)),
                Kind::Wasm | Kind::Contract => deploys.push(self.hash(name)),
            }
        }
        (deploys, transfers)
    }

    fn names(&self, height: u64) -> impl Iterator<Item = Name> + use<> {
        let count = if height == 0 { 0 } else { self.per_block };
        (0..count).map(move |number| Name { height, number })
    }

    fn names_in(&self, height: u64) -> impl Iterator<Item = Name> {
        let waited = self.names(height.saturating_sub(1)).filter(|name| self.fate(*name) == Fate::NextBlock);
        waited.chain(self.names(height).filter(|name| self.fate(*name) == Fate::ThisBlock))
    }

    fn below(&self, bound: u64, what: &str, name: Name) -> u64 {
        self.seed.below(bound, what, name.height, name.number)
    }

    fn hash(&self, name: Name) -> String {
        self.seed.hash("deploy", name.height, name.number)
    }

    fn fate(&self, name: Name) -> Fate {
        match self.below(40, "fate", name) {
            0 => Fate::Expires,
            1..=12 => Fate::NextBlock,
            _ => Fate::ThisBlock,
        }
    }

    fn kind(&self, name: Name) -> Kind {
        match self.below(10, "kind", name) {
            0..=5 => Kind::Transfer,
            6 => Kind::Wasm,
            _ => Kind::Contract,
        }
    }

    fn sender(&self, name: Name) -> &str {
        &self.accounts[self.below(ACCOUNTS, "sender", name) as usize]
    }

    fn target(&self, name: Name) -> &str {
        &self.accounts[self.below(ACCOUNTS, "target", name) as usize]
    }

    fn amount(&self, name: Name) -> u64 {
        2_500_000_000 + self.below(1_000_000_000_000, "amount", name)
    }

    /// A sender makes its deploy a moment before a node accepts it.
    fn made_at(&self, name: Name) -> String {
        let height = u32::try_from(name.height).unwrap_or(u32::MAX);
        let accepted = self.genesis + self.block_time * height;
        let earlier = Duration::from_millis(500 + self.below(2000, "made", name));
        timestamp(accepted.saturating_sub(earlier))
    }

    fn deploy(&self, name: Name) -> Deploy {
        let account = self.sender(name).to_owned();
        let payment_args = vec![("amount".to_owned(), CLValue::motes(100_000_000))];
        let signature = self.seed.signature(&account, "approval", name.height, name.number);
        Deploy {
            hash: self.hash(name),
            header: DeployHeader {
                account: account.clone(),
                timestamp: self.made_at(name),
                ttl: TTL.to_owned(),
                gas_price: 1,
                body_hash: self.seed.hash("deploy body", name.height, name.number),
                dependencies: Vec::new(),
                chain_name: self.chain_name.clone(),
            },
            payment: ExecutableItem::ModuleBytes { module_bytes: String::new(), args: payment_args },
            session: self.session(name),
            approvals: vec![Approval { signer: account, signature }],
        }
    }

    fn session(&self, name: Name) -> ExecutableItem {
        let target = self.target(name);
        let id = name.height * self.per_block + name.number;
        let id_bytes: String = id.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        match self.kind(name) {
            Kind::Transfer => ExecutableItem::Transfer {
                args: vec![
                    ("amount".to_owned(), CLValue::motes(self.amount(name))),
                    ("target".to_owned(), CLValue::new("\"PublicKey\"", target, format!("\"{target}\""))),
                    (
                        "id".to_owned(),
                        CLValue::new(r#"{"Option":"U64"}"#, format!("01{id_bytes}"), id.to_string()),
                    ),
                ],
            },
            // The header of a wasm module, and no code.
            Kind::Wasm => ExecutableItem::ModuleBytes {
                module_bytes: "0061736d01000000".to_owned(),
                args: vec![("amount".to_owned(), CLValue::motes(self.amount(name)))],
            },
            Kind::Contract => ExecutableItem::StoredContractByHash {
                hash: self.seed.hash("dapp", self.below(6, "dapp", name), 0),
                entry_point: "transfer".to_owned(),
                args: vec![
                    ("recipient".to_owned(), CLValue::new("\"PublicKey\"", target, format!("\"{target}\""))),
                    ("amount".to_owned(), CLValue::motes(self.amount(name))),
                ],
            },
        }
    }

    fn outcome(&self, name: Name, block_hash: &str) -> DeployProcessed {
        let transfer = format!("transfer-{}", self.seed.hash("transfer", name.height, name.number));
        let failed = self.below(8, "failed", name) == 0;
        let cost = if failed { 0 } else { 100_000_000 };
        let transfers = match self.kind(name) {
            Kind::Transfer if !failed => vec![transfer],
            _ => Vec::new(),
        };
        let effect = self.effect(name, &transfers);
        let cost = cost.to_string();
        let execution_result = if failed {
            let error_message = FAILURES[self.below(FAILURES.len() as u64, "why", name) as usize].to_owned();
            ExecutionResult::Failure { effect, transfers, cost, error_message }
        } else {
            ExecutionResult::Success { effect, transfers, cost }
        };
        DeployProcessed {
            deploy_hash: self.hash(name),
            account: self.sender(name).to_owned(),
            timestamp: self.made_at(name),
            ttl: TTL.to_owned(),
            dependencies: Vec::new(),
            block_hash: block_hash.to_owned(),
            execution_result,
        }
    }

    fn effect(&self, name: Name, transfers: &[String]) -> Effect {
        let (amount, hash) = (self.amount(name), self.hash(name));
        let purse = |owner: &str| self.seed.hash(owner, 0, 1);
        let (from, to) = (purse(self.sender(name)), purse(self.target(name)));
        let account = |owner: &str| format!("account-hash-{}", self.seed.hash(owner, 0, 2));
        let left = CLValue::motes(900_000_000_000_000_000 - amount);
        let mut transforms: Vec<TransformEntry> = (0..20 + self.below(24, "touches", name))
            .map(|step| {
                let contract = self.seed.below(7, "touches contract", name.height, step);
                TransformEntry::new(
                    format!("hash-{}", self.seed.hash("contract", contract, 0)),
                    "\"Identity\"",
                )
            })
            .collect();
        transforms.push(TransformEntry::new(
            format!("balance-{from}"),
            format!(
                r#"{{"WriteCLValue":{{"cl_type":{},"bytes":"{}","parsed":{}}}}}"#,
                left.cl_type, left.bytes, left.parsed
            ),
        ));
        transforms
            .push(TransformEntry::new(format!("balance-{to}"), format!(r#"{{"AddUInt512":"{amount}"}}"#)));
        let (sender, target) = (account(self.sender(name)), account(self.target(name)));
        for transfer in transfers {
            transforms.push(TransformEntry::new(
                transfer.clone(),
                format!(
                    concat!(
                        r#"{{"WriteTransfer":{{"deploy_hash":"{}","from":"{}","to":"{}","source":"uref-{}-007","#,
                        r#""target":"uref-{}-004","amount":"{}","gas":"0","id":{}}}}}"#
                    ),
                    hash, sender, target, from, to, amount, name.number
                ),
            ));
        }
        let listed: Vec<String> = transfers.iter().map(|transfer| format!("\"{transfer}\"")).collect();
        transforms.push(TransformEntry::new(
            format!("deploy-{hash}"),
            format!(
                concat!(
                    r#"{{"WriteDeployInfo":{{"deploy_hash":"{}","transfers":[{}],"from":"{}","#,
                    r#""source":"uref-{}-007","gas":"100000000"}}}}"#
                ),
                hash,
                listed.join(","),
                sender,
                from
            ),
        ));
        Effect { operations: Vec::new(), transforms }
    }
}
