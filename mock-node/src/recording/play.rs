//! Playing a recording on mock nodes.

use std::{str::FromStr, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};

use super::{End, Entry, Recording};
use crate::{
    event::{Event, Filter, kind_of},
    node::Node,
};

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// So many times as fast as recorded.
    Times(f64),
    /// Without a pause, held back by the slowest reader only if the node holds back.
    Max,
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        text.strip_suffix('x')
            .and_then(|number| number.parse::<f64>().ok())
            .filter(|times| *times > 0.0 && times.is_finite())
            .map(Self::Times)
            .ok_or_else(|| format!("`{text}` is no speed: expected such as `1x`, `0.5x`, `10x` or `max`"))
    }
}

impl Recording {
    /// The part of each URL before its path: one mock node plays what came from it.
    pub fn origins(&self) -> Vec<&str> {
        let mut origins = Vec::new();
        for url in &self.urls {
            let origin = split(url).0;
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
        origins
    }

    /// Plays everything, the nodes standing for [`Recording::origins`] in that order.
    ///
    /// Ids are those recorded. A `Shutdown` stops the node in order; what comes after it starts the node again.
    ///
    /// # Panics
    /// If there are fewer nodes than origins.
    pub async fn play(&self, nodes: &[Node], speed: Speed) {
        let origins = self.origins();
        assert!(nodes.len() >= origins.len(), "a node for each origin");
        let begin = Instant::now();
        join_all(
            origins.iter().zip(nodes).map(|(origin, node)| self.play_origin(origin, node, begin, speed)),
        )
        .await;
    }

    async fn play_origin(&self, origin: &str, node: &Node, begin: Instant, speed: Speed) {
        for entry in self.in_id_order(origin) {
            if let Speed::Times(times) = speed {
                sleep_until(begin + entry.at().div_f64(times).min(Duration::from_secs(u32::MAX.into())))
                    .await;
            }
            node.room().await;
            play_entry(node, split(&self.urls[entry.url]).1, entry);
        }
    }

    /// What came from one node in the order in which it sent it. The recorder saw its filters arrive side by side, but
    /// all ids come from one counter. Where the ids of a filter fall, the counter was set back.
    fn in_id_order(&self, origin: &str) -> Vec<&Entry> {
        let mut newest = vec![(0_u32, None); self.urls.len()];
        let mut keyed: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| split(&self.urls[entry.url]).0 == origin)
            .map(|entry| {
                let (run, last) = &mut newest[entry.url];
                if entry.id.is_some() {
                    *run += u32::from(entry.id < *last);
                    *last = entry.id;
                }
                // A clean end comes after everything that anybody got in the same run.
                let id = if entry.end == Some(End::Clean) { Some(u32::MAX) } else { *last };
                ((*run, id), entry)
            })
            .collect();
        keyed.sort_by_key(|(key, _)| *key);
        keyed.into_iter().map(|(_, entry)| entry).collect()
    }
}

fn play_entry(node: &Node, path: &str, entry: &Entry) {
    let filter = path.trim_end_matches('/').rsplit('/').next().and_then(|name| name.parse::<Filter>().ok());
    let Some(data) = entry.data() else {
        if entry.end() == Some(End::Broken) {
            filter.map_or_else(|| node.drop_connections(), |filter| node.drop_filter(filter));
        }
        return;
    };
    let kind = kind_of(data.as_bytes());
    match (kind.as_deref(), entry.id()) {
        (Some("ApiVersion"), None) => {
            let version: Option<serde_json::Value> = serde_json::from_str(data).ok();
            if let Some(version) = version.as_ref().and_then(|value| value["ApiVersion"].as_str()) {
                node.set_api_version(version);
            }
        }
        // It came on each filter, and goes to all of them at once: the second and third find the node down.
        (Some("Shutdown"), Some(id)) => {
            if node.is_up() {
                node.set_id(id);
                node.shutdown();
            }
        }
        (kind, id) => {
            node.restart();
            let of_kind = kind.and_then(Filter::of_kind);
            let event = Event::raw(filter.or(of_kind).unwrap_or(Filter::Main), data.to_owned());
            match id {
                Some(id) => {
                    node.set_id(id);
                    node.emit(event);
                }
                None => node.emit_without_id(event),
            }
        }
    }
}

/// Origin and path of a URL, without its query.
fn split(url: &str) -> (&str, &str) {
    let url = url.split('?').next().unwrap_or(url);
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let path = url[after_scheme..].find('/').map_or(url.len(), |at| at + after_scheme);
    url.split_at(path)
}
