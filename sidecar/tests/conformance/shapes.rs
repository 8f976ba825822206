//! The shapes of what the streams and REST give for captured events of a real node.

use conformance::shape;
use mock_node::Event;
use serde_json::{Map, Value, json};

use crate::process::{Sidecar, node};

const CAPTURED: &str = include_str!("../../../conformance/fixtures/events-1.5.8.sse");
const FAULT: &str = include_str!("../../../conformance/fixtures/fault.sse");

/// The data of all captured events.
pub(crate) fn captured() -> Vec<&'static str> {
    let data = CAPTURED.lines().chain(FAULT.lines()).filter_map(|line| line.strip_prefix("data:"));
    data.filter(|data| !data.starts_with("{\"ApiVersion\"")).collect()
}

/// The captured events as the mock node takes them.
pub(crate) fn events() -> impl Iterator<Item = Event> {
    captured().into_iter().map(|data| Event::json(data).expect("a captured event is JSON"))
}

#[tokio::test(flavor = "multi_thread")]
async fn captured_events_have_these_shapes_on_the_streams_and_in_rest() {
    let node = node().await;
    let sidecar = Sidecar::start(&[&node]).await;
    node.emit_all(events());

    let mut shapes = Map::new();
    for data in received(&sidecar, captured().len()).await {
        let event: Value = serde_json::from_str(&data).expect("events are JSON");
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

/// The data of the first messages of `/events`, until so many of them had an id.
pub(crate) async fn received(sidecar: &Sidecar, count: usize) -> Vec<String> {
    let mut stream = reqwest::get(format!("{}/events?start_from=0", sidecar.events)).await.expect("a stream");
    let mut bytes = Vec::new();
    loop {
        let piece = stream.chunk().await.expect("the stream goes on").expect("the stream stays open");
        bytes.extend_from_slice(&piece);
        let text = String::from_utf8_lossy(&bytes);
        if text.matches("\nid:").count() >= count && text.ends_with("\n\n") {
            return text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::to_owned).collect();
        }
    }
}

/// Adds a shape under a name; a second shape of the same name goes beside the first.
fn add(shapes: &mut Map<String, Value>, name: String, value: &Value) {
    let shape = shape::of(value);
    match shapes.entry(name).or_insert_with(|| json!([])) {
        Value::Array(known) if !known.contains(&shape) => known.push(shape),
        _ => {}
    }
}
