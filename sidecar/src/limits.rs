//! How many requests a server takes, and for how long it works on one: the same for REST and admin.
//!
//! A request over a limit waits its turn, at most [`PATIENCE`], and is then refused in the documented shape with
//! `Retry-After`. What takes longer than the timeout is ended, and a panic becomes an answer, too. Every response
//! is counted. All of it is one layer around a router; connections are bounded by [`serve`](crate::serve).

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::error;

use crate::config::HttpLimits;
use crate::metrics::Metrics;
use crate::refusal::Refusal;

/// Longest wait for a turn: requests over the rate of the original sidecar wait about as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// The span within which requests are counted.
const SECOND: Duration = Duration::from_secs(1);

/// Connections beyond one for each request that may be under way: those that are idle or are to be refused with an
/// answer. Some 10 kB each, so that a rush of clients is told to come later instead of being cut off.
const SPARE_CONNECTIONS: usize = 512;

/// Connections that a server with these limits needs.
pub(crate) fn connections(limits: &HttpLimits) -> usize {
    limits.max_concurrent_requests as usize + SPARE_CONNECTIONS
}

/// Puts the limits around a router.
pub(crate) fn limited(
    router: Router,
    server: &'static str,
    limits: &HttpLimits,
    time: Duration,
    metrics: Arc<Metrics>,
) -> Router {
    let places = limits.max_concurrent_requests.max(1) as usize;
    let gate = Gate {
        server,
        rate: Rate::new(limits.max_requests_per_second.max(1) as usize),
        places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
        time,
        metrics,
    };
    router.layer(from_fn_with_state(Arc::new(gate), admit))
}

/// What a request has to pass.
struct Gate {
    server: &'static str,
    rate: Rate,
    places: Arc<Semaphore>,
    time: Duration,
    metrics: Arc<Metrics>,
}

impl Gate {
    /// A place for a request, when it is its turn.
    async fn enter(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let now = Instant::now();
        let turn = self.rate.take_turn(now).map_err(Refusal::Rate)?;
        if turn > now {
            sleep_until(turn).await;
        }
        match timeout_at(now + PATIENCE, self.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(Refusal::Concurrency(PATIENCE)),
        }
    }

    async fn answer(&self, request: Request, next: Next) -> Result<Response, Refusal> {
        let place = self.enter().await?;
        // A handler holds nothing that a panic could leave half done: it only reads.
        let served = AssertUnwindSafe(next.run(request)).catch_unwind();
        match timeout(self.time, served).await {
            Ok(Ok(response)) => {
                let (server, metrics) = (self.server, self.metrics.clone());
                Ok(response.map(|body| Body::new(Held { body, server, metrics, _place: place })))
            }
            Ok(Err(panic)) => {
                panicked(self.server, &self.metrics, &*panic);
                Err(Refusal::Internal)
            }
            Err(_) => {
                self.metrics.error(self.server, "timeout");
                Err(Refusal::Slow(self.time))
            }
        }
    }
}

async fn admit(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let response = gate.answer(request, next).await.unwrap_or_else(Refusal::into_response);
    gate.metrics.responded(gate.server, response.status().as_u16());
    response
}

/// At most so many turns within any second.
struct Rate {
    most: usize,
    /// When the turns of the last second were, and those to come that are taken already. They never fall.
    turns: Mutex<VecDeque<Instant>>,
}

impl Rate {
    fn new(most: usize) -> Self {
        Self { most, turns: Mutex::default() }
    }

    /// The next turn, or the time until there may be one to wait for.
    fn take_turn(&self, now: Instant) -> Result<Instant, Duration> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        while turns.front().is_some_and(|turn| *turn + SECOND <= now) {
            turns.pop_front();
        }
        let turn = match turns.len().checked_sub(self.most) {
            Some(index) => now.max(turns[index] + SECOND),
            None => now,
        };
        if turn > now + PATIENCE {
            return Err(turn - now - PATIENCE);
        }
        turns.push_back(turn);
        Ok(turn)
    }
}

/// A defect showed itself: it is counted, and told once.
fn panicked(server: &str, metrics: &Metrics, panic: &(dyn Any + Send)) {
    let what = panic.downcast_ref::<&str>().copied();
    let what = what.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
    metrics.error(server, "panic");
    error!(server, "a defect: answering a request panicked: {what}");
}

/// A body whose request is under way, and holds its place, until it is sent.
struct Held {
    body: Body,
    server: &'static str,
    metrics: Arc<Metrics>,
    _place: OwnedSemaphorePermit,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let body = Pin::new(&mut self.body);
        match catch_unwind(AssertUnwindSafe(|| body.poll_frame(context))) {
            Ok(polled) => polled,
            Err(panic) => {
                panicked(self.server, &self.metrics, &*panic);
                // It is too late for another status: the connection breaks off.
                self.body = Body::empty();
                Poll::Ready(Some(Err(axum::Error::new("a defect"))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::{IpAddr, Ipv4Addr};

    use axum::routing::get;
    use futures_util::future::join_all;
    use futures_util::stream::poll_fn;
    use http::{HeaderMap, StatusCode};
    use http_body_util::BodyExt;
    use tokio::time::{advance, sleep};
    use tower::ServiceExt;

    use super::*;

    /// A server that takes 100 ms for each request, and 1 s under `/slow`.
    fn server(concurrent: u32, per_second: u32) -> (Router, Arc<Metrics>) {
        let router = Router::new()
            .route("/", get(async || sleep(Duration::from_millis(100)).await))
            .route("/slow", get(async || sleep(Duration::from_secs(1)).await))
            .route("/dead", get(async || sleep(Duration::from_secs(1_000)).await))
            .route("/panic", get(async || -> () { panic!("on purpose") }))
            .route(
                "/late",
                get(async || {
                    Body::from_stream(poll_fn(|_| -> Poll<Option<Result<Bytes, Infallible>>> {
                        panic!("on purpose")
                    }))
                }),
            )
            .route(
                "/stream",
                get(
                    async || Body::from_stream(futures_util::stream::pending::<Result<Bytes, axum::Error>>()),
                ),
            );
        let limits = HttpLimits {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            max_concurrent_requests: concurrent,
            max_requests_per_second: per_second,
        };
        let metrics = Arc::new(Metrics::new().expect("well defined"));
        (limited(router, "rest_server", &limits, Duration::from_secs(5), metrics.clone()), metrics)
    }

    struct Answered {
        status: StatusCode,
        headers: HeaderMap,
        body: String,
        after: Duration,
    }

    async fn ask(router: &Router, path: &str) -> Answered {
        let began = Instant::now();
        let request = Request::get(path).body(Body::empty()).expect("valid");
        let response = router.clone().oneshot(request).await.expect("infallible");
        let after = began.elapsed();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("whole").to_bytes();
        let body = String::from_utf8(body.to_vec()).expect("UTF-8");
        Answered { status: parts.status, headers: parts.headers, body, after }
    }

    /// How many of so many requests at once ended with which status after how many milliseconds.
    async fn ask_at_once(router: &Router, path: &str, count: usize) -> Vec<(usize, u16, u128)> {
        let mut found: Vec<(usize, u16, u128)> = Vec::new();
        for answered in join_all((0..count).map(|_| ask(router, path))).await {
            let (status, after) = (answered.status.as_u16(), answered.after.as_millis());
            match found.iter_mut().find(|(_, s, a)| (*s, *a) == (status, after)) {
                Some((count, ..)) => *count += 1,
                None => found.push((1, status, after)),
            }
        }
        found
    }

    #[tokio::test(start_paused = true)]
    async fn requests_over_the_rate_wait_at_most_a_second_and_are_then_refused() {
        let (router, metrics) = server(100, 5);
        assert_eq!(ask_at_once(&router, "/", 20).await, [(5, 200, 100), (5, 200, 1100), (10, 429, 0)]);
        let refused = ask(&router, "/").await;
        assert_eq!(refused.status, StatusCode::OK, "a second later it is its turn again");
        let text = String::from_utf8(metrics.text().expect("readable")).expect("UTF-8");
        assert!(
            text.contains(r#"sidecar_http_responses_total{server="rest_server",status="429"} 10"#),
            "{text}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_sees_more_turns_than_the_rate() {
        let rate = Rate::new(3);
        let mut turns = Vec::new();
        for pause in [0, 0, 400, 0, 0, 700, 10, 10, 10, 900, 0, 0, 0, 2000, 0, 0, 0] {
            advance(Duration::from_millis(pause)).await;
            turns.extend(rate.take_turn(Instant::now()).ok());
        }
        assert!(turns.is_sorted());
        assert!(turns.windows(4).all(|four| four[3] - four[0] >= SECOND), "{turns:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn requests_over_the_places_wait_at_most_a_second_and_are_then_refused() {
        let (router, _) = server(2, 100);
        assert_eq!(
            ask_at_once(&router, "/", 30).await,
            (1..=10).map(|n| (2, 200, n * 100)).chain([(2, 200, 1100), (8, 503, 1000)]).collect::<Vec<_>>()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_says_when_to_come_again() {
        let (router, _) = server(2, 1);
        let (first, second, third) =
            tokio::join!(ask(&router, "/slow"), ask(&router, "/"), ask(&router, "/"));
        assert_eq!((first.status, second.status), (StatusCode::OK, StatusCode::OK));
        assert_eq!(third.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(third.headers["retry-after"], "1");
        assert_eq!(third.body, r#"{"code":429,"message":"Too many requests per second: try again in 1 s"}"#);
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_ended() {
        let (router, metrics) = server(1, 10);
        let answered = ask(&router, "/dead").await;
        assert_eq!((answered.status.as_u16(), answered.after.as_secs()), (503, 5));
        assert_eq!(answered.body, r#"{"code":503,"message":"The request took longer than 5 s"}"#);
        assert!(
            String::from_utf8_lossy(&metrics.text().expect("readable"))
                .contains(r#"description="timeout"} 1"#)
        );
        assert_eq!(ask(&router, "/").await.status, StatusCode::OK, "its place is free again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_becomes_an_answer_and_is_counted() {
        let (router, metrics) = server(1, 10);
        let answered = ask(&router, "/panic").await;
        assert_eq!(answered.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(answered.body.starts_with(r#"{"code":500,"#));
        let text = metrics.text().expect("readable");
        let line = r#"error_counts{category="rest_server",description="panic"} 1"#;
        assert!(String::from_utf8_lossy(&text).contains(line));
        assert_eq!(ask(&router, "/").await.status, StatusCode::OK, "its place is free again");

        let late = Request::get("/late").body(Body::empty()).expect("valid");
        let late = router.clone().oneshot(late).await.expect("infallible");
        assert!(late.into_body().collect().await.is_err(), "the client sees that something is missing");
        assert!(
            String::from_utf8_lossy(&metrics.text().expect("readable")).contains(&line.replace("} 1", "} 2"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_held_until_the_body_is_sent() {
        let (router, _) = server(1, 10);
        let request = Request::get("/stream").body(Body::empty()).expect("valid");
        let response = router.clone().oneshot(request).await.expect("infallible");
        assert_eq!(ask(&router, "/").await.status, StatusCode::SERVICE_UNAVAILABLE);
        drop(response);
        assert_eq!(ask(&router, "/").await.status, StatusCode::OK);
    }
}
