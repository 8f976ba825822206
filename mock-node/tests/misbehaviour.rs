//! Everything that a test may make a node do.

mod memory;

use std::time::Duration;

use memory::{SSE, Served, lines};
use mock_node::{Event, Filter, Laggards, Node, Spelling};

fn event(number: u32) -> Event {
    Event::raw(Filter::Main, format!("{{\"Number\":{number}}}"))
}

async fn served() -> Served {
    Served::new(Node::builder().build()).await
}

#[tokio::test(start_paused = true)]
async fn ids_can_be_skipped_repeated_left_out_and_reset() {
    let served = served().await;
    let mut client = served.subscribe("/events/main").await;
    served.node.emit(event(0));
    served.node.skip_ids(5);
    served.node.emit(event(1));
    served.node.emit_with_id(event(2), 0);
    served.node.emit_without_id(event(3));
    served.node.set_id(u32::MAX);
    served.node.emit(event(4));
    served.node.emit(event(5));
    assert_eq!(
        lines(&client.read().await),
        [
            "data:{\"Number\":0}",
            "id:0",
            "data:{\"Number\":1}",
            "id:6",
            "data:{\"Number\":2}",
            "id:0",
            "data:{\"Number\":3}",
            "data:{\"Number\":4}",
            "id:4294967295",
            "data:{\"Number\":5}",
            "id:0",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_has_no_id_is_not_replayed() {
    let served = served().await;
    served.node.emit(event(0));
    served.node.emit_without_id(event(1));
    served.node.write_raw(Filter::Main, "data:raw\n\n");
    served.node.emit(event(2));
    let text = served.get(SSE, "/events/main?start_from=0").await.read().await;
    assert_eq!(lines(&text)[1..], ["data:{\"Number\":0}", "id:0", "data:{\"Number\":2}", "id:1"]);
}

#[tokio::test(start_paused = true)]
async fn every_spelling_means_the_same_to_a_reader_of_the_standard() {
    use eventsource_stream::Eventsource as _;
    use futures_util::StreamExt as _;
    for spelling in [
        Spelling::Crlf,
        Spelling::Cr,
        Spelling::Space,
        Spelling::IdFirst,
        Spelling::Named,
        Spelling::Comments,
        Spelling::TwoDataLines,
    ] {
        let served = served().await;
        let mut client = served.request(SSE, "GET /events/main HTTP/1.0\r\n\r\n").await;
        served.node.wait_for_subscribers(1).await;
        served.node.emit_spelled(event(7), spelling);
        served.node.shutdown();
        let (text, _) = client.read_for(Duration::from_secs(1)).await;
        let body = text.split_once("\r\n\r\n").expect("a response").1.to_owned();
        let stream = futures_util::stream::iter([Ok::<_, std::io::Error>(body)]).eventsource();
        let events: Vec<_> = stream.map(|event| event.expect("SSE")).collect().await;
        assert_eq!(events.len(), 3, "version, event, Shutdown: {spelling:?} {events:?}");
        assert_eq!((events[1].id.as_str(), events[1].event.as_str()), ("0", "message"), "{spelling:?}");
        assert_eq!(events[1].data, served.node.emitted()[0].data, "{spelling:?}");
        let json: serde_json::Value = serde_json::from_str(&events[1].data).expect("JSON");
        assert_eq!(json, serde_json::json!({ "Number": 7 }));
    }
}

#[tokio::test(start_paused = true)]
async fn half_an_event_breaks_the_connection_off_and_is_whole_on_replay() {
    let served = served().await;
    let mut main = served.subscribe("/events/main").await;
    let mut sigs = served.subscribe("/events/sigs").await;
    served.node.emit_cut(event(0), 10);
    assert_eq!(main.read_for(Duration::from_secs(1)).await, ("A\r\ndata:{\"Num\r\n".to_owned(), true));
    assert_eq!(sigs.read_for(Duration::from_secs(1)).await, (String::new(), false), "other filters go on");
    let text = served.get(SSE, "/events/main?start_from=0").await.read().await;
    assert_eq!(lines(&text)[1..], ["data:{\"Number\":0}", "id:0"]);
}

#[tokio::test(start_paused = true)]
async fn slow_bytes_come_one_by_one() {
    let served = served().await;
    let mut client = served.subscribe("/events/main").await;
    served.node.emit_slowly(event(0), 1, Duration::from_secs(1));
    let (text, _) = client.read_for(Duration::from_millis(2500)).await;
    assert_eq!(text, "1\r\nd\r\n1\r\na\r\n1\r\nt\r\n");
}

#[tokio::test(start_paused = true)]
async fn raw_bytes_are_written_as_they_are() {
    let served = served().await;
    let mut client = served.subscribe("/events/main").await;
    served.node.write_raw(Filter::Main, "event: x\r\ndata: {}\r\nretry: 5\r\n\r\n");
    assert_eq!(client.read().await, "20\r\nevent: x\r\ndata: {}\r\nretry: 5\r\n\r\n\r\n");
    assert_eq!(served.node.emitted()[0].id, None);
}

#[tokio::test(start_paused = true)]
async fn keep_alives_come_15_seconds_after_the_last_byte_until_they_are_stopped() {
    let served = served().await;
    let mut client = served.subscribe("/events/main").await;
    let (text, _) = client.read_for(Duration::from_millis(14_800)).await;
    assert_eq!(text, "");
    served.node.emit(event(0));
    client.read().await;
    assert_eq!(client.read_for(Duration::from_millis(14_800)).await.0, "");
    assert_eq!(client.read_for(Duration::from_millis(200)).await.0, "3\r\n:\n\n\r\n");
    served.node.stop_keep_alives(true);
    assert_eq!(client.read_for(Duration::from_secs(3600)).await.0, "");
    served.node.stop_keep_alives(false);
    assert_eq!(client.read_for(Duration::from_secs(31)).await.0, "3\r\n:\n\n\r\n3\r\n:\n\n\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_paused_node_hangs_and_goes_on_where_it_stood() {
    let served = served().await;
    let mut client = served.subscribe("/events/main").await;
    served.node.pause(true);
    served.node.emit(event(0));
    assert_eq!(client.read_for(Duration::from_secs(3600)).await, (String::new(), false));
    served.node.pause(false);
    assert_eq!(lines(&client.read().await), ["data:{\"Number\":0}", "id:0"]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_filter_may_come_back_and_a_closed_one_may_not() {
    let served = served().await;
    let mut main = served.subscribe("/events/main").await;
    let mut sigs = served.subscribe("/events/sigs").await;
    assert_eq!(served.node.drop_filter(Filter::Main), 1);
    assert!(main.read_for(Duration::from_secs(1)).await.1);
    let mut main = served.subscribe("/events/main").await;
    served.node.close_filter(Filter::Main, true);
    assert!(main.read_for(Duration::from_secs(1)).await.1);
    let answer = served.get(SSE, "/events/main").await.read_for(Duration::from_secs(1)).await;
    assert_eq!(answer, (String::new(), true));
    assert!(!sigs.read_for(Duration::from_secs(1)).await.1, "the other filters go on");
    served.node.close_filter(Filter::Main, false);
    served.subscribe("/events/main").await;
}

#[tokio::test(start_paused = true)]
async fn refused_and_silent_connections() {
    let served = served().await;
    let mut client = served.subscribe("/events/main").await;
    served.node.refuse_connections(true);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(served.network.connect(SSE).await.is_err());
    served.node.emit(event(0));
    assert_eq!(lines(&client.read().await), ["data:{\"Number\":0}", "id:0"], "who is there stays");
    served.node.refuse_connections(false);
    served.node.accept_silently(true);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut silent = served.get(SSE, "/events/main").await;
    assert_eq!(silent.read_for(Duration::from_secs(3600)).await, (String::new(), false));
    served.node.accept_silently(false);
    tokio::time::sleep(Duration::from_millis(1)).await;
    served.subscribe("/events/main").await;
}

#[tokio::test(start_paused = true)]
async fn a_laggard_is_cut_at_a_fifth_more_than_the_ring() {
    // Each event is larger than all buffers on the way, so the node's view of the reader is exact.
    let large = |number: u32| Event::raw(Filter::Main, format!("{number}{}", "x".repeat(1_000_000)));
    for (backlog, cut) in [(12, false), (13, true)] {
        let served = Served::new(Node::builder().ring(10).build()).await;
        let mut client = served.subscribe("/events/main").await;
        // While it reads nothing, this one occupies the connection.
        served.node.emit(large(0));
        tokio::time::sleep(Duration::from_millis(1)).await;
        served.node.emit_all((0..backlog).map(large));
        let (text, ended) = client.read_for(Duration::from_secs(10)).await;
        assert_eq!(ended, cut, "{backlog}");
        assert_eq!(text.matches("data:").count(), if cut { 1 } else { 13 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_holds_back_waits_for_its_slowest_reader() {
    let served = Served::new(Node::builder().ring(10).laggards(Laggards::HoldBack).build()).await;
    let mut client = served.subscribe("/events/main").await;
    let node = served.node.clone();
    let mut source = tokio::task::JoinSet::new();
    source.spawn(async move {
        for number in 0..1000 {
            node.room().await;
            node.emit(Event::raw(Filter::Main, format!("{number}{}", "x".repeat(100_000))));
        }
    });
    tokio::time::sleep(Duration::from_secs(60)).await;
    let sent = served.node.next_id();
    assert!(sent < 30, "a reader that reads nothing stops the source, but {sent} were sent");
    let (text, ended) = client.read_for(Duration::from_secs(10)).await;
    assert!(!ended);
    assert_eq!(text.matches("data:").count(), 1000, "nothing is lost");
}

#[tokio::test(start_paused = true)]
async fn subscribers_are_listed_with_what_each_received() {
    let served = served().await;
    served.node.emit(event(0));
    let waiting = served.node.clone();
    let mut waits = tokio::task::JoinSet::new();
    waits.spawn(async move { waiting.wait_for_subscribers(2).await });
    let main = served.subscribe("/events/main?start_from=0").await;
    let _sigs = served.subscribe("/events/sigs").await;
    waits.join_next().await.expect("it waits").expect("it does not panic");
    served.node.emit(event(1));
    tokio::time::sleep(Duration::from_millis(1)).await;
    let list = served.node.subscribers();
    assert_eq!((list[0].filter, list[0].start_from, list[0].events), (Filter::Main, Some(0), 2));
    assert_eq!((list[0].last_id, list[0].connected), (Some(1), true));
    assert_eq!((list[1].filter, list[1].events), (Filter::Sigs, 0));
    drop(main);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(served.node.subscribers().len(), 1);
    let all = served.node.all_subscribers();
    assert_eq!((all[0].connected, all[0].events, all.len()), (false, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_30_mb_event_arrives_whole() {
    let served = served().await;
    let mut client = served.subscribe("/events/main").await;
    let data = format!("{{\"Step\":\"{}\"}}", "x".repeat(30_000_000));
    served.node.emit(Event::raw(Filter::Main, data.clone()));
    let (text, _) = client.read_for(Duration::from_secs(10)).await;
    assert_eq!(lines(&text)[0].len(), "data:".len() + data.len());
}

#[test]
fn the_truth_is_bounded_and_says_what_it_forgot() {
    let node = Node::builder().history(3).build();
    for number in 0..5 {
        node.emit(event(number));
    }
    assert_eq!(node.emitted().iter().map(|sent| sent.id).collect::<Vec<_>>(), [Some(2), Some(3), Some(4)]);
    assert_eq!(node.forgotten(), 2);
}
