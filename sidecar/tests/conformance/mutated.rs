//! The sidecar made wrong on the way to the suite: each of these must be caught, and the same check must pass when
//! nothing is made wrong on the same way.

use std::future::IntoFuture as _;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use conformance::check::Outcome;
use conformance::suite;
use conformance::target::{Addresses, Pace, Target};
use conformance::wire::Origin;
use mock_node::{Network as _, RealNetwork};
use tokio::task::JoinSet;

use crate::mutation::Mutation::{Answer, Header, Text};
use crate::mutation::Server::{Admin, Events, Rest};
use crate::mutation::{self, Mutation, Server};
use crate::process::{Sidecar, node, origin};
use crate::shapes;

const MUTATIONS: &[(&str, Mutation)] = &[
    ("stream.header.content-type", Header(Events, "/events/main", "content-type", Some("text/plain"))),
    ("stream.header.accel-buffering", Header(Events, "/events/sidecar", "x-accel-buffering", None)),
    ("stream.layout.message", Text(Events, "/events/main", "\n\n", "\n")),
    ("stream.layout.message", Text(Events, "/events/sigs", "\n", "\r\n")),
    ("stream.layout.message", Text(Events, "/events/deploys", "data:", "data: ")),
    ("stream.layout.browser", Text(Events, "/events", "data:", "event:casper\ndata:")),
    ("stream.api-version.no-id", Text(Events, "/events/main", "\"1.5.8\"}\n\n", "\"1.5.8\"}\nid:0\n\n")),
    ("stream.api-version.form", Text(Events, "/events/sigs", "\"ApiVersion\":", "\"api_version\":")),
    (
        "stream.sidecar-version.form",
        Text(Events, "/events/sidecar", "SidecarVersion\":\"", "SidecarVersion\":\"v"),
    ),
    ("stream.channel.deploys", Text(Events, "/events/deploys", "{\"DeployAccepted\"", "{\"BlockAdded\"")),
    ("stream.ids.present", Text(Events, "/events/main", "\nid:", "\n:")),
    ("stream.ids.rising", Text(Events, "/events/main", "\nid:1", "\nid:")),
    ("stream.error.path", Answer(Events, "/events/MAIN", 404, "Not Found")),
    ("stream.error.query", Answer(Events, "/events/main", 400, "start_from=<EVENT ID>")),
    ("cors.stream.preflight", Answer(Events, "OPTIONS /events*", 403, "")),
    ("rest.block.hash", Text(Rest, "/block/*", "\"block_hash\":", "\"hash\":")),
    ("rest.same-bytes", Text(Rest, "/step/*", "{\"era_id\":", "{\"era_id\": ")),
    ("rest.error.not-found", Text(Rest, "/signatures/*", "Query returned no results", "not found")),
    ("rest.error.method", Header(Rest, "DELETE /block", "allow", None)),
    ("metrics.node-statuses.family", Text(Admin, "/metrics*", "node_statuses", "node_status")),
    ("metrics.received-bytes.buckets", Text(Admin, "/metrics*", "le=\"2000\"", "le=\"2500\"")),
    ("metrics.internal-events.series", Text(Admin, "/metrics*", "db_save_end", "db_save_done")),
    ("metrics.strict", Text(Admin, "/metrics*", "# TYPE received_bytes histogram\n", "")),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_is_made_wrong_is_caught() {
    let node = node().await;
    let sidecar = Sidecar::start(&[&node]).await;
    node.emit_all(shapes::events());
    shapes::received(&sidecar, shapes::captured().len()).await;

    let mut not_caught = Vec::new();
    for (id, mutation) in MUTATIONS {
        let as_it_is = outcome(id, &sidecar, None).await;
        assert!(matches!(as_it_is, Outcome::Pass { .. }), "{id} on the sidecar as it is: {as_it_is:?}");
        let made_wrong = outcome(id, &sidecar, Some(*mutation)).await;
        if !matches!(made_wrong, Outcome::Fail { .. }) {
            not_caught.push(format!("{id}: {mutation:?}: {made_wrong:?}"));
        }
    }
    assert!(not_caught.is_empty(), "not caught:\n{}", not_caught.join("\n"));
}

/// What comes of a check when the sidecar's answers pass through proxies that make them wrong.
async fn outcome(id: &str, sidecar: &Sidecar, mutation: Option<Mutation>) -> Outcome {
    let mut proxies = JoinSet::new();
    let addresses = Addresses {
        events: Some(proxy(&mut proxies, Events, &sidecar.events, mutation).await),
        rest: Some(proxy(&mut proxies, Rest, &sidecar.rest, mutation).await),
        admin: Some(proxy(&mut proxies, Admin, &sidecar.admin, mutation).await),
        ..Addresses::default()
    };
    let target = Target::new(addresses, Pace::default()).await.expect("no control server is asked");
    let check = suite::checks().into_iter().find(|check| check.id == id).expect("a check of this id");
    check.outcome(&target).await
}

/// Starts a proxy before one server of the sidecar. It ends with `proxies`.
async fn proxy(proxies: &mut JoinSet<()>, server: Server, to: &Origin, mutation: Option<Mutation>) -> Origin {
    let listener = RealNetwork::loopback().bind(0).await.expect("loopback has free ports");
    let port = listener.local_addr().expect("a bound listener has an address").port();
    let router = Router::new()
        .fallback(forward)
        .layer(middleware::from_fn_with_state((server, mutation), mutation::apply))
        .with_state(to.to_string());
    proxies.spawn(
        async move { axum::serve(listener, router).into_future().await.expect("serves until dropped") },
    );
    origin(port)
}

async fn forward(State(to): State<String>, request: Request) -> Response {
    let url = format!("{to}{}", request.uri());
    let mut forwarded = reqwest::Client::new().request(request.method().clone(), url);
    for (name, value) in request.headers().iter().filter(|(name, _)| *name != "host") {
        forwarded = forwarded.header(name, value);
    }
    match forwarded.send().await {
        Ok(answer) => {
            let (status, mut headers) = (answer.status(), answer.headers().clone());
            // How the body is framed is this connection's own affair.
            headers.remove("transfer-encoding");
            (status, headers, Body::from_stream(answer.bytes_stream())).into_response()
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
