//! What a node hands over to ingest.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::{ApiVersion, Event, Filter, Identity};

/// The last message seen on one filter of one node, kept beside the log and moved in the same transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The node as the configuration names it: `host:sse_port`.
    pub node: Arc<str>,
    /// The filter.
    pub filter: Filter,
    /// The node's id of that message.
    pub id: u32,
    /// What that message says, to recognise it when the node is asked for it again.
    pub fingerprint: Identity,
    /// How many times the node's id counter was seen to be reset.
    pub run: u32,
    /// The id to ask for first: `id`, or an earlier one while a hole before it is still open.
    pub resume: u32,
}

/// What became of one node, in the order in which it happened.
#[derive(Debug)]
pub struct Delivery {
    /// The node as the configuration names it.
    pub node: Arc<str>,
    /// When it was received, in milliseconds since the Unix epoch.
    pub received_at: u64,
    /// What was received.
    pub news: News,
    /// The share of the budget for payload bytes that this delivery holds until it is durable.
    pub reserved: Option<OwnedSemaphorePermit>,
}

/// What there is to tell of a node.
#[derive(Debug)]
pub enum News {
    /// It is of this chain.
    Chain(Arc<str>),
    /// It announced this version.
    Version(ApiVersion),
    /// It sent these events on one filter, up to this place.
    Events {
        /// In the order in which it sent them; at least one.
        events: Vec<Event>,
        /// The node's places on its filters after the last of them, as far as they changed.
        cursors: Vec<Cursor>,
    },
    /// There is no connection to it any more.
    Left,
}
