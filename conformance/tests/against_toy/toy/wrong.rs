//! The ways in which the toy can be wrong.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::StreamExt as _;

use super::Shared;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    Events,
    Rest,
    Admin,
    Control,
}

/// What is wrong. Paths end with `*` to mean all that begin so; a method stands in front of a path where only
/// its requests are meant.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wrong {
    Nothing,
    /// A text is another in the body.
    Text(Server, &'static str, &'static str, &'static str),
    /// A header has this value, or is missing.
    Header(Server, &'static str, &'static str, Option<&'static str>),
    /// The answer has this status and body.
    Answer(Server, &'static str, u16, &'static str),
    /// It behaves so.
    Fault(Fault),
}

/// Wrong behaviour, in the toy's own code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    AlwaysReplays,
    AnnouncesEveryVersion,
    BadLastEventIdReplays,
    BadQueryIgnored,
    BreaksOff,
    CaseSensitive,
    CountsTwice,
    DeliversAgain,
    DropsExpired,
    DropsRequests,
    EmptyQueryRefused,
    EndsWithFirst,
    EndsWithNode,
    FutureReplaysAll,
    IdleIsClosed,
    Invents,
    KeepAliveEarly,
    KeepsOldVersion,
    LastEventIdInclusive,
    LastEventIdWins,
    LatestArrival,
    LimitAnswers500,
    NeverLooksAgain,
    NeverReconnects,
    NoKeepAlive,
    NoOwnShutdown,
    NoVersionBeforeReplay,
    NodeShutdownOnSidecar,
    OneSignature,
    OpensWithFirstVersion,
    OwnShutdownEverywhere,
    OwnShutdownWithoutId,
    RepeatsVersion,
    ReplayWithCurrentVersion,
    RootLacksDeploys,
    RootShowsAllShutdowns,
    SeamRepeats,
    SeatsNeverFreed,
    SecondNodeIgnored,
    ShutdownNotOn(&'static str),
    SkipsAnId,
    StartFromExclusive,
    StatusStuck,
    SwapsProcessed,
    VersionLate,
    ZeroIsLive,
}

fn meant(pattern: &str, request: &Request) -> bool {
    let (method, path) = pattern.split_once(' ').unwrap_or(("", pattern));
    let here = request.uri().path();
    let path_fits = path.strip_suffix('*').map_or(here == path, |beginning| here.starts_with(beginning));
    path_fits && (method.is_empty() || request.method() == method)
}

/// Makes the answer wrong if it is the one meant.
pub(super) async fn apply(
    State((server, shared)): State<(Server, Arc<Shared>)>,
    request: Request,
    next: Next,
) -> Response {
    match shared.wrong {
        Wrong::Text(at, pattern, from, to) if at == server && meant(pattern, &request) => {
            let (mut head, body) = next.run(request).await.into_parts();
            head.headers.remove(header::CONTENT_LENGTH);
            // The toy writes one message, and one whole answer, in one piece.
            let body = body.into_data_stream().map(move |piece| {
                piece.map(|bytes| Bytes::from(String::from_utf8_lossy(&bytes).replace(from, to)))
            });
            Response::from_parts(head, Body::from_stream(body))
        }
        Wrong::Header(at, pattern, name, value) if at == server && meant(pattern, &request) => {
            let mut response = next.run(request).await;
            let name = HeaderName::from_static(name);
            match value {
                Some(value) => drop(response.headers_mut().insert(name, HeaderValue::from_static(value))),
                None => drop(response.headers_mut().remove(name)),
            }
            response
        }
        Wrong::Answer(at, pattern, status, body) if at == server && meant(pattern, &request) => {
            (StatusCode::from_u16(status).expect("a status"), body).into_response()
        }
        _ => next.run(request).await,
    }
}
