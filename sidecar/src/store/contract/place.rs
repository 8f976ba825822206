//! Where a store is opened, and what is put into it.

use std::future::Future;
use std::sync::Arc;

use tempfile::TempDir;

use super::server;
use crate::config;
use crate::event::{ApiVersion, Channel, EntryId, Event, Identity, Key, Kind, Payload};
use crate::store::model::{Disk, Model};
use crate::store::postgres::Postgres;
use crate::store::sqlite::Sqlite;
use crate::store::{Appended, Arrival, Batch, Body, Entry, OpenError, Store};

/// Where a store can be opened again and again.
pub(crate) trait Place: Send + Sync {
    type Store: Store;

    fn open(&self) -> impl Future<Output = Result<Self::Store, OpenError>> + Send;
}

impl Place for Disk {
    type Store = Model;

    async fn open(&self) -> Result<Model, OpenError> {
        Model::open(self)
    }
}

/// A folder that is removed at the end.
pub(crate) struct Folder(pub(crate) TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("there is room for a folder"))
    }

    pub(crate) fn config() -> config::Sqlite {
        config::Sqlite {
            file_name: "log.db3".into(),
            max_connections_in_pool: 4,
            wal_autocheckpointing_interval: 1000,
        }
    }
}

impl Place for Folder {
    type Store = Sqlite;

    async fn open(&self) -> Result<Sqlite, OpenError> {
        Sqlite::open(self.0.path(), &Self::config()).await
    }
}

/// A database of a server that the tests share.
pub(crate) struct Database {
    pub(crate) server: server::Address,
    pub(crate) config: config::Postgres,
}

impl Database {
    /// None if there is no server.
    pub(crate) async fn new() -> Option<Self> {
        Some(Self::on(server::shared().await?).await)
    }

    /// A new database on this server.
    pub(crate) async fn on(server: server::Address) -> Self {
        let config = config::Postgres {
            host: server.host.clone(),
            port: server.port,
            database_name: server.new_database().await,
            database_username: server.user.clone(),
            database_password: config::Password::new(&*server.password),
            max_connections_in_pool: 4,
            ssl_mode: config::SslMode::Prefer,
            ssl_root_certificate: None,
        };
        Self { server, config }
    }

    /// Runs SQL beside the store.
    pub(crate) async fn run(&self, sql: &str) {
        self.server.run(&self.config.database_name, sql).await;
    }
}

impl Place for Database {
    type Store = Postgres;

    async fn open(&self) -> Result<Postgres, OpenError> {
        Postgres::open(&self.config).await
    }
}

pub(crate) fn version(text: &str) -> ApiVersion {
    ApiVersion::new(&format!(r#"{{"ApiVersion":"{text}"}}"#), text).expect("a version")
}

pub(crate) fn event(kind: Kind, channel: Channel, name: &str, keys: &[Key], json: &str) -> Event {
    Event {
        kind,
        channel,
        identity: Identity::of(kind, &[channel_name(channel), name]),
        keys: keys.to_vec(),
        block_time: None,
        payload: Payload::new(json),
    }
}

fn channel_name(channel: Channel) -> &'static str {
    ["main", "deploys", "sigs", "sidecar"][usize::from(channel.code())]
}

/// The `number`th signature of a block.
pub(crate) fn signature(block: &str, number: u64) -> Event {
    let name = format!("{block}-{number}");
    let json = format!(r#"{{"FinalitySignature":{{"block_hash":"{block}","public_key":"{number}"}}}}"#);
    event(Kind::FinalitySignature, Channel::Sigs, &name, &[Key::signed_block(block)], &json)
}

pub(crate) fn block(height: u64) -> Event {
    let json = format!(r#"{{"BlockAdded":{{"block_hash":"{height}"}}}}"#);
    event(Kind::BlockAdded, Channel::Main, &height.to_string(), &[Key::block_height(height)], &json)
}

pub(crate) fn arrival(event: Event) -> Arrival {
    Arrival {
        event,
        version: Some(version("1.5.8")),
        node: "10.0.0.1:9999".into(),
        received_at: 1_700_000_000_123,
    }
}

pub(crate) fn batch(events: impl IntoIterator<Item = Event>) -> Batch {
    Batch { arrivals: events.into_iter().map(arrival).collect(), ..Batch::default() }
}

pub(crate) fn is_new(appended: &[Appended]) -> Vec<bool> {
    appended.iter().map(|appended| matches!(appended, Appended::New(_))).collect()
}

pub(crate) fn ids(entries: &[Entry]) -> Vec<EntryId> {
    entries.iter().map(|entry| entry.id).collect()
}

/// The JSON of an entry, read in slices if it is large.
pub(crate) async fn json_of(store: &impl Store, entry: &Entry) -> String {
    match &entry.body {
        Body::Whole(payload) => payload.json().to_owned(),
        Body::Large { len } => {
            let mut json = Vec::new();
            while (json.len() as u64) < *len {
                let slice = store.slice(entry.id, json.len() as u64, 1_000_000).await.expect("it is there");
                assert!(!slice.is_empty(), "the JSON ends early");
                json.extend_from_slice(&slice);
            }
            String::from_utf8(json).expect("JSON is UTF-8")
        }
    }
}

/// All of an entry but a large body, in a form that can be compared.
pub(crate) type Shown = (EntryId, Kind, Channel, Option<String>, Arc<str>, u64, Result<String, u64>);

pub(crate) fn shown(entry: &Entry) -> Shown {
    let version = entry.version.as_ref().map(|version| version.json().to_owned());
    let body = match &entry.body {
        Body::Whole(payload) => Ok(payload.json().to_owned()),
        Body::Large { len } => Err(*len),
    };
    (entry.id, entry.kind, entry.channel, version, Arc::clone(&entry.node), entry.received_at, body)
}

/// What the log must show for an arrival.
pub(crate) fn of(id: EntryId, arrival: &Arrival) -> Shown {
    let event = &arrival.event;
    let version = arrival.version.as_ref().map(|version| version.json().to_owned());
    let json = event.payload.json();
    let body = if json.len() > crate::store::LARGE { Err(json.len() as u64) } else { Ok(json.to_owned()) };
    (id, event.kind, event.channel, version, Arc::clone(&arrival.node), arrival.received_at, body)
}
