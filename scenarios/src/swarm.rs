//! Random worlds: from a seed, nodes of all sorts, subscribers of all sorts, and faults at any time. At the end
//! everything is healed and has time to settle, so that all promises can be checked.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use casper_event_sidecar::event::Endpoint;
use casper_event_sidecar::store::model::Fault;
use mock_node::chain::{Chain, ChainConfig};
use mock_node::{Event, Filter, StatusBehaviour};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::history::{History, Start};
use crate::operation::{Host, NetOperation, NodeOperation, Operation, SidecarOperation, StoreOperation};
use crate::promise::violations;
use crate::subscriber::{Resume, Subscriber};
use crate::world::World;

/// The versions that nodes change to.
const VERSIONS: [&str; 4] = ["1.5.6", "1.5.8", "1.5.9", "1.6.0"];

/// What became of one seed.
pub struct Verdict {
    /// What was simulated.
    pub history: Option<History>,
    /// What is wrong with it.
    pub failures: Vec<String>,
}

/// Runs the world of a seed and checks all promises.
pub fn run(seed: u64) -> Verdict {
    match catch_unwind(AssertUnwindSafe(|| world(seed).run())) {
        Ok(history) => {
            let failures = violations(&history).iter().map(ToString::to_string).collect();
            Verdict { history: Some(history), failures }
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("of no text");
            Verdict { history: None, failures: vec![format!("a panic: {text}")] }
        }
    }
}

/// The world of a seed.
pub fn world(seed: u64) -> World {
    let mut dice = Dice(StdRng::seed_from_u64(seed));
    let mut world = World::new(seed).tick(Duration::from_millis(dice.pick([2, 5, 10, 20])));
    let nodes = dice.number(1..4);
    for _ in 0..nodes {
        world = node(world, &mut dice);
    }
    let partial = dice.one_in(2);
    let buffer = dice.pick([5, 50, 5000]);
    let channel = dice.pick([1, 5, 100]);
    world = world.config(|config| {
        config.event_stream_server.buffer_length = buffer;
        config.inbound_channel_size = channel;
    });
    world = world.connections(|connection| connection.allow_partial_connection = partial);
    let blocks = dice.number(4..20) as u64;
    let block_time = dice.milliseconds(500..2500);
    let span = block_time * blocks as u32 + Duration::from_secs(2);
    let subscribers = dice.number(2..6);
    for _ in 0..subscribers {
        world = world.subscriber(subscriber(&mut dice, span));
    }
    world = world.emit_blocks(Duration::from_secs(1), block_time, 0, blocks);
    if dice.one_in(4) {
        // More at once than a turn of the hub, a page of the store or a small ring holds.
        let count = dice.pick([100, 400, 1500]);
        let at = Duration::from_secs(4) + dice.time(span);
        for node in 0..nodes {
            world = world.emit(node, at, Duration::from_millis(100), 2000, count);
        }
    }
    // A node that is first met after its ids wrapped around, and before its ring has moved on, does not give what it
    // had before: `start_from=0` means from the wrap on there, and nothing tells that anything is missing.
    let from = if world.has_wrap() { Duration::from_secs(4) } else { Duration::ZERO };
    let mut faults =
        Faults { dice, nodes, subscribers, from, span, spare: spare(seed), wait: 30, cut_off: Vec::new() };
    for _ in 0..faults.dice.number(0..14) {
        world = faults.add(world);
    }
    faults.heal(world)
}

/// Events that are not among those of the blocks.
fn spare(seed: u64) -> Chain {
    Chain::at(ChainConfig { seed, validators: 3, deploys_per_block: 2, ..ChainConfig::default() }, 1000)
}

fn node(world: World, dice: &mut Dice) -> World {
    let version = dice.pick([VERSIONS[1], VERSIONS[1], VERSIONS[0], VERSIONS[2]]);
    let world = world.node().version(version);
    match dice.number(0..4) {
        0 => world.ring(dice.number(10..200)),
        1 => {
            // About to wrap around; near there a node is asked by the size of its ring, so it must be the usual one.
            let id = u32::MAX - dice.number(20..300) as u32;
            world.first_id(id)
        }
        _ => world,
    }
}

fn subscriber(dice: &mut Dice, span: Duration) -> Subscriber {
    let endpoint = dice.pick(Endpoint::ALL);
    let start = match dice.number(0..4) {
        0 => Start::Live,
        1 => Start::From(dice.number(0..60) as u64),
        2 => Start::After(dice.number(0..30) as u64),
        _ => Start::From(0),
    };
    let resume = dice.pick([
        Resume::StartFrom,
        Resume::StartFrom,
        Resume::LastEventId,
        Resume::LastEventId,
        Resume::Anew,
        Resume::Never,
    ]);
    let pace = dice.pick([0, 0, 50, 300]);
    let at = dice.time(span);
    Subscriber::new(endpoint).start(start).resume(resume).slow(Duration::from_millis(pace)).at(at)
}

/// Random choices.
struct Dice(StdRng);

impl Dice {
    fn number(&mut self, range: Range<usize>) -> usize {
        self.0.random_range(range)
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.number(0..count) == 0
    }

    fn pick<T: Copy, const N: usize>(&mut self, of: [T; N]) -> T {
        of[self.number(0..N)]
    }

    fn milliseconds(&mut self, range: Range<usize>) -> Duration {
        Duration::from_millis(self.number(range) as u64)
    }

    fn time(&mut self, span: Duration) -> Duration {
        let milliseconds = usize::try_from(span.as_millis()).unwrap_or(usize::MAX);
        self.milliseconds(0..milliseconds)
    }
}

/// Adds faults and what ends them.
struct Faults {
    dice: Dice,
    nodes: usize,
    subscribers: usize,
    /// When the first fault may come.
    from: Duration,
    span: Duration,
    spare: Chain,
    /// Seconds that the world needs to settle.
    wait: u64,
    /// Hosts with trouble in the network: at most one each, since they do not combine.
    cut_off: Vec<Host>,
}

impl Faults {
    fn add(&mut self, world: World) -> World {
        let at = self.dice.time(self.span).max(self.from);
        let until = at + self.dice.milliseconds(50..9000);
        match self.dice.number(0..10) {
            0..4 => self.node(world, at, until),
            4..6 => self.net(world, at, until),
            6..8 => self.store(world, at, until),
            8 => self.sidecar(world, at, until),
            _ => self.subscriber(world, at, until),
        }
    }

    fn node(&mut self, world: World, at: Duration, until: Duration) -> World {
        let node = self.dice.number(0..self.nodes);
        let filter = self.dice.pick(Filter::ALL);
        let both = |world: World, on, off| world.node_at(at, node, on).node_at(until, node, off);
        match self.dice.number(0..16) {
            0 | 1 => self.restart(both(world, NodeOperation::Shutdown, NodeOperation::Restart), node, until),
            2 | 3 => self.restart(both(world, NodeOperation::Crash, NodeOperation::Restart), node, until),
            4 => world.node_at(at, node, NodeOperation::DropConnections),
            5 => world.node_at(at, node, NodeOperation::DropFilter(filter)),
            6 => both(
                world,
                NodeOperation::CloseFilter(filter, true),
                NodeOperation::CloseFilter(filter, false),
            ),
            7 => both(world, NodeOperation::Refuse(true), NodeOperation::Refuse(false)).node_at(
                at,
                node,
                NodeOperation::DropConnections,
            ),
            8 => both(world, NodeOperation::Silent(true), NodeOperation::Silent(false)).node_at(
                at,
                node,
                NodeOperation::DropConnections,
            ),
            9 => both(world, NodeOperation::Pause(true), NodeOperation::Pause(false)),
            10 => both(world, NodeOperation::NoKeepAlives(true), NodeOperation::NoKeepAlives(false)),
            11 => {
                let behaviour = self.dice.pick([
                    StatusBehaviour::Error(503),
                    StatusBehaviour::Garbage,
                    StatusBehaviour::Silent,
                ]);
                let normal = NodeOperation::Status(StatusBehaviour::Normal);
                both(world, NodeOperation::Status(behaviour), normal).node_at(
                    at,
                    node,
                    NodeOperation::DropConnections,
                )
            }
            12 => world.node_at(at, node, NodeOperation::Hole(self.dice.number(1..5) as u32)),
            13 => {
                let event = self.event();
                let bytes = self.dice.number(0..event.data().len());
                world.node_at(at, node, NodeOperation::Cut(event, bytes))
            }
            14 => {
                let event = self.event();
                world.node_at(at, node, NodeOperation::Slowly(event, 50, Duration::from_millis(30)))
            }
            _ => {
                let bytes = self.dice.pick(["data:nonsense\n\n", ": a comment\n\n", "data:{\"Bad\":\n\n"]);
                world.node_at(at, node, NodeOperation::Raw(filter, bytes))
            }
        }
    }

    /// What may change while a node is down.
    fn restart(&mut self, world: World, node: usize, until: Duration) -> World {
        let before = until.saturating_sub(Duration::from_millis(1));
        match self.dice.number(0..8) {
            0 | 1 => world.node_at(before, node, NodeOperation::ApiVersion(self.dice.pick(VERSIONS))),
            2 => world.node_at(before, node, NodeOperation::SetId(0)),
            3 => {
                // A node of a wrong version is looked at again after a quarter of a minute.
                self.wait = 35;
                let later = until + Duration::from_secs(3);
                world.node_at(before, node, NodeOperation::BuildVersion("1.4.15")).node_at(
                    later,
                    node,
                    NodeOperation::BuildVersion("1.5.8"),
                )
            }
            _ => world,
        }
    }

    fn event(&mut self) -> Event {
        let skipped = self.dice.number(0..5);
        self.spare.nth(skipped).unwrap_or_else(|| Event::raw(Filter::Main, "{}"))
    }

    fn net(&mut self, world: World, at: Duration, until: Duration) -> World {
        let number = self.dice.number(0..self.nodes + 1);
        let host = if number == self.nodes { Host::Subscribers } else { Host::Node(number) };
        if self.cut_off.contains(&host) {
            return world;
        }
        self.cut_off.push(host);
        if host == Host::Subscribers {
            // Who was cut off finds out by silence.
            self.wait = self.wait.max(50);
        }
        let (on, off) = self.dice.pick([
            (NetOperation::Partition, NetOperation::Repair),
            (NetOperation::ToSidecar, NetOperation::Repair),
            (NetOperation::FromSidecar, NetOperation::Repair),
            (NetOperation::Hold, NetOperation::Release),
        ]);
        world.net_at(at, host, on).net_at(until, host, off)
    }

    fn store(&mut self, world: World, at: Duration, until: Duration) -> World {
        let times = self.dice.number(1..4);
        let on = match self.dice.number(0..9) {
            0 => {
                let (append, read) = (self.dice.milliseconds(1..400), self.dice.milliseconds(1..200));
                let still = StoreOperation::Latency(Duration::ZERO, Duration::ZERO);
                return world.store_at(at, StoreOperation::Latency(append, read)).store_at(until, still);
            }
            1 => StoreOperation::FailNext(times, Fault::Fail),
            2 => StoreOperation::FailNext(times, Fault::FailAfterCommit),
            3 => return world.store_at(at, StoreOperation::FailNext(1, Fault::TearBeforeCommit)),
            4 => return world.store_at(at, StoreOperation::FailNext(1, Fault::TearAfterCommit)),
            5 => StoreOperation::Fail(Fault::Fail),
            6 => StoreOperation::FailNext(1, Fault::Hang),
            7 => StoreOperation::FailReads,
            _ => StoreOperation::Full,
        };
        world.store_at(at, on).store_at(until, StoreOperation::Heal)
    }

    fn sidecar(&mut self, world: World, at: Duration, until: Duration) -> World {
        let how = self.dice.pick([
            SidecarOperation::Stop,
            SidecarOperation::Kill,
            SidecarOperation::Kill,
            SidecarOperation::PowerLoss,
        ]);
        world.sidecar_at(at, how).sidecar_at(until, SidecarOperation::Start)
    }

    fn subscriber(&mut self, world: World, at: Duration, until: Duration) -> World {
        let subscriber = self.dice.number(0..self.subscribers);
        if self.dice.one_in(2) {
            world.at(at, Operation::Stall(subscriber, true)).at(until, Operation::Stall(subscriber, false))
        } else {
            world.at(at, Operation::Away(subscriber, true)).at(until, Operation::Away(subscriber, false))
        }
    }

    /// Ends all faults, and gives everything time to settle.
    fn heal(mut self, mut world: World) -> World {
        let healed = self.span + Duration::from_secs(10);
        // A sidecar that is being stopped at that moment is started once it has ended.
        let end = healed + Duration::from_secs(11);
        for at in [healed, end] {
            world = world.store_at(at, StoreOperation::Heal).sidecar_at(at, SidecarOperation::Start);
        }
        for node in 0..self.nodes {
            world = world.node_at(healed, node, NodeOperation::Restart);
        }
        for subscriber in 0..self.subscribers {
            world = world
                .at(healed, Operation::Stall(subscriber, false))
                .at(healed, Operation::Away(subscriber, false));
        }
        world = world.settle(Duration::from_secs(self.wait));
        if self.dice.one_in(4) {
            let stop = end + Duration::from_secs(self.wait);
            return world.sidecar_at(stop, SidecarOperation::Stop).settle(Duration::from_secs(12));
        }
        world.healed()
    }
}

/// What a swarm simulated.
#[derive(Debug, Default)]
pub struct Summary {
    /// Seeds that were run.
    pub seeds: u64,
    /// Virtual time.
    pub simulated: Duration,
    /// Entries of the logs.
    pub entries: u64,
    /// Messages that subscribers received.
    pub deliveries: u64,
    /// What was done, by kind.
    pub faults: BTreeMap<String, u64>,
}

impl Summary {
    /// Adds a history.
    pub fn add(&mut self, history: &History) {
        self.seeds += 1;
        self.simulated += history.end;
        self.entries += history.log.len() as u64;
        self.deliveries += history.sessions.iter().map(|session| session.messages.len() as u64).sum::<u64>();
        for (_, what) in &history.operations {
            let Some(kind) = kind_of(what) else { continue };
            *self.faults.entry(kind).or_default() += 1;
        }
    }
}

/// `node 1: CloseFilter(Main, true)` is of the kind `node CloseFilter`.
fn kind_of(what: &str) -> Option<String> {
    let (who, what) = what.split_once(": ")?;
    let who = who.split(' ').next()?;
    let what = what.split(|character: char| !character.is_ascii_alphabetic()).next()?;
    Some(format!("{who} {what}"))
}
