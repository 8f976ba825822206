//! One HTTP/1.1 GET of a node, over a connection that the environment dials.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::config::Connection;
use crate::environment::Environment;

/// Why a node did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    /// No connection was made.
    #[error("cannot connect to {address}")]
    Connect {
        /// Where to.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The connection broke, or what came over it is not HTTP.
    #[error("the answer to GET {path} is broken")]
    Http {
        /// What was asked for.
        path: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An answer other than 200.
    #[error("GET {path} was answered with {status}: {body}")]
    Status {
        /// What was asked for.
        path: String,
        /// The answer.
        status: StatusCode,
        /// The beginning of its text.
        body: String,
    },
}

/// An answer whose body is still coming. It owns the connection and drives it: no task does.
pub(super) struct Answer {
    connection: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
    body: Incoming,
    path: String,
}

/// Most bytes of a body that is not a stream.
const BODY_LIMIT: usize = 1 << 20;

/// Asks `port` of the node for `path`. Anything but 200 is an error.
pub(super) async fn get<E: Environment>(
    environment: &E,
    node: &Connection,
    port: u16,
    path: &str,
) -> Result<Answer, RequestError> {
    let host = if node.host.contains(':') { format!("[{}]", node.host) } else { node.host.clone() };
    let address = format!("{host}:{port}");
    let io = environment
        .connect(&node.host, port)
        .await
        .map_err(|source| RequestError::Connect { address: address.clone(), source })?;
    let broken =
        |source: hyper::Error| RequestError::Http { path: path.to_owned(), source: Box::new(source) };
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.map_err(broken)?;
    let mut connection = Box::pin(connection);
    let request = Request::get(format!("/{path}"))
        .header(header::HOST, address)
        .header(header::USER_AGENT, concat!("casper-event-sidecar/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|source| RequestError::Http { path: path.to_owned(), source: Box::new(source) })?;
    let mut ended = false;
    let response = {
        let response = sender.send_request(request);
        tokio::pin!(response);
        loop {
            tokio::select! {
                biased;
                response = &mut response => break response.map_err(broken)?,
                result = &mut connection, if !ended => {
                    // The answer may be complete all the same: it is told by `response`.
                    ended = true;
                    result.map_err(broken)?;
                }
            }
        }
    };
    let status = response.status();
    let connection: Option<Pin<Box<dyn Future<Output = _> + Send>>> =
        if ended { None } else { Some(connection) };
    let answer = Answer { connection, body: response.into_body(), path: path.to_owned() };
    if status == StatusCode::OK {
        return Ok(answer);
    }
    let text = answer.text().await.unwrap_or_default();
    let body = text.chars().take(120).collect::<String>().trim_end().to_owned();
    Err(RequestError::Status { path: path.to_owned(), status, body })
}

impl Answer {
    /// The next bytes of the body; `None` at its end in good order.
    pub(super) fn poll_bytes(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, RequestError>> {
        if let Some(connection) = &mut self.connection
            && let Poll::Ready(result) = connection.as_mut().poll(context)
        {
            self.connection = None;
            // A clean end leaves what has come to be read; a broken one shows in the body too.
            drop(result);
        }
        loop {
            return match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(None) => Poll::Ready(Ok(None)),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => Poll::Ready(Ok(Some(data))),
                    Err(_trailers) => continue,
                },
                Poll::Ready(Some(Err(error))) => Poll::Ready(Err(self.broken(error))),
            };
        }
    }

    /// The whole body, which must be short.
    pub(super) async fn text(self) -> Result<String, RequestError> {
        let path = self.path.clone();
        let broken = |source| RequestError::Http { path: path.clone(), source };
        let collected = Limited::new(self.body, BODY_LIMIT).collect();
        tokio::pin!(collected);
        let mut connection = self.connection;
        let bytes = loop {
            tokio::select! {
                biased;
                body = &mut collected => break body.map_err(broken)?.to_bytes(),
                _ = async { connection.as_mut().expect("checked").await }, if connection.is_some() => {
                    connection = None;
                }
            }
        };
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn broken(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RequestError {
        RequestError::Http { path: self.path.clone(), source: source.into() }
    }
}
