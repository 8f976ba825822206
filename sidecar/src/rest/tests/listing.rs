//! The log page by page, and entry by entry.

use http::Method;
use serde_json::{Value, json};

use super::server::{ACCEPTED, Answered, BLOCK, FAULT, SIGNATURE, STEP, TestServer};

fn ids(answered: &Answered) -> Vec<u64> {
    let body: Value = serde_json::from_slice(&answered.body).expect("JSON");
    body["events"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|event| event["id"].as_u64().expect("an id"))
        .collect()
}

async fn some() -> TestServer {
    let server = TestServer::with(&[SIGNATURE, BLOCK, "\"Shutdown\""]).await;
    server.append(STEP, "10.0.0.2:9999").await;
    server.append(FAULT, "sidecar").await;
    server.append(ACCEPTED, "10.0.0.1:9999").await;
    server
        .append(
            r#"{"Novelty":[1,
 2]}"#,
            "10.0.0.3:9999",
        )
        .await;
    server
}

#[tokio::test]
async fn an_entry_is_shown_with_what_is_known_of_it() {
    let server = some().await;
    let expected = format!(
        r#"{{"id":2,"kind":"BlockAdded","node":"node-1","api_version":"1.5.8","received_at":"2023-11-14T22:13:20.123Z","event":{BLOCK}}}"#
    );
    server.check("/events/2", 200, &expected).await;
    let label = async |id| -> Value {
        serde_json::from_slice::<Value>(&server.get(&format!("/events/{id}")).await.body).expect("JSON")["node"].clone()
    };
    assert_eq!(label(4).await, "node-2");
    assert_eq!(label(6).await, "node-1");
    assert_eq!(label(7).await, "node-3", "the sidecar is no node");
}

#[tokio::test]
async fn shutdowns_are_not_shown() {
    let server = some().await;
    assert_eq!(server.get("/events/3").await.status, 404);
    assert_eq!(ids(&server.get("/events").await), [1, 2, 4, 5, 6, 7]);
    assert_eq!(server.get("/events?kind=Shutdown").await.status, 400);
}

#[tokio::test]
async fn pages_lead_from_one_to_the_next() {
    let server = some().await;
    for (first, expected) in [
        ("/events?limit=2", vec![vec![1, 2], vec![4, 5], vec![6, 7]]),
        ("/events/?limit=4&order=desc", vec![vec![7, 6, 5, 4], vec![2, 1]]),
        ("/events?kind=BlockAdded&limit=1", vec![vec![2]]),
        ("/events?from_id=5", vec![vec![5, 6, 7]]),
        ("/events?from_id=5&order=desc&limit=3", vec![vec![5, 4, 2], vec![1]]),
        ("/events?from_id=99", vec![vec![]]),
    ] {
        let mut path = first.to_owned();
        let mut pages = Vec::new();
        loop {
            let answered = server.get(&path).await;
            pages.push(ids(&answered));
            let body: Value = serde_json::from_slice(&answered.body).expect("JSON");
            let Some(link) = answered.headers.get("link") else {
                assert_eq!(body["next"], Value::Null, "{path}");
                break;
            };
            let link = link.to_str().expect("ASCII").to_owned();
            path = link.strip_prefix('<').expect("a link").split('>').next().expect("a path").to_owned();
            assert!(path.contains(&format!("from_id={}&", body["next"])), "{path}: {}", body["next"]);
        }
        assert_eq!(pages, expected, "{first}");
    }
}

#[tokio::test]
async fn lines_are_sent_to_whoever_asks_for_them() {
    let server = some().await;
    for accept in ["application/x-ndjson", "text/html, application/x-ndjson;q=0.9, */*;q=0.1"] {
        let answered = server.ask(Method::GET, "/events?order=desc", &[("accept", accept)]).await;
        assert_eq!(answered.headers["content-type"], "application/x-ndjson");
        let lines: Vec<Value> = answered
            .text()
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON on one line"))
            .collect();
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[0]["event"], json!({"Novelty": [1, 2]}));
    }
    for accept in ["*/*", "application/json, application/x-ndjson", "text/html"] {
        let answered = server.ask(Method::GET, "/events", &[("accept", accept)]).await;
        assert_eq!(answered.headers["content-type"], "application/json", "{accept}");
    }
}

#[tokio::test]
async fn a_malformed_query_is_told_with_what_is_expected() {
    let server = some().await;
    for (query, expected) in [
        ("from_id=x", "from_id to be the id of an entry"),
        ("from_id=-1", "from_id to be the id of an entry"),
        ("limit=0", "limit to be a number from 1 to 512"),
        ("limit=513", "limit to be a number from 1 to 512"),
        ("order=up", "order to be asc or desc"),
        ("kind=Blocks", "kind to be one of BlockAdded, DeployAccepted,"),
        ("kinds=BlockAdded", "no fields but from_id, limit, kind and order"),
        ("limit=1&limit=2", "no fields but from_id, limit, kind and order"),
    ] {
        let answered = server.get(&format!("/events?{query}")).await;
        assert_eq!(answered.status, 400, "{query}");
        assert!(answered.text().contains(expected), "{query}: {}", answered.text());
    }
}

#[tokio::test]
async fn the_status_tells_version_and_ids() {
    let expected = |api, oldest, head| {
        let version = env!("CARGO_PKG_VERSION");
        format!(r#"{{"version":"{version}","api_version":{api},"oldest_id":{oldest},"head_id":{head}}}"#)
    };
    TestServer::new().check("/status", 200, &expected("null", "null", 0)).await;
    let server = some().await;
    server.set_in_force().await;
    server.check("/status", 200, &expected("\"1.5.8\"", "1", 7)).await;
}
