//! A world: what there is, and what happens to it, as data; and how it is run.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use casper_event_sidecar::config::{
    ANY_ADDRESS, AdminServer, Config, Connection, Database, EventStreamServer, HttpLimits, Sqlite, Storage,
};
use casper_event_sidecar::store::model::Disk;
use mock_node::chain::{Chain, ChainConfig, several};
use mock_node::{Builder, Event, Node};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use turmoil::Sim;

use crate::history::{History, NodeHistory};
use crate::network::{SimNetwork, WINDOW};
use crate::operation::{Host, NetOperation, NodeOperation, Operation, SidecarOperation, StoreOperation};
use crate::process::Process;
use crate::subscriber::{ADMIN_PORT, Client, SIDECAR, STREAM_PORT, Sessions, Subscriber, Told, text};

/// The host of all subscribers.
const SUBSCRIBERS: &str = "subscribers";

/// Ports of every node.
const SSE_PORT: u16 = 9999;
const REST_PORT: u16 = 8888;

/// A node of a world.
struct WorldNode {
    node: Node,
    ring: usize,
    version: String,
}

/// What there is, and what happens to it.
pub struct World {
    seed: u64,
    tick: Duration,
    nodes: Vec<WorldNode>,
    subscribers: Vec<Subscriber>,
    timeline: Vec<(Duration, Operation)>,
    settle: Duration,
    config: Config,
    disk: Disk,
    restart_torn_after: Duration,
    healed: bool,
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
            disk: Disk::new(),
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
        &self.disk
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
        storage: Storage { path: PathBuf::from("simulated"), database: Database::Sqlite(sqlite) },
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

/// A world while it runs.
struct Running {
    sim: Sim<'static>,
    world: World,
    process: Process,
    sessions: Sessions,
    told: Vec<watch::Sender<Told>>,
    probe: Probe,
    versions: Vec<Vec<(Duration, String)>>,
    runs: Vec<u32>,
    operations: Vec<(Duration, String)>,
    powered: bool,
}

/// Fetches `/metrics` when it is asked to.
#[derive(Clone, Default)]
struct Probe {
    asked: CancellationToken,
    answer: Arc<Mutex<Option<Option<String>>>>,
}

impl Running {
    fn new(world: World) -> Self {
        let mut sim = turmoil::Builder::new()
            .rng_seed(world.seed)
            .enable_random_order()
            .tick_duration(world.tick)
            .simulation_duration(Duration::MAX)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(60))
            .tcp_capacity(WINDOW)
            .build();
        for (number, WorldNode { node, .. }) in world.nodes.iter().enumerate() {
            let node = node.clone();
            sim.host(node_host(number), move || {
                let node = node.clone();
                async move { Ok(node.serve(&SimNetwork, CancellationToken::new()).await?) }
            });
        }
        let process = Process::new(world.config.clone(), world.disk.clone());
        process.start();
        let host = process.clone();
        sim.host(SIDECAR, move || {
            let host = host.clone();
            async move {
                host.host().await;
                Ok(())
            }
        });
        let (sessions, probe) = (Sessions::default(), Probe::default());
        let told: Vec<_> = world.subscribers.iter().map(|_| watch::Sender::new(Told::default())).collect();
        let clients = Clients {
            subscribers: world.subscribers.clone(),
            sessions: sessions.clone(),
            told: told.iter().map(watch::Sender::subscribe).collect(),
            disk: world.disk.clone(),
            probe: probe.clone(),
        };
        sim.client(SUBSCRIBERS, clients.run());
        let versions = world.nodes.iter().map(|node| vec![(Duration::ZERO, node.version.clone())]).collect();
        let runs = vec![0; world.nodes.len()];
        let operations = Vec::new();
        Self { sim, world, process, sessions, told, probe, versions, runs, operations, powered: true }
    }

    fn run(mut self) -> History {
        let mut timeline = BTreeMap::<Duration, Vec<Operation>>::new();
        for (at, operation) in std::mem::take(&mut self.world.timeline) {
            timeline.entry(at).or_default().push(operation);
        }
        let end = timeline.keys().next_back().copied().unwrap_or_default() + self.world.settle;
        let mut restart = None;
        while self.sim.elapsed() < end {
            while let Some(due) = timeline.first_entry().filter(|due| *due.key() <= self.sim.elapsed()) {
                for operation in due.remove() {
                    self.apply(&operation);
                }
            }
            if self.world.disk.is_torn() && self.process.runs() {
                // The commit stopped half-way: the moment to die.
                self.apply(&Operation::Sidecar(SidecarOperation::Kill));
                restart = Some(self.sim.elapsed() + self.world.restart_torn_after);
            }
            if restart.is_some_and(|at| at <= self.sim.elapsed()) {
                restart = None;
                self.apply(&Operation::Sidecar(SidecarOperation::Start));
            }
            self.step();
        }
        self.end()
    }

    fn step(&mut self) {
        self.sim.step().expect("no simulated host ends with an error");
    }

    fn end(mut self) -> History {
        self.probe.asked.cancel();
        let answer = loop {
            if let Some(answer) = self.probe.answer.lock().unwrap_or_else(PoisonError::into_inner).take() {
                break answer;
            }
            self.step();
        };
        let nodes = self.world.nodes.iter().zip(self.versions).zip(self.runs).enumerate();
        let nodes = nodes.map(|(number, ((world, versions), run))| NodeHistory {
            name: format!("{}:{SSE_PORT}", node_host(number)),
            emitted: world.node.emitted(),
            asked: world.node.all_subscribers(),
            versions,
            up: world.node.is_up(),
            run,
            ring: world.ring,
        });
        History {
            seed: self.world.seed,
            nodes: nodes.collect(),
            log: self.world.disk.entries().into_iter().map(Into::into).collect(),
            state: self.world.disk.durable_state(),
            sessions: self.sessions.all(),
            lives: self.process.lives(),
            metrics: answer,
            healed: self.world.healed,
            operations: self.operations,
            end: self.sim.elapsed(),
        }
    }

    fn apply(&mut self, operation: &Operation) {
        if !matches!(operation, Operation::Emit(..)) {
            self.operations.push((self.sim.elapsed(), operation.to_string()));
        }
        match operation {
            Operation::Emit(node, event) => {
                self.world.nodes[*node].node.emit(event.clone());
            }
            Operation::Node(node, operation) => self.apply_to_node(*node, operation),
            Operation::Net(host, operation) => self.apply_to_net(*host, *operation),
            Operation::Store(operation) => self.apply_to_store(*operation),
            Operation::Sidecar(operation) => self.apply_to_sidecar(*operation),
            Operation::Stall(subscriber, stall) => {
                self.told[*subscriber].send_modify(|told| told.stall = *stall);
            }
            Operation::Away(subscriber, away) => {
                self.told[*subscriber].send_modify(|told| told.away = *away);
            }
        }
    }

    fn apply_to_node(&mut self, number: usize, operation: &NodeOperation) {
        let node = &self.world.nodes[number].node;
        match operation {
            NodeOperation::Shutdown => node.shutdown(),
            NodeOperation::Crash => node.crash(),
            NodeOperation::Restart => {
                self.runs[number] += u32::from(!node.is_up());
                node.restart();
            }
            NodeOperation::ApiVersion(version) => {
                node.set_api_version(*version);
                self.versions[number].push((self.sim.elapsed(), (*version).to_owned()));
            }
            NodeOperation::BuildVersion(version) => node.set_build_version(*version),
            NodeOperation::SetId(id) => node.set_id(*id),
            NodeOperation::Hole(count) => node.skip_ids(*count),
            NodeOperation::Cut(event, bytes) => {
                node.emit_cut(event.clone(), *bytes);
            }
            NodeOperation::Slowly(event, bytes, pause) => {
                node.emit_slowly(event.clone(), *bytes, *pause);
            }
            NodeOperation::WithId(event, id) => node.emit_with_id(event.clone(), *id),
            NodeOperation::WithoutId(event) => node.emit_without_id(event.clone()),
            NodeOperation::Raw(filter, bytes) => node.write_raw(*filter, *bytes),
            NodeOperation::CloseFilter(filter, closed) => node.close_filter(*filter, *closed),
            NodeOperation::DropConnections => {
                node.drop_connections();
            }
            NodeOperation::DropFilter(filter) => {
                node.drop_filter(*filter);
            }
            NodeOperation::Refuse(refuse) => node.refuse_connections(*refuse),
            NodeOperation::Silent(silent) => node.accept_silently(*silent),
            NodeOperation::Pause(pause) => node.pause(*pause),
            NodeOperation::NoKeepAlives(stop) => node.stop_keep_alives(*stop),
            NodeOperation::Status(behaviour) => node.status(*behaviour),
        }
    }

    fn apply_to_net(&mut self, host: Host, operation: NetOperation) {
        let host = match host {
            Host::Node(number) => node_host(number),
            Host::Subscribers => SUBSCRIBERS.to_owned(),
        };
        match operation {
            NetOperation::Partition => self.sim.partition(SIDECAR, host),
            NetOperation::ToSidecar => self.sim.partition_oneway(host, SIDECAR),
            NetOperation::FromSidecar => self.sim.partition_oneway(SIDECAR, host),
            NetOperation::Repair => self.sim.repair(SIDECAR, host),
            NetOperation::Hold => self.sim.hold(SIDECAR, host),
            NetOperation::Release => self.sim.release(SIDECAR, host),
        }
    }

    fn apply_to_store(&mut self, operation: StoreOperation) {
        let disk = &self.world.disk;
        match operation {
            StoreOperation::Latency(append, read) => disk.set_latency(append, read),
            StoreOperation::FailNext(times, fault) => disk.fail_next(times, fault),
            StoreOperation::Fail(fault) => disk.fail_from_now_on(fault),
            StoreOperation::FailReads => disk.fail_reads(),
            StoreOperation::Capacity(bytes) => disk.set_capacity(bytes),
            StoreOperation::Full => disk.set_capacity(Some(0)),
            StoreOperation::Heal => {
                disk.set_capacity(None);
                disk.heal();
            }
        }
    }

    fn apply_to_sidecar(&mut self, operation: SidecarOperation) {
        match operation {
            SidecarOperation::Stop => self.process.stop(self.sim.elapsed()),
            SidecarOperation::Kill => self.process.kill(),
            SidecarOperation::PowerLoss => {
                self.sim.crash(SIDECAR);
                self.powered = false;
                self.process.lost_power(self.sim.elapsed());
            }
            SidecarOperation::Start => {
                self.process.start();
                if !std::mem::replace(&mut self.powered, true) {
                    self.sim.bounce(SIDECAR);
                }
            }
        }
    }
}

/// The software of the subscribers' host.
struct Clients {
    subscribers: Vec<Subscriber>,
    sessions: Sessions,
    told: Vec<watch::Receiver<Told>>,
    disk: Disk,
    probe: Probe,
}

impl Clients {
    async fn run(self) -> turmoil::Result {
        let mut tasks = JoinSet::new();
        for (number, (subscriber, told)) in self.subscribers.into_iter().zip(self.told).enumerate() {
            let (sessions, disk) = (self.sessions.clone(), self.disk.clone());
            tasks.spawn(Client { number, subscriber, sessions, told, disk }.run());
        }
        self.probe.asked.cancelled().await;
        let answer = text(ADMIN_PORT, "/metrics").await.ok();
        *self.probe.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        std::future::pending().await
    }
}
