//! The whole conformance suite against this binary: a process of its own on free ports, with SQLite, connected to two
//! mock nodes that the suite drives over their control server, to the sidecar's very end.
//!
//! Beside it: the shapes of what the streams and REST give for captured events of a real node, as snapshots.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use conformance::check::Outcome;
use conformance::report;
use conformance::shape;
use conformance::suite;
use conformance::target::{Addresses, Pace, Target};
use conformance::wire::Origin;
use mock_node::control::{self, Controlled};
use mock_node::{Event, Network as _, Node, RealNetwork, Running};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Captured events of a real node.
const CAPTURED: &str = include_str!("../../conformance/fixtures/events-1.5.8.sse");
const FAULT: &str = include_str!("../../conformance/fixtures/fault.sse");

/// Kills the process if the test ends without it.
struct Sidecar {
    process: Child,
    events: Origin,
    rest: Origin,
    admin: Origin,
    /// Holds the configuration and the database.
    _folder: tempfile::TempDir,
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // It may have ended by itself, which is no error here.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// A port that was free a moment ago.
async fn free_port() -> u16 {
    let listener = RealNetwork::loopback().bind(0).await.expect("loopback has free ports");
    listener.local_addr().expect("a bound listener has an address").port()
}

impl Sidecar {
    /// Starts the binary for these nodes and waits until its servers answer.
    async fn start(nodes: &[(SocketAddr, SocketAddr)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let ports = [free_port().await, free_port().await, free_port().await];
        let config = folder.path().join("config.toml");
        std::fs::write(&config, configuration(folder.path(), ports, nodes))
            .expect("the configuration is written");
        let process = Command::new(env!("CARGO_BIN_EXE_casper-event-sidecar"))
            .arg("--path-to-config")
            .arg(&config)
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let [events, rest, admin] = ports.map(|port| {
            Origin::parse(&format!("http://127.0.0.1:{port}")).expect("an address of the right form")
        });
        let mut sidecar = Self { process, events, rest, admin, _folder: folder };
        for path in [format!("{}/events/sidecar", sidecar.events), format!("{}/", sidecar.rest)] {
            // No answer yet is why this loops; the outer limit of the test harness ends a sidecar that never answers.
            while reqwest::get(&path).await.is_err() {
                let ended = sidecar.process.try_wait().expect("the process can be asked");
                assert!(ended.is_none(), "the sidecar ended before it answered: {ended:?}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        sidecar
    }
}

/// Twenty attempts a second apart: more time than a node of the suite is away, and an end within the suite's patience.
fn configuration(folder: &Path, ports: [u16; 3], nodes: &[(SocketAddr, SocketAddr)]) -> String {
    let [events, rest, admin] = ports;
    let mut text = format!(
        "[storage]\nstorage_path = \"{}\"\n\
         [storage.sqlite_config]\nfile_name = \"events.db3\"\nmax_connections_in_pool = 10\nwal_autocheckpointing_interval = 1000\n\
         [rest_server]\naddress = \"127.0.0.1\"\nport = {rest}\nmax_concurrent_requests = 50\nmax_requests_per_second = 30\n\
         [event_stream_server]\naddress = \"127.0.0.1\"\nport = {events}\nmax_concurrent_subscribers = 100\nevent_stream_buffer_length = 5000\n\
         [admin_server]\naddress = \"127.0.0.1\"\nport = {admin}\nmax_concurrent_requests = 10\nmax_requests_per_second = 50\n",
        folder.display()
    );
    for (sse, rest) in nodes {
        text.push_str(&format!(
            "[[connections]]\nip_address = \"{}\"\nsse_port = {}\nrest_port = {}\nmax_attempts = 20\n\
             delay_between_retries_in_seconds = 1\nallow_partial_connection = false\nenable_logging = true\n",
            sse.ip(),
            sse.port(),
            rest.port()
        ));
    }
    text
}

async fn node() -> Running {
    Node::builder().build().start(RealNetwork::loopback()).await.expect("loopback has free ports")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sidecar_conforms_to_its_documentation() {
    let nodes = [node().await, node().await];
    let listener = RealNetwork::loopback().bind(0).await.expect("loopback has free ports");
    let control = listener.local_addr().expect("a bound listener has an address");
    let named =
        ["one", "other"].map(str::to_owned).into_iter().zip(nodes.iter().map(Running::node)).collect();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        control::serve::<RealNetwork>(listener, Controlled { nodes: named, player: None }).await
    });

    let places: Vec<_> = nodes.iter().map(|node| (node.sse_addr(), node.rest_addr())).collect();
    let mut sidecar = Sidecar::start(&places).await;
    let addresses = Addresses {
        events: Some(sidecar.events.clone()),
        rest: Some(sidecar.rest.clone()),
        admin: Some(sidecar.admin.clone()),
        nodes: vec![Origin::parse(&format!("http://{control}")).expect("an address of the right form")],
        may_end: true,
    };
    let target = Target::new(addresses, Pace::default()).await.expect("the control server lists its nodes");
    let verdicts =
        suite::run(&suite::checks(), &target, |verdict| println!("{}", report::line(verdict))).await;
    println!("{}", report::summary_line(&verdicts, target.requests()));

    let failed: Vec<_> = verdicts.iter().filter(|verdict| verdict.failed()).map(report::line).collect();
    assert!(failed.is_empty(), "does not conform:\n{}", failed.join("\n"));
    let skipped: Vec<_> = verdicts
        .iter()
        .filter(|verdict| matches!(verdict.outcome, Outcome::Skipped { .. }))
        .map(|verdict| verdict.check.id)
        .collect();
    assert!(skipped.is_empty(), "not found out: {skipped:?}");
    let status = tokio::task::spawn_blocking(move || sidecar.process.wait()).await.expect("no panic");
    assert_eq!(status.expect("the process can be waited for").code(), Some(1), "all nodes were exhausted");
}

#[tokio::test(flavor = "multi_thread")]
async fn captured_events_have_these_shapes_on_the_streams_and_in_rest() {
    let node = node().await;
    let sidecar = Sidecar::start(&[(node.sse_addr(), node.rest_addr())]).await;
    let captured: Vec<&str> = CAPTURED
        .lines()
        .chain(FAULT.lines())
        .filter_map(|line| line.strip_prefix("data:"))
        .filter(|data| !data.starts_with("{\"ApiVersion\""))
        .collect();
    node.emit_all(
        captured.iter().map(|data| Event::json((*data).to_owned()).expect("a captured event is one")),
    );

    let mut shapes = serde_json::Map::new();
    let mut stream = reqwest::get(format!("{}/events?start_from=0", sidecar.events)).await.expect("a stream");
    let mut text = String::new();
    while text.matches("\nid:").count() < captured.len() {
        let piece = stream.chunk().await.expect("the stream goes on").expect("the stream stays open");
        text.push_str(std::str::from_utf8(&piece).expect("events are text"));
    }
    for data in text.lines().filter_map(|line| line.strip_prefix("data:")) {
        let event: Value = serde_json::from_str(data).expect("events are JSON");
        let kind =
            event.as_object().and_then(|event| event.keys().next()).cloned().expect("events have a tag");
        add(&mut shapes, format!("stream {kind}"), &event);
    }
    for path in [
        "/block",
        "/block/bead4a68f74366306eea43a4e8fb97c478c1258832466bee22e7e15b390be7de",
        "/block/32",
        "/deploy/0076534b83e06fab747109f4ff666dddd356d832d192a63087ae5070dc583ee0",
        "/deploy/041ea57324594b22f40144e2327eaa36248ee0641d4557678c6bd1c3853ff7f8",
        "/deploy/accepted/0076534b83e06fab747109f4ff666dddd356d832d192a63087ae5070dc583ee0",
        "/deploy/processed/f0d68881a6b8ee33f0abafeaa08caed3f883210426ab2955462b80b06bf19ad5",
        "/deploy/expired/041ea57324594b22f40144e2327eaa36248ee0641d4557678c6bd1c3853ff7f8",
        "/faults/018f5a3ee4c1221686fcdbe6c0b6168acb24025c5485f59f7c4039ffc444fb7509",
        "/faults/4",
        "/signatures/a853b92fd72e7b52323bdb943590dd4cea3bbd846050c03a90185937ca25bc67",
        "/step/4",
        "/block/xyz",
        "/block/33",
        "/other",
    ] {
        let answer = reqwest::get(format!("{}{path}", sidecar.rest)).await.expect("an answer");
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.expect("answers are JSON");
        add(&mut shapes, format!("rest {path} {status}"), &body);
    }
    insta::assert_json_snapshot!(shapes);
}

/// Adds a shape under a name; a second shape of the same name goes beside the first.
fn add(shapes: &mut serde_json::Map<String, Value>, name: String, value: &Value) {
    let shape = shape::of(value);
    match shapes.entry(name).or_insert_with(|| json!([])) {
        Value::Array(known) if !known.contains(&shape) => known.push(shape),
        _ => {}
    }
}
