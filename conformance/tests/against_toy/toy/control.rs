//! The control server of the toy's nodes: those paths of the mock node's that the suite uses.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::Shared;

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/nodes", get(list))
        .route("/nodes/{node}/emit", post(emit))
        .route("/nodes/{node}/shutdown", post(shutdown))
        .route("/nodes/{node}/restart", post(restart))
        .route("/nodes/{node}/versions", post(versions))
}

async fn list(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let count = shared.log().nodes.len();
    Json((0..count).map(|node| json!({ "name": node.to_string() })).collect())
}

#[derive(Deserialize)]
struct Emission {
    event: Box<RawValue>,
}

async fn emit(State(shared): State<Arc<Shared>>, Path(node): Path<usize>, Json(emission): Json<Emission>) {
    shared.change(|log| log.emit(node, emission.event.get().to_owned()));
}

async fn shutdown(State(shared): State<Arc<Shared>>, Path(node): Path<usize>) {
    shared.change(|log| log.shutdown(node));
}

async fn restart(State(shared): State<Arc<Shared>>, Path(node): Path<usize>) {
    shared.change(|log| log.restart(node));
}

#[derive(Deserialize)]
struct Versions {
    api_version: Option<String>,
    build_version: Option<String>,
}

async fn versions(
    State(shared): State<Arc<Shared>>,
    Path(node): Path<usize>,
    Json(versions): Json<Versions>,
) {
    shared.change(|log| {
        log.versions(node, versions.api_version.as_deref(), versions.build_version.as_deref());
    });
}
