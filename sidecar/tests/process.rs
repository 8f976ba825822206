//! The sidecar as its users meet it: a process that is started, killed, misconfigured, and fed by real sockets.

#![allow(clippy::disallowed_methods, reason = "these tests are about the real network")]

mod support;

use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use mock_node::{Event, Filter, Laggards, Node, RealNetwork};
use support::{Message, PATIENCE, Place, Subscriber, command, expired, feed, free_port, node, ports};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::timeout;

fn data(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| message.data.clone()).collect()
}

fn ids(messages: &[Message]) -> Vec<u64> {
    messages.iter().filter_map(|message| message.id).collect()
}

/// The messages of a recorded stream that have an id.
fn recorded(run: &str, filter: &str) -> Vec<(u32, String)> {
    let path = format!("{}/tests/fixtures/casper-node-1.5.8/{run}-{filter}.sse", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the recording is there");
    let message = |block: &str| {
        let mut lines = block.lines();
        let data = lines.next()?.strip_prefix("data:")?.to_owned();
        Some((lines.next()?.strip_prefix("id:")?.parse().ok()?, data))
    };
    text.split("\n\n").filter_map(message).collect()
}

const FILTERS: [(Filter, &str); 3] =
    [(Filter::Main, "main"), (Filter::Deploys, "deploys"), (Filter::Sigs, "sigs")];

/// Sends what a real node sent in one run, in the order of its ids, but for the Shutdown at its end.
fn play(node: &Node, run: &str) {
    let mut events = Vec::new();
    for (filter, name) in FILTERS {
        events.extend(recorded(run, name).into_iter().map(|(id, data)| (id, filter, data)));
    }
    events.retain(|(_, _, data)| data != "\"Shutdown\"");
    events.sort_by_key(|(id, ..)| *id);
    for (id, filter, data) in events {
        node.set_id(id);
        node.emit(Event::raw(filter, Bytes::from(data)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recorded_life_of_a_real_node_comes_out_byte_for_byte_in_order_and_once() {
    let node = node().await;
    let place = Place::new().await;
    let config = place.configure(&[ports(&node)], 100);
    let sidecar = place.start(&config).await;
    node.wait_for_subscribers(3).await;

    let mut expected = FILTERS.map(|_| Vec::new());
    let mut streams = Vec::new();
    for (_, name) in FILTERS {
        streams.push(Subscriber::connect(place.events, &format!("/events/{name}?start_from=0"), None).await);
    }
    for run in ["run1", "run2", "run3"] {
        play(&node, run);
        // Its ring is in memory: before it goes down, the sidecar must have had the time to read it.
        for (stream, (expected, (_, name))) in streams.iter_mut().zip(expected.iter_mut().zip(FILTERS)) {
            let of_run: Vec<_> = recorded(run, name).into_iter().map(|(_, data)| data).collect();
            let before_shutdown = of_run.iter().filter(|data| *data != "\"Shutdown\"").count();
            assert_eq!(data(&stream.take(before_shutdown).await), of_run[..before_shutdown], "{run} {name}");
            expected.extend(of_run);
        }
        if run == "run2" {
            node.crash();
        } else {
            node.shutdown();
            for stream in &mut streams {
                assert_eq!(data(&stream.take(1).await), ["\"Shutdown\""], "{run}");
            }
        }
        if run != "run3" {
            node.restart();
            node.wait_for_subscribers(3).await;
        }
    }
    let mut all = Vec::new();
    for ((_, name), expected) in FILTERS.iter().zip(expected) {
        let mut stream =
            Subscriber::connect(place.events, &format!("/events/{name}?start_from=0"), None).await;
        let messages = stream.take(expected.len()).await;
        assert_eq!(data(&messages), expected, "{name}");
        all.extend(ids(&messages));
    }
    all.sort_unstable();
    assert_eq!(all, (1..=all.len() as u64).collect::<Vec<_>>(), "ids are dense over all endpoints");
    assert!(sidecar.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_a_subscriber_that_resumes_misses_nothing_and_sees_nothing_twice() {
    const COUNT: usize = 3000;
    let node = node().await;
    let place = Place::new().await;
    let config = place.configure(&[ports(&node)], 100);
    let mut sidecar = place.start(&config).await;
    node.wait_for_subscribers(3).await;
    let feeding = feed(&node, COUNT, Duration::from_micros(500));

    let mut seen: Vec<Message> = Vec::new();
    for stop in [COUNT / 5, COUNT / 2, COUNT * 4 / 5, COUNT] {
        let last = seen.last().and_then(|message| message.id);
        let mut stream = match last {
            None => Subscriber::connect(place.events, "/events/main?start_from=0", None).await,
            Some(_) => Subscriber::connect(place.events, "/events/main", last).await,
        };
        seen.extend(stream.take(stop - seen.len()).await);
        if stop < COUNT {
            sidecar.kill();
            sidecar = place.start(&config).await;
        }
    }
    feeding.join_all().await;
    let sent: Vec<_> =
        node.emitted().iter().map(|sent| String::from_utf8_lossy(&sent.data).into_owned()).collect();
    assert_eq!(data(&seen), sent);
    assert_eq!(ids(&seen), (1..=COUNT as u64).collect::<Vec<_>>(), "no id is reused or left out");
    assert!(sidecar.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_nodes_send_is_delivered_once() {
    const COUNT: usize = 500;
    let nodes = [node().await, node().await];
    let place = Place::new().await;
    let config = place.configure(&[ports(&nodes[0]), ports(&nodes[1])], 100);
    let sidecar = place.start(&config).await;
    let mut stream = Subscriber::connect(place.events, "/events/main?start_from=0", None).await;
    for node in &nodes {
        node.wait_for_subscribers(3).await;
    }
    nodes[1].skip_ids(77);
    for number in 0..COUNT {
        nodes[number % 2].emit(expired(number));
        nodes[(number + 1) % 2].emit(expired(number));
    }
    let end = expired(COUNT);
    nodes[0].emit(end.clone());
    let messages = stream.take(COUNT + 1).await;
    let mut distinct = data(&messages);
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), COUNT + 1, "each event once");
    assert!(sidecar.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_never_reads_delays_nobody_and_costs_no_memory() {
    const COUNT: usize = 1500;
    let node = Node::builder().laggards(Laggards::HoldBack).build();
    let node = node.start(RealNetwork::loopback()).await.expect("loopback has free ports");
    let place = Place::new().await;
    let config = place.configure(&[ports(&node)], 100);
    let sidecar = place.start(&config).await;
    node.wait_for_subscribers(3).await;
    let _never_reads = Subscriber::connect(place.events, "/events/main", None).await;
    let mut readers = JoinSet::new();
    for _ in 1..100 {
        let mut stream = Subscriber::connect(place.events, "/events/main", None).await;
        readers.spawn(async move { stream.take(COUNT).await.len() });
    }
    let filler = "x".repeat(20_000);
    for number in 0..COUNT {
        node.room().await;
        let json =
            format!("{{\"DeployProcessed\":{{\"deploy_hash\":\"{number:064x}\",\"filler\":\"{filler}\"}}}}");
        node.emit(Event::raw(Filter::Main, Bytes::from(json)));
    }
    while let Some(read) = timeout(PATIENCE, readers.join_next()).await.expect("nobody is delayed") {
        assert_eq!(read.expect("no reader fails"), COUNT);
    }
    // 30 MB were sent to each; the ring holds 16 MiB of them at most.
    let memory = sidecar.anonymous_mb();
    assert!(memory < 80, "{memory} MB");
    // The one that never reads is still connected: the grace ends it, and the status stays 0.
    assert!(sidecar.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_30_mb_passes_unchanged_live_and_replayed() {
    let node = Node::builder().laggards(Laggards::HoldBack).build();
    let node = node.start(RealNetwork::loopback()).await.expect("loopback has free ports");
    let place = Place::new().await;
    let config = place.configure(&[ports(&node)], 100);
    let sidecar = place.start(&config).await;
    node.wait_for_subscribers(3).await;
    let mut live = Subscriber::connect(place.events, "/events/main", None).await;
    let step = format!("{{\"Step\":{{\"era_id\":1,\"filler\":\"{}\"}}}}", "é".repeat(15_000_000));
    node.emit(Event::raw(Filter::Main, Bytes::from(step.clone())));
    node.emit(expired(1));
    let replay = async {
        let seen = live.take(2).await;
        let mut again = Subscriber::connect(place.events, "/events/main?start_from=1", None).await;
        (seen, again.take(2).await)
    };
    let (seen, again) = timeout(PATIENCE, replay).await.expect("it passes");
    assert!(seen[0].data == step && again[0].data == step, "byte for byte");
    assert_eq!((ids(&seen), seen[1].data.len()), (vec![1, 2], again[1].data.len()));
    assert!(sidecar.terminate().await.success());
}

/// Runs the binary to its end; what it wrote to stderr, and its exit status.
async fn failing(config: &std::path::Path) -> (String, Option<i32>) {
    let mut command = command(config);
    let output = tokio::task::spawn_blocking(move || command.stderr(Stdio::piped()).output());
    let output = timeout(PATIENCE, output).await.expect("it ends").expect("no panic").expect("it starts");
    (String::from_utf8_lossy(&output.stderr).into_owned(), output.status.code())
}

#[track_caller]
fn told((log, status): (String, Option<i32>), parts: &[&str]) {
    assert_eq!(status, Some(1), "{log}");
    for part in parts {
        assert!(log.contains(part), "{part:?} is not in\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_start_says_why_and_what_to_do() {
    let place = Place::new().await;
    let nobody = (free_port().await, free_port().await);
    told(
        failing(&place.folder.path().join("none.toml")).await,
        &["none.toml", "cannot read the configuration"],
    );

    let config = place.configure(&[nobody], 1);
    let text = std::fs::read_to_string(&config).expect("written");
    std::fs::write(&config, text.replace("max_attempts = 1", "max_attempts = 0")).expect("written");
    told(failing(&config).await, &["max_attempts setting must be above 0", "config.toml:"]);

    std::fs::write(place.storage(), "a file where the folder should be").expect("written");
    told(failing(&place.configure(&[nobody], 1)).await, &["cannot open the database", "storage"]);
    std::fs::remove_file(place.storage()).expect("it is there");

    let _taken = tokio::net::TcpListener::bind(("0.0.0.0", place.events)).await.expect("it was free");
    let port = place.events.to_string();
    told(
        failing(&place.configure(&[nobody], 1)).await,
        &["cannot listen on", &port, "[event_stream_server]"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_be_listened_to_is_told_and_the_sidecar_ends_with_status_1() {
    let place = Place::new().await;
    let nobody = (free_port().await, free_port().await);
    told(failing(&place.configure(&[nobody], 2)).await, &["cannot connect", "giving the node up"]);

    let old = Node::builder().build_version("1.4.15-abc").build();
    let old = old.start(RealNetwork::loopback()).await.expect("loopback has free ports");
    let log = failing(&place.configure(&[ports(&old)], 2)).await;
    told(log, &["its version is 1.4.15-abc, and must be at least 1.5.2", "no node is left"]);

    // Something that answers every request with bytes that are no HTTP.
    let garbage = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let port = garbage.local_addr().expect("bound").port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut socket, _)) = garbage.accept().await {
            // Whether the other side still listens does not matter.
            let _ = socket.read(&mut [0; 1024]).await;
            let _ = socket.write_all(&[0xff; 64]).await;
        }
    });
    told(
        failing(&place.configure(&[(port, port)], 2)).await,
        &["status cannot be read", "giving the node up"],
    );
}
