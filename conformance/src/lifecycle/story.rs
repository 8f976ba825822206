//! One story of a node's life, told once in a run; the checks look at what each endpoint showed of each act.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::{
    check::Deviation,
    metrics,
    node_control::NodeControl,
    prometheus::Family,
    sse::Message,
    subscription::{Endpoint, Subscription},
    target::{Server, Target},
    wire::End,
};

/// The acts, in their order.
pub(crate) struct Story {
    /// The node sends one event of each kind.
    pub(crate) live: Act,
    /// It sends the same events again, under new ids.
    pub(crate) again: Act,
    /// It shuts down.
    pub(crate) down: Act,
    /// It comes back with the version that it had, and sends fresh events.
    pub(crate) back: Act,
    /// It shuts down once more, and comes back with a greater API version and the same build version.
    pub(crate) upgrade: Act,
    /// The API version before and after the upgrade.
    pub(crate) versions: (String, String),
    /// What a new client sees that asks for everything from the first event of the story.
    pub(crate) replay: BTreeMap<Endpoint, Vec<Message>>,
    /// What a client sees that replays `/events` while the node sends.
    pub(crate) seam: Act,
}

/// What happened in one act.
#[derive(Default)]
pub(crate) struct Act {
    /// What the node sent.
    pub(crate) emitted: Vec<String>,
    /// What each endpoint showed.
    pub(crate) seen: BTreeMap<Endpoint, Vec<Message>>,
    /// The endpoints whose streams ended.
    pub(crate) ended: Vec<Endpoint>,
    /// Metrics before and after; empty without an admin server.
    pub(crate) before: Metrics,
    pub(crate) after: Metrics,
    /// The status of `/health/ready` after.
    pub(crate) ready: Option<u16>,
}

pub(crate) type Metrics = BTreeMap<String, Family>;

impl Act {
    /// The entries that an endpoint showed: everything but versions.
    pub(crate) fn entries(&self, endpoint: Endpoint) -> impl Iterator<Item = &Message> {
        self.seen.get(&endpoint).into_iter().flatten().filter(|message| !message.is_version())
    }

    /// The versions that an endpoint announced.
    pub(crate) fn versions(&self, endpoint: Endpoint) -> Vec<&str> {
        let messages = self.seen.get(&endpoint).into_iter().flatten();
        messages.filter(|message| message.is_version()).map(|message| message.data.as_str()).collect()
    }

    /// Goes on with what was heard later.
    fn append(&mut self, later: Self) {
        for (endpoint, messages) in later.seen {
            self.seen.entry(endpoint).or_default().extend(messages);
        }
        self.ended = later.ended;
    }

    /// The statuses of the nodes after the act.
    pub(crate) fn statuses(&self) -> BTreeMap<String, f64> {
        metrics::by_label(&self.after, "node_statuses", "node_statuses", "node")
    }
}

/// Connections to all five endpoints, held through a whole story.
pub(super) struct Audience {
    streams: Vec<(Endpoint, Subscription)>,
    settle: Duration,
}

impl Audience {
    /// Connects to all endpoints and hears their openings.
    pub(super) async fn gather(target: &Target) -> Result<Self, Deviation> {
        let mut streams = Vec::new();
        for endpoint in Endpoint::ALL {
            let mut stream = target.subscribe(endpoint).await?;
            stream.message(target.pace().reconnect).await?;
            streams.push((endpoint, stream));
        }
        Ok(Self { streams, settle: target.pace().settle })
    }

    /// Listens until all that is `due` was heard on the endpoints of the node, and then nothing more for a while.
    /// Ends after `patience` in any case: what is missing is for the checks to say.
    pub(super) async fn hear(&mut self, due: &[String], patience: Duration) -> Result<Act, Deviation> {
        let deadline = Instant::now() + patience;
        let mut act = Act { emitted: due.to_vec(), ..Act::default() };
        loop {
            let settle = self.settle;
            let listening = self.streams.iter_mut().map(async |(endpoint, stream)| {
                (*endpoint, stream.messages(settle, settle * 4).await, stream.end().is_none())
            });
            let mut fresh = 0;
            act.ended.clear();
            for (endpoint, messages, open) in futures_util::future::join_all(listening).await {
                let messages = messages?;
                fresh += messages.len();
                act.seen.entry(endpoint).or_default().extend(messages);
                if !open {
                    act.ended.push(endpoint);
                }
            }
            let heard = |data: &String| {
                Endpoint::NODE
                    .into_iter()
                    .any(|endpoint| act.entries(endpoint).any(|message| message.data == *data))
            };
            let complete = due.iter().all(heard) && fresh == 0;
            if complete || act.ended.len() == self.streams.len() || Instant::now() > deadline {
                return Ok(act);
            }
        }
    }

    /// Listens until all streams have ended, at most as long as `patience` allows.
    pub(super) async fn hear_out(&mut self, patience: Duration) -> Result<Act, Deviation> {
        let deadline = Instant::now() + patience;
        let mut whole = Act::default();
        while whole.ended.len() < self.streams.len() && Instant::now() < deadline {
            whole.append(self.hear(&[], Duration::ZERO).await?);
        }
        Ok(whole)
    }

    /// How each stream ended, if it did.
    pub(super) fn ends(&self) -> BTreeMap<Endpoint, Option<End>> {
        self.streams.iter().map(|(endpoint, stream)| (*endpoint, stream.end())).collect()
    }

    /// Listens until `Shutdown` was heard on all endpoints of the node, and then nothing more for a while.
    async fn hear_shutdown(&mut self, patience: Duration) -> Result<Act, Deviation> {
        let deadline = Instant::now() + patience;
        let mut whole = self.hear(&[], Duration::ZERO).await?;
        let complete = |act: &Act| {
            Endpoint::NODE
                .into_iter()
                .all(|endpoint| act.entries(endpoint).any(|message| message.kind() == "Shutdown"))
        };
        while !complete(&whole) && whole.ended.is_empty() && Instant::now() < deadline {
            whole.append(self.hear(&[], Duration::ZERO).await?);
        }
        Ok(whole)
    }
}

pub(super) async fn scrape(target: &Target) -> Metrics {
    // What is wrong with the metrics is for their own checks to say.
    if target.has_admin() { metrics::scrape(target).await.unwrap_or_default() } else { Metrics::new() }
}

/// Waits until as many nodes as `wanted` are connected by the metrics, or as long as `patience` allows.
async fn connected(target: &Target, wanted: impl Fn(usize) -> bool, patience: Duration) -> Metrics {
    let deadline = Instant::now() + patience;
    loop {
        let families = scrape(target).await;
        let statuses = metrics::by_label(&families, "node_statuses", "node_statuses", "node");
        let count = statuses.values().filter(|status| **status == 2.0).count();
        if families.is_empty() || wanted(count) || Instant::now() > deadline {
            return families;
        }
        tokio::time::sleep(target.pace().settle / 10).await;
    }
}

/// The version in an `ApiVersion` message.
pub(super) fn version_in(data: &str) -> &str {
    data.strip_prefix("{\"ApiVersion\":\"").and_then(|rest| rest.strip_suffix("\"}")).unwrap_or_default()
}

/// The version with its last number one greater.
pub(super) fn next_version(version: &str) -> Result<String, Deviation> {
    let next = version
        .rsplit_once('.')
        .and_then(|(front, patch)| patch.parse::<u32>().ok().map(|patch| format!("{front}.{}", patch + 1)));
    next.ok_or_else(|| Deviation::new("a version x.y.z", version))
}

impl Story {
    /// Lets the first scripted node live through all acts.
    pub(crate) async fn tell(target: &Target) -> Result<Self, Deviation> {
        let node = target.nodes().first().ok_or_else(|| Deviation::nothing("needs a scripted node"))?;
        let pace = target.pace();
        let mut opening = target.subscribe(Endpoint::Main).await?;
        let before = version_in(&opening.message(pace.reconnect).await?.data).to_owned();
        let after = next_version(&before)?;
        let mut audience = Audience::gather(target).await?;

        let events = target.chain().events();
        let metrics = scrape(target).await;
        let mut live = send(node, &mut audience, &events, pace.event).await?;
        (live.before, live.after) = (metrics, scrape(target).await);
        let again = send(node, &mut audience, &events, Duration::ZERO).await?;

        node.shutdown().await?;
        let mut down = audience.hear_shutdown(pace.event).await?;
        let nodes = live.statuses().len();
        down.after = connected(target, |count| count < nodes, pace.event).await;
        if target.has_admin() {
            down.ready = Some(target.get(Server::Admin, "/health/ready").await?.status);
        }
        let back = come_back(target, node, &mut audience, nodes).await?;

        node.shutdown().await?;
        audience.hear_shutdown(pace.event).await?;
        node.set_api_version(&after).await?;
        let upgrade = come_back(target, node, &mut audience, nodes).await?;

        let first = live.seen.values().flatten().filter_map(|message| message.id).min().unwrap_or(0);
        let mut replay = BTreeMap::new();
        for endpoint in Endpoint::ALL {
            let mut stream = target.subscribe_with(endpoint, &format!("?start_from={first}"), &[]).await?;
            replay.insert(endpoint, stream.messages(pace.quiet, pace.reply).await?);
        }
        let seam = seam(target, node, first).await?;
        Ok(Self { live, again, down, back, upgrade, versions: (before, after), replay, seam })
    }
}

async fn send(
    node: &NodeControl,
    audience: &mut Audience,
    events: &[String],
    patience: Duration,
) -> Result<Act, Deviation> {
    for event in events {
        node.emit(event).await?;
    }
    audience.hear(events, patience).await
}

/// The node starts again and sends fresh events.
async fn come_back(
    target: &Target,
    node: &NodeControl,
    audience: &mut Audience,
    nodes: usize,
) -> Result<Act, Deviation> {
    node.restart().await?;
    let mut act = send(node, audience, &target.chain().events(), target.pace().reconnect).await?;
    act.after = connected(target, |count| count >= nodes, target.pace().reconnect).await;
    Ok(act)
}

/// A client replays everything while the node sends on.
async fn seam(target: &Target, node: &NodeControl, first: u64) -> Result<Act, Deviation> {
    let mut stream = target.subscribe_with(Endpoint::Root, &format!("?start_from={first}"), &[]).await?;
    let mut act = Act::default();
    for _ in 0..5 {
        let events = target.chain().events();
        for event in &events {
            node.emit(event).await?;
        }
        act.emitted.extend(events);
    }
    let last = act.emitted.last().cloned().unwrap_or_default();
    let deadline = Instant::now() + target.pace().event;
    let seen = act.seen.entry(Endpoint::Root).or_default();
    while Instant::now() < deadline
        && stream.end().is_none()
        && !seen.iter().any(|message| message.data == last)
    {
        seen.extend(stream.messages(target.pace().quiet, target.pace().event).await?);
    }
    Ok(act)
}
