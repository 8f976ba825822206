//! The ways in which the toy can be wrong.

use crate::mutation::Mutation;

/// What is wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wrong {
    Nothing,
    /// Right answers are made wrong on their way out.
    Mutated(Mutation),
    /// It behaves so.
    Fault(Fault),
}

impl From<Mutation> for Wrong {
    fn from(mutation: Mutation) -> Self {
        Self::Mutated(mutation)
    }
}

/// Wrong behaviour, in the toy's own code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    AlwaysReplays,
    AnnouncesEveryVersion,
    BadLastEventIdReplays,
    BadQueryIgnored,
    BreaksOff,
    CaseSensitive,
    CountsTwice,
    DeliversAgain,
    DropsExpired,
    DropsRequests,
    EmptyQueryRefused,
    EndsWithFirst,
    EndsWithNode,
    FutureReplaysAll,
    IdleIsClosed,
    Invents,
    KeepAliveEarly,
    KeepsOldVersion,
    LastEventIdInclusive,
    LastEventIdWins,
    LatestArrival,
    LimitAnswers500,
    NeverLooksAgain,
    NeverReconnects,
    NoKeepAlive,
    NoOwnShutdown,
    NoVersionBeforeReplay,
    NodeShutdownOnSidecar,
    OneSignature,
    OpensWithFirstVersion,
    OwnShutdownEverywhere,
    OwnShutdownWithoutId,
    RepeatsVersion,
    ReplayWithCurrentVersion,
    RootLacksDeploys,
    RootShowsAllShutdowns,
    SeamRepeats,
    SeatsNeverFreed,
    SecondNodeIgnored,
    ShutdownNotOn(&'static str),
    SkipsAnId,
    StartFromExclusive,
    StatusStuck,
    SwapsProcessed,
    VersionLate,
    ZeroIsLive,
}
