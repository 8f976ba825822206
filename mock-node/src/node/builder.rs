//! How a node is to be, with a real node's defaults for everything.

use std::{sync::Arc, time::Duration};

use super::Node;

/// What happens to subscribers that do not keep up.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Laggards {
    /// More than 1.2 x the ring behind: disconnected without notice, as a real node does.
    #[default]
    Cut,
    /// Kept, and whoever emits can wait for them with [`Node::room`]: for use as a load source. Events that are
    /// emitted without waiting stay in memory until the slowest subscriber has them.
    HoldBack,
}

pub(crate) struct Config {
    pub(crate) chain_name: String,
    pub(crate) ring: usize,
    pub(crate) history: usize,
    pub(crate) keep_alive: Duration,
    pub(crate) max_subscribers: usize,
    pub(crate) sse_port: u16,
    pub(crate) rest_port: u16,
    pub(crate) laggards: Laggards,
    pub(crate) wall_clock: Box<dyn Fn() -> Duration + Send + Sync>,
}

/// Builds a [`Node`]. Every setting has a real node's default.
pub struct Builder {
    pub(super) config: Config,
    pub(super) build_version: String,
    pub(super) api_version: String,
    pub(super) first_id: u32,
}

impl Default for Builder {
    fn default() -> Self {
        // 2024-01-01T00:00:00Z: an arbitrary time that is the same in every run.
        let fixed = Duration::from_secs(1_704_067_200);
        Self {
            config: Config {
                chain_name: "casper-example".to_owned(),
                ring: 5000,
                history: 100_000,
                keep_alive: Duration::from_secs(15),
                max_subscribers: 100,
                sse_port: 0,
                rest_port: 0,
                laggards: Laggards::Cut,
                wall_clock: Box::new(move || fixed),
            },
            build_version: "1.5.8".to_owned(),
            api_version: "1.5.8".to_owned(),
            first_id: 0,
        }
    }
}

impl Builder {
    /// `build_version` of `/status`: the software's version, such as `1.5.8` or `1.5.8-0a1b2c3d4`.
    pub fn build_version(mut self, version: impl Into<String>) -> Self {
        self.build_version = version.into();
        self
    }

    /// The protocol version: in `ApiVersion`, which opens each stream, and in `/status`.
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.api_version = version.into();
        self
    }

    /// `chainspec_name` of `/status`.
    pub fn chain_name(mut self, name: impl Into<String>) -> Self {
        self.config.chain_name = name.into();
        self
    }

    /// How many events, over all filters, the node keeps for `start_from`. At least 1.
    pub fn ring(mut self, events: usize) -> Self {
        self.config.ring = events.max(1);
        self
    }

    /// How many of the last events [`Node::emitted`] remembers.
    pub fn history(mut self, events: usize) -> Self {
        self.config.history = events;
        self
    }

    /// After how much silence a `:` comment is sent.
    pub fn keep_alive(mut self, silence: Duration) -> Self {
        self.config.keep_alive = silence;
        self
    }

    /// Seats over all three filters; whoever comes later gets a 503.
    pub fn max_subscribers(mut self, seats: usize) -> Self {
        self.config.max_subscribers = seats;
        self
    }

    /// Where the id counter starts.
    pub fn first_id(mut self, id: u32) -> Self {
        self.first_id = id;
        self
    }

    /// Port of the event stream; 0 takes any free one and keeps it for the node's life.
    pub fn sse_port(mut self, port: u16) -> Self {
        self.config.sse_port = port;
        self
    }

    /// Port of `/status`; 0 takes any free one and keeps it for the node's life.
    pub fn rest_port(mut self, port: u16) -> Self {
        self.config.rest_port = port;
        self
    }

    /// What happens to subscribers that do not keep up.
    pub fn laggards(mut self, laggards: Laggards) -> Self {
        self.config.laggards = laggards;
        self
    }

    /// Time since 1970, for `last_progress` of `/status`. Without it the node lives at one fixed instant, so that
    /// the same calls give the same bytes.
    pub fn wall_clock(mut self, now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.config.wall_clock = Box::new(now);
        self
    }

    /// The node. It holds events from now on; it is reachable once it is served.
    pub fn build(self) -> Node {
        Node { inner: Arc::new(super::Inner::new(self)) }
    }
}
