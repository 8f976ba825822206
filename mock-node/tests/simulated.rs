//! The node inside a turmoil simulation: an injected network, crashes and bounces of its host, and one history per
//! seed.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use mock_node::{
    Filter, Listener, Network, Node,
    chain::{ChainConfig, several},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use turmoil::net::{TcpListener, TcpStream};

#[derive(Clone)]
struct SimulatedNetwork;

struct SimulatedListener(TcpListener);

impl Network for SimulatedNetwork {
    type Io = TcpStream;
    type Listener = SimulatedListener;

    async fn bind(&self, port: u16) -> io::Result<SimulatedListener> {
        TcpListener::bind((IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)).await.map(SimulatedListener)
    }
}

impl Listener for SimulatedListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// What a client saw, when: every read, every failure to connect.
type Trace = Arc<Mutex<Vec<(Duration, String)>>>;

async fn follow(path: &'static str, trace: Trace, begin: Instant) {
    let note = |what: String| trace.lock().expect("no panics").push((begin.elapsed(), what));
    loop {
        match TcpStream::connect(("node", 9999)).await {
            Err(error) => note(format!("{path} {:?}", error.kind())),
            Ok(mut stream) => {
                let request = format!("GET {path} HTTP/1.1\r\nhost: node\r\n\r\n");
                let _written = stream.write_all(request.as_bytes()).await;
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                    // The only thing that comes from the machine's own clock.
                    let lines = text.split("\r\n").filter(|line| !line.starts_with("date:"));
                    note(lines.collect::<Vec<_>>().join("\r\n"));
                }
                note(format!("{path} ended"));
            }
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// A chain's events, a crash of the host with a bounce, and an orderly stop with a restart.
fn simulate(seed: u64) -> (Vec<(Duration, String)>, Vec<mock_node::Emitted>) {
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .simulation_duration(Duration::from_secs(60))
        .enable_random_order()
        .build();
    let node = Node::builder().sse_port(9999).rest_port(8888).build();
    let hosted = node.clone();
    sim.host("node", move || {
        let node = hosted.clone();
        async move { Ok(node.serve(&SimulatedNetwork, CancellationToken::new()).await?) }
    });
    let trace = Trace::default();
    for (name, path) in [("main", "/events/main"), ("sigs", "/events/sigs?start_from=0")] {
        let trace = trace.clone();
        sim.client(name, async move {
            let begin = Instant::now();
            let _time_is_up = tokio::time::timeout(Duration::from_secs(30), follow(path, trace, begin)).await;
            Ok(())
        });
    }
    let source = node.clone();
    sim.client("source", async move {
        let begin = Instant::now();
        let config = ChainConfig { seed, block_time: Duration::from_secs(1), ..ChainConfig::default() };
        let feed = several(config, 0, 1).remove(0);
        for scheduled in feed.take_while(|scheduled| scheduled.at < Duration::from_secs(29)) {
            tokio::time::sleep_until(begin + scheduled.at).await;
            source.emit(scheduled.event);
        }
        Ok(())
    });
    let mut finished = false;
    let mut crashed = false;
    let mut stopped = false;
    while !finished {
        finished = sim.step().expect("no host fails");
        if !crashed && sim.elapsed() > Duration::from_secs(8) {
            crashed = true;
            sim.crash("node");
            assert!(!node.is_up(), "the node's process went with its host");
            sim.bounce("node");
        }
        if !stopped && sim.elapsed() > Duration::from_secs(16) {
            stopped = true;
            node.shutdown();
        }
        if stopped && !node.is_up() && sim.elapsed() > Duration::from_secs(20) {
            node.restart();
        }
    }
    let trace = trace.lock().expect("no panics").clone();
    (trace, node.emitted())
}

#[test]
fn a_node_lives_through_crash_and_bounce_of_its_simulated_host() {
    let (trace, emitted) = simulate(3);
    let runs: Vec<u32> = emitted.iter().map(|sent| sent.run).collect();
    assert!(
        runs.is_sorted() && *runs.last().expect("events") == 2,
        "first life, after the crash, after the stop"
    );
    let first = |run| emitted.iter().find(|sent| sent.run == run).and_then(|sent| sent.id);
    assert_eq!((first(0), first(1)), (Some(0), Some(0)), "the counter fell back");
    let shutdown = emitted.iter().find(|sent| sent.data == "\"Shutdown\"").and_then(|sent| sent.id);
    assert_eq!(first(2), shutdown.map(|id| id + 1), "the counter went on");
    let seen: String = trace.iter().map(|(_, text)| text.as_str()).collect();
    assert!(seen.contains("data:\"Shutdown\""));
    assert!(seen.contains("/events/main ended"));
    assert!(seen.contains("/events/main ConnectionRefused"), "refused while it is down");
    let last = emitted.iter().rev().find(|sent| sent.filter == Filter::Main).expect("main has events");
    assert!(seen.contains(std::str::from_utf8(&last.data).expect("JSON")), "connected again to the end");
}

#[test]
fn one_seed_gives_one_history() {
    let (first, second) = (simulate(5), simulate(5));
    for (number, (one, other)) in first.0.iter().zip(&second.0).enumerate() {
        assert_eq!(one, other, "entry {number} of the trace");
    }
    assert_eq!(first, second);
}
