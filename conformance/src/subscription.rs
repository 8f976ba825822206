//! An endpoint of the event stream server, and one connection to it.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    check::Deviation,
    sse::{self, Block, Message},
    wire::{End, Reply},
};

/// Most messages of one capture. A live chain's replay has millions.
const MOST_MESSAGES: usize = 500;
/// Most bytes of one capture; a Step can pass 30 MB, so it may be exceeded by one message.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// Largest message that is read at all.
const LARGEST_MESSAGE: usize = 128 * 1024 * 1024;

/// An endpoint of the event stream server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Endpoint {
    Main,
    Deploys,
    Sigs,
    Sidecar,
    /// `/events`: what all endpoints of the node have.
    Root,
}

impl Endpoint {
    /// The endpoints that pass on a filter of the node each.
    pub(crate) const NODE: [Self; 3] = [Self::Main, Self::Deploys, Self::Sigs];
    pub(crate) const ALL: [Self; 5] = [Self::Main, Self::Deploys, Self::Sigs, Self::Sidecar, Self::Root];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Main => "/events/main",
            Self::Deploys => "/events/deploys",
            Self::Sigs => "/events/sigs",
            Self::Sidecar => "/events/sidecar",
            Self::Root => "/events",
        }
    }

    /// The kinds that a 1.x node sends on this endpoint's filter, beside `ApiVersion` and `Shutdown`.
    pub(crate) fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::Main => &["BlockAdded", "DeployProcessed", "DeployExpired", "Fault", "Step"],
            Self::Deploys => &["DeployAccepted"],
            Self::Sigs => &["FinalitySignature"],
            Self::Sidecar => &[],
            Self::Root => &[
                "BlockAdded",
                "DeployProcessed",
                "DeployExpired",
                "Fault",
                "Step",
                "DeployAccepted",
                "FinalitySignature",
            ],
        }
    }

    /// Whether an event with this data belongs here.
    pub(crate) fn carries(self, data: &str) -> bool {
        self.kinds().contains(&Message { data: data.to_owned(), id: None }.kind().as_str())
    }

    /// The node's endpoint of a kind.
    pub(crate) fn of_kind(kind: &str) -> Self {
        Self::NODE.into_iter().find(|endpoint| endpoint.kinds().contains(&kind)).unwrap_or(Self::Main)
    }
}

/// What comes next on a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    Block(Block),
    /// Nothing within the time given.
    Silence,
    End(End),
}

/// One open connection to an endpoint.
pub(crate) struct Subscription {
    reply: Reply,
    /// What has come and is not yet a whole block.
    pending: Vec<u8>,
    received: usize,
}

impl Subscription {
    pub(crate) fn new(reply: Reply) -> Self {
        Self { reply, pending: Vec::new(), received: 0 }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.reply.header(name)
    }

    /// How the stream ended, if it did.
    pub(crate) fn end(&self) -> Option<End> {
        self.reply.end()
    }

    /// The next block, or silence until the deadline. Cancel safe.
    pub(crate) async fn next(&mut self, deadline: Instant) -> Result<Next, Deviation> {
        loop {
            if let Some(block) = sse::take_block(&mut self.pending)? {
                return Ok(Next::Block(block));
            }
            if self.pending.len() > LARGEST_MESSAGE {
                return Err(Deviation::new("a blank line after each message", "none in 128 MiB"));
            }
            let before = self.pending.len();
            match self.reply.read(&mut self.pending, deadline).await? {
                Some(None) => self.received += self.pending.len() - before,
                Some(Some(End::Whole)) if !self.pending.is_empty() => return Err(self.unfinished()),
                Some(Some(end)) => return Ok(Next::End(end)),
                None if self.pending.is_empty() => return Ok(Next::Silence),
                None => return Err(self.unfinished()),
            }
        }
    }

    fn unfinished(&self) -> Deviation {
        Deviation::new(sse::LAYOUT, String::from_utf8_lossy(&self.pending))
    }

    /// The next message within `patience`, keep-alives aside.
    pub(crate) async fn message(&mut self, patience: Duration) -> Result<Message, Deviation> {
        self.until(patience, |_| true).await
    }

    /// The next message within `patience` that is `wanted`; those before it are dropped.
    pub(crate) async fn until(
        &mut self,
        patience: Duration,
        wanted: impl Fn(&Message) -> bool,
    ) -> Result<Message, Deviation> {
        let deadline = Instant::now() + patience;
        let mut others = Vec::new();
        loop {
            let seen = match self.next(deadline).await? {
                Next::Block(Block::Message(message)) if wanted(&message) => return Ok(message),
                Next::Block(Block::Message(message)) => {
                    others.push(message.kind());
                    continue;
                }
                Next::Block(Block::KeepAlive) => continue,
                Next::Silence => format!("none within {} ms", patience.as_millis()),
                Next::End(end) => format!("the stream ended ({end:?})"),
            };
            return Err(Deviation::new("a certain message", format!("{seen}; others: {others:?}")));
        }
    }

    /// All messages until `quiet` has passed without one, at most `span` long.
    pub(crate) async fn messages(
        &mut self,
        quiet: Duration,
        span: Duration,
    ) -> Result<Vec<Message>, Deviation> {
        let (blocks, _) = self.blocks(quiet, span).await?;
        Ok(blocks.into_iter().filter_map(|(_, block)| message(block)).collect())
    }

    /// Everything until `quiet` has passed without a block, at most `span` long; then the connection is closed.
    pub(crate) async fn capture(mut self, quiet: Duration, span: Duration) -> Result<Capture, Deviation> {
        let (blocks, end) = self.blocks(quiet, span).await?;
        Ok(Capture { blocks, end })
    }

    async fn blocks(&mut self, quiet: Duration, span: Duration) -> Result<(Timed, Option<End>), Deviation> {
        let start = Instant::now();
        let mut blocks = Vec::new();
        while blocks.len() < MOST_MESSAGES && self.received < MOST_BYTES {
            let deadline = (start + span).min(Instant::now() + quiet);
            match self.next(deadline).await? {
                Next::Block(block) => blocks.push((start.elapsed(), block)),
                Next::Silence => break,
                Next::End(end) => return Ok((blocks, Some(end))),
            }
        }
        Ok((blocks, None))
    }
}

type Timed = Vec<(Duration, Block)>;

fn message(block: Block) -> Option<Message> {
    match block {
        Block::Message(message) => Some(message),
        Block::KeepAlive => None,
    }
}

/// What came on one connection.
#[derive(Debug, Clone)]
pub(crate) struct Capture {
    /// Each block, and how long after the opening it came.
    pub(crate) blocks: Timed,
    /// How the stream ended, if it did.
    pub(crate) end: Option<End>,
}

impl Capture {
    /// The messages.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.blocks.iter().filter_map(|(_, block)| match block {
            Block::Message(message) => Some(message),
            Block::KeepAlive => None,
        })
    }

    /// The messages with an id: everything but those about versions.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (u64, &Message)> {
        self.messages().filter_map(|message| message.id.map(|id| (id, message)))
    }
}
