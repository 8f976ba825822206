//! The control API: while nodes run, anybody can make them emit, stop and misbehave over HTTP, and read back what they
//! sent. Its OpenAPI document is at `/api-doc.json`, Swagger UI at `/swagger-ui/`.

mod events;
mod nodes;
mod reply;
mod script;

use std::{convert::Infallible, time::Duration};

use axum::Router;
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use utoipa::OpenApi;

use crate::{
    network::{Listener, Network},
    node::Node,
    script::Player,
};

/// How long a client may take to send its request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections at a time: more than any test opens. Whoever comes then waits.
const MAX_CONNECTIONS: usize = 256;

/// What can be controlled: nodes by their names, and the script that is played on them, if there is one.
#[derive(Clone)]
pub struct Controlled {
    /// Names and nodes.
    pub nodes: Vec<(String, Node)>,
    /// The script.
    pub player: Option<Player>,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "mock-node control API",
        description = "Make mock nodes emit, stop and misbehave, and read back what they sent."
    ),
    paths(
        nodes::list,
        events::emit,
        nodes::shutdown,
        nodes::crash,
        nodes::restart,
        nodes::versions,
        nodes::pause,
        nodes::refuse,
        nodes::silent,
        nodes::keep_alives,
        nodes::status,
        nodes::drop_connections,
        nodes::counter,
        events::subscribers,
        events::emitted,
        script::progress,
        script::step,
        script::call,
    )
)]
struct Document;

/// The OpenAPI document.
pub fn openapi() -> String {
    Document::openapi().to_pretty_json().expect("the document is JSON")
}

/// The routes.
pub fn router(controlled: Controlled) -> Router {
    Router::new()
        .merge(nodes::routes())
        .merge(events::routes())
        .merge(script::routes())
        .merge(utoipa_swagger_ui::SwaggerUi::new("/swagger-ui").url("/api-doc.json", Document::openapi()))
        .fallback(reply::unknown_path)
        .method_not_allowed_fallback(reply::wrong_method)
        .with_state(controlled)
}

/// Serves the control API. Never returns; its connections end when the future is dropped.
pub async fn serve<N: Network>(mut listener: N::Listener, controlled: Controlled) -> Infallible {
    let router = router(controlled);
    let mut connections: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(()) = connections.next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((io, peer)) => {
                    let connection = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(HEADER_TIMEOUT)
                        .serve_connection(TokioIo::new(io), TowerToHyperService::new(router.clone()));
                    connections.push(Box::pin(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(%peer, %error, "control connection ended");
                        }
                    }));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a control connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
}
