//! The event stream server: `/events` and its four channels, each a replay and then the live stream.
//!
//! A subscriber is a cursor into the log ([`subscriber`]); this module reads what a client asks for and answers
//! what is wrong with it. It never writes, and it does not know nodes or ingest.

mod query;
mod subscriber;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::event::Endpoint;
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::store::Store;
use query::Start;
use subscriber::Subscriber;

/// Answer to a path that is none of ours.
const NO_PATH: &str = "invalid path: expected '/events/main', '/events/deploys', '/events/sigs', \
     '/events/sidecar' or '/events'\n";

/// Answer to a query that is none of ours.
const NO_QUERY: &str = "invalid query: expected single field 'start_from=<EVENT ID>'\n";

/// Answer when all places are taken.
const NO_PLACE: &str = "server has reached limit of subscribers";

/// What the routes need.
pub(crate) struct Streams<S> {
    store: Arc<S>,
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
    places: Places,
}

/// How many subscribers there may be.
struct Places {
    taken: Arc<AtomicU32>,
    all: u32,
}

/// A subscriber's place, given back when it is dropped.
struct Place(Arc<AtomicU32>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Places {
    fn take(&self) -> Option<Place> {
        let one_more = |taken| (taken < self.all).then_some(taken + 1);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some(Place(self.taken.clone()))
    }
}

/// The routes of the event stream server, for at most `places` subscribers.
pub(crate) fn router<S: Store>(store: Arc<S>, hub: Arc<Hub>, metrics: Arc<Metrics>, places: u32) -> Router {
    let places = Places { taken: Arc::default(), all: places };
    Router::new().fallback(serve::<S>).with_state(Arc::new(Streams { store, hub, metrics, places }))
}

async fn serve<S: Store>(State(streams): State<Arc<Streams<S>>>, request: Request) -> Response {
    let mut response = match endpoint(request.uri().path()) {
        None => (StatusCode::NOT_FOUND, NO_PATH).into_response(),
        Some(endpoint) => match *request.method() {
            Method::GET | Method::HEAD => subscribe(&streams, endpoint, &request),
            Method::OPTIONS => preflight(),
            _ => (StatusCode::METHOD_NOT_ALLOWED, allow(), "only GET, HEAD and OPTIONS are served here\n")
                .into_response(),
        },
    };
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

fn subscribe<S: Store>(streams: &Arc<Streams<S>>, endpoint: Endpoint, request: &Request) -> Response {
    let Some(start) = Start::of(request.uri().query(), request.headers()) else {
        return (StatusCode::UNPROCESSABLE_ENTITY, NO_QUERY).into_response();
    };
    let mut response = if request.method() == Method::HEAD {
        Response::new(Body::empty())
    } else {
        let Some(place) = streams.places.take() else {
            streams.metrics.closed("event_stream_server", "subscriber_limit");
            return (StatusCode::SERVICE_UNAVAILABLE, NO_PLACE).into_response();
        };
        let subscriber = Subscriber::new(streams, endpoint, start, place);
        Response::new(Body::from_stream(subscriber.into_stream()))
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Asks a reverse proxy not to hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The endpoint of a path, which may end with one slash.
fn endpoint(path: &str) -> Option<Endpoint> {
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    Endpoint::ALL.into_iter().find(|endpoint| endpoint.path() == path)
}

/// Clients that use `fetch` ask before they send `Last-Event-ID`.
fn preflight() -> Response {
    let mut headers = allow();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("*, last-event-id, cache-control"),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    (StatusCode::NO_CONTENT, headers).into_response()
}

fn allow() -> HeaderMap {
    HeaderMap::from_iter([(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<Endpoint>) {
        assert_eq!(endpoint(path), expected, "{path}");
    }

    #[test]
    fn each_endpoint_is_served_with_and_without_a_slash_at_its_end() {
        check("/events/main", Some(Endpoint::Main));
        check("/events/main/", Some(Endpoint::Main));
        check("/events/sidecar/", Some(Endpoint::Sidecar));
        check("/events", Some(Endpoint::All));
        check("/events/", Some(Endpoint::All));
        check("/events//main", None);
        check("/events/main//", None);
        check("/events/Main", None);
        check("/events/main/x", None);
        check("/", None);
        check("/other", None);
    }

    #[test]
    fn a_place_that_is_given_back_can_be_taken_again() {
        let places = Places { taken: Arc::default(), all: 1 };
        let place = places.take();
        assert!(place.is_some() && places.take().is_none());
        drop(place);
        assert!(places.take().is_some());
    }
}
