//! `/health/live` and `/health/ready`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Serialize;

use super::Admin;
use crate::environment::Environment;
use crate::event::NodeState;

/// It answers: so it is alive.
pub(super) async fn live() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], "{\"live\":true}").into_response()
}

/// Whether events can come in and be kept, part by part.
#[derive(Debug, Serialize)]
struct Ready {
    ready: bool,
    /// What stands in the way; nothing if it is ready.
    problems: Vec<&'static str>,
    store: &'static str,
    nodes: Vec<Node>,
}

#[derive(Debug, Serialize)]
struct Node {
    node: String,
    state: &'static str,
}

/// What stands in the way of events that come in and are kept.
pub(super) fn problems<E: Environment>(admin: &Admin<E>) -> Vec<&'static str> {
    let mut problems = Vec::new();
    if admin.metrics.store_failing.get() != 0 {
        problems.push("the database cannot be written");
    }
    if !admin.nodes.iter().any(|(_, state)| *state.borrow() == NodeState::Connected) {
        problems.push("no node is connected");
    }
    problems
}

/// 200 if it is ready, otherwise 503.
pub(super) async fn ready<E: Environment>(State(admin): State<Arc<Admin<E>>>) -> Response {
    let problems = problems(&admin);
    let nodes = admin.nodes.iter();
    let nodes = nodes.map(|(node, state)| Node { node: node.to_string(), state: state.borrow().name() });
    let ready = Ready {
        ready: problems.is_empty(),
        store: if admin.metrics.store_failing.get() == 0 { "writable" } else { "failing" },
        problems,
        nodes: nodes.collect(),
    };
    let status = if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ready)).into_response()
}
