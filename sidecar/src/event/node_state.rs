//! Where the connection to a node stands.

/// Where the connection to a node stands; its code is the value of the metric `node_statuses`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// Nothing was tried yet.
    Preparing,
    /// The first connection is being made.
    Connecting,
    /// Events are being received.
    Connected,
    /// A further connection is being made.
    Reconnecting,
    /// All attempts are used up.
    Exhausted,
    /// It is of a version, or of a chain, that this sidecar does not take events from.
    Incompatible,
}

impl NodeState {
    /// The value of the metric.
    pub fn code(self) -> i64 {
        match self {
            Self::Preparing => 0,
            Self::Connecting => 1,
            Self::Connected => 2,
            Self::Reconnecting => 3,
            Self::Exhausted => -1,
            Self::Incompatible => -2,
        }
    }

    /// Whether nothing is to be expected of the node.
    pub fn is_defunct(self) -> bool {
        match self {
            Self::Exhausted | Self::Incompatible => true,
            Self::Preparing | Self::Connecting | Self::Connected | Self::Reconnecting => false,
        }
    }

    /// A word for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Reconnecting => "reconnecting",
            Self::Exhausted => "exhausted",
            Self::Incompatible => "incompatible",
        }
    }
}
