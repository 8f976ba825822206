//! The admin server: metrics, and whether the sidecar is alive and ready.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{StatusCode, header};
use serde::Serialize;

use crate::config::AdminServer;
use crate::event::NodeState;
use crate::metrics::Metrics;
use crate::run::NodeStates;
use crate::serve::Server;

/// What there is to tell of the sidecar's health.
pub struct Health {
    nodes: NodeStates,
    metrics: Arc<Metrics>,
}

impl Health {
    /// The health of a sidecar with these nodes.
    pub(crate) fn new(nodes: NodeStates, metrics: Arc<Metrics>) -> Self {
        Self { nodes, metrics }
    }
}

/// The admin server.
pub fn server(config: &AdminServer, health: Health) -> Server {
    let metrics = health.metrics.clone();
    let router = Router::new()
        .route("/metrics", get(metrics_text))
        .route("/metrics/", get(metrics_text))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .with_state(Arc::new(health));
    let max_connections = config.limits.max_concurrent_requests as usize + 64;
    Server { name: "admin_server", router, max_connections, metrics }
}

async fn metrics_text(State(health): State<Arc<Health>>) -> Response {
    match health.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn live() -> &'static str {
    "{\"live\":true}"
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    store: &'static str,
    nodes: Vec<ReadyNode>,
}

#[derive(Serialize)]
struct ReadyNode {
    node: String,
    state: &'static str,
}

async fn ready(State(health): State<Arc<Health>>) -> Response {
    let store = if health.metrics.store_failing.get() == 0 { "writable" } else { "failing" };
    let connected = health.nodes.iter().any(|(_, state)| *state.borrow() == NodeState::Connected);
    let nodes = health
        .nodes
        .iter()
        .map(|(node, state)| ReadyNode { node: node.to_string(), state: state.borrow().name() });
    let ready = connected && store == "writable";
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready, store, nodes: nodes.collect() })).into_response()
}
