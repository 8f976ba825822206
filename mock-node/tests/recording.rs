//! Record, replay, record again: the same events.

use std::time::Duration;

use mock_node::{
    Event, Filter, Node, RealNetwork, Running,
    chain::{Chain, ChainConfig},
    recording::{End, Recorder, Recording, Speed},
};

async fn started() -> Running {
    Node::builder().build().start(RealNetwork::loopback()).await.expect("free ports")
}

async fn record(node: &Running, max_events: Option<u64>) -> Recording {
    let mut recorder = Recorder::new([format!("http://{}", node.sse_addr())], Some(0));
    recorder.max_events = max_events;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("recording.jsonl");
    let file = std::fs::File::create(&path).expect("a file");
    recorder.record(file).await.expect("it records");
    let recording = Recording::load(&path).expect("it can be read");
    assert_eq!(recording.to_text(), std::fs::read_to_string(&path).expect("readable"));
    recording
}

type Line = (usize, Option<u32>, Option<String>, Option<End>);

/// All events of one filter after those of another: between filters the order of arrival is nobody's promise.
fn events(recording: &Recording) -> Vec<Line> {
    let entries = recording.entries().iter();
    let mut events: Vec<_> = entries
        .map(|entry| (entry.url(), entry.id(), entry.data().map(str::to_owned), entry.end()))
        .collect();
    events.sort_by_key(|(url, ..)| *url);
    events
}

#[tokio::test]
async fn a_replayed_recording_gives_the_same_recording() {
    let node = started().await;
    node.set_api_version("1.5.6");
    node.emit_all(Chain::new(ChainConfig::default()).take(300));
    node.skip_ids(7);
    node.emit(Event::raw(Filter::Deploys, "{\"text\":\"Grüße, \\\"äöü\\\"\"}"));
    let first = record(&node, Some(304)).await;
    assert_eq!(first.urls().len(), 3);
    assert_eq!(first.entries().iter().filter(|entry| entry.data().is_some()).count(), 304);

    let again = started().await;
    first.play(&[again.node()], Speed::Max).await;
    let second = record(&again, Some(304)).await;
    assert_eq!(events(&first), events(&second));
    assert_eq!(again.next_id(), node.next_id());
}

#[tokio::test]
async fn a_recorded_shutdown_stops_the_replaying_node_in_order() {
    let node = started().await;
    node.emit_all(Chain::new(ChainConfig::default()).take(20));
    let recording = {
        let stop = async {
            node.wait_for_subscribers(3).await;
            node.shutdown();
        };
        tokio::join!(record(&node, None), stop).0
    };
    let ends: Vec<_> = recording.entries().iter().filter_map(|entry| entry.end()).collect();
    assert_eq!(ends, [End::Clean; 3]);

    let again = started().await;
    let second = {
        let play = async {
            again.wait_for_subscribers(3).await;
            recording.play(&[again.node()], Speed::Max).await;
        };
        tokio::join!(record(&again, None), play).0
    };
    assert!(!again.is_up());
    // It had said its own version before it knew the recorded one; both are 1.5.8.
    assert_eq!(events(&recording), events(&second));
}

#[tokio::test(start_paused = true)]
async fn a_replay_keeps_time() {
    let text = concat!(
        "{\"mock_node_recording\":1,\"urls\":[\"http://a:1/events/sigs\",\"http://b:2/events/sigs?start_from=0\"]}\n",
        "{\"us\":0,\"url\":0,\"id\":5,\"data\":\"{}\"}\n",
        "{\"us\":60000000,\"url\":1,\"id\":9,\"data\":\"{}\"}\n"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("recording.jsonl");
    std::fs::write(&path, text).expect("writable");
    let recording = Recording::load(&path).expect("a recording");
    assert_eq!(recording.origins(), ["http://a:1", "http://b:2"]);
    let nodes = [Node::builder().build(), Node::builder().build()];
    let begin = tokio::time::Instant::now();
    recording.play(&nodes, "10x".parse().expect("a speed")).await;
    assert_eq!(begin.elapsed(), Duration::from_secs(6));
    assert_eq!((nodes[0].next_id(), nodes[1].next_id()), (6, 10));
    assert!("0x".parse::<Speed>().is_err() && "fast".parse::<Speed>().is_err());
}

#[tokio::test]
async fn what_gives_no_stream_is_told() {
    let node = started().await;
    let recorder = Recorder::new([format!("http://{}/events/nosuch", node.sse_addr())], None);
    let error = recorder.record(Vec::new()).await.expect_err("there is no such filter").to_string();
    assert!(error.contains("/events/nosuch answers 404: invalid path: expected '/events/main'"), "{error}");
}
