//! The node as a load source: events per second that three readers receive in total, on two threads that do everything
//! (node, source and readers), against the floor of 200,000.
//!
//! `cargo bench -p mock-node --bench load`

use std::time::Duration;

use mock_node::{Event, Filter, Laggards, Node, RealNetwork, chain::Chain, chain::ChainConfig};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinSet,
    time::Instant,
};

const FLOOR: f64 = 200_000.0;

#[allow(clippy::disallowed_methods, reason = "the readers are real clients on real sockets")]
async fn read(addr: std::net::SocketAddr, path: String, events: usize) {
    let mut stream = tokio::net::TcpStream::connect(addr).await.expect("the node listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: node\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the node reads");
    let mut buffer = vec![0; 256 * 1024];
    let mut seen = 0;
    let mut before = 0;
    while seen < events {
        let count = stream.read(&mut buffer).await.expect("the node sends");
        assert!(count > 0, "disconnected after {seen} of {events} events");
        // Each event has one line that ends before its id: the only line feed followed by an `i`.
        for byte in &buffer[..count] {
            seen += usize::from(before == b'\n' && *byte == b'i');
            before = *byte;
        }
    }
}

/// Sends the events to three readers of these filters and returns the deliveries per second.
async fn measure(filters: [Filter; 3], rounds: usize, made: impl Fn(usize) -> Vec<Event>) -> f64 {
    let node = Node::builder().laggards(Laggards::HoldBack).history(0).build();
    let node = node.start(RealNetwork::loopback()).await.expect("free ports");
    let batches: Vec<Vec<Event>> = (0..16).map(made).collect();
    let all = || (0..rounds).flat_map(|round| &batches[round % batches.len()]);
    let mut readers = JoinSet::new();
    let mut deliveries = 0;
    for filter in filters {
        let events = all().filter(|event| event.filter() == filter).count();
        deliveries += events;
        readers.spawn(read(node.sse_addr(), format!("/events/{filter}"), events));
    }
    node.wait_for_subscribers(3).await;
    let begin = Instant::now();
    let handle = node.node();
    let mut source = JoinSet::new();
    source.spawn(async move {
        for round in 0..rounds {
            handle.room().await;
            handle.emit_all(batches[round % batches.len()].iter().cloned());
            tokio::task::yield_now().await;
        }
    });
    while let Some(read) = readers.join_next().await {
        read.expect("a reader reads to the end");
    }
    let rate = deliveries as f64 / begin.elapsed().max(Duration::from_millis(1)).as_secs_f64();
    node.stop().await;
    rate
}

fn signatures(filters: &'static [Filter]) -> impl Fn(usize) -> Vec<Event> {
    let config = ChainConfig { deploys_per_block: 0, validators: 100, ..ChainConfig::default() };
    let events: Vec<Event> =
        Chain::new(config).filter(|event| event.filter() == Filter::Sigs).take(16 * 300).collect();
    move |batch| {
        let events = &events[batch * 300..][..300];
        let spread = |(number, event): (usize, &Event)| {
            Event::raw(filters[number % filters.len()], event.data().clone())
        };
        events.iter().enumerate().map(spread).collect()
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("threads can be started");
    let report = |what: &str, rate: f64| {
        println!("{what:<58} {rate:>12.0} events/s   {:>5.1} x the floor", rate / FLOOR);
    };
    let same = runtime.block_on(measure([Filter::Sigs; 3], 3000, signatures(&[Filter::Sigs])));
    report("signatures, three readers of one filter", same);
    let each = runtime.block_on(measure(Filter::ALL, 6000, signatures(&Filter::ALL)));
    report("events of 340 bytes, one reader for each of the filters", each);
    assert!(same >= FLOOR && each >= FLOOR, "below the floor of {FLOOR} events/s");
}
