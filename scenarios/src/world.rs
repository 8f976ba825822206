//! A world: what there is, and what happens to it, as data.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use casper_event_sidecar::config::{
    self, ANY_ADDRESS, AdminServer, Config, Connection, Database, EventStreamServer, HttpLimits, Sqlite,
};
use casper_event_sidecar::store::model::Disk;
use mock_node::chain::{Chain, ChainConfig, several};
use mock_node::{Builder, Event, Node};

use crate::history::History;
use crate::operation::{Host, NetOperation, NodeOperation, Operation, SidecarOperation, StoreOperation};
use crate::running::Running;
use crate::storage::{Broken, Storage};
use crate::subscriber::{ADMIN_PORT, STREAM_PORT, Subscriber};

/// Ports of every node.
pub(crate) const SSE_PORT: u16 = 9999;
const REST_PORT: u16 = 8888;

/// A node of a world.
pub(crate) struct WorldNode {
    pub(crate) node: Node,
    pub(crate) ring: usize,
    pub(crate) version: String,
}

/// What there is, and what happens to it.
pub struct World {
    pub(crate) seed: u64,
    pub(crate) tick: Duration,
    pub(crate) nodes: Vec<WorldNode>,
    pub(crate) subscribers: Vec<Subscriber>,
    pub(crate) timeline: Vec<(Duration, Operation)>,
    pub(crate) settle: Duration,
    pub(crate) config: Config,
    pub(crate) storage: Storage,
    pub(crate) restart_torn_after: Duration,
    pub(crate) healed: bool,
}

/// Settings of the sidecar that scenarios vary.
impl World {
    /// A world without nodes and subscribers; the sidecar is started at once. Everything in it is a function of
    /// what is added to it and of the seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            tick: Duration::from_millis(10),
            nodes: Vec::new(),
            subscribers: Vec::new(),
            timeline: Vec::new(),
            settle: Duration::from_secs(30),
            config: config(),
            storage: Storage::default(),
            restart_torn_after: Duration::from_secs(2),
            healed: false,
        }
    }

    /// Length of a step. What happens within one is not ordered by latency: coarse is cheap, fine shows more.
    pub fn tick(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    /// How long the world goes on after the last operation.
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// Adds a node with a ring of 5000 events, and connects the sidecar to it.
    pub fn node(self) -> Self {
        self.node_as(|node| node, |_| {})
    }

    /// Adds so many nodes.
    pub fn nodes(self, count: usize) -> Self {
        (0..count).fold(self, |world, _| world.node())
    }

    /// Adds a node with other settings, and the sidecar's connection to it with other settings.
    pub fn node_as(
        mut self,
        build: impl FnOnce(Builder) -> Builder,
        connect: impl FnOnce(&mut Connection),
    ) -> Self {
        let builder = Node::builder().sse_port(SSE_PORT).rest_port(REST_PORT);
        let node = build(builder.keep_alive(Duration::from_secs(3))).build();
        let mut connection = connection(&node_host(self.nodes.len()));
        connect(&mut connection);
        self.config.connections.push(connection);
        let version = node.versions().1;
        self.nodes.push(WorldNode { node, ring: 5000, version });
        self
    }

    /// The last added node keeps so many events; to be told here and not to its builder, since it is checked.
    pub fn ring(mut self, ring: usize) -> Self {
        if let Some(node) = self.nodes.last_mut() {
            let version = node.version.clone();
            let builder = Node::builder().sse_port(SSE_PORT).rest_port(REST_PORT).api_version(version);
            node.node = builder.keep_alive(Duration::from_secs(3)).ring(ring).build();
            node.ring = ring;
        }
        self
    }

    /// The last added node was built with this version; to be told here too, since it is checked.
    pub fn version(mut self, version: &str) -> Self {
        if let Some(node) = self.nodes.last_mut() {
            node.node.set_api_version(version);
            node.version = version.to_owned();
        }
        self
    }

    /// Changes the sidecar's configuration.
    pub fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Changes the sidecar's connections to all nodes that were added so far.
    pub fn connections(self, change: impl Fn(&mut Connection)) -> Self {
        self.config(|config| config.connections.iter_mut().for_each(change))
    }

    /// Adds a subscriber.
    pub fn subscriber(mut self, subscriber: Subscriber) -> Self {
        self.subscribers.push(subscriber);
        self
    }

    /// Something happens at this time.
    pub fn at(mut self, at: Duration, operation: Operation) -> Self {
        self.timeline.push((at, operation));
        self
    }

    /// Something happens to a node.
    pub fn node_at(self, at: Duration, node: usize, operation: NodeOperation) -> Self {
        self.at(at, Operation::Node(node, operation))
    }

    /// Something happens to the network between the sidecar and another host.
    pub fn net_at(self, at: Duration, host: Host, operation: NetOperation) -> Self {
        self.at(at, Operation::Net(host, operation))
    }

    /// Something happens to the store.
    pub fn store_at(self, at: Duration, operation: StoreOperation) -> Self {
        self.at(at, Operation::Store(operation))
    }

    /// Something happens to the sidecar's process.
    pub fn sidecar_at(self, at: Duration, operation: SidecarOperation) -> Self {
        self.at(at, Operation::Sidecar(operation))
    }

    /// One node sends so many events of the chain, evenly over a time, beginning with the block of a height.
    pub fn emit(mut self, node: usize, from: Duration, over: Duration, height: u64, count: usize) -> Self {
        let events: Vec<Event> = Chain::at(chain(self.seed), height).take(count).collect();
        for (number, event) in (0..).zip(events) {
            let at = from + over * number / u32::try_from(count).unwrap_or(u32::MAX).max(1);
            self.timeline.push((at, Operation::Emit(node, event)));
        }
        self
    }

    /// All nodes send the same blocks, each in its own order and at its own times.
    pub fn emit_blocks(mut self, from: Duration, block_time: Duration, height: u64, blocks: u64) -> Self {
        let config = ChainConfig { block_time, ..chain(self.seed) };
        for (node, feed) in several(config, height, self.nodes.len()).into_iter().enumerate() {
            let mut feed = feed;
            while let Some(scheduled) = feed.next() {
                // The feed goes to the next block only when it is asked for its first event.
                if feed.next_height() > height + blocks {
                    break;
                }
                self.timeline.push((from + scheduled.at, Operation::Emit(node, scheduled.event)));
            }
        }
        self
    }

    /// At the end all is well again: the sidecar must run and be connected to every node.
    pub fn healed(mut self) -> Self {
        self.healed = true;
        self
    }

    /// Whether a node's ids begin near the wrap at 2^32.
    pub(crate) fn has_wrap(&self) -> bool {
        self.nodes.iter().any(|node| node.node.next_id() > u32::MAX / 2)
    }

    /// The last added node counts from this id on.
    pub fn first_id(self, id: u32) -> Self {
        if let Some(node) = self.nodes.last() {
            node.node.set_id(id);
        }
        self
    }

    /// The disk, to prepare it before the run.
    pub fn disk(&self) -> &Disk {
        self.storage.disk()
    }

    /// The log is on real SQLite files too, which are held against the one in memory with every answer.
    pub fn on_files(mut self) -> Self {
        self.storage = self.storage.on_files();
        self
    }

    /// The store is broken: for tests of the checkers.
    pub fn broken(mut self, broken: Broken) -> Self {
        self.storage = self.storage.broken(broken);
        self
    }

    /// Runs it to its end.
    pub fn run(self) -> History {
        Running::new(self).run()
    }
}

/// The chain of a world: small events, since bytes cost time.
fn chain(seed: u64) -> ChainConfig {
    ChainConfig {
        seed,
        validators: 3,
        deploys_per_block: 2,
        era_length: 4,
        step_transforms: 2,
        ..ChainConfig::default()
    }
}

/// The name of a node's host.
pub fn node_host(number: usize) -> String {
    format!("node{number}")
}

fn connection(host: &str) -> Connection {
    Connection {
        max_attempts: NonZeroU32::MIN.saturating_add(9999),
        delay_between_retries: Duration::from_secs(1),
        connection_timeout: Duration::from_secs(3),
        no_message_timeout: Duration::from_secs(8),
        sleep_between_keep_alive_checks: Duration::from_secs(2),
        ..Connection::new(host, SSE_PORT, REST_PORT)
    }
}

fn config() -> Config {
    let sqlite = Sqlite {
        file_name: "simulated.db3".to_owned(),
        max_connections_in_pool: 1,
        wal_autocheckpointing_interval: 1000,
    };
    Config {
        connections: Vec::new(),
        storage: config::Storage { path: PathBuf::from("simulated"), database: Database::Sqlite(sqlite) },
        rest_server: None,
        event_stream_server: EventStreamServer {
            address: ANY_ADDRESS,
            port: STREAM_PORT,
            max_concurrent_subscribers: 100,
            buffer_length: 5000,
        },
        admin_server: Some(AdminServer {
            limits: HttpLimits {
                address: ANY_ADDRESS,
                port: ADMIN_PORT,
                max_concurrent_requests: 10,
                max_requests_per_second: 10,
            },
        }),
        inbound_channel_size: 100,
        outbound_channel_size: 100,
        max_event_size: 8 << 20,
    }
}
