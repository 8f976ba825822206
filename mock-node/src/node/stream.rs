//! The body of an event stream: one frame per event, which hyper turns into one HTTP chunk each, several chunks per
//! write when the subscriber is behind.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    Inner,
    process::{Delivery, Entry, Process, Take},
};

/// Time for the bytes before a break to leave hyper's buffer.
const BEFORE_BREAK: Duration = Duration::from_millis(10);

/// The stream is broken off on purpose: hyper drops the connection in the middle of the chunked body.
#[derive(Debug, thiserror::Error)]
#[error("the stream is broken off")]
pub(crate) struct BrokenOff;

/// What one subscriber reads.
pub(crate) struct EventStream {
    node: Arc<Inner>,
    process: Arc<Process>,
    connection: u64,
    ready: VecDeque<Entry>,
    /// Bytes of an entry that goes out in pieces.
    slow: Option<(Bytes, usize, Duration)>,
    breaking: bool,
    keep_alive: Duration,
    /// When the last bytes were sent.
    last: Instant,
    timer: Pin<Box<Sleep>>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl EventStream {
    /// A stream for a seat that was taken before; it begins with `opening`.
    pub(crate) fn new(node: Arc<Inner>, process: Arc<Process>, connection: u64, opening: Bytes) -> Self {
        let keep_alive = node.config.keep_alive;
        let now = Instant::now();
        let opening = Entry { id: None, filter: None, wire: opening, delivery: Delivery::Whole };
        Self {
            node,
            process,
            connection,
            ready: VecDeque::from([opening]),
            slow: None,
            breaking: false,
            keep_alive,
            last: now,
            timer: Box::pin(sleep_until(now + keep_alive)),
            pause: None,
        }
    }

    fn frame(&mut self, bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.last = Instant::now();
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    /// Ready when nothing was sent for the keep-alive time. The timer is moved only when it fires: moving it for
    /// each event would cost more than the event.
    fn poll_keep_alive(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            let due = self.last + self.keep_alive;
            let now = Instant::now();
            if due <= now && self.node.keep_alives() {
                self.timer.as_mut().reset(now + self.keep_alive);
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(if due <= now { now + self.keep_alive } else { due });
        }
    }

    fn next_piece(&mut self) -> Option<Bytes> {
        let (rest, size, pause) = self.slow.as_mut()?;
        let piece = rest.split_to((*size).clamp(1, rest.len().max(1)).min(rest.len()));
        self.pause = Some(Box::pin(tokio::time::sleep(*pause)));
        if rest.is_empty() {
            self.slow = None;
        }
        Some(piece)
    }
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        loop {
            if let Some(pause) = &mut this.pause {
                ready!(pause.as_mut().poll(context));
                this.pause = None;
            }
            if this.breaking {
                return Poll::Ready(Some(Err(BrokenOff)));
            }
            if let Some(piece) = this.next_piece() {
                return this.frame(piece);
            }
            if let Some(entry) = this.ready.pop_front() {
                match entry.delivery {
                    Delivery::Whole => return this.frame(entry.wire),
                    Delivery::Slow(size, pause) => this.slow = Some((entry.wire, size, pause)),
                    Delivery::Cut(length) => {
                        this.breaking = true;
                        this.pause = Some(Box::pin(tokio::time::sleep(BEFORE_BREAK)));
                        let part = entry.wire.slice(..length.min(entry.wire.len()));
                        if !part.is_empty() {
                            return this.frame(part);
                        }
                    }
                }
                continue;
            }
            match this.process.take(this.connection, context.waker(), &mut this.ready) {
                Take::Taken => {}
                Take::Held => return Poll::Pending,
                Take::Ended => return Poll::Ready(None),
                Take::Lagged => return Poll::Ready(Some(Err(BrokenOff))),
                Take::Waiting => {
                    ready!(this.poll_keep_alive(context));
                    return this.frame(Bytes::from_static(b":\n\n"));
                }
            }
        }
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        if let Some(subscriber) = self.process.leave(self.connection) {
            self.node.left(subscriber);
        }
    }
}
