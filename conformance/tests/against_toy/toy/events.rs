//! The toy's event stream server.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use tokio::sync::watch;

use super::{
    Fault, Shared,
    log::{Entry, Item, Log},
};

const UNKNOWN_PATH: &str =
    "invalid path: expected '/events/main', '/events/deploys', '/events/sigs' or '/events/sidecar'\n";
const BAD_QUERY: &str = "invalid query: expected single field 'start_from=<EVENT ID>'\n";
const MOST_SUBSCRIBERS: usize = 60;

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new().fallback(answer)
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let mut response = respond(&shared, &request);
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, header::HeaderValue::from_static("*"));
    response
}

fn endpoint(path: &str) -> Option<&'static str> {
    match path.strip_suffix('/').unwrap_or(path) {
        "/events" => Some("root"),
        "/events/main" => Some("main"),
        "/events/deploys" => Some("deploys"),
        "/events/sigs" => Some("sigs"),
        "/events/sidecar" => Some("sidecar"),
        _ => None,
    }
}

fn respond(shared: &Arc<Shared>, request: &Request) -> Response {
    let Some(endpoint) = endpoint(request.uri().path()) else {
        return (StatusCode::NOT_FOUND, UNKNOWN_PATH).into_response();
    };
    if request.method() == Method::OPTIONS {
        let headers = [
            ("access-control-allow-methods", "GET, HEAD"),
            ("access-control-allow-headers", "Last-Event-ID"),
        ];
        return (StatusCode::NO_CONTENT, headers).into_response();
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return (StatusCode::METHOD_NOT_ALLOWED, "GET alone\n").into_response();
    }
    let query =
        request.uri().query().filter(|query| !query.is_empty() || shared.has(Fault::EmptyQueryRefused));
    let start_from =
        match query.map(|query| query.strip_prefix("start_from=").and_then(|n| n.parse::<u64>().ok())) {
            Some(None) if !shared.has(Fault::BadQueryIgnored) => {
                return (StatusCode::UNPROCESSABLE_ENTITY, BAD_QUERY).into_response();
            }
            other => other.flatten(),
        };
    let headers =
        [("content-type", "text/event-stream"), ("cache-control", "no-cache"), ("x-accel-buffering", "no")];
    if request.method() == Method::HEAD {
        return headers.into_response();
    }
    let Some(seat) = Seat::take(shared) else {
        let status = if shared.has(Fault::LimitAnswers500) { 500 } else { 503 };
        let status = StatusCode::from_u16(status).expect("a status");
        return (status, "server has reached limit of subscribers").into_response();
    };
    let cursor = Cursor::new(seat, endpoint, from(shared, start_from, request.headers()));
    let body = futures_util::stream::unfold(cursor, |mut cursor| async move {
        cursor.next().await.map(|piece| (piece, cursor))
    });
    (headers, Body::from_stream(body)).into_response()
}

/// The first id to replay, if any.
fn from(shared: &Shared, start_from: Option<u64>, headers: &HeaderMap) -> Option<u64> {
    let header = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let after = match header.map(str::parse::<u64>) {
        Some(Ok(last)) => Some(last + u64::from(!shared.has(Fault::LastEventIdInclusive))),
        Some(Err(_)) if shared.has(Fault::BadLastEventIdReplays) => Some(0),
        _ => None,
    };
    let start_from = start_from.map(|id| id + u64::from(shared.has(Fault::StartFromExclusive)));
    let from = if shared.has(Fault::LastEventIdWins) { after.or(start_from) } else { start_from.or(after) };
    match from {
        Some(0) if shared.has(Fault::ZeroIsLive) => None,
        Some(id) if id > 1_000_000 && shared.has(Fault::FutureReplaysAll) => Some(0),
        None if shared.has(Fault::AlwaysReplays) => Some(0),
        other => other,
    }
}

/// A place among the subscribers, given back when it is dropped.
struct Seat(Arc<Shared>);

impl Seat {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let mut log = shared.log();
        if log.subscribers == MOST_SUBSCRIBERS {
            return None;
        }
        log.subscribers += 1;
        Some(Self(Arc::clone(shared)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.0.has(Fault::SeatsNeverFreed) {
            self.0.log().subscribers -= 1;
        }
    }
}

/// Where a subscriber stands in the log.
struct Cursor {
    seat: Seat,
    endpoint: &'static str,
    place: usize,
    opened: bool,
    /// The version that it was told last.
    told: Option<String>,
    /// It replays, and has not been at the head yet.
    replaying: bool,
    changes: watch::Receiver<u64>,
}

/// What there is to send.
enum Due {
    Piece(String),
    Nothing,
    End,
    Break,
}

impl Cursor {
    fn new(seat: Seat, endpoint: &'static str, from: Option<u64>) -> Self {
        let changes = seat.0.changes.subscribe();
        let log = seat.0.log();
        let not_before = |item: &Item| matches!(item, Item::Entry(entry) if entry.id >= from);
        let place = from.and_then(|_| log.items.iter().position(not_before)).unwrap_or(log.items.len());
        drop(log);
        Self { seat, endpoint, place, opened: false, told: None, replaying: from.is_some(), changes }
    }

    async fn next(&mut self) -> Option<Result<Bytes, std::io::Error>> {
        let keep_alive = match self.seat.0.has(Fault::KeepAliveEarly) {
            true => Duration::from_millis(150),
            false => Duration::from_secs(1),
        };
        let deadline = tokio::time::Instant::now() + keep_alive;
        loop {
            self.changes.borrow_and_update();
            match self.due() {
                Due::Piece(text) => return Some(Ok(Bytes::from(text))),
                Due::End => return None,
                Due::Break => return Some(Err(std::io::Error::other("breaks off"))),
                Due::Nothing => {}
            }
            if let Ok(Ok(())) = tokio::time::timeout_at(deadline, self.changes.changed()).await {
                continue;
            }
            if self.seat.0.has(Fault::IdleIsClosed) {
                return None;
            }
            if !self.seat.0.has(Fault::NoKeepAlive) {
                return Some(Ok(Bytes::from_static(b":\n\n")));
            }
            // Nothing but a change of the log wakes it.
            if self.changes.changed().await.is_err() {
                return None;
            }
        }
    }

    fn due(&mut self) -> Due {
        let shared = Arc::clone(&self.seat.0);
        let log = shared.log();
        if !self.opened {
            self.opened = true;
            if let Some(opening) = self.opening(&shared, &log) {
                return Due::Piece(opening);
            }
        }
        while let Some(item) = log.items.get(self.place) {
            self.place += 1;
            match item {
                Item::Version(version)
                    if self.endpoint != "sidecar"
                        && (self.told.as_ref() != Some(version) || shared.has(Fault::RepeatsVersion)) =>
                {
                    self.told = Some(version.clone());
                    return Due::Piece(format!("data:{{\"ApiVersion\":\"{version}\"}}\n\n"));
                }
                Item::Entry(entry) if self.shows(&shared, entry) => {
                    let id = entry.id.map(|id| format!("id:{id}\n")).unwrap_or_default();
                    return Due::Piece(format!("data:{}\n{id}\n", entry.data));
                }
                _ => {}
            }
        }
        if log.ended {
            return if shared.has(Fault::BreaksOff) { Due::Break } else { Due::End };
        }
        if self.replaying && shared.has(Fault::SeamRepeats) {
            self.replaying = false;
            let last = log.entries().rev().find(|entry| self.shows(&shared, entry));
            if let Some(Entry { id: Some(id), data, .. }) = last {
                return Due::Piece(format!("data:{data}\nid:{id}\n\n"));
            }
        }
        Due::Nothing
    }

    fn opening(&mut self, shared: &Shared, log: &Log) -> Option<String> {
        if self.endpoint == "sidecar" {
            return Some("data:{\"SidecarVersion\":\"1.1.0\"}\n\n".to_owned());
        }
        if self.replaying && shared.has(Fault::NoVersionBeforeReplay) {
            return None;
        }
        let place = match self.replaying && !shared.has(Fault::ReplayWithCurrentVersion) {
            true => self.place,
            false => log.items.len(),
        };
        let version = match shared.has(Fault::OpensWithFirstVersion) {
            true => log.version_at(1)?,
            false => log.version_at(place)?,
        };
        self.told = Some(version.to_owned());
        Some(format!("data:{{\"ApiVersion\":\"{version}\"}}\n\n"))
    }

    fn shows(&self, shared: &Shared, entry: &Entry) -> bool {
        match (self.endpoint, entry.filter) {
            (_, "everywhere") => true,
            ("root", "sidecar") => false,
            ("root", filter) if entry.kind() == "Shutdown" => {
                filter == "main" || shared.has(Fault::RootShowsAllShutdowns)
            }
            ("root", "deploys") => !shared.has(Fault::RootLacksDeploys),
            ("root", _) => true,
            (endpoint, filter) => endpoint == filter,
        }
    }
}
