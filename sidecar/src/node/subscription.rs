//! The open stream of one filter of a node.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::continuity::Ask;
use super::request::{self, Answer, RequestError};
use super::sse::{Decoded, Decoder};
use crate::config::Connection;
use crate::environment::Environment;
use crate::event::{ApiVersion, Filter, Message, Payload};

/// Most bytes that are decoded before they are handed on.
const TURN: usize = 256 * 1024;

/// Why a filter could not be opened, or was lost.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    /// No answer, or a wrong one, or the connection broke.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The node was too slow to open it.
    #[error("no {what} within {limit:?}")]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// For how long.
        limit: Duration,
    },
    /// The stream began with something else than the version.
    #[error("the first message is no ApiVersion")]
    NoVersion,
    /// The node ended the stream in good order.
    #[error("the node closed the stream")]
    Closed,
    /// Nothing came for too long.
    #[error("nothing came for {0:?}")]
    Silent(Duration),
}

/// The open stream of one filter.
pub(super) struct Subscription {
    /// The version it began with.
    pub version: ApiVersion,
    /// What has been decoded and not been taken yet.
    pub decoded: Vec<Decoded>,
    /// When it was opened.
    pub opened: Instant,
    /// When the last byte came.
    pub last_byte: Instant,
    answer: Answer,
    decoder: Decoder,
    /// How it ended, to be told when all that came before was taken.
    end: Option<Lost>,
}

impl Subscription {
    /// Opens `filter` and waits for its first message.
    pub(super) async fn open<E: Environment>(
        environment: &E,
        node: &Connection,
        filter: Filter,
        ask: Ask,
        max_event_size: usize,
    ) -> Result<Self, Lost> {
        let path = format!("{}?start_from={}", filter.path(), ask.start_from());
        let limit = node.connection_timeout;
        let late = |what| move |_| Lost::Timeout { what, limit };
        let request = request::get(environment, node, node.sse_port, &path);
        let answer = timeout(limit, request).await.map_err(late("answer"))??;
        let (mut decoder, mut answer) = (Decoder::new(max_event_size), answer);
        let mut decoded = Vec::new();
        let first = async {
            while decoded.is_empty() {
                match poll_fn(|context| answer.poll_bytes(context)).await? {
                    Some(bytes) => decoder.feed(&bytes, &mut decoded),
                    None => return Err(Lost::Closed),
                }
            }
            Ok(decoded.remove(0))
        };
        let first = timeout(limit, first).await.map_err(late("first message"))??;
        let version = match first {
            Decoded::Message { data, .. } => Payload::checked(data)
                .and_then(|payload| Message::parse(payload, filter).ok())
                .and_then(|message| match message {
                    Message::ApiVersion(version) => Some(version),
                    Message::Event(_) => None,
                }),
            Decoded::Oversized { .. } => None,
        };
        let version = version.ok_or(Lost::NoVersion)?;
        let now = Instant::now();
        Ok(Self { version, decoded, opened: now, last_byte: now, answer, decoder, end: None })
    }

    /// Whether it showed signs of life for longer than this after it was opened.
    pub(super) fn lived_longer_than(&self, limit: Duration) -> bool {
        self.last_byte.saturating_duration_since(self.opened) > limit
    }

    /// Decodes what has come; ready when there is something in `decoded`.
    pub(super) fn poll_decoded(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        let mut turn = 0;
        while turn < TURN && self.end.is_none() {
            match self.answer.poll_bytes(context) {
                Poll::Ready(Ok(Some(bytes))) => {
                    turn += bytes.len();
                    self.last_byte = Instant::now();
                    self.decoder.feed(&bytes, &mut self.decoded);
                }
                Poll::Ready(Ok(None)) => self.end = Some(Lost::Closed),
                Poll::Ready(Err(error)) => self.end = Some(error.into()),
                Poll::Pending if self.decoded.is_empty() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Ok(())),
            }
        }
        if !self.decoded.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if let Some(end) = self.end.take() {
            return Poll::Ready(Err(end));
        }
        // A part of a large message: let the others have their turn.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
