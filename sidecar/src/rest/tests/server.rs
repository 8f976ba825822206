//! A server to ask.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::config::{HttpLimits, RestServer};
use crate::event::{ApiVersion, Filter, Message, Payload};
use crate::metrics::Metrics;
use crate::rest;
use crate::store::model::{Disk, Model};
use crate::store::{Arrival, Batch, Body, InForce, Store};

/// Events as a node of Casper 1.5.8 sent them.
pub(super) const BLOCK: &str = include_str!("../examples/BlockAdded.json").trim_ascii_end();
pub(super) const ACCEPTED: &str = include_str!("../examples/DeployAccepted.json").trim_ascii_end();
pub(super) const PROCESSED: &str = include_str!("../examples/DeployProcessed.json").trim_ascii_end();
pub(super) const EXPIRED: &str = include_str!("../examples/DeployExpired.json").trim_ascii_end();
pub(super) const FAULT: &str = include_str!("../examples/Fault.json").trim_ascii_end();
pub(super) const SIGNATURE: &str = include_str!("../examples/FinalitySignature.json").trim_ascii_end();
pub(super) const STEP: &str = include_str!("../examples/Step.json").trim_ascii_end();

/// The routes over a log.
pub(super) struct TestServer {
    router: Router,
    pub(super) disk: Disk,
    store: Arc<Model>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl TestServer {
    /// A server whose log is empty.
    pub(super) fn new() -> Self {
        let disk = Disk::new();
        let store = Arc::new(Model::open(&disk).expect("nobody else holds it"));
        Self { router: rest::router(store.clone()), disk, store }
    }

    /// A server with these limits, and a log with one block.
    pub(super) async fn within(concurrent: u32, per_second: u32, seconds: u64) -> Self {
        let mut server = Self::with(&[BLOCK]).await;
        let limits = HttpLimits {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            max_concurrent_requests: concurrent,
            max_requests_per_second: per_second,
        };
        let config = RestServer { limits, request_timeout: Duration::from_secs(seconds) };
        let metrics = Arc::new(Metrics::new().expect("well defined"));
        server.router = rest::guarded(&config, server.store.clone(), metrics);
        server
    }

    /// A server whose log has these events, in this order, from id 1 on.
    pub(super) async fn with(events: &[&str]) -> Self {
        let server = Self::new();
        for event in events {
            server.append(event, "10.0.0.1:9999").await;
        }
        server
    }

    /// Appends an event that this node sent.
    pub(super) async fn append(&self, json: &str, node: &str) {
        let Ok(Message::Event(event)) = Message::parse(Payload::new(json), Filter::Main) else {
            panic!("{json} is no event");
        };
        let arrival =
            Arrival { event, version: Some(version()), node: node.into(), received_at: 1_700_000_000_123 };
        let batch = Batch { arrivals: vec![arrival], ..Batch::default() };
        self.store.append(&batch).await.expect("there is room");
    }

    /// Puts the version of all entries in force.
    pub(super) async fn set_in_force(&self) {
        let in_force = Some(InForce { version: version(), node: "10.0.0.1:9999".into() });
        self.store.append(&Batch { in_force, ..Batch::default() }).await.expect("there is room");
    }

    /// All names of 64 hexadecimal digits, and of 66, within the examples.
    pub(super) fn hashes(&self) -> Vec<String> {
        let mut names = Vec::new();
        for entry in self.disk.entries() {
            let Body::Whole(json) = entry.body else { continue };
            names.extend(
                json.json().split('"').filter(|text| matches!(text.len(), 64 | 66)).map(str::to_owned),
            );
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    pub(super) async fn get(&self, path: &str) -> Answered {
        self.ask(Method::GET, path, &[]).await
    }

    pub(super) async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answered {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body::Body::empty()).expect("a valid request");
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("it does not break off").to_bytes();
        Answered { status: parts.status, headers: parts.headers, body }
    }

    /// The path answers with this status and body, with and without a slash at its end.
    #[track_caller]
    pub(super) fn check(&self, path: &str, status: u16, body: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            for path in [path.to_owned(), format!("{path}/")] {
                let answered = self.get(&path).await;
                let found = (answered.status.as_u16(), answered.text());
                assert_eq!(found, (status, body.to_owned()), "{path}, asked at {caller}");
                assert_eq!(answered.headers["content-type"], "application/json", "{path}");
            }
        }
    }
}

impl Answered {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).expect("UTF-8")
    }
}

fn version() -> ApiVersion {
    ApiVersion::new(r#"{"ApiVersion":"1.5.8"}"#, "1.5.8").expect("a version")
}

/// The payload of an event that is written without spaces.
pub(super) fn payload(event: &str) -> &str {
    let begin = event.find(':').expect("a key") + 1;
    &event[begin..event.len() - 1]
}

/// A block that says no more than a block must.
pub(super) fn block(hash: &str, height: u64) -> String {
    format!(
        r#"{{"BlockAdded":{{"block_hash":"{hash}","block":{{"header":{{"height":{height},"timestamp":""}}}}}}}}"#
    )
}

/// A hash that differs from others in its first digits, as hashes do.
pub(super) fn hash(number: u64) -> String {
    format!("{number:08x}").repeat(8)
}
