//! The kinds of events, where each comes from and where each goes: one table.

use std::fmt;

/// An endpoint of a Casper 1.x node.
///
/// Source: the three paths that a casper-node 1.5 serves; any other path is answered with 404.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Filter {
    /// `events/main`: blocks, processed and expired deploys, faults, steps.
    Main,
    /// `events/deploys`: accepted deploys.
    Deploys,
    /// `events/sigs`: finality signatures.
    Sigs,
}

impl Filter {
    /// All filters, in the order of their discriminants.
    pub const ALL: [Self; 3] = [Self::Main, Self::Deploys, Self::Sigs];

    /// The path at the node, without the leading slash; also the label `filter` of the metrics.
    pub fn path(self) -> &'static str {
        match self {
            Self::Main => "events/main",
            Self::Deploys => "events/deploys",
            Self::Sigs => "events/sigs",
        }
    }

    /// The outbound stream that shows what this filter carries.
    pub fn channel(self) -> Channel {
        match self {
            Self::Main => Channel::Main,
            Self::Deploys => Channel::Deploys,
            Self::Sigs => Channel::Sigs,
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

/// The outbound stream an entry belongs to. Its discriminant is what the databases store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Channel {
    /// Shown on `/events/main`.
    Main = 0,
    /// Shown on `/events/deploys`.
    Deploys = 1,
    /// Shown on `/events/sigs`.
    Sigs = 2,
    /// Shown on `/events/sidecar`: what the sidecar says of itself.
    Sidecar = 3,
}

impl Channel {
    /// All channels, in the order of their discriminants.
    pub const ALL: [Self; 4] = [Self::Main, Self::Deploys, Self::Sigs, Self::Sidecar];

    /// The channel that is stored as `code`.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// What the databases store.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// What the JSON tag of an event says it is. Its discriminant is what the databases store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// A block was added to the chain.
    BlockAdded = 0,
    /// A node accepted a deploy.
    DeployAccepted = 1,
    /// A deploy was executed, with or without success.
    DeployProcessed = 2,
    /// A deploy was not executed within its time to live.
    DeployExpired = 3,
    /// A validator misbehaved.
    Fault = 4,
    /// A validator signed a block.
    FinalitySignature = 5,
    /// The effects of an era's end.
    Step = 6,
    /// A node, or the sidecar itself, goes down in good order.
    Shutdown = 7,
    /// A kind that this sidecar does not know: it is passed on all the same.
    Unknown = 8,
}

impl Kind {
    /// All kinds, in the order of their discriminants.
    pub const ALL: [Self; 9] = [
        Self::BlockAdded,
        Self::DeployAccepted,
        Self::DeployProcessed,
        Self::DeployExpired,
        Self::Fault,
        Self::FinalitySignature,
        Self::Step,
        Self::Shutdown,
        Self::Unknown,
    ];

    /// The JSON tag (`Unknown` for kinds this sidecar does not know).
    pub fn name(self) -> &'static str {
        match self {
            Self::BlockAdded => "BlockAdded",
            Self::DeployAccepted => "DeployAccepted",
            Self::DeployProcessed => "DeployProcessed",
            Self::DeployExpired => "DeployExpired",
            Self::Fault => "Fault",
            Self::FinalitySignature => "FinalitySignature",
            Self::Step => "Step",
            Self::Shutdown => "Shutdown",
            Self::Unknown => "Unknown",
        }
    }

    /// The kind with this JSON tag, if it is a known one.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind that is stored as `code`.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// What the databases store.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Where an event of this kind that came from `filter` is shown.
    ///
    /// A known kind has its own place, whatever filter a node sends it on. `Shutdown`, which comes on all
    /// three, and unknown kinds stay where they came from.
    pub fn channel(self, filter: Filter) -> Channel {
        match self {
            Self::BlockAdded | Self::DeployProcessed | Self::DeployExpired | Self::Fault | Self::Step => {
                Channel::Main
            }
            Self::DeployAccepted => Channel::Deploys,
            Self::FinalitySignature => Channel::Sigs,
            Self::Shutdown | Self::Unknown => filter.channel(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An outbound stream as a subscriber names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// `/events`: everything that nodes say.
    All,
    /// `/events/main`.
    Main,
    /// `/events/deploys`.
    Deploys,
    /// `/events/sigs`.
    Sigs,
    /// `/events/sidecar`.
    Sidecar,
}

impl Endpoint {
    /// All endpoints, in the order of their discriminants.
    pub const ALL: [Self; 5] = [Self::All, Self::Main, Self::Deploys, Self::Sigs, Self::Sidecar];

    /// The path, without the leading slash; also the label `endpoint` of the metrics.
    pub fn path(self) -> &'static str {
        match self {
            Self::All => "events",
            Self::Main => "events/main",
            Self::Deploys => "events/deploys",
            Self::Sigs => "events/sigs",
            Self::Sidecar => "events/sidecar",
        }
    }

    /// The one channel this endpoint shows, or `None` for all that come from nodes.
    pub fn channel(self) -> Option<Channel> {
        match self {
            Self::All => None,
            Self::Main => Some(Channel::Main),
            Self::Deploys => Some(Channel::Deploys),
            Self::Sigs => Some(Channel::Sigs),
            Self::Sidecar => Some(Channel::Sidecar),
        }
    }

    /// Whether an entry of this channel and kind is shown here.
    ///
    /// A node's `Shutdown` is one entry on each of its three filters; `/events` shows the one of `main`.
    pub fn shows(self, channel: Channel, kind: Kind) -> bool {
        match self.channel() {
            Some(own) => own == channel,
            None => match channel {
                Channel::Main => true,
                Channel::Deploys | Channel::Sigs => kind != Kind::Shutdown,
                Channel::Sidecar => false,
            },
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_their_own_inverse() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_code(kind.code()), Some(kind));
        }
        for channel in Channel::ALL {
            assert_eq!(Channel::from_code(channel.code()), Some(channel));
        }
        assert_eq!(Kind::from_code(9), None);
        assert_eq!(Channel::from_code(4), None);
    }

    #[test]
    fn events_shows_one_shutdown_of_the_three() {
        let shown: Vec<_> =
            Channel::ALL.into_iter().filter(|c| Endpoint::All.shows(*c, Kind::Shutdown)).collect();
        assert_eq!(shown, [Channel::Main]);
    }

    #[test]
    fn a_known_kind_is_shown_in_its_own_place_whatever_filter_it_came_on() {
        assert_eq!(Kind::FinalitySignature.channel(Filter::Main), Channel::Sigs);
        assert_eq!(Kind::Unknown.channel(Filter::Deploys), Channel::Deploys);
        assert_eq!(Kind::Shutdown.channel(Filter::Sigs), Channel::Sigs);
    }
}
