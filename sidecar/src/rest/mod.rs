//! The REST server.

use axum::Router;

use crate::config::RestServer;
use crate::run::Parts;
use crate::serve::Server;
use crate::store::Store;

/// The REST server.
pub(crate) fn server<S: Store>(config: &RestServer, parts: &Parts<S>) -> Server {
    let max_connections = config.limits.max_concurrent_requests as usize + 64;
    Server { name: "rest_server", router: Router::new(), max_connections, metrics: parts.metrics.clone() }
}
