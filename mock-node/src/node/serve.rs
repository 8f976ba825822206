//! Serving: two listeners and their connections.
//!
//! A served node is one task: its connections are futures within it. So whoever owns that task owns everything, and
//! when it is dropped the connections end in one fixed order, which a simulation that repeats a seed needs (a runtime
//! drops its tasks in an order that depends on how many were spawned before in the whole process).

use std::{convert::Infallible, io, net::SocketAddr, ops::Deref, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{Inner, Node, sse::Connection};
use crate::network::{Listener, Network};

/// How long a client may take to send its request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections of one port at a time: ten times the seats of a real node. Whoever comes then waits.
const MAX_CONNECTIONS: usize = 1000;
/// How long to wait before a port that could not be bound again is tried once more.
const REBIND_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    Sse,
    Rest,
}

/// The process that hosts the node has ended, however it ended: a node that was up has crashed.
struct Host(Node);

impl Drop for Host {
    fn drop(&mut self) {
        self.0.crash();
    }
}

/// A node with both ports bound, about to be served.
struct Bound<N: Network> {
    node: Node,
    network: N,
    sse: N::Listener,
    rest: N::Listener,
}

impl Node {
    /// Binds both ports and serves until the token is cancelled: the end of the process that hosts the node.
    ///
    /// Serving starts a node that is down, as starting a real node's process does. When serving ends, by the token
    /// or because the future is dropped, a node that is still up has crashed ([`Node::crash`]): for an orderly end
    /// call [`Node::shutdown`] first. The same node can then be served again, on the same ports.
    ///
    /// # Errors
    /// If a port cannot be bound.
    pub async fn serve<N: Network>(&self, network: &N, shutdown: CancellationToken) -> io::Result<()> {
        self.bind(network).await?.run(shutdown).await;
        Ok(())
    }

    /// Serves in the background until [`Running::stop`] or until the result is dropped.
    ///
    /// # Errors
    /// If a port cannot be bound.
    pub async fn start<N: Network>(&self, network: N) -> io::Result<Running> {
        let bound = self.bind(&network).await?;
        let addresses = (bound.sse.local_addr()?, bound.rest.local_addr()?);
        let token = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(bound.run(token.clone()));
        Ok(Running { node: self.clone(), sse_addr: addresses.0, rest_addr: addresses.1, token, tasks })
    }

    async fn bind<N: Network>(&self, network: &N) -> io::Result<Bound<N>> {
        let (sse, rest) = {
            let state = self.inner.state();
            let config = &self.inner.config;
            let port = |addr: Option<SocketAddr>, port| addr.map_or(port, |addr| addr.port());
            (port(state.sse_addr, config.sse_port), port(state.rest_addr, config.rest_port))
        };
        let sse = network.bind(sse).await?;
        let rest = network.bind(rest).await?;
        self.restart();
        let mut state = self.inner.state();
        state.sse_addr = Some(sse.local_addr()?);
        state.rest_addr = Some(rest.local_addr()?);
        drop(state);
        Ok(Bound { node: self.clone(), network: network.clone(), sse, rest })
    }
}

impl<N: Network> Bound<N> {
    async fn run(self, shutdown: CancellationToken) {
        let Self { node, network, sse, rest } = self;
        let host = Host(node.clone());
        let ports = async {
            tokio::join!(
                biased;
                keep_port(&node.inner, &network, Port::Sse, sse),
                keep_port(&node.inner, &network, Port::Rest, rest),
            )
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            _ = ports => {}
        }
        drop(host);
    }
}

/// Keeps one port open while the node can be reached, and drives its connections. Never returns.
async fn keep_port<N: Network>(
    node: &Arc<Inner>,
    network: &N,
    port: Port,
    listener: N::Listener,
) -> Infallible {
    let number = listener.local_addr().map_or(0, |addr| addr.port());
    let mut listener = Some(listener);
    let mut reach = node.reach.subscribe();
    let mut connections: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
    loop {
        let current = *reach.borrow_and_update();
        if current.open {
            node.state().started.get_or_insert_with(Instant::now);
        } else {
            listener = None;
        }
        tokio::select! {
            biased;
            _ = reach.changed() => {}
            Some(()) = connections.next() => {}
            accepted = next_connection(network, &mut listener, number),
                if current.open && connections.len() < MAX_CONNECTIONS =>
            {
                let Some((io, peer)) = accepted else { continue };
                let Some(connection) = Connection::new(node, peer) else { continue };
                if current.silent && port == Port::Sse {
                    connections.push(Box::pin(never_answer(connection, io)));
                } else {
                    connections.push(Box::pin(answer(connection, port, io)));
                }
            }
        }
    }
}

/// The next connection. Binds the port first if it is closed, or waits a little if that fails: somebody else may hold
/// it for a moment.
async fn next_connection<N: Network>(
    network: &N,
    listener: &mut Option<N::Listener>,
    port: u16,
) -> Option<(N::Io, SocketAddr)> {
    let open = match listener {
        Some(open) => open,
        None => match network.bind(port).await {
            Ok(bound) => listener.insert(bound),
            Err(error) => {
                tracing::warn!(port, %error, "cannot bind the port again yet");
                sleep(REBIND_PAUSE).await;
                return None;
            }
        },
    };
    match open.accept().await {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::warn!(port, %error, "cannot accept a connection");
            sleep(REBIND_PAUSE).await;
            None
        }
    }
}

impl Connection {
    fn new(node: &Arc<Inner>, peer: SocketAddr) -> Option<Self> {
        let state = node.state();
        let process = state.process.clone();
        let cut = process.killed.child_token();
        state.up.then(|| Self { node: node.clone(), process, peer, cut })
    }
}

/// Serves one connection until it ends, is broken off, or the node stops.
async fn answer<I>(connection: Connection, port: Port, io: I)
where
    I: AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    match port {
        Port::Sse => drive(&connection, io, |connection, request| connection.events(request)).await,
        Port::Rest => drive(&connection, io, |connection, request| connection.rest(request)).await,
    }
}

async fn drive<I, F, R, B>(connection: &Connection, io: I, route: F)
where
    I: AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    F: Fn(Connection, Request<Incoming>) -> R,
    R: Future<Output = Response<B>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let service = service_fn(|request| {
        let reply = route(connection.clone(), request);
        async move { Ok::<_, Infallible>(reply.await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        // One copy into one buffer is cheaper than a vectored write of thousands of small chunks.
        .writev(false)
        .serve_connection(TokioIo::new(io), service);
    tokio::pin!(served);
    let mut stopping = false;
    loop {
        tokio::select! {
            biased;
            () = connection.cut.cancelled() => return,
            () = connection.process.stopping.cancelled(), if !stopping => {
                stopping = true;
                served.as_mut().graceful_shutdown();
            }
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(peer = %connection.peer, %error, "connection ended");
                }
                return;
            }
        }
    }
}

/// Takes the request and says nothing, until the client gives up or the node ends.
async fn never_answer<I: AsyncRead + Unpin>(connection: Connection, mut io: I) {
    let mut ignored = [0; 1024];
    let reading = async { while matches!(io.read(&mut ignored).await, Ok(1..)) {} };
    tokio::select! {
        biased;
        () = connection.cut.cancelled() => {}
        () = connection.process.stopping.cancelled() => {}
        () = reading => {}
    }
}

/// A node served in the background. Dropping it ends the process that hosts the node, without an orderly stop.
#[derive(Debug)]
pub struct Running {
    node: Node,
    sse_addr: SocketAddr,
    rest_addr: SocketAddr,
    token: CancellationToken,
    tasks: JoinSet<()>,
}

impl Running {
    /// Where the event stream is served.
    pub fn sse_addr(&self) -> SocketAddr {
        self.sse_addr
    }

    /// Where `/status` is served.
    pub fn rest_addr(&self) -> SocketAddr {
        self.rest_addr
    }

    /// A handle of the node, for another task.
    pub fn node(&self) -> Node {
        self.node.clone()
    }

    /// Ends the process that hosts the node and waits until nothing of it is left. Call [`Node::shutdown`] before for
    /// an orderly stop.
    pub async fn stop(mut self) {
        self.token.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Deref for Running {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The set aborts its task when it is dropped; the node crashes with it.
        self.token.cancel();
    }
}
