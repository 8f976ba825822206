//! The control API: what it does, and what it says to wrong calls.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use http_body_util::BodyExt as _;
use mock_node::{
    Node,
    control::{Controlled, openapi, router},
    script::{Player, Script},
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

struct Api {
    node: Node,
    controlled: Controlled,
}

impl Api {
    fn new() -> Self {
        let node = Node::builder().build();
        Self { controlled: Controlled { nodes: vec![("one".to_owned(), node.clone())], player: None }, node }
    }

    async fn call(&self, method: &str, path: &str, body: &str) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned()));
        let response = router(self.controlled.clone())
            .oneshot(request.expect("a request"))
            .await
            .expect("a router never fails");
        let status = response.status();
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("no JSON: {bytes:?}")))
    }

    async fn done(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call("POST", path, &body.to_string()).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn refused(&self, path: &str, body: &str, status: u16, part: &str) {
        let (found, answer) = self.call("POST", path, body).await;
        assert_eq!((found.as_u16(), answer["code"].as_u64()), (status, Some(status.into())), "{answer}");
        let message = answer["message"].as_str().expect("a reason");
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
}

#[tokio::test]
async fn events_are_emitted_in_the_bytes_given_and_read_back() {
    let api = Api::new();
    let (status, sent) =
        api.call("POST", "/nodes/one/emit", r#"{"event":{"FinalitySignature":{"b":1,"a":2}}}"#).await;
    assert_eq!((status.as_u16(), sent), (200, json!({ "id": 0, "filter": "sigs" })));
    api.done("/nodes/one/counter", json!({ "skip": 4 })).await;
    let sent = api.done("/nodes/one/emit", json!({ "text": "{malformed", "filter": "deploys" })).await;
    assert_eq!(sent, json!({ "id": 5, "filter": "deploys" }));
    api.done("/nodes/one/emit", json!({ "event": "NoId", "no_id": true })).await;
    api.done("/nodes/one/emit", json!({ "event": "Again", "id": 5 })).await;
    let (_, all) = api.call("GET", "/nodes/one/emitted", "").await;
    let line = |id: Value, filter, data| json!({ "run": 0, "id": id, "filter": filter, "data": data });
    assert_eq!(
        all,
        json!([
            line(json!(0), "sigs", r#"{"FinalitySignature":{"b":1,"a":2}}"#),
            line(json!(5), "deploys", "{malformed"),
            line(Value::Null, "main", "\"NoId\""),
            line(json!(5), "main", "\"Again\""),
        ])
    );
    let (_, last) = api.call("GET", "/nodes/one/emitted?filter=main&last=1&run=0", "").await;
    assert_eq!(last.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_node_is_stopped_started_and_changed() {
    let api = Api::new();
    assert_eq!(api.done("/nodes/one/shutdown", json!({})).await["up"], false);
    let versions = json!({ "build_version": "1.6.0", "api_version": "1.6.1" });
    assert_eq!(api.done("/nodes/one/versions", versions).await["api_version"], "1.6.1");
    let state = api.done("/nodes/one/restart", json!({})).await;
    assert_eq!((&state["up"], &state["run"], &state["next_id"]), (&json!(true), &json!(1), &json!(1)));
    assert_eq!(api.done("/nodes/one/crash", json!({})).await["up"], false);
    api.done("/nodes/one/restart", json!({})).await;
    for switch in ["pause", "refuse", "silent", "keep-alives"] {
        api.done(&format!("/nodes/one/{switch}"), json!({ "on": true })).await;
    }
    api.done("/nodes/one/status", json!("garbage")).await;
    api.done("/nodes/one/status", json!({ "error": 503 })).await;
    assert_eq!(api.done("/nodes/one/drop", json!({ "filter": "main" })).await, json!({ "dropped": 0 }));
    assert_eq!(api.node.versions(), ("1.6.0".to_owned(), "1.6.1".to_owned()));
    let (_, nodes) = api.call("GET", "/nodes", "").await;
    assert_eq!(nodes[0]["name"], "one");
    let (_, subscribers) = api.call("GET", "/nodes/one/subscribers", "").await;
    assert_eq!(subscribers, json!([]));
}

#[tokio::test]
async fn wrong_calls_get_the_reason() {
    let api = Api::new();
    api.refused("/nodes/two/crash", "", 404, "no node `two`: expected one of `one`").await;
    api.refused("/nodes/one/emit", "{", 400, "EOF").await;
    api.refused("/nodes/one/emit", "{}", 400, "exactly one of `event` and `text`").await;
    api.refused("/nodes/one/emit", r#"{"evnt":1}"#, 400, "unknown field `evnt`, expected one of `event`")
        .await;
    api.refused("/nodes/one/emit", r#"{"text":"a\nb"}"#, 400, "one line").await;
    api.refused("/nodes/one/emit", r#"{"text":"a","filter":"x"}"#, 400, "unknown variant `x`").await;
    api.refused("/nodes/one/emit", r#"{"text":"a","id":1,"no_id":true}"#, 400, "only one of").await;
    api.refused("/nodes/one/restart", "", 409, "the node is up").await;
    api.refused("/nodes/one/pause", r#"{"on":1}"#, 400, "boolean").await;
    api.refused("/nodes/one/status", r#"{"error":200}"#, 400, "400 to 599").await;
    api.refused("/nodes/one/counter", "{}", 400, "exactly one of `skip` and `set`").await;
    api.refused("/nodes/one/versions", "{}", 400, "expected `build_version`").await;
    api.refused("/nodes/one/nothing", "", 404, "there is no /nodes/one/nothing").await;
    api.refused("/nodes", "", 405, "POST does not go with /nodes").await;
    api.refused("/script/step", r#"{"count":1}"#, 404, "no script is played").await;
    let (status, answer) = api.call("GET", "/nodes/one/emitted?last=x", "").await;
    assert_eq!((status.as_u16(), answer["code"].as_u64()), (400, Some(400)));
    api.node.shutdown();
    api.refused("/nodes/one/emit", r#"{"event":1}"#, 409, "the node is down").await;
    api.refused("/nodes/one/shutdown", "", 409, "the node is down").await;
}

#[tokio::test]
async fn a_script_is_driven_step_by_step() {
    let mut api = Api::new();
    let script = Script::parse("steps = [ { emit = 'Step' }, { wait_control = 'go' }, { emit = 'Fault' } ]");
    let player = Player::new(script.expect("right"), vec![api.node.clone()], true);
    api.controlled.player = Some(player.clone());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { player.play().await });
    let progress = api.done("/script/step", json!({ "count": 1 })).await;
    assert_eq!((&progress["steps_done"], api.node.next_id()), (&json!(1), 1));
    api.refused("/script/continue", r#"{"name":"halt"}"#, 400, "wait_control = \"halt\"").await;
    api.done("/script/continue", json!({ "name": "go" })).await;
    let progress = api.done("/script/step", json!({ "count": 2 })).await;
    assert_eq!(
        (&progress["steps_done"], &progress["finished"], api.node.next_id()),
        (&json!(3), &json!(true), 2)
    );
    api.refused("/script/step", r#"{"count":1}"#, 409, "through").await;
    assert_eq!(api.call("GET", "/script", "").await.1["stepped"], true);
}

#[tokio::test]
async fn the_document_has_every_route_and_swagger_ui_is_there() {
    let document: Value = serde_json::from_str(&openapi()).expect("JSON");
    let paths: Vec<&String> = document["paths"].as_object().expect("paths").keys().collect();
    assert_eq!(paths.len(), 18, "{paths:?}");
    let api = Api::new();
    for path in paths {
        let get = document["paths"][path].get("get").is_some();
        let path = path.replace("{node}", "one");
        let (status, answer) = api.call(if get { "GET" } else { "POST" }, &path, "").await;
        let reason = answer["message"].as_str().unwrap_or_default();
        assert!(!reason.starts_with("there is no /") && status != 405, "{path}: {answer}");
    }
    let request = Request::get("/swagger-ui/").body(Body::empty()).expect("a request");
    let response = router(api.controlled.clone()).oneshot(request).await.expect("never fails");
    assert_eq!(response.status(), 200);
    assert_eq!(api.call("GET", "/api-doc.json", "").await.1, document);
}
