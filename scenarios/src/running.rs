//! A world while it runs: step by step, with what is to happen at its time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use casper_event_sidecar::store::model::Disk;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use turmoil::Sim;

use crate::history::{History, NodeHistory};
use crate::network::{SimNetwork, WINDOW};
use crate::operation::{Host, NetOperation, NodeOperation, Operation, SidecarOperation, StoreOperation};
use crate::process::Process;
use crate::subscriber::{ADMIN_PORT, Client, SIDECAR, Sessions, Subscriber, Told, text};
use crate::world::{SSE_PORT, World, WorldNode, node_host};

/// The host of all subscribers.
const SUBSCRIBERS: &str = "subscribers";

/// A world while it runs.
pub(crate) struct Running {
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
    pub(crate) fn new(world: World) -> Self {
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
        let process = Process::new(world.config.clone(), world.storage.clone());
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
            disk: world.storage.disk().clone(),
            probe: probe.clone(),
        };
        sim.client(SUBSCRIBERS, clients.run());
        let versions = world.nodes.iter().map(|node| vec![(Duration::ZERO, node.version.clone())]).collect();
        let runs = vec![0; world.nodes.len()];
        let operations = Vec::new();
        Self { sim, world, process, sessions, told, probe, versions, runs, operations, powered: true }
    }

    pub(crate) fn run(mut self) -> History {
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
            if self.world.storage.disk().is_torn() && self.process.runs() {
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
        let history = History {
            seed: self.world.seed,
            nodes: nodes.collect(),
            log: self.world.storage.disk().entries().into_iter().map(Into::into).collect(),
            state: self.world.storage.disk().durable_state(),
            sessions: self.sessions.all(),
            lives: self.process.lives(),
            metrics: answer,
            healed: self.world.healed,
            operations: self.operations,
            end: self.sim.elapsed(),
        };
        // With the hosts goes whoever has the log open.
        drop(self.sim);
        self.world.storage.check();
        history
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
        let disk = self.world.storage.disk();
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
                // First its tasks end one after the other: a runtime drops those that it still has in an order that
                // depends on how many were ever spawned in this process, and each one's connection has a last word.
                self.process.kill();
                self.step();
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
