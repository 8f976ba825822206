//! `casper-event-sidecar demo`: three mock nodes of one chain and the sidecar, in one process.
//!
//! The nodes' chain is made up, but shaped like a real one. Where it stands is kept beside the database, so that a
//! restarted demo goes on with new events. An orderly stop keeps the nodes' id counters too; after a crash they
//! fall back, as those of real nodes do.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use mock_node::chain::{ChainConfig, Feed, several};
use mock_node::{Node, RealNetwork};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::command::Demo;
use crate::config::{
    ANY_ADDRESS, AdminServer, Config, Connection, Database, EventStreamServer, HttpLimits, RestServer,
    Sqlite, Storage,
};
use crate::environment::{Environment, RealEnvironment};

const NODES: u16 = 3;

/// Ports of the first node; the others follow. They are those of the first node of a local test network.
const NODE_SSE_PORT: u16 = 18101;
const NODE_REST_PORT: u16 = 14101;

/// A block comes more often than the 8 s of the main network, so that there is something to see.
const BLOCK_TIME: Duration = Duration::from_millis(2048);

/// Where the chain stands.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Position {
    /// Height of the next block.
    height: u64,
    /// The nodes' next ids.
    ids: [u32; NODES as usize],
}

impl Position {
    fn path(folder: &Path) -> PathBuf {
        folder.join("mock-chain.toml")
    }

    fn load(folder: &Path) -> anyhow::Result<Self> {
        let path = Self::path(folder);
        match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).with_context(|| {
                format!(
                    "{} does not say where the demo's chain stands: remove the folder to begin anew",
                    path.display()
                )
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Replaces the file as a whole, so that a crash leaves the old one or the new one.
    fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let path = Self::path(folder);
        let new = path.with_extension("new");
        let text = toml::to_string(self).context("cannot write down where the demo's chain stands")?;
        let saved = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &path));
        saved.with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Runs the demo until `shutdown` fires; whether it ended as it should.
///
/// # Errors
/// If the folder cannot be used, or a port is in use.
pub async fn run(options: Demo, shutdown: CancellationToken) -> anyhow::Result<bool> {
    let folder = &options.data;
    std::fs::create_dir_all(folder).with_context(|| {
        format!("cannot make the folder {}: choose another with --data", folder.display())
    })?;
    let position = Position::load(folder)?;
    let nodes: Vec<_> =
        (0..NODES).zip(position.ids).map(|(number, id)| node(number, id, options.port_offset)).collect();
    let mut running = Vec::new();
    for (number, node) in (1..).zip(&nodes) {
        let started = node.start(RealNetwork::loopback()).await;
        running.push(started.with_context(|| format!("cannot start mock node {number}: {MOVE_PORTS}"))?);
    }
    let addresses = running.iter().map(|node| node.sse_addr()).collect::<Vec<_>>();
    let banner = {
        let folder = folder.clone();
        move |ports: &[_]| print!("{}", banner(&folder, &addresses, ports))
    };
    let environment = RealEnvironment::telling(banner);
    let feeding = Feeding::start(&environment, position, &nodes, folder);
    let outcome = crate::run(config(&options), environment, shutdown).await.context(MOVE_PORTS);
    feeding.end(&nodes).await?;
    for node in running {
        node.stop().await;
    }
    Ok(outcome?.is_success())
}

const MOVE_PORTS: &str = "the demo needs its ports (`--port-offset N` moves all of them)";

fn node(number: u16, first_id: u32, port_offset: u16) -> Node {
    Node::builder()
        .chain_name(ChainConfig::default().chain_name)
        .first_id(first_id)
        .sse_port(NODE_SSE_PORT + number + port_offset)
        .rest_port(NODE_REST_PORT + number + port_offset)
        // The demo runs for days: what it compares with nothing need not be kept.
        .history(0)
        .build()
}

fn config(options: &Demo) -> Config {
    let offset = options.port_offset;
    let limits = |port| HttpLimits {
        address: ANY_ADDRESS,
        port,
        max_concurrent_requests: 50,
        max_requests_per_second: 50,
    };
    Config {
        connections: (0..NODES)
            .map(|number| {
                let (sse, rest) = (NODE_SSE_PORT + number + offset, NODE_REST_PORT + number + offset);
                Connection::new("127.0.0.1", sse, rest)
            })
            .collect(),
        storage: Storage {
            path: options.data.clone(),
            database: Database::Sqlite(Sqlite {
                file_name: "events.db3".to_owned(),
                max_connections_in_pool: 10,
                wal_autocheckpointing_interval: 1000,
            }),
        },
        rest_server: Some(RestServer {
            limits: limits(18888 + offset),
            request_timeout: Duration::from_secs(10),
        }),
        event_stream_server: EventStreamServer {
            address: ANY_ADDRESS,
            port: 19999 + offset,
            max_concurrent_subscribers: 100,
            buffer_length: 5000,
        },
        admin_server: Some(AdminServer { limits: limits(18887 + offset) }),
        inbound_channel_size: 100,
        outbound_channel_size: 100,
        max_event_size: 64 << 20,
    }
}

/// The tasks that make the nodes send what happens on the chain.
struct Feeding {
    tasks: JoinSet<anyhow::Result<()>>,
    stop: CancellationToken,
    position: Arc<Mutex<Position>>,
    folder: PathBuf,
}

impl Feeding {
    fn start(environment: &RealEnvironment, position: Position, nodes: &[Node], folder: &Path) -> Self {
        let since_1970 = crate::environment::unix_milliseconds(environment.now());
        let age = BLOCK_TIME * u32::try_from(position.height).unwrap_or(u32::MAX);
        let config = ChainConfig {
            block_time: BLOCK_TIME,
            genesis: Duration::from_millis(since_1970).saturating_sub(age),
            ..ChainConfig::default()
        };
        let feeds = several(config, position.height, nodes.len());
        let (stop, position) = (CancellationToken::new(), Arc::new(Mutex::new(position)));
        let mut tasks = JoinSet::new();
        for (feed, node) in feeds.into_iter().zip(nodes) {
            tasks.spawn(self::feed(feed, node.clone(), position.clone(), folder.to_owned(), stop.clone()));
        }
        Self { tasks, stop, position, folder: folder.to_owned() }
    }

    /// Stops the nodes in good order and notes where everything stands.
    async fn end(mut self, nodes: &[Node]) -> anyhow::Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.context("a mock node's chain failed")??;
        }
        let mut position = self.position.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (id, node) in position.ids.iter_mut().zip(nodes) {
            node.shutdown();
            *id = node.next_id();
        }
        position.save(&self.folder)
    }
}

async fn feed(
    mut feed: Feed,
    node: Node,
    position: Arc<Mutex<Position>>,
    folder: PathBuf,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let began = Instant::now();
    while let Some(scheduled) = feed.next() {
        {
            let mut position = position.lock().unwrap_or_else(PoisonError::into_inner);
            // Before anything of it is sent: a block must not be sent again by the next demo.
            if position.height < feed.next_height() {
                position.height = feed.next_height();
                position.save(&folder)?;
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = sleep_until(began + scheduled.at) => {}
        }
        node.emit(scheduled.event);
    }
    Ok(())
}

fn banner(folder: &Path, nodes: &[SocketAddr], ports: &[(&'static str, SocketAddr)]) -> String {
    let port =
        |name| ports.iter().find(|(server, _)| *server == name).map_or(0, |(_, address)| address.port());
    let (events, rest, admin) = (port("event_stream_server"), port("rest_server"), port("admin_server"));
    let nodes = nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut text = format!(
        "\nThe Casper Event Sidecar listens to three mock nodes ({nodes})\nand keeps their events in {}. Try:\n\n",
        folder.display()
    );
    for (what, command) in [
        (
            "blocks, processed and expired deploys, faults, steps",
            format!("curl -sN http://127.0.0.1:{events}/events/main"),
        ),
        ("accepted deploys", format!("curl -sN http://127.0.0.1:{events}/events/deploys")),
        ("finality signatures", format!("curl -sN http://127.0.0.1:{events}/events/sigs")),
        ("what the sidecar says of itself", format!("curl -sN http://127.0.0.1:{events}/events/sidecar")),
        (
            "everything from the first event on",
            format!("curl -sN 'http://127.0.0.1:{events}/events/main?start_from=0'"),
        ),
        ("the newest block", format!("curl -s http://127.0.0.1:{rest}/block")),
        ("the REST API in a browser", format!("http://localhost:{rest}/swagger-ui/")),
        ("metrics", format!("curl -s http://127.0.0.1:{admin}/metrics")),
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {command:<66} # {what}");
    }
    text.push_str("\nCtrl-C ends it; started again, it goes on where it was.\n\n");
    text
}
