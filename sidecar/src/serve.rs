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

/// Longest header of a request, in bytes, URI included: beyond it the answer is 431 and the connection ends. So it
/// does for more than hyper's 100 fields. Browsers and proxies stay below 8 kB.
const HEADER_BYTES: usize = 16 * 1024;

/// Bytes that are read ahead, or gathered before they are written.
const BUFFER_BYTES: usize = 64 * 1024;

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
                .max_header_size(HEADER_BYTES)
                .max_buf_size(BUFFER_BYTES)
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

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::{pause, timeout};

    use super::*;
    use crate::environment::{Environment, RealEnvironment};

    type Io = <<RealEnvironment as Environment>::Listener as Listener>::Io;

    /// A client of a server that answers any path with `ok`. The server ends with the set.
    async fn client() -> (Io, JoinSet<()>) {
        let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let environment = RealEnvironment::default();
        let listener = environment.bind(localhost, 0).await.expect("binds");
        let port = listener.local_addr().expect("is bound").port();
        let server = Server {
            name: "rest_server",
            router: Router::new().fallback(get(async || "ok")),
            max_connections: 1,
            metrics: Arc::new(Metrics::new().expect("well defined")),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(server.run(listener, CancellationToken::new()));
        (environment.connect("127.0.0.1", port).await.expect("connects"), tasks)
    }

    /// All that the server still says until it closes, within a minute.
    async fn rest(client: &mut Io) -> String {
        let mut said = Vec::new();
        timeout(Duration::from_secs(60), client.read_to_end(&mut said))
            .await
            .expect("it closes")
            .expect("it closes in good order");
        String::from_utf8(said).expect("text")
    }

    /// What comes back for one request, up to the end of the connection, which the request asks for.
    async fn answer(request: &str) -> String {
        let (mut client, _server) = client().await;
        client.write_all(request.as_bytes()).await.expect("it is taken");
        rest(&mut client).await
    }

    /// A request whose header has this many bytes.
    fn request(path: &str, length: usize) -> String {
        let (begin, end) =
            (format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx: "), "\r\n\r\n");
        let filler = "x".repeat(length - begin.len() - end.len());
        format!("{begin}{filler}{end}")
    }

    #[tokio::test]
    async fn a_header_has_up_to_16_kb() {
        let most = answer(&request("/", HEADER_BYTES)).await;
        assert!(most.starts_with("HTTP/1.1 200 "), "{most}");
        let more = answer(&request("/", HEADER_BYTES + 1)).await;
        assert!(more.starts_with("HTTP/1.1 431 "), "{more}");
    }

    #[tokio::test]
    async fn the_path_is_a_part_of_the_header() {
        let long = answer(&request(&format!("/{}", "x".repeat(15_000)), 16_000)).await;
        assert!(long.starts_with("HTTP/1.1 200 "), "{long}");
        let longer = answer(&request(&format!("/{}", "x".repeat(17_000)), 18_000)).await;
        assert!(longer.starts_with("HTTP/1.1 431 "), "{longer}");
    }

    #[tokio::test]
    async fn a_header_that_does_not_end_is_refused_when_it_is_too_long() {
        let whole = request("/", HEADER_BYTES + 100);
        let begin = answer(&whole[..HEADER_BYTES + 50]).await;
        assert!(begin.starts_with("HTTP/1.1 431 "), "{begin}");
    }

    #[tokio::test]
    async fn a_header_has_up_to_100_fields() {
        let with = |fields| {
            let fields = "a: b\r\n".repeat(fields);
            format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{fields}\r\n")
        };
        let most = answer(&with(98)).await;
        assert!(most.starts_with("HTTP/1.1 200 "), "{most}");
        let more = answer(&with(99)).await;
        assert!(more.starts_with("HTTP/1.1 431 "), "{more}");
    }

    #[tokio::test]
    async fn a_header_that_comes_slowly_ends_the_connection() {
        let (mut client, _server) = client().await;
        client.write_all(b"GET / HTTP/1.1\r\nx: ").await.expect("it is taken");
        pause();
        let mut trickling = client;
        // A byte every 5 s keeps nothing alive: the time is that of the whole header.
        for _ in 0..20 {
            sleep(Duration::from_secs(5)).await;
            if trickling.write_all(b"x").await.is_err() {
                return;
            }
        }
        panic!("the server still takes bytes after 100 s");
    }

    #[tokio::test]
    async fn a_connection_that_is_idle_before_or_after_a_request_is_closed() {
        let (mut fresh, _server) = client().await;
        let (mut used, _server) = client().await;
        used.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it is taken");
        let mut answer = String::new();
        while !answer.ends_with("\r\n\r\nok") {
            answer.push(char::from(used.read_u8().await.expect("it answers")));
        }
        pause();
        assert_eq!(rest(&mut used).await, "");
        assert_eq!(rest(&mut fresh).await, "");
    }
}
