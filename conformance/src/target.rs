//! The sidecar under test: where it is, how patiently it is asked, and what was already seen of it.
//!
//! Evidence that many checks look at (how each endpoint opens, what it replays, how it behaves when idle) is gathered
//! once and kept, so that a run makes few connections and requests however many checks there are.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::Context as _;
use reqwest::{Method, header::HeaderMap};
use tokio::{sync::OnceCell, time::Instant};

use crate::{
    chain::Chain,
    check::{Deviation, Finding},
    lifecycle::{Ending, Story},
    node_control::NodeControl,
    sse::Message,
    subscription::{Capture, Endpoint, Subscription},
    wire::{self, Origin, Reply},
};

/// How long things may take. All are upper bounds except `quiet`, `settle` and `keep_alive`.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Until a reply begins, or the first message of a stream is there.
    pub reply: Duration,
    /// Silence after which a replay is over.
    pub quiet: Duration,
    /// How long nothing must happen before we believe that it does not.
    pub settle: Duration,
    /// Silence after which a keep-alive is due. The page shows that there are some, nodes send them after 15 s.
    pub keep_alive: Duration,
    /// How much earlier or later a keep-alive may come.
    pub slack: Duration,
    /// From an event of a node to the same event of the sidecar.
    pub event: Duration,
    /// Until the sidecar has found a node that came back.
    pub reconnect: Duration,
    /// Until the sidecar has used up its attempts at a node that stays away.
    pub exhaustion: Duration,
    /// One whole check.
    pub check: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            reply: Duration::from_secs(10),
            quiet: Duration::from_secs(1),
            settle: Duration::from_millis(1500),
            keep_alive: Duration::from_secs(15),
            slack: Duration::from_secs(4),
            event: Duration::from_secs(10),
            reconnect: Duration::from_secs(60),
            exhaustion: Duration::from_secs(120),
            check: Duration::from_secs(180),
        }
    }
}

/// The addresses of one sidecar, and what may be done to it.
#[derive(Debug, Default, Clone)]
pub struct Addresses {
    /// Its event stream server.
    pub events: Option<Origin>,
    /// Its REST server.
    pub rest: Option<Origin>,
    /// Its admin server.
    pub admin: Option<Origin>,
    /// The control servers of the mock nodes that it is connected to. One server may have several nodes.
    pub nodes: Vec<Origin>,
    /// Whether the last checks may end it.
    pub may_end: bool,
}

/// One sidecar under test.
pub struct Target {
    addresses: Addresses,
    pace: Pace,
    client: reqwest::Client,
    requests: AtomicUsize,
    nodes: Vec<NodeControl>,
    chain: Chain,
    seeded: OnceCell<Result<u64, Deviation>>,
    openings: OnceCell<BTreeMap<Endpoint, Result<Capture, Deviation>>>,
    replays: OnceCell<BTreeMap<Endpoint, Result<Capture, Deviation>>>,
    idle: OnceCell<BTreeMap<Endpoint, Result<Capture, Deviation>>>,
    story: OnceCell<Result<Story, Deviation>>,
    ending: OnceCell<Result<Ending, Deviation>>,
}

/// One of the sidecar's servers that answer with whole bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    Rest,
    Admin,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// A header as text; empty if it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<serde_json::Value, Deviation> {
        serde_json::from_str(&self.body)
            .map_err(|error| Deviation::new("a JSON body", format!("{error} in {self}")))
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.status, self.body)
    }
}

impl Target {
    /// A sidecar at these addresses, asked at this pace. Asks the control servers for their nodes; the sidecar itself is
    /// not touched yet.
    ///
    /// # Errors
    ///
    /// If the HTTP client cannot be built, or a control server does not list its nodes.
    pub async fn new(addresses: Addresses, pace: Pace) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(pace.reply)
            .no_proxy()
            .build()?;
        let mut nodes = Vec::new();
        for control in &addresses.nodes {
            let found = NodeControl::discover(control, &client).await;
            nodes.extend(found.with_context(|| format!("cannot list the mock nodes at {control}"))?);
        }
        Ok(Self {
            addresses,
            pace,
            client,
            requests: AtomicUsize::new(0),
            nodes,
            chain: Chain::new(),
            seeded: OnceCell::new(),
            openings: OnceCell::new(),
            replays: OnceCell::new(),
            idle: OnceCell::new(),
            story: OnceCell::new(),
            ending: OnceCell::new(),
        })
    }

    /// How many requests were sent to the sidecar so far, subscriptions among them.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn has_events(&self) -> bool {
        self.addresses.events.is_some()
    }

    pub(crate) fn has_rest(&self) -> bool {
        self.addresses.rest.is_some()
    }

    pub(crate) fn has_admin(&self) -> bool {
        self.addresses.admin.is_some()
    }

    pub(crate) fn may_end(&self) -> bool {
        self.addresses.may_end
    }

    pub(crate) fn nodes(&self) -> &[NodeControl] {
        &self.nodes
    }

    pub(crate) fn pace(&self) -> Pace {
        self.pace
    }

    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The story of a node's life, told once in a run.
    pub(crate) async fn story(&self) -> Result<&Story, Deviation> {
        self.seeded().await?;
        // Boxed: it is long, and most checks do without it.
        let told = self.story.get_or_init(|| Box::pin(Story::tell(self))).await;
        told.as_ref().map_err(Clone::clone)
    }

    /// The end of the sidecar, brought about once in a run.
    pub(crate) async fn ending(&self) -> Result<&Ending, Deviation> {
        let brought = self.ending.get_or_init(|| Box::pin(Ending::bring(self))).await;
        brought.as_ref().map_err(Clone::clone)
    }
}

/// Asking.
impl Target {
    fn origin(&self, server: Server) -> Result<&Origin, Deviation> {
        let origin = match server {
            Server::Rest => &self.addresses.rest,
            Server::Admin => &self.addresses.admin,
        };
        origin.as_ref().ok_or_else(|| Deviation::nothing(format!("no address of the {server:?} server")))
    }

    /// A whole answer to a `GET`.
    pub(crate) async fn get(&self, server: Server, path: &str) -> Result<Answer, Deviation> {
        self.ask(server, Method::GET, path, &[]).await
    }

    /// A whole answer to a request with these headers.
    pub(crate) async fn ask(
        &self,
        server: Server,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Answer, Deviation> {
        let url = self.origin(server)?.url(path);
        self.requests.fetch_add(1, Ordering::Relaxed);
        let expected = format!("an answer to {method} {url}");
        let mut request = self.client.request(method, &url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let failed =
            |error: reqwest::Error| Deviation::new(&expected, format!("{:#}", anyhow::Error::from(error)));
        let response = request.send().await.map_err(failed)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.text().await.map_err(failed)?;
        Ok(Answer { status, headers, body })
    }

    /// The head of the event stream server's reply; the body is still to be read.
    pub(crate) async fn stream(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Reply, Deviation> {
        let origin = self.addresses.events.as_ref();
        let origin = origin.ok_or_else(|| Deviation::nothing("no address of the event stream server"))?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        wire::send(origin, wire::Request { method, path, headers }, self.pace.reply).await
    }

    /// A subscription of an endpoint as it is, live.
    pub(crate) async fn subscribe(&self, endpoint: Endpoint) -> Result<Subscription, Deviation> {
        self.subscribe_with(endpoint, "", &[]).await
    }

    /// A subscription with a query (such as `?start_from=1`) and headers.
    pub(crate) async fn subscribe_with(
        &self,
        endpoint: Endpoint,
        query: &str,
        headers: &[(&str, &str)],
    ) -> Result<Subscription, Deviation> {
        let path = format!("{}{query}", endpoint.path());
        let reply = self.stream("GET", &path, headers).await?;
        if reply.status != 200 {
            let status = reply.status;
            let body = reply.text(self.pace.quiet).await?;
            return Err(Deviation::new(format!("200 for GET {path}"), format!("{status} {body}")));
        }
        Ok(Subscription::new(reply))
    }
}

/// Seeing.
impl Target {
    /// Makes sure that there is something to see: sends one set of events through the first scripted node, once in a
    /// run. Gives the id from which on a replay shows them, or 0 without a scripted node.
    pub(crate) async fn seeded(&self) -> Result<u64, Deviation> {
        self.seeded.get_or_init(|| self.seed()).await.clone()
    }

    async fn seed(&self) -> Result<u64, Deviation> {
        let Some(node) = self.nodes.first() else { return Ok(0) };
        let mut streams = Vec::new();
        for endpoint in Endpoint::NODE {
            let mut stream = self.subscribe(endpoint).await?;
            // The opening tells that the sidecar has reached a node: what the node sends now is not missed.
            stream.message(self.pace.reconnect).await?;
            streams.push((endpoint, stream));
        }
        let events = self.chain.events();
        for event in &events {
            node.emit(event).await?;
        }
        let mut first = u64::MAX;
        for (endpoint, stream) in &mut streams {
            let mut due: Vec<&String> = events.iter().filter(|event| endpoint.carries(event)).collect();
            let deadline = Instant::now() + self.pace.event;
            while let Some(missing) = due.first() {
                let expected = format!("the node's event on {}: {missing}", endpoint.path());
                let left = deadline.saturating_duration_since(Instant::now());
                let message =
                    stream.message(left).await.map_err(|_| Deviation::new(expected, "it did not come"))?;
                if let Some(place) = due.iter().position(|event| **event == message.data) {
                    due.remove(place);
                    first = first.min(message.id.unwrap_or(u64::MAX));
                }
            }
        }
        Ok(if first == u64::MAX { 0 } else { first })
    }

    /// How an endpoint opens, and what comes in the moments after.
    pub(crate) async fn opening(&self, endpoint: Endpoint) -> Result<&Capture, Deviation> {
        self.seeded().await?;
        let all =
            self.openings.get_or_init(|| self.captures(Endpoint::ALL, String::new(), self.pace.settle, None));
        of(all.await, endpoint)
    }

    /// What an endpoint replays, at most some hundred messages of it.
    pub(crate) async fn replay(&self, endpoint: Endpoint) -> Result<&Capture, Deviation> {
        let query = format!("?start_from={}", self.seeded().await?);
        let all = self.replays.get_or_init(|| self.captures(Endpoint::ALL, query, self.pace.quiet, None));
        of(all.await, endpoint)
    }

    /// What an endpoint sends in the time in which a keep-alive must come.
    pub(crate) async fn idle(&self, endpoint: Endpoint) -> Result<&Capture, Deviation> {
        self.seeded().await?;
        let span = self.pace.keep_alive + self.pace.slack;
        let all = self.idle.get_or_init(|| self.captures(Endpoint::ALL, String::new(), span, Some(span)));
        of(all.await, endpoint)
    }

    async fn captures<const N: usize>(
        &self,
        endpoints: [Endpoint; N],
        query: String,
        quiet: Duration,
        span: Option<Duration>,
    ) -> BTreeMap<Endpoint, Result<Capture, Deviation>> {
        let query = &query;
        let captures = endpoints.map(async |endpoint| {
            let capture = async {
                let subscription = self.subscribe_with(endpoint, query, &[]).await?;
                subscription.capture(quiet, span.unwrap_or(self.pace.reply)).await
            };
            (endpoint, capture.await)
        });
        futures_util::future::join_all(captures).await.into_iter().collect()
    }

    /// The messages of one kind that a replay of its endpoint shows. Skips the check if there are none.
    pub(crate) async fn examples(&self, kind: &str) -> Result<Vec<&Message>, Deviation> {
        let capture = self.replay(Endpoint::of_kind(kind)).await?;
        let found: Vec<_> = capture.messages().filter(|message| message.kind() == kind).collect();
        if found.is_empty() {
            return Err(Deviation::nothing(format!("the sidecar replays no {kind}")));
        }
        Ok(found)
    }
}

fn of(
    captures: &BTreeMap<Endpoint, Result<Capture, Deviation>>,
    endpoint: Endpoint,
) -> Result<&Capture, Deviation> {
    captures[&endpoint].as_ref().map_err(Clone::clone)
}

/// A finding of several parts: all must hold, all that was seen is told.
pub(crate) fn all_of(parts: impl IntoIterator<Item = Finding>) -> Finding {
    let seen: Result<Vec<String>, Deviation> = parts.into_iter().collect();
    Ok(seen?.join("; "))
}
