//! The REST server: what the log holds, by name.
//!
//! It reads the store and nothing else, and never writes. What it answers are the stored bytes: a look-up finds
//! where they are, and nothing is parsed or printed again ([`answer`], [`payload`]). One module for each resource.

mod answer;
mod block;
mod parameter;
mod payload;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::get;

use crate::config::RestServer;
use crate::refusal::Refusal;
use crate::run::Parts;
use crate::serve::Server;
use crate::store::Store;

/// The REST server.
pub(crate) fn server<S: Store>(config: &RestServer, parts: &Parts<S>) -> Server {
    let max_connections = config.limits.max_concurrent_requests as usize + 64;
    let router = router(parts.store.clone());
    Server { name: "rest_server", router, max_connections, metrics: parts.metrics.clone() }
}

/// All paths, without limits.
fn router<S: Store>(store: Arc<S>) -> Router {
    Resources(Router::new())
        .at("/block", block::latest::<S>)
        .at("/block/{name}", block::named::<S>)
        .0
        .route("/", get(async || Refusal::Root))
        .fallback(async || Refusal::UnknownPath)
        .method_not_allowed_fallback(async || Refusal::Method)
        .with_state(store)
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
