//! Answers of a server made wrong on their way out. The sidecar's tests put this before its binary, the tests of this
//! crate before a small sidecar of their own.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::StreamExt as _;

/// One of the servers of a sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    Events,
    Rest,
    Admin,
}

/// What is wrong. Paths end with `*` to mean all that begin so; a method stands in front of a path where only
/// its requests are meant.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mutation {
    /// A text is another in the body.
    Text(Server, &'static str, &'static str, &'static str),
    /// A header has this value, or is missing.
    Header(Server, &'static str, &'static str, Option<&'static str>),
    /// The answer has this status and body.
    Answer(Server, &'static str, u16, &'static str),
}

fn meant(pattern: &str, request: &Request) -> bool {
    let (method, path) = pattern.split_once(' ').unwrap_or(("", pattern));
    let here = request.uri().path();
    let path_fits = path.strip_suffix('*').map_or(here == path, |beginning| here.starts_with(beginning));
    path_fits && (method.is_empty() || request.method() == method)
}

/// Makes the answer of `server` wrong if it is the one meant.
pub(crate) async fn apply(
    State((server, mutation)): State<(Server, Option<Mutation>)>,
    request: Request,
    next: Next,
) -> Response {
    match mutation {
        Some(Mutation::Text(at, pattern, from, to)) if at == server && meant(pattern, &request) => {
            let (mut head, body) = next.run(request).await.into_parts();
            head.headers.remove(header::CONTENT_LENGTH);
            // Text that is cut into pieces just there is missed: servers write short messages in one piece.
            let body = body.into_data_stream().map(move |piece| {
                piece.map(|bytes| Bytes::from(String::from_utf8_lossy(&bytes).replace(from, to)))
            });
            Response::from_parts(head, Body::from_stream(body))
        }
        Some(Mutation::Header(at, pattern, name, value)) if at == server && meant(pattern, &request) => {
            let mut response = next.run(request).await;
            let name = HeaderName::from_static(name);
            match value {
                Some(value) => drop(response.headers_mut().insert(name, HeaderValue::from_static(value))),
                None => drop(response.headers_mut().remove(name)),
            }
            response
        }
        Some(Mutation::Answer(at, pattern, status, body)) if at == server && meant(pattern, &request) => {
            (StatusCode::from_u16(status).expect("a status"), body).into_response()
        }
        _ => next.run(request).await,
    }
}
