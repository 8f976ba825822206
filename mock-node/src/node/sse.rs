//! The routes of the two ports, with the very answers of a real 1.5.8 node.

use std::{net::SocketAddr, sync::Arc, sync::atomic::Ordering};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{Either, Empty, Full};
use tokio_util::sync::CancellationToken;

use super::{
    Inner, StatusBehaviour,
    emit::encode,
    process::{Process, Subscriber},
    status,
    stream::EventStream,
};
use crate::event::Filter;

const NO_SEAT: &str = "server has reached limit of subscribers";
const NO_PATH: &str = "invalid path: expected '/events/main', '/events/deploys' or '/events/sigs'\n";
const NO_QUERY: &str = "invalid query: expected single field 'start_from=<EVENT ID>'\n";

/// A short text or an event stream.
pub(super) type Reply = Response<Either<Full<Bytes>, EventStream>>;

/// One connection, as the routes see it.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) node: Arc<Inner>,
    pub(super) process: Arc<Process>,
    pub(super) peer: SocketAddr,
    /// Breaks this connection off.
    pub(super) cut: CancellationToken,
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Either::Left(Full::new(body.into())));
    *response.status_mut() = status;
    response
}

impl Connection {
    /// The event stream port. A full house is told before a wrong path, a wrong path before a wrong query.
    pub(super) async fn events<B>(self, request: Request<B>) -> Reply {
        let path = request.uri().path();
        let Some(name) = path.strip_prefix("/events/").filter(|_| request.method() == Method::GET) else {
            return text(StatusCode::NOT_FOUND, NO_PATH);
        };
        let name = name.strip_suffix('/').unwrap_or(name);
        if name.is_empty() || name.contains('/') {
            return text(StatusCode::NOT_FOUND, NO_PATH);
        }
        if self.process.taken_seats() >= self.node.config.max_subscribers {
            return text(StatusCode::SERVICE_UNAVAILABLE, NO_SEAT);
        }
        let Ok(filter) = name.parse::<Filter>() else {
            return text(StatusCode::NOT_FOUND, NO_PATH);
        };
        let Ok(start_from) = start_from(request.uri().query().unwrap_or_default()) else {
            return text(StatusCode::UNPROCESSABLE_ENTITY, NO_QUERY);
        };
        if self.node.state().closed_filters.contains(&filter) {
            self.cut.cancel();
            return std::future::pending().await;
        }
        self.subscribe(filter, start_from)
    }

    fn subscribe(self, filter: Filter, start_from: Option<u32>) -> Reply {
        let Self { node, process, peer, cut } = self;
        let connection = node.connections.fetch_add(1, Ordering::Relaxed);
        let subscriber = Subscriber {
            connection,
            peer,
            filter,
            start_from,
            events: 0,
            bytes: 0,
            last_id: None,
            connected: true,
        };
        if !process.subscribe(subscriber, node.config.max_subscribers, cut) {
            return text(StatusCode::SERVICE_UNAVAILABLE, NO_SEAT);
        }
        let opening = {
            let state = node.state();
            let version = serde_json::json!({ "ApiVersion": state.api_version });
            encode(version.to_string().as_bytes(), None)
        };
        node.seats.send_replace(process.taken_seats());
        let stream = EventStream::new(node, process, connection, opening);
        let mut response = Response::new(Either::Right(stream));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }

    /// The REST port.
    pub(super) async fn rest<B>(self, request: Request<B>) -> Response<Either<Full<Bytes>, Empty<Bytes>>> {
        let plain = |status| {
            let mut response = Response::new(Either::Right(Empty::new()));
            *response.status_mut() = status;
            response
        };
        if request.uri().path().trim_end_matches('/') != "/status" {
            return plain(StatusCode::NOT_FOUND);
        }
        if request.method() != Method::GET {
            return plain(StatusCode::METHOD_NOT_ALLOWED);
        }
        let behaviour = self.node.state().status;
        let body = match behaviour {
            StatusBehaviour::Normal => status::body(&self.node),
            StatusBehaviour::Garbage => "<html>502 Bad Gateway".to_owned(),
            StatusBehaviour::Silent => return std::future::pending().await,
            StatusBehaviour::Error(status) => {
                return plain(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
            }
        };
        let mut response = Response::new(Either::Left(Full::new(Bytes::from(body))));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }
}

#[derive(Debug, PartialEq)]
struct WrongQuery;

/// The only field that a query may have. As in a real node the query is read into a map first: a field given twice
/// counts once, and the last value wins.
fn start_from(query: &str) -> Result<Option<u32>, WrongQuery> {
    let mut start = None;
    for field in query.split('&').filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        if percent_decoded(name).as_deref() != Some("start_from") {
            return Err(WrongQuery);
        }
        start = Some(percent_decoded(value));
    }
    match start {
        None => Ok(None),
        Some(value) => value.and_then(|value| value.parse().ok()).map(Some).ok_or(WrongQuery),
    }
}

/// `+` is a space in a query, `%2B` a plus, which Rust's integers may begin with.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: Result<Option<u32>, WrongQuery>) {
        assert_eq!(start_from(query), expected, "{query}");
    }

    #[test]
    fn queries_are_read_as_a_real_node_reads_them() {
        check("", Ok(None));
        check("start_from=0", Ok(Some(0)));
        check("start_from=4294967295", Ok(Some(u32::MAX)));
        check("start_from=%2B1", Ok(Some(1)));
        check("start_from=0&start_from=5", Ok(Some(5)));
        for wrong in [
            "start_from=4294967296",
            "start_from=abc",
            "start_from=",
            "start_from",
            "start_from=-1",
            "start_from=+1",
            "Start_From=0",
            "foo=1",
            "start_from=0&foo=1",
            "start_from=0&start_from=x",
        ] {
            check(wrong, Err(WrongQuery));
        }
    }
}
