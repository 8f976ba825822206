//! The admin server: metrics, whether the sidecar is alive and ready, and a page for people.
//!
//! Here, and only here, nodes are shown by their addresses. It reads counters and the store's size, and changes
//! nothing.

mod health;
mod page;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header;
use tracing::{error, warn};

use crate::config::AdminServer;
use crate::environment::Environment;
use crate::limits::{connections, limited};
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::run::{NodeStates, Parts};
use crate::serve::Server;
use crate::store::Store;

const NAME: &str = "admin_server";

/// Longest time for one request. Nothing here waits for anything but the size of a file.
const TIME: Duration = Duration::from_secs(10);

/// What is shown.
struct Admin<E: Environment> {
    environment: E,
    store: Arc<E::Store>,
    nodes: NodeStates,
    metrics: Arc<Metrics>,
}

/// The admin server.
pub(crate) fn server<E: Environment>(
    config: &AdminServer,
    environment: E,
    parts: &Parts<E::Store>,
) -> Server {
    let admin = Admin {
        environment,
        store: parts.store.clone(),
        nodes: parts.states.clone(),
        metrics: parts.metrics.clone(),
    };
    Server {
        name: NAME,
        router: limited(router(admin), NAME, &config.limits, TIME, parts.metrics.clone()),
        max_connections: connections(&config.limits),
        metrics: parts.metrics.clone(),
    }
}

/// All paths, without limits.
fn router<E: Environment>(admin: Admin<E>) -> Router {
    Router::new()
        .route("/", get(page::page::<E>))
        .route("/metrics", get(metrics::<E>))
        .route("/metrics/", get(metrics::<E>))
        .route("/health/live", get(health::live))
        .route("/health/live/", get(health::live))
        .route("/health/ready", get(health::ready::<E>))
        .route("/health/ready/", get(health::ready::<E>))
        .fallback(async || Refusal::NoPage)
        .method_not_allowed_fallback(async || Refusal::Method)
        .with_state(Arc::new(admin))
}

async fn metrics<E: Environment>(State(admin): State<Arc<Admin<E>>>) -> Result<Response, Refusal> {
    admin.measure_store().await;
    match admin.metrics.text() {
        Ok(text) => {
            Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
        }
        Err(error) => {
            error!("the metrics cannot be told: {error}");
            Err(Refusal::Internal)
        }
    }
}

impl<E: Environment> Admin<E> {
    /// The size is looked up when it is asked for: nothing else would have to be woken for it.
    async fn measure_store(&self) {
        match self.store.size().await {
            Ok(bytes) => self.metrics.store_bytes.set(bytes),
            Err(error) => warn!("the size of the database cannot be told: {error}"),
        }
    }
}
