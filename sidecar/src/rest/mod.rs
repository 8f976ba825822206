//! The REST server: what the log holds, by name.
//!
//! It reads the store and nothing else, and never writes. What it answers are the stored bytes: a look-up finds
//! where they are, and nothing is parsed or printed again ([`answer`], [`payload`]). One module for each resource.

mod answer;
mod block;
mod deploy;
mod document;
mod events;
mod faults;
mod parameter;
mod payload;
mod senders;
mod signatures;
mod status;
mod step;
mod swagger;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::FromRef;
use axum::handler::Handler;
use axum::routing::get;
use http::{Method, header};
use tower_http::compression::predicate::SizeAbove;
use tower_http::compression::{CompressionLayer, CompressionLevel};
use tower_http::cors::{Any, CorsLayer};

use crate::config::RestServer;
use crate::limits::{connections, limited};
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::run::Parts;
use crate::serve::Server;
use crate::store::Store;
use senders::Senders;

const NAME: &str = "rest_server";

/// The REST server.
pub(crate) fn server<S: Store>(config: &RestServer, parts: &Parts<S>) -> Server {
    Server {
        name: NAME,
        router: guarded(config, parts.store.clone(), parts.metrics.clone()),
        max_connections: connections(&config.limits),
        metrics: parts.metrics.clone(),
    }
}

/// All paths within their limits. Pages of any origin may read every answer, refusals included.
fn guarded<S: Store>(config: &RestServer, store: Arc<S>, metrics: Arc<Metrics>) -> Router {
    limited(router(store), NAME, &config.limits, config.request_timeout, metrics).layer(any_origin())
}

fn any_origin() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD, Method::OPTIONS])
        .allow_headers(Any)
        .expose_headers([header::ETAG, header::LINK, header::RETRY_AFTER])
        .max_age(Duration::from_secs(24 * 60 * 60))
        .vary([])
}

/// All paths, without limits.
fn router<S: Store>(store: Arc<S>) -> Router {
    Resources(Router::new())
        .at("/block", block::latest::<S>)
        .at("/block/{name}", block::named::<S>)
        .at("/deploy/{hash}", deploy::all::<S>)
        .at("/deploy/accepted/{hash}", deploy::accepted::<S>)
        .at("/deploy/processed/{hash}", deploy::processed::<S>)
        .at("/deploy/expired/{hash}", deploy::expired::<S>)
        .at("/faults/{name}", faults::named::<S>)
        .at("/signatures/{hash}", signatures::of_block::<S>)
        .at("/step/{era}", step::of_era::<S>)
        .at("/events", events::page::<S>)
        .at("/events/{id}", events::one::<S>)
        .at("/status", status::status::<S>)
        .at(document::PATH, document::document)
        .0
        .route("/swagger-ui", get(swagger::leave))
        .route("/swagger-ui/", get(swagger::page))
        .route("/swagger-ui/{name}", get(swagger::named))
        .route("/", get(async || Refusal::Root))
        .fallback(async || Refusal::UnknownPath)
        .method_not_allowed_fallback(async || Refusal::Method)
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(SizeAbove::new(1024)))
        .with_state(Shared { store, senders: Senders::default() })
}

/// What the resources share.
struct Shared<S> {
    store: Arc<S>,
    senders: Senders,
}

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), senders: self.senders.clone() }
    }
}

impl<S> FromRef<Shared<S>> for Arc<S> {
    fn from_ref(shared: &Shared<S>) -> Self {
        shared.store.clone()
    }
}

impl<S> FromRef<Shared<S>> for Senders {
    fn from_ref(shared: &Shared<S>) -> Self {
        shared.senders.clone()
    }
}

/// Routes whose paths may end with a slash.
struct Resources<S>(Router<S>);

impl<S: Clone + Send + Sync + 'static> Resources<S> {
    fn at<H, T>(self, path: &str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        Self(self.0.route(path, get(handler.clone())).route(&format!("{path}/"), get(handler)))
    }
}
