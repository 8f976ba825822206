//! An HTTP server whose connections are owned: bounded, watched for stalls, and ended at shutdown.
//!
//! `axum::serve` detaches its connections; here each is a task of one set. What is served is an axum router.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::environment::Listener;
use crate::metrics::Metrics;

/// Longest time for the header of a request, and for an idle connection between two requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);

/// A connection that takes no bytes for this long, while there is something to send, is dropped: it holds a
/// place that another could have.
pub(crate) const STALL: Duration = Duration::from_secs(60);

/// Longest header of a request, in bytes, URI included.
const HEADER_BYTES: usize = 16 * 1024;

/// One server.
pub(crate) struct Server {
    /// What logs and metrics call it.
    pub name: &'static str,
    /// What it serves.
    pub router: Router,
    /// Connections beyond this number are closed at once.
    pub max_connections: usize,
    /// Where to count.
    pub metrics: Arc<Metrics>,
}

impl Server {
    /// Serves until `shutdown` fires, and then until every response that is under way has ended.
    ///
    /// Cancel safe: dropping it drops all connections.
    pub(crate) async fn run<L>(self, mut listener: L, shutdown: CancellationToken)
    where
        L: Listener,
        L::Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((io, _)) if connections.len() < self.max_connections => {
                        connections.spawn(self.connection(io, shutdown.clone()));
                    }
                    Ok(_) => {
                        self.metrics.closed(self.name, "connection_limit");
                    }
                    Err(error) => {
                        // Most likely all file descriptors are in use: give others time to return some.
                        warn!(server = self.name, "cannot accept a connection: {error}; if files are too many, raise LimitNOFILE");
                        sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    fn connection<I>(&self, io: I, shutdown: CancellationToken) -> impl Future<Output = ()> + Send + use<I>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = TowerToHyperService::new(self.router.clone());
        let (name, metrics) = (self.name, self.metrics.clone());
        async move {
            let io = TokioIo::new(Watched { io, stalled: None });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .max_buf_size(HEADER_BYTES.max(64 * 1024))
                .serve_connection(io, service);
            tokio::pin!(connection);
            let mut ending = false;
            let result = loop {
                tokio::select! {
                    biased;
                    result = connection.as_mut() => break result,
                    () = shutdown.cancelled(), if !ending => {
                        ending = true;
                        connection.as_mut().graceful_shutdown();
                    }
                }
            };
            if let Err(error) = result {
                if is_stall(&error) {
                    metrics.closed(name, "stalled");
                }
                debug!(server = name, "a connection ended: {error}");
            }
        }
    }
}

fn is_stall(error: &hyper::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A connection that fails when it has taken no bytes for [`STALL`] while there was something to write.
struct Watched<I> {
    io: I,
    /// Runs while a write is waiting.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<I> Watched<I> {
    fn watch<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + STALL)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(context, bytes);
        this.watch(context, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(context, slices);
        this.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let ended = Pin::new(&mut this.io).poll_shutdown(context);
        this.watch(context, ended)
    }
}
