//! Builds all parts of a sidecar and owns every task of it.
//!
//! This is the only place where tasks of the sidecar's own are spawned and joined. Shutdown travels with the data:
//! the nodes are stopped first, ingest ends when its input has ended and everything taken is durable, the hub
//! closes, the streams end, and last the ports are closed. Nothing outlives [`run`].

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::Config;
use crate::environment::{Environment, Listener};
use crate::event::{Delivery, NodeState};
use crate::hub::Hub;
use crate::ingest::Ingest;
use crate::metrics::Metrics;
use crate::node::{Budget, Node, Shared};
use crate::serve::Server;
use crate::store::{State, Store, StoreError};
use crate::{admin, rest, stream};

/// Longest time from the begin of a shutdown to its end.
pub const GRACE: Duration = Duration::from_secs(10);

/// The part of it that is left for the streams to end after ingest was given up.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// KiB of events that may be on their way from the nodes to the log: enough for transactions of thousands of
/// events, and little enough that a flood does not show in the memory of the process.
const INBOUND_KIB: u32 = 2 * 1024;

/// Connections of the event stream server beyond its subscribers: those that are answered with an error.
const SPARE_CONNECTIONS: usize = 128;

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It was asked to.
    Asked,
    /// There is no node left that could send anything.
    NodesGone,
    /// A part of it failed; the log tells why.
    Failure,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Why.
    pub cause: Cause,
    /// Whether everything that was taken from the nodes is in the log, and the last word was told.
    pub complete: bool,
}

impl Outcome {
    /// Whether the process is to exit with status 0.
    pub fn is_success(self) -> bool {
        self.cause == Cause::Asked && self.complete
    }
}

/// Runs a sidecar until `shutdown` fires or no node is left.
///
/// # Errors
/// If it cannot start: the store cannot be opened, or a port is in use.
pub async fn run<E: Environment>(
    config: Config,
    environment: E,
    shutdown: CancellationToken,
) -> anyhow::Result<Outcome> {
    let metrics = Arc::new(Metrics::new().context("the metrics are not well defined")?);
    // A database on another machine may be waited for: not for longer than the sidecar is wanted.
    let store = tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(Outcome { cause: Cause::Asked, complete: true }),
        opened = environment.open_store(&config.storage) => opened.context("cannot open the database")?,
    };
    let store = Arc::new(store);
    let state = store.state().await.context("cannot read the database")?;
    let version = state.in_force.as_ref().map(|in_force| in_force.version.clone());
    let hub = Arc::new(Hub::new(config.event_stream_server.buffer_length, state.head, version));
    let (nodes, states, deliveries) = nodes(&config, &environment, &metrics, &state);
    let parts =
        Parts { store: store.clone(), hub: hub.clone(), metrics: metrics.clone(), states: states.clone() };
    let servers = Servers::bind(&config, &environment, &parts).await?;
    let ingest = Ingest::new(environment, store.clone(), hub.clone(), metrics, &state);

    let mut tasks = Tasks::start(nodes, ingest, deliveries, servers);
    let cause = tokio::select! {
        biased;
        () = shutdown.cancelled() => Cause::Asked,
        () = all_defunct(states.into_iter().map(|(_, state)| state).collect()) => {
            error!("no node is left that could send anything: ending with status 1; see to the nodes in [[connections]]");
            Cause::NodesGone
        }
        () = tasks.first_failure() => Cause::Failure,
    };
    info!("shutting down");
    let complete = tasks.end(&hub).await;
    store.close().await;
    info!(complete, "ended");
    Ok(Outcome { cause, complete })
}

/// What the servers show.
pub(crate) struct Parts<S> {
    pub(crate) store: Arc<S>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) states: NodeStates,
}

/// The nodes by name, and what tells their states.
pub(crate) type NodeStates = Vec<(Arc<str>, watch::Receiver<NodeState>)>;

fn nodes<E: Environment>(
    config: &Config,
    environment: &E,
    metrics: &Arc<Metrics>,
    state: &State,
) -> (Vec<Node<E>>, NodeStates, mpsc::Receiver<Delivery>) {
    let (sender, deliveries) = mpsc::channel(config.inbound_channel_size.max(1));
    let chain = Arc::new(OnceLock::new());
    if let Some(known) = &state.chain {
        chain.get_or_init(|| known.clone());
    }
    let shared = Shared {
        environment: environment.clone(),
        metrics: metrics.clone(),
        deliveries: sender,
        budget: Arc::new(Budget::new(INBOUND_KIB)),
        chain,
        max_event_size: config.max_event_size,
    };
    let mut states = Vec::new();
    let nodes = config.connections.iter().map(|connection| {
        let (node, state) = Node::new(connection.clone(), shared.clone(), &state.cursors);
        states.push((connection.name().into(), state));
        node
    });
    (nodes.collect(), states, deliveries)
}

/// The servers with their bound ports.
struct Servers<L> {
    servers: Vec<(Server, L)>,
}

impl<L: Listener> Servers<L> {
    async fn bind<E: Environment<Listener = L>>(
        config: &Config,
        environment: &E,
        parts: &Parts<E::Store>,
    ) -> anyhow::Result<Self> {
        let mut servers = Vec::new();
        let stream = &config.event_stream_server;
        let places = stream.max_concurrent_subscribers;
        servers.push((
            Server {
                name: "event_stream_server",
                router: stream::router(parts.store.clone(), parts.hub.clone(), parts.metrics.clone(), places),
                max_connections: places as usize + SPARE_CONNECTIONS,
                metrics: parts.metrics.clone(),
            },
            (stream.address, stream.port),
        ));
        if let Some(config) = &config.rest_server {
            servers.push((rest::server(config, parts), (config.limits.address, config.limits.port)));
        }
        if let Some(config) = &config.admin_server {
            let admin = admin::server(config, environment.clone(), parts);
            servers.push((admin, (config.limits.address, config.limits.port)));
        }
        let (mut bound, mut ports) = (Vec::new(), Vec::new());
        for (server, (address, port)) in servers {
            let name = server.name;
            let listener = environment.bind(address, port).await.with_context(|| {
                format!(
                    "cannot listen on {}: choose another `port` in [{name}] of the configuration, or end what uses it",
                    SocketAddr::new(address, port)
                )
            })?;
            let address = listener.local_addr().context("cannot tell the address of a bound port")?;
            info!(server = name, %address, "listening");
            ports.push((name, address));
            bound.push((server, listener));
        }
        environment.ready(&ports);
        Ok(Self { servers: bound })
    }
}

/// All tasks of a run, by the order in which they end.
struct Tasks {
    nodes: JoinSet<()>,
    stop_nodes: CancellationToken,
    ingest: JoinSet<Result<(), StoreError>>,
    servers: JoinSet<()>,
    stop_servers: CancellationToken,
    failed: bool,
}

impl Tasks {
    fn start<E: Environment>(
        nodes: Vec<Node<E>>,
        ingest: Ingest<E>,
        deliveries: mpsc::Receiver<Delivery>,
        servers: Servers<E::Listener>,
    ) -> Self {
        let mut tasks = Self {
            nodes: JoinSet::new(),
            stop_nodes: CancellationToken::new(),
            ingest: JoinSet::new(),
            servers: JoinSet::new(),
            stop_servers: CancellationToken::new(),
            failed: false,
        };
        for (server, listener) in servers.servers {
            tasks.servers.spawn(server.run(listener, tasks.stop_servers.clone()));
        }
        tasks.ingest.spawn(ingest.run(deliveries));
        for node in nodes {
            tasks.nodes.spawn(node.run(tasks.stop_nodes.clone()));
        }
        tasks
    }

    /// Ends when a task ends that nobody asked to: a panic, or a store that cannot be used any more.
    async fn first_failure(&mut self) {
        loop {
            tokio::select! {
                biased;
                Some(ended) = self.ingest.join_next() => {
                    match ended {
                        Ok(Ok(())) => error!("ingest ended, though nobody asked it to"),
                        Ok(Err(error)) => error!("ingest failed: {:#}", anyhow::Error::from(error)),
                        Err(error) => error!("ingest failed: {error}"),
                    }
                    self.failed = true;
                    return;
                }
                Some(ended) = self.servers.join_next() => {
                    error!("a server ended, though nobody asked it to: {ended:?}");
                    return;
                }
                Some(ended) = self.nodes.join_next() => {
                    // A node that used up its attempts ends in good order.
                    if let Err(error) = ended {
                        error!("the connection to a node failed: {error}");
                        return;
                    }
                }
                else => std::future::pending().await,
            }
        }
    }

    /// Ends all tasks in the order of the data. Says whether everything that was taken is in the log.
    async fn end(mut self, hub: &Hub) -> bool {
        let deadline = Instant::now() + GRACE;
        self.stop_nodes.cancel();
        let ingest_ends = async {
            while self.nodes.join_next().await.is_some() {}
            let mut complete = !self.failed;
            while let Some(ended) = self.ingest.join_next().await {
                complete &= matches!(ended, Ok(Ok(())));
            }
            complete
        };
        let complete = timeout_at(deadline - LAST_WORDS, ingest_ends).await.unwrap_or(false);
        if !complete {
            warn!("not everything could be stored in time: the streams end without the last word");
            self.nodes.shutdown().await;
            self.ingest.shutdown().await;
            hub.close();
        }
        self.stop_servers.cancel();
        let servers_end = async { while self.servers.join_next().await.is_some() {} };
        if timeout_at(deadline, servers_end).await.is_err() {
            warn!("some clients took nothing any more: their connections are dropped");
            self.servers.shutdown().await;
        }
        complete
    }
}

/// Ends when nothing is to be expected of any node. One of a wrong version may come back while others are there.
async fn all_defunct(mut states: Vec<watch::Receiver<NodeState>>) {
    loop {
        for state in &mut states {
            if state.wait_for(|state| state.is_defunct()).await.is_err() {
                // Its task is gone without a word: that is a failure, which is told elsewhere.
                std::future::pending::<()>().await;
            }
        }
        if states.iter().all(|state| state.borrow().is_defunct()) {
            return;
        }
    }
}
