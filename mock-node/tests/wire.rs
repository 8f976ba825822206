//! The bytes on the wire against those of a real casper-node 1.5.8.

mod memory;

use std::time::Duration;

use memory::{REST, SSE, Served, lines};
use mock_node::{Event, Filter, Node, StatusBehaviour};
use tokio::time::{Instant, sleep_until};

fn signature(number: u32) -> Event {
    Event::raw(Filter::Sigs, format!(r#"{{"FinalitySignature":{{"number":{number}}}}}"#))
}

fn without_date(response: &str) -> String {
    response
        .split_inclusive("\r\n")
        .map(|line| if line.starts_with("date: ") { "date: (masked)\r\n" } else { line })
        .collect()
}

/// A whole captured connection, from its first byte to its end, is made again by a mock node that is given the same
/// events at the same times: headers, framing, layout, keep-alives and the end are byte-identical.
#[tokio::test(start_paused = true)]
async fn a_captured_connection_is_repeated_byte_for_byte() {
    let captured = include_str!("../fixtures/deploys.rawhttp");
    let times = include_str!("../fixtures/deploys.times.jsonl");
    let served = Served::new(Node::builder().build()).await;
    let mut client = served.get(SSE, "/events/deploys").await;
    let begin = Instant::now();
    let mut made = String::new();
    for line in times.lines() {
        let received: serde_json::Value = serde_json::from_str(line).expect("JSON lines");
        let number = |field: &str| received[field].as_f64().expect("a number");
        let (offset, length) = (number("off") as usize, number("len") as usize);
        let bytes = &captured[offset..offset + length];
        sleep_until(begin + Duration::from_secs_f64(number("t"))).await;
        let mut data = None;
        for line in bytes.lines() {
            if let Some(found) = line.strip_prefix("data:") {
                data = Some(found);
            } else if let Some(id) = line.strip_prefix("id:") {
                served.node.set_id(id.parse().expect("an id"));
                match data.take().expect("data comes before the id") {
                    "\"Shutdown\"" => served.node.shutdown(),
                    found => {
                        served.node.emit(Event::raw(Filter::Deploys, found.to_owned()));
                    }
                }
            }
        }
        made += &client.read_for(Duration::from_millis(3)).await.0;
    }
    let (rest, ended) = client.read_for(Duration::from_secs(1)).await;
    made += &rest;
    assert!(ended, "the node closes the connection after its Shutdown");
    assert_eq!(without_date(&made), without_date(captured));
}

#[tokio::test(start_paused = true)]
async fn odd_requests_get_a_real_nodes_answers() {
    const PATH: &str = "invalid path: expected '/events/main', '/events/deploys' or '/events/sigs'\n";
    const QUERY: &str = "invalid query: expected single field 'start_from=<EVENT ID>'\n";
    let served = Served::new(Node::builder().build()).await;
    let table = [
        ("GET", "/", 404),
        ("GET", "/events", 404),
        ("GET", "/events/", 404),
        ("GET", "/events/main", 200),
        ("GET", "/events/main/", 200),
        ("GET", "/events//main", 404),
        ("GET", "/events/Main", 404),
        ("GET", "/events/main/foo", 404),
        ("GET", "/events/nosuch", 404),
        ("GET", "/events/deploys/", 200),
        ("GET", "/events/sigs/", 200),
        ("GET", "/events/main?start_from=abc", 422),
        ("GET", "/events/main?start_from=", 422),
        ("GET", "/events/main?start_from=-1", 422),
        ("GET", "/events/main?start_from=4294967295", 200),
        ("GET", "/events/main?start_from=4294967296", 422),
        ("GET", "/events/main?foo=1", 422),
        ("GET", "/events/main?start_from=0&foo=1", 422),
        ("GET", "/events/main?start_from=0&start_from=5", 200),
        ("GET", "/events/main?", 200),
        ("GET", "/events/main?start_from", 422),
        ("GET", "/events/main?start_from=%2B1", 200),
        ("GET", "/events/main?Start_From=0", 422),
        ("GET", "/events/nosuch?start_from=abc", 404),
        ("GET", "/events?start_from=0", 404),
        ("POST", "/events/main", 404),
        ("HEAD", "/events/main", 404),
        ("OPTIONS", "/events/main", 404),
    ];
    for (method, path, status) in table {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: node\r\n\r\n");
        let answer = without_date(&served.request(SSE, &request).await.read().await);
        let expected = match status {
            200 => concat!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n",
                "transfer-encoding: chunked\r\ndate: (masked)\r\n\r\n1D\r\ndata:{\"ApiVersion\":\"1.5.8\"}\n\n\r\n"
            )
            .to_owned(),
            404 => {
                let body = if method == "HEAD" { "" } else { PATH };
                format!("HTTP/1.1 404 Not Found\r\ncontent-length: 75\r\ndate: (masked)\r\n\r\n{body}")
            }
            _ => format!(
                "HTTP/1.1 422 Unprocessable Entity\r\ncontent-length: 61\r\ndate: (masked)\r\n\r\n{QUERY}"
            ),
        };
        assert_eq!(answer, expected, "{method} {path}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_http_1_0_client_gets_an_unchunked_body() {
    let served = Served::new(Node::builder().build()).await;
    let mut client = served.request(SSE, "GET /events/sigs HTTP/1.0\r\n\r\n").await;
    assert_eq!(
        without_date(&client.read().await),
        concat!(
            "HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n",
            "date: (masked)\r\n\r\ndata:{\"ApiVersion\":\"1.5.8\"}\n\n"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_after_the_last_seat_is_taken_gets_503_whatever_it_asks() {
    let served = Served::new(Node::builder().max_subscribers(2).build()).await;
    let first = served.subscribe("/events/main").await;
    let _second = served.subscribe("/events/sigs").await;
    let full = concat!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 39\r\ndate: (masked)\r\n\r\n",
        "server has reached limit of subscribers"
    );
    for path in ["/events/main", "/events/nosuch", "/events/main?foo=1"] {
        assert_eq!(without_date(&served.get(SSE, path).await.read().await), full, "{path}");
    }
    drop(first);
    tokio::time::sleep(Duration::from_millis(10)).await;
    served.subscribe("/events/deploys").await;
}

#[tokio::test(start_paused = true)]
async fn status_has_the_fields_of_a_real_node_in_their_order() {
    let served = Served::new(Node::builder().build_version("1.5.6-abc").api_version("1.5.7").build()).await;
    let block = include_str!("../fixtures/BlockAdded.json").trim_end();
    served.node.emit(Event::json(block).expect("JSON"));
    let answer = served.get(REST, "/status").await.read().await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a response");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "));
    let mut at = 0;
    for key in [
        "peers",
        "api_version\":\"1.5.7\"",
        "build_version\":\"1.5.6-abc\"",
        "chainspec_name\":\"casper-example\"",
        "starting_state_root_hash",
        "last_added_block_info\":{\"hash\":\"",
        "timestamp",
        "era_id",
        "height",
        "state_root_hash",
        "creator",
        "our_public_signing_key",
        "round_length",
        "next_upgrade\":null",
        "uptime\":\"",
        "reactor_state\":\"Validate\"",
        "last_progress",
        "available_block_range\":{\"low\":0,\"high\":",
        "block_sync\":{\"historical\":null,\"forward\":null}}",
    ] {
        at += body[at..].find(key).unwrap_or_else(|| panic!("{key} is missing or out of place in {body}"));
    }
    serde_json::from_str::<serde_json::Value>(body).expect("JSON");
}

#[tokio::test(start_paused = true)]
async fn status_errs_when_told_to() {
    let served = Served::new(Node::builder().build()).await;
    served.node.status(StatusBehaviour::Error(503));
    let answer = served.get(REST, "/status").await.read().await;
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
    served.node.status(StatusBehaviour::Garbage);
    let answer = served.get(REST, "/status").await.read().await;
    let body = answer.split_once("\r\n\r\n").expect("a response").1;
    assert!(serde_json::from_str::<serde_json::Value>(body).is_err(), "{answer}");
    served.node.status(StatusBehaviour::Silent);
    let (answer, ended) = served.get(REST, "/status").await.read_for(Duration::from_secs(3600)).await;
    assert_eq!((answer.as_str(), ended), ("", false));
}

#[tokio::test(start_paused = true)]
async fn shutdown_goes_to_all_filters_under_one_id_and_ends_the_bodies() {
    let served = Served::new(Node::builder().first_id(7).build()).await;
    let mut clients = Vec::new();
    for filter in Filter::ALL {
        clients.push(served.subscribe(&format!("/events/{filter}")).await);
    }
    served.node.shutdown();
    for client in &mut clients {
        let (text, ended) = client.read_for(Duration::from_secs(1)).await;
        assert_eq!(text, "16\r\ndata:\"Shutdown\"\nid:7\n\n\r\n0\r\n\r\n");
        assert!(ended);
    }
    assert!(served.network.connect(SSE).await.is_err(), "connections are refused while the node is down");
    assert!(served.network.connect(REST).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn ids_go_on_after_an_orderly_stop_and_fall_back_after_a_crash() {
    let served = Served::new(Node::builder().build()).await;
    assert_eq!(served.node.emit(signature(0)), 0);
    served.node.shutdown();
    served.node.restart();
    assert_eq!(served.node.emit(signature(1)), 2, "the Shutdown had id 1");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut client = served.subscribe("/events/sigs").await;
    served.node.emit(signature(2));
    assert_eq!(lines(&client.read().await), ["data:{\"FinalitySignature\":{\"number\":2}}", "id:3"]);
    served.node.crash();
    let (text, ended) = client.read_for(Duration::from_secs(1)).await;
    assert_eq!((text.as_str(), ended), ("", true), "the body breaks off, without its last chunk");
    served.node.restart();
    assert_eq!(served.node.emit(signature(3)), 2, "only the orderly stop saved the counter");
    let truth: Vec<_> = served.node.emitted().into_iter().map(|sent| (sent.run, sent.id)).collect();
    let shutdown = (0, Some(1));
    assert_eq!(truth, [(0, Some(0)), shutdown, shutdown, shutdown, (1, Some(2)), (1, Some(3)), (2, Some(2))]);
}

#[tokio::test(start_paused = true)]
async fn the_ring_is_lost_by_any_stop() {
    let served = Served::new(Node::builder().build()).await;
    served.node.emit(signature(0));
    served.node.shutdown();
    served.node.restart();
    tokio::time::sleep(Duration::from_secs(1)).await;
    served.node.emit(signature(1));
    let text = served.get(SSE, "/events/sigs?start_from=0").await.read().await;
    assert_eq!(lines(&text)[1..], ["data:{\"FinalitySignature\":{\"number\":1}}", "id:2"]);
}

#[tokio::test(start_paused = true)]
async fn the_host_may_end_and_serve_the_node_again() {
    let mut served = Served::new(Node::builder().sse_port(SSE).rest_port(REST).build()).await;
    served.node.emit(signature(0));
    let mut client = served.subscribe("/events/sigs").await;
    served.end_host().await;
    assert_eq!(client.read_for(Duration::from_secs(1)).await, (String::new(), true));
    assert!(!served.node.is_up());
    assert_eq!(served.node.emit(signature(1)), 0, "nobody sends anything while the node is down");
    served.serve().await;
    assert_eq!(served.node.emit(signature(2)), 0);
    served.abort_host().await;
    assert!(!served.node.is_up(), "a host that is gone takes its node with it");
    served.serve().await;
    served.subscribe("/events/sigs").await;
    assert_eq!(served.node.emitted().len(), 2);
}

async fn ids(served: &Served, start_from: u32) -> Vec<u32> {
    let text = served.get(SSE, &format!("/events/sigs?start_from={start_from}")).await.read().await;
    lines(&text).iter().filter_map(|line| line.strip_prefix("id:")?.parse().ok()).collect()
}

#[tokio::test(start_paused = true)]
async fn replay_is_inclusive_and_reaches_as_far_back_as_the_ring() {
    let served = Served::new(Node::builder().ring(10).first_id(100).build()).await;
    for number in 0..15 {
        served.node.emit(signature(number));
    }
    assert_eq!(ids(&served, 112).await, [112, 113, 114]);
    assert_eq!(ids(&served, 0).await, (105..115).collect::<Vec<_>>());
    assert_eq!(ids(&served, 115).await, [0; 0]);
    assert_eq!(ids(&served, 4_000_000).await, [0; 0]);
}

/// What a real node does while the first id of its ring is close to the wrap-around: it compares ids shifted by the
/// length of the ring.
#[tokio::test(start_paused = true)]
async fn near_the_wrap_around_ids_are_compared_shifted_by_the_ring() {
    let served = Served::new(Node::builder().ring(10).build()).await;
    for number in 0..3 {
        served.node.emit(signature(number));
    }
    assert_eq!(ids(&served, u32::MAX).await, [0, 1, 2], "as captured: the whole ring");
    assert_eq!(ids(&served, 999).await, [0; 0]);
    let served = Served::new(Node::builder().ring(10).first_id(u32::MAX - 1).build()).await;
    for number in 0..4 {
        served.node.emit(signature(number));
    }
    assert_eq!(ids(&served, u32::MAX - 1).await, [u32::MAX - 1, u32::MAX, 0, 1]);
    assert_eq!(ids(&served, u32::MAX).await, [u32::MAX, 0, 1]);
    assert_eq!(ids(&served, 0).await, [0, 1], "the ids before the wrap are skipped");
}
