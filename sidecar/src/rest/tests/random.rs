//! Random logs against a naive model, and random requests against good manners.

use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::server::{TestServer, hash};

/// An event as a test has it: few names, so that they meet.
#[derive(Debug, Clone)]
enum Made {
    Block { hash: u64, height: u64 },
    Accepted(u64),
    Processed(u64),
    Expired(u64),
    Fault { key: u64, era: u64 },
    Signature { block: u64, key: u64 },
    Step { era: u64, long: bool },
    Shutdown,
}

fn made() -> impl Strategy<Value = Made> {
    let name = 0..6_u64;
    prop_oneof![
        (name.clone(), name.clone())
            .prop_map(|(hash, height)| Made::Block { hash, height: height * 1000 + hash }),
        name.clone().prop_map(Made::Accepted),
        name.clone().prop_map(Made::Processed),
        name.clone().prop_map(Made::Expired),
        (name.clone(), name.clone()).prop_map(|(key, era)| Made::Fault { key, era }),
        (name.clone(), name.clone()).prop_map(|(block, key)| Made::Signature { block, key }),
        (name, any::<bool>()).prop_map(|(era, long)| Made::Step { era, long }),
        Just(Made::Shutdown),
    ]
}

fn key(number: u64) -> String {
    format!("01{}", hash(number))
}

impl Made {
    /// Its kind and its payload. `number` is its place among all that were made, so that no two are the same bytes.
    fn parts(&self, number: usize) -> (&'static str, Value) {
        match self {
            Self::Block { hash: name, height } => (
                "BlockAdded",
                json!({"n": number, "block_hash": hash(*name), "block": {"header": {"height": height, "timestamp": ""}}}),
            ),
            Self::Accepted(name) => ("DeployAccepted", json!({"n": number, "hash": hash(*name)})),
            Self::Processed(name) => ("DeployProcessed", json!({"n": number, "deploy_hash": hash(*name)})),
            Self::Expired(name) => ("DeployExpired", json!({"n": number, "deploy_hash": hash(*name)})),
            Self::Fault { key: name, era } => {
                ("Fault", json!({"n": number, "public_key": key(*name), "era_id": era}))
            }
            Self::Signature { block, key: name } => (
                "FinalitySignature",
                json!({"n": number, "block_hash": hash(*block), "public_key": key(*name)}),
            ),
            Self::Step { era, long } => {
                let effect = "x".repeat(if *long { 70_000 } else { 10 });
                ("Step", json!({"n": number, "era_id": era, "execution_effect": effect}))
            }
            Self::Shutdown => ("Shutdown", Value::Null),
        }
    }

    /// What makes it the same event as another.
    fn name(&self) -> String {
        match self {
            Self::Block { hash, .. } => format!("block {hash}"),
            Self::Step { era, .. } => format!("step {era}"),
            other => format!("{other:?}"),
        }
    }
}

/// The naive model: the payloads in their order, each with its kind.
struct Log(Vec<(&'static str, Value)>);

impl Log {
    fn of(all: &[Made]) -> Self {
        let mut seen = std::collections::BTreeSet::new();
        let parts = all.iter().enumerate().filter(|(_, made)| seen.insert(made.name()));
        Self(parts.map(|(number, made)| made.parts(number)).collect())
    }

    fn all(&self, kind: &str, field: &str, value: &Value) -> Vec<Value> {
        let found = self.0.iter().filter(|(of, payload)| *of == kind && payload[field] == *value);
        found.map(|(_, payload)| payload.clone()).collect()
    }

    fn one(&self, kind: &str, field: &str, value: &Value) -> Option<Value> {
        self.all(kind, field, value).into_iter().next()
    }

    /// What REST is to answer, by path; `None` for 404.
    fn expected(&self) -> Vec<(String, Option<Value>)> {
        let mut expected = Vec::new();
        let some = |found: Vec<Value>| (!found.is_empty()).then_some(Value::Array(found));
        let blocks = || self.0.iter().filter(|(kind, _)| *kind == "BlockAdded").map(|(_, payload)| payload);
        let height = |block: &Value| block["block"]["header"]["height"].as_u64().expect("a number");
        expected.push(("/block".to_owned(), blocks().max_by_key(|block| height(block)).cloned()));
        for number in 0..6_u64 {
            let (hash, key) = (json!(hash(number)), json!(key(number)));
            let name = hash.as_str().expect("text");
            expected.push((format!("/block/{name}"), self.one("BlockAdded", "block_hash", &hash)));
            for height_of in (0..6).map(|thousands| thousands * 1000 + number) {
                let found = blocks().find(|block| height(block) == height_of).cloned();
                expected.push((format!("/block/{height_of}"), found));
            }
            let accepted = self.one("DeployAccepted", "hash", &hash);
            let processed = self.one("DeployProcessed", "deploy_hash", &hash);
            let expired = self.one("DeployExpired", "deploy_hash", &hash);
            expected.push((format!("/deploy/accepted/{name}"), accepted.clone()));
            expected.push((format!("/deploy/processed/{name}"), processed.clone()));
            expected.push((format!("/deploy/expired/{name}"), expired.clone()));
            let known = accepted.is_some() || processed.is_some() || expired.is_some();
            let all = json!({
                "deploy_hash": hash, "deploy_accepted": accepted,
                "deploy_processed": processed, "deploy_expired": expired.is_some(),
            });
            expected.push((format!("/deploy/{name}"), known.then_some(all)));
            expected.push((
                format!("/signatures/{name}"),
                some(self.all("FinalitySignature", "block_hash", &hash)),
            ));
            let of_key = some(self.all("Fault", "public_key", &key));
            expected.push((format!("/faults/{}", key.as_str().expect("text")), of_key));
            expected.push((format!("/faults/{number}"), some(self.all("Fault", "era_id", &json!(number)))));
            expected.push((format!("/step/{number}"), self.one("Step", "era_id", &json!(number))));
        }
        for (index, (kind, payload)) in self.0.iter().enumerate() {
            let event = (*kind != "Shutdown").then(|| json!({*kind: payload}));
            expected.push((format!("/events/{}", index + 1), event));
        }
        expected
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

async fn server(all: &[Made]) -> TestServer {
    let server = TestServer::new();
    for (number, made) in all.iter().enumerate() {
        let (kind, payload) = made.parts(number);
        let event = if payload.is_null() { json!(kind) } else { json!({kind: payload}) };
        server.append(&event.to_string(), "10.0.0.1:9999").await;
    }
    server
}

/// A segment of a path, or something that looks like one.
fn segment() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "block",
        "deploy",
        "accepted",
        "processed",
        "expired",
        "faults",
        "signatures",
        "step",
        "events",
        "status",
        "swagger-ui",
        "api-doc.json",
        "",
        ".",
        "..",
        "%2F",
        "%00",
        "%FF",
        "18446744073709551616",
    ];
    prop_oneof![
        4 => proptest::sample::select(KNOWN).prop_map(str::to_owned),
        1 => (0..7_u64).prop_map(hash),
        1 => (0..7_u64).prop_map(key),
        1 => "[0-9]{1,22}",
        1 => "[0-9a-fA-F]{60,70}",
        1 => "[!-~&&[^?#/\"<>\\\\^`{|}]]{0,12}",
    ]
}

/// A path: one that is served with some name at its end, half the time, and otherwise anything.
fn path() -> impl Strategy<Value = String> {
    const SERVED: &[&str] = &[
        "block",
        "deploy",
        "deploy/accepted",
        "deploy/processed",
        "deploy/expired",
        "faults",
        "signatures",
        "step",
        "events",
    ];
    let name = prop_oneof![(0..7_u64).prop_map(hash), (0..7_u64).prop_map(key), "[0-9]{1,22}", segment()];
    prop_oneof![
        (proptest::sample::select(SERVED), name).prop_map(|(served, name)| format!("{served}/{name}")),
        proptest::collection::vec(segment(), 0..5).prop_map(|segments| segments.join("/")),
    ]
}

fn query() -> impl Strategy<Value = String> {
    let field = prop_oneof![
        "(from_id|limit|kind|order|x)=(asc|desc|[0-9]{1,20}|Step|BlockAdded|Fault|Shutdown|)",
        "[!-~&&[^#\"<>\\\\^`{|}]]{0,20}",
    ];
    proptest::collection::vec(field, 0..4).prop_map(|fields| fields.join("&"))
}

proptest! {
    #[test]
    fn rest_answers_what_a_naive_model_says(all in proptest::collection::vec(made(), 0..40)) {
        runtime().block_on(async {
            let server = server(&all).await;
            for (path, expected) in Log::of(&all).expected() {
                let answered = server.get(&path).await;
                let body: Value = serde_json::from_slice(&answered.body).expect("JSON");
                match expected {
                    Some(event) if path.starts_with("/events/") => assert_eq!(body["event"], event, "{path}"),
                    Some(expected) => assert_eq!((answered.status.as_u16(), body), (200, expected), "{path}"),
                    None => assert_eq!(answered.status, 404, "{path}"),
                }
            }
        });
    }

    #[test]
    fn listings_show_what_a_naive_model_says(
        all in proptest::collection::vec(made(), 0..40), from in 0..45_u64, limit in 1..9_usize, rising: bool,
        kind in proptest::option::of(proptest::sample::select(&["BlockAdded", "DeployAccepted", "Fault", "FinalitySignature", "Step"][..])),
    ) {
        runtime().block_on(async {
            let server = server(&all).await;
            let log = Log::of(&all).0;
            let mut expected: Vec<u64> = (1..).zip(&log)
                .filter(|(_, (of, _))| *of != "Shutdown" && kind.is_none_or(|kind| kind == *of))
                .map(|(id, _)| id)
                .filter(|id| if rising { *id >= from } else { *id <= from })
                .collect();
            if !rising {
                expected.reverse();
            }
            let next = expected.get(limit).copied();
            expected.truncate(limit);
            let kind = kind.map(|kind| format!("&kind={kind}")).unwrap_or_default();
            let order = if rising { "asc" } else { "desc" };
            let path = format!("/events?from_id={from}&limit={limit}&order={order}{kind}");
            let body: Value = serde_json::from_slice(&server.get(&path).await.body).expect("JSON");
            let ids: Vec<_> = body["events"].as_array().expect("events").iter().map(|event| event["id"].clone()).collect();
            assert_eq!((json!(ids), body["next"].clone()), (json!(expected), json!(next)), "{path}");
        });
    }

    #[test]
    fn no_request_is_answered_with_an_error_of_the_server(
        path in path(), query in query(), slash: bool,
        method in proptest::sample::select(&[Method::GET, Method::HEAD, Method::POST, Method::OPTIONS][..]),
        accept in "[ -~]{0,20}", known in "[ -~]{0,20}",
    ) {
        let path = format!("/{path}{}?{query}", if slash { "/" } else { "" });
        prop_assume!(path.parse::<http::Uri>().is_ok());
        runtime().block_on(async {
            let server = TestServer::within(1, 1000, 5).await;
            server.append(r#"{"Step":{"era_id":1}}"#, "n:1").await;
            let headers = [("accept", &*accept), ("if-none-match", &*known), ("accept-encoding", "gzip")];
            // Time is paused: whatever waits for nothing ends as a timeout, which is a 503.
            let answered = server.ask(method.clone(), &path, &headers).await;
            assert!(answered.status.as_u16() < 500, "{method} {path}: {}", answered.status);
            if answered.status.is_client_error() && method != Method::HEAD {
                let body: Value = serde_json::from_slice(&answered.body).expect("JSON");
                assert_eq!(body["code"], answered.status.as_u16());
            }
        });
    }
}
