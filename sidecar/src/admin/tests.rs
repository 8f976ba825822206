//! The admin server, asked as an operator asks it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use axum::body::Body;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tower::ServiceExt;

use super::*;
use crate::config::Storage;
use crate::environment::Listener;
use crate::event::{Filter, Kind, NodeState};
use crate::store::OpenError;
use crate::store::model::{Disk, Model};

/// A clock that stands still, and nothing else.
#[derive(Clone)]
struct Clock;

struct NoListener;

impl Listener for NoListener {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        std::future::pending().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Environment for Clock {
    type Io = DuplexStream;
    type Listener = NoListener;
    type Store = Model;

    async fn connect(&self, _: &str, _: u16) -> io::Result<DuplexStream> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn bind(&self, _: IpAddr, _: u16) -> io::Result<NoListener> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn open_store(&self, _: &Storage) -> Result<Model, OpenError> {
        Err(OpenError::Refused("there is none".into()))
    }

    fn ready(&self, _: &[(&'static str, SocketAddr)]) {}

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_100)
    }
}

struct Fixture {
    router: Router,
    metrics: Arc<Metrics>,
    states: Vec<watch::Sender<NodeState>>,
}

fn fixture() -> Fixture {
    let metrics = Arc::new(Metrics::new().expect("well defined"));
    let mut states = Vec::new();
    let nodes = ["10.0.0.1:9999", "node<2>:9999"].map(|name| {
        let (sender, receiver) = watch::channel(NodeState::Connecting);
        states.push(sender);
        (name.into(), receiver)
    });
    let store = Arc::new(Model::open(&Disk::new()).expect("nobody else holds it"));
    let admin = Admin { environment: Clock, store, nodes: nodes.into(), metrics: metrics.clone() };
    Fixture { router: router(admin), metrics, states }
}

impl Fixture {
    async fn ask(&self, method: Method, path: &str) -> (u16, HeaderMap, String) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).expect("valid");
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("whole").to_bytes();
        (parts.status.as_u16(), parts.headers, String::from_utf8(body.to_vec()).expect("UTF-8"))
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let (status, _, body) = self.ask(Method::GET, path).await;
        (status, body)
    }
}

#[tokio::test]
async fn it_is_ready_when_a_node_is_connected_and_the_store_can_be_written() {
    let fixture = fixture();
    let (status, body) = fixture.get("/health/ready").await;
    assert_eq!(status, 503);
    assert_eq!(
        body,
        r#"{"ready":false,"problems":["no node is connected"],"store":"writable","nodes":[{"node":"10.0.0.1:9999","state":"connecting"},{"node":"node<2>:9999","state":"connecting"}]}"#
    );
    fixture.states[1].send_replace(NodeState::Connected);
    assert_eq!(fixture.get("/health/ready/").await.0, 200);
    fixture.metrics.store_failing.set(1);
    let (status, body) = fixture.get("/health/ready").await;
    assert!(status == 503 && body.contains("the database cannot be written"), "{body}");
    assert_eq!(fixture.get("/health/live").await, (200, r#"{"live":true}"#.to_owned()));
}

#[tokio::test]
async fn metrics_are_told_with_the_size_of_the_store() {
    let fixture = fixture();
    for path in ["/metrics", "/metrics/"] {
        let (status, headers, body) = fixture.ask(Method::GET, path).await;
        assert_eq!(
            (status, &headers["content-type"]),
            (200, &"text/plain; version=0.0.4; charset=utf-8".parse().expect("valid"))
        );
        assert!(body.contains("\nsidecar_store_size_bytes 0\n"), "{body}");
    }
    assert_eq!(fixture.ask(Method::HEAD, "/metrics").await.2, "");
}

#[tokio::test]
async fn what_there_is_not_is_told_in_the_shape_of_errors() {
    let fixture = fixture();
    let (status, body) = fixture.get("/other").await;
    assert!(status == 404 && body.starts_with(r#"{"code":404,"message":"Nothing is served here"#), "{body}");
    let (status, headers, _) = fixture.ask(Method::POST, "/metrics").await;
    assert_eq!((status, &headers["allow"]), (405, &"GET, HEAD, OPTIONS".parse().expect("valid")));
}

#[tokio::test(start_paused = true)]
async fn the_page_shows_how_it_does() {
    let fixture = fixture();
    fixture.states[0].send_replace(NodeState::Connected);
    fixture.states[1].send_replace(NodeState::Exhausted);
    let metrics = &fixture.metrics;
    metrics.received(Filter::Main, 1000);
    metrics.events_received(3, "10.0.0.1:9999", 1_700_000_090_000);
    metrics.newest_block(1_700_000_070_000, 1_700_000_070_850);
    for (minutes, signatures) in [(1, 10), (1, 40), (3, 20), (0, 5)] {
        metrics
            .events_sent(std::iter::repeat_n(Kind::FinalitySignature, signatures).chain([Kind::BlockAdded]));
        metrics.commit_seconds.observe(0.002);
        metrics.commit_entries.observe(20.);
        tokio::time::advance(Duration::from_secs(minutes * 60)).await;
    }
    metrics.head.set(1_234_567);
    let (status, headers, page) = fixture.ask(Method::GET, "/").await;
    assert_eq!(
        (status, &headers["content-type"]),
        (200, &"text/html; charset=utf-8".parse().expect("valid"))
    );
    assert!(!page.contains("<script") && !page.contains("http://"), "it needs nothing else");
    insta::assert_snapshot!("page", page.replace(env!("CARGO_PKG_VERSION"), "(version)"));
}
