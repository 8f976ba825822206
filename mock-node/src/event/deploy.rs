//! A deploy as `DeployAccepted` carries it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A deploy: what a user sends to the network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Deploy {
    /// Hash of the header, 64 hex digits.
    pub hash: String,
    /// Who, when, for how long.
    pub header: DeployHeader,
    /// The code that pays.
    pub payment: ExecutableItem,
    /// The code that the user wants run.
    pub session: ExecutableItem,
    /// Signatures of the hash.
    pub approvals: Vec<Approval>,
}

/// The header of a deploy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeployHeader {
    /// Public key of the sender.
    pub account: String,
    /// RFC 3339 with milliseconds.
    pub timestamp: String,
    /// Time to live, such as `30m`.
    pub ttl: String,
    /// Usually 1.
    pub gas_price: u64,
    /// Hash of payment and session.
    pub body_hash: String,
    /// Hashes of deploys that must come before.
    pub dependencies: Vec<String>,
    /// Such as `casper`.
    pub chain_name: String,
}

/// Code to run, with its arguments: each a pair of a name and a value.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ExecutableItem {
    /// Wasm; empty bytes mean the standard payment.
    ModuleBytes {
        /// Hex.
        module_bytes: String,
        /// Named arguments.
        args: Vec<(String, CLValue)>,
    },
    /// A contract by its hash.
    StoredContractByHash {
        /// 64 hex digits.
        hash: String,
        /// What to call.
        entry_point: String,
        /// Named arguments.
        args: Vec<(String, CLValue)>,
    },
    /// A contract by a name of the account.
    StoredContractByName {
        /// The name.
        name: String,
        /// What to call.
        entry_point: String,
        /// Named arguments.
        args: Vec<(String, CLValue)>,
    },
    /// A version of a contract package by its hash.
    StoredVersionedContractByHash {
        /// 64 hex digits.
        hash: String,
        /// The newest if absent.
        version: Option<u32>,
        /// What to call.
        entry_point: String,
        /// Named arguments.
        args: Vec<(String, CLValue)>,
    },
    /// A version of a contract package by a name of the account.
    StoredVersionedContractByName {
        /// The name.
        name: String,
        /// The newest if absent.
        version: Option<u32>,
        /// What to call.
        entry_point: String,
        /// Named arguments.
        args: Vec<(String, CLValue)>,
    },
    /// A native transfer.
    Transfer {
        /// Named arguments: amount, target, id.
        args: Vec<(String, CLValue)>,
    },
}

/// A value with its type.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CLValue {
    /// The type as JSON, such as `"U512"` or `{"Option":"U64"}`.
    pub cl_type: Box<RawValue>,
    /// The serialised value, hex.
    pub bytes: String,
    /// The value as JSON, for people.
    pub parsed: Box<RawValue>,
}

impl CLValue {
    /// A value given by its parts: type and readable form as JSON text.
    ///
    /// # Panics
    /// If one of the two is no JSON.
    pub fn new(cl_type: &str, bytes: impl Into<String>, parsed: impl Into<String>) -> Self {
        Self {
            cl_type: RawValue::from_string(cl_type.to_owned()).expect("the type must be JSON"),
            bytes: bytes.into(),
            parsed: RawValue::from_string(parsed.into()).expect("the readable form must be JSON"),
        }
    }

    /// Motes: a U512 of at most 64 bits.
    pub fn motes(amount: u64) -> Self {
        let significant = 8 - (amount.leading_zeros() / 8) as usize;
        let mut bytes = format!("{significant:02x}");
        for byte in &amount.to_le_bytes()[..significant] {
            bytes.push_str(&format!("{byte:02x}"));
        }
        Self::new("\"U512\"", bytes, format!("\"{amount}\""))
    }
}

/// A signature of a deploy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Approval {
    /// Public key.
    pub signer: String,
    /// Algorithm tag and 64 bytes, 130 hex digits.
    pub signature: String,
}
