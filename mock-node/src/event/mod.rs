//! What a node sends: the three filters, the event as bytes, and a typed form of every 1.x kind.
//!
//! [`Event`] is what a node emits: a filter and the bytes of the `data` field, whatever they are, so that a
//! test can send what no real node would. [`Payload`] is the typed form; it serialises to the very bytes of a
//! real node (same field order, no spaces), which the tests prove on captured events.

mod deploy;
mod payload;

use std::{fmt, str::FromStr};

use bytes::Bytes;

pub use self::{
    deploy::{Approval, CLValue, Deploy, DeployHeader, ExecutableItem},
    payload::{
        Block, BlockAdded, BlockBody, BlockHeader, DeployExpired, DeployProcessed, Effect, EraEnd, EraReport,
        ExecutionResult, Fault, FinalitySignature, Payload, Reward, Step, TransformEntry, ValidatorWeight,
    },
};

/// One of the three endpoints of a 1.x node.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// `/events/main`: BlockAdded, DeployProcessed, DeployExpired, Fault and Step.
    Main,
    /// `/events/deploys`: DeployAccepted.
    Deploys,
    /// `/events/sigs`: FinalitySignature.
    Sigs,
}

impl Filter {
    /// All three, in the order in which a node documents them.
    pub const ALL: [Self; 3] = [Self::Main, Self::Deploys, Self::Sigs];

    /// The last part of the endpoint's path: `main`, `deploys` or `sigs`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Deploys => "deploys",
            Self::Sigs => "sigs",
        }
    }

    /// The filter on which a real node sends this kind; `None` for a kind that is not of one filter alone
    /// (`Shutdown`, `ApiVersion`) or unknown.
    pub fn of_kind(kind: &str) -> Option<Self> {
        match kind {
            "BlockAdded" | "DeployProcessed" | "DeployExpired" | "Fault" | "Step" => Some(Self::Main),
            "DeployAccepted" => Some(Self::Deploys),
            "FinalitySignature" => Some(Self::Sigs),
            _ => None,
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The text names none of the three filters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no filter `{0}`: expected `main`, `deploys` or `sigs`")]
pub struct UnknownFilter(String);

impl FromStr for Filter {
    type Err = UnknownFilter;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|filter| filter.name() == name)
            .ok_or_else(|| UnknownFilter(name.to_owned()))
    }
}

/// What a node emits: the bytes of the `data` field and the filter they go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    filter: Filter,
    data: Bytes,
}

impl Event {
    /// Any bytes on any filter. Nothing is checked: malformed JSON is a legitimate test.
    pub fn raw(filter: Filter, data: impl Into<Bytes>) -> Self {
        Self { filter, data: data.into() }
    }

    /// JSON on the filter of its kind; an unknown kind goes to `main`.
    ///
    /// # Errors
    /// If the text is no JSON. Use [`Event::raw`] to send malformed JSON on purpose.
    pub fn json(data: impl Into<Bytes>) -> Result<Self, serde_json::Error> {
        let data = data.into();
        serde_json::from_slice::<serde::de::IgnoredAny>(&data)?;
        let filter = kind_of(&data).and_then(|kind| Filter::of_kind(&kind)).unwrap_or(Filter::Main);
        Ok(Self { filter, data })
    }

    /// Where the event goes.
    pub fn filter(&self) -> Filter {
        self.filter
    }

    /// The bytes of the `data` field.
    pub fn data(&self) -> &Bytes {
        &self.data
    }
}

/// The kind that a real node's JSON names: the only key of the object, or the whole string.
pub fn kind_of(data: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Shape {
        Tagged(std::collections::BTreeMap<String, serde::de::IgnoredAny>),
        Bare(String),
    }
    match serde_json::from_slice(data).ok()? {
        Shape::Bare(kind) => Some(kind),
        Shape::Tagged(fields) => fields.into_keys().next(),
    }
}

impl From<Payload> for Event {
    fn from(payload: Payload) -> Self {
        let data = serde_json::to_vec(&payload).expect("every payload serialises: its map keys are strings");
        Self { filter: payload.filter(), data: Bytes::from(data) }
    }
}

macro_rules! event_from {
    ($($kind:ident),*) => {$(
        impl From<$kind> for Event {
            fn from(payload: $kind) -> Self {
                Payload::$kind(payload).into()
            }
        }
    )*};
}
event_from!(BlockAdded, DeployProcessed, DeployExpired, Fault, FinalitySignature, Step);

impl From<Deploy> for Event {
    fn from(deploy: Deploy) -> Self {
        Payload::DeployAccepted(deploy).into()
    }
}
