//! What is read, each time on one of the [`Readers`].

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, RwLock};

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row, SqliteConnection, TypeInfo, ValueRef, query, query_as, query_scalar};

use super::super::{
    Body, Cursor, Entry, InForce, LARGE, Listed, Listing, Lookup, Order, PAGE_BYTES, PAGE_ENTRIES, Page,
    State, StoreError,
};
use super::readers::Readers;
use super::{corrupt, open, read_error, signed};
use crate::config;
use crate::event::{ApiVersion, Channel, Endpoint, EntryId, Filter, Identity, Key, Kind, Message, Payload};

/// Rows that a connection reads ahead of who takes them; each has up to [`LARGE`] bytes.
const READ_AHEAD: usize = 64;

/// Id of the newest entry there ever was.
pub(super) const HEAD: &str = "SELECT max(coalesce((SELECT max(id) FROM entry), 0), \
                               (SELECT head FROM log WHERE one = 1))";

/// Entries as [`decode`] takes them: what is small of an entry is in one number, since each column of each row
/// costs sqlx two allocations.
macro_rules! entries {
    ($rest:literal) => {
        concat!(
            "SELECT id, received_at, kind | (channel << 4) | (coalesce(version, 0) << 8) | (source << 32), ",
            "coalesce(large, data) FROM entry WHERE ",
            $rest
        )
    };
}

/// A page, after the head: entries that are committed between the two statements do no harm in this order.
macro_rules! page {
    ($rest:literal) => {
        concat!(
            "SELECT max(coalesce((SELECT max(id) FROM entry), 0), (SELECT head FROM log WHERE one = 1));",
            entries!($rest)
        )
    };
}

/// All statements that read entries, so that a test can look at their plans.
pub(super) mod sql {
    pub(crate) const PAGE_OF_LOG: &str = page!("id >= ? ORDER BY id LIMIT ?");
    /// The two conditions keep out little (see `Endpoint::shows`), so it goes by the ids and not by an index.
    pub(crate) const PAGE_OF_ALL: &str =
        page!("id >= ? AND +channel <> 3 AND NOT (+kind = 7 AND +channel <> 0) ORDER BY id LIMIT ?");
    pub(crate) const PAGE_OF_ONE: &str = page!("id >= ? AND channel = ? ORDER BY id LIMIT ?");
    pub(crate) const BY_ID: &str = entries!("id = ?");
    pub(crate) const BY_IDENTITY: &str = entries!("identity = ?");
    pub(crate) const BY_IDENTITIES: &str =
        entries!("id IN (SELECT id FROM entry WHERE identity IN (?, ?, ?)) ORDER BY id");
    pub(crate) const BY_KEY: &str = entries!(
        "id IN (SELECT id FROM entry WHERE key = ?1 UNION ALL SELECT entry FROM further_key WHERE key = ?1) \
         ORDER BY id"
    );
    pub(crate) const GREATEST_BLOCK: &str = entries!("key BETWEEN ? AND ? ORDER BY key DESC LIMIT 1");
    pub(crate) const LIST: [&str; 2] = [
        entries!("id >= ? AND +kind <> 7 ORDER BY id LIMIT ?"),
        entries!("id <= ? AND +kind <> 7 ORDER BY id DESC LIMIT ?"),
    ];
    /// For the kinds that `entry_by_kind` has; the first condition is the index's own.
    pub(crate) const LIST_KIND: [&str; 2] = [
        entries!("kind NOT IN (1, 5) AND kind = ? AND kind <> 7 AND id >= ? ORDER BY id LIMIT ?"),
        entries!("kind NOT IN (1, 5) AND kind = ? AND kind <> 7 AND id <= ? ORDER BY id DESC LIMIT ?"),
    ];
    /// For those that it leaves out: each is nearly all that there is on its channel.
    pub(crate) const LIST_CHANNEL: [&str; 2] = [
        entries!("channel = ? AND +kind = ? AND id >= ? ORDER BY id LIMIT ?"),
        entries!("channel = ? AND +kind = ? AND id <= ? ORDER BY id DESC LIMIT ?"),
    ];
    pub(crate) const SENDERS: &str = "SELECT name FROM source ORDER BY id";
    pub(crate) const PARTS: &str =
        "SELECT data FROM entry_part WHERE entry = ? AND number BETWEEN ? AND ? ORDER BY number";
    pub(crate) const DATA: &str = "SELECT data FROM entry WHERE id = ?";
    pub(crate) const OLDEST: &str = "SELECT min(id) FROM entry";
}

/// Reads, on as many connections as are used at once.
#[derive(Debug)]
pub(super) struct Reader {
    readers: Readers,
    names: RwLock<Arc<Names>>,
}

/// What the numbers of versions and senders stand for. They are only ever added to.
#[derive(Debug, Default)]
struct Names {
    versions: HashMap<i64, ApiVersion>,
    sources: HashMap<i64, Arc<str>>,
}

/// Why a row did not become an entry.
enum Undecoded {
    /// It names a version or a sender that is newer than what is known here.
    NewName,
    Failed(StoreError),
}

impl Undecoded {
    /// What it means after the names were loaded.
    fn at_last(self, from: EntryId) -> StoreError {
        match self {
            Self::NewName => corrupt(from, "it names a version or a sender that there is not"),
            Self::Failed(error) => error,
        }
    }
}

impl Reader {
    pub(super) fn new(path: &Path, config: &config::Sqlite) -> Self {
        let options = open::options(path)
            .read_only(true)
            .row_buffer_size(READ_AHEAD)
            // In kB. Pages that are read again and again are in the operating system's cache, and SQLite forgets its
            // own after each commit of the writer: four times as much was measured to gain nothing.
            .pragma("cache_size", "-256");
        Self { readers: Readers::new(options, config.max_connections_in_pool), names: RwLock::default() }
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
    }

    /// Runs SQL on a reading connection.
    #[cfg(test)]
    pub(super) async fn run(&self, sql: &'static str) -> Result<(), sqlx::Error> {
        let mut connection = self.readers.take().await.expect("there is one");
        query(sql).execute(&mut *connection).await.map(drop)
    }

    pub(super) async fn state(&self) -> Result<State, StoreError> {
        let mut connection = self.readers.take().await?;
        let failed = |error| read_error(0, error);
        let mut transaction = connection.begin().await.map_err(failed)?;
        let head: i64 = query_scalar(HEAD).fetch_one(&mut *transaction).await.map_err(failed)?;
        let oldest: Option<i64> =
            query_scalar(sql::OLDEST).fetch_one(&mut *transaction).await.map_err(failed)?;
        let (in_force, chain): (Option<(i64, i64)>, Option<String>) = {
            let row: (Option<i64>, Option<i64>, Option<String>) =
                query_as("SELECT version, source, chain FROM log WHERE one = 1")
                    .fetch_one(&mut *transaction)
                    .await
                    .map_err(failed)?;
            (row.0.zip(row.1), row.2)
        };
        let names = self.load_names(&mut transaction).await?;
        let rows: Vec<(String, i64, i64, Vec<u8>, i64, i64)> = query_as(
            "SELECT source.name, filter, cursor.id, fingerprint, run, resume FROM cursor \
             JOIN source ON source.id = cursor.source ORDER BY source.name, filter",
        )
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        connection.done();
        let cursors = rows.into_iter().map(cursor).collect::<Option<Vec<_>>>();
        let head = u64::try_from(head).unwrap_or(0);
        Ok(State {
            head,
            oldest: oldest.and_then(|id| u64::try_from(id).ok()).unwrap_or(head + 1),
            cursors: cursors.ok_or_else(|| corrupt(0, "a cursor is out of range"))?,
            in_force: in_force
                .map(|(version, source)| {
                    let version = names.versions.get(&version)?.clone();
                    Some(InForce { version, node: Arc::clone(names.sources.get(&source)?) })
                })
                .map(|found| found.ok_or_else(|| corrupt(0, "the version in force has no name")))
                .transpose()?,
            chain: chain.map(Into::into),
        })
    }

    pub(super) async fn page(&self, endpoint: Option<Endpoint>, from: EntryId) -> Result<Page, StoreError> {
        let mut connection = self.readers.take().await?;
        let mut page = self.try_page(&mut connection, endpoint, from).await;
        if let Err(Undecoded::NewName) = page {
            self.load_names(&mut connection).await?;
            page = self.try_page(&mut connection, endpoint, from).await;
        }
        let page = page.map_err(|error| error.at_last(from))?;
        connection.done();
        Ok(page)
    }

    async fn try_page(
        &self,
        connection: &mut SqliteConnection,
        endpoint: Option<Endpoint>,
        from: EntryId,
    ) -> Result<Page, Undecoded> {
        let limit = i64::try_from(PAGE_ENTRIES).expect("a few hundred fit");
        let channel = endpoint.map(Endpoint::channel);
        let query = match channel {
            None => query(sql::PAGE_OF_LOG).bind(signed(from)),
            Some(None) => query(sql::PAGE_OF_ALL).bind(signed(from)),
            Some(Some(channel)) => query(sql::PAGE_OF_ONE).bind(signed(from)).bind(i64::from(channel.code())),
        };
        let mut rows = query.bind(limit).fetch(connection);
        let failed = |error| Undecoded::Failed(read_error(from, error));
        let head: i64 = match rows.try_next().await.map_err(failed)? {
            Some(row) => row.try_get(0).map_err(failed)?,
            None => return Err(Undecoded::Failed(corrupt(from, "the log has no head"))),
        };
        let names = self.names();
        let mut entries = Vec::new();
        let mut bytes = 0;
        // To stop taking rows is what bounds the memory: the connection reads only a few ahead.
        while bytes < PAGE_BYTES {
            match rows.try_next().await.map_err(failed)? {
                Some(row) => {
                    let entry = decode(&row, &names)?;
                    if let Body::Whole(payload) = &entry.body {
                        bytes += payload.len();
                    }
                    entries.push(entry);
                }
                None => break,
            }
        }
        let ended = bytes < PAGE_BYTES && entries.len() < PAGE_ENTRIES;
        let after_last = entries.last().map_or(from, |entry| entry.id + 1);
        let after_head = u64::try_from(head).unwrap_or(0) + 1;
        let next = if ended { after_last.max(after_head) } else { after_last };
        Ok(Page { entries, next: next.max(from) })
    }

    pub(super) async fn find(&self, lookup: Lookup) -> Result<Vec<Entry>, StoreError> {
        let mut connection = self.readers.take().await?;
        let mut found = self.try_find(&mut connection, lookup).await;
        if let Err(Undecoded::NewName) = found {
            self.load_names(&mut connection).await?;
            found = self.try_find(&mut connection, lookup).await;
        }
        let found = found.map_err(|error| error.at_last(0))?;
        connection.done();
        Ok(found)
    }

    async fn try_find(
        &self,
        connection: &mut SqliteConnection,
        lookup: Lookup,
    ) -> Result<Vec<Entry>, Undecoded> {
        let query = match lookup {
            Lookup::Id(id) => query(sql::BY_ID).bind(signed(id)),
            Lookup::Identity(identity) => query(sql::BY_IDENTITY).bind(identity.0.to_vec()),
            Lookup::Identities(identities) => {
                identities.iter().fold(query(sql::BY_IDENTITIES), |query, name| query.bind(name.0.to_vec()))
            }
            Lookup::Key(key) => query(sql::BY_KEY).bind(key.0.to_vec()),
            Lookup::GreatestBlock => query(sql::GREATEST_BLOCK)
                .bind(Key::block_height(0).0.to_vec())
                .bind(Key::block_height(u64::MAX).0.to_vec()),
        };
        let failed = |error| Undecoded::Failed(read_error(0, error));
        let names = self.names();
        let mut rows = query.fetch(connection);
        let mut entries = Vec::new();
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            entries.push(decode(&row, &names)?);
        }
        Ok(entries)
    }

    pub(super) async fn list(&self, listing: Listing) -> Result<Listed, StoreError> {
        let mut connection = self.readers.take().await?;
        let mut listed = self.try_list(&mut connection, listing).await;
        if let Err(Undecoded::NewName) = listed {
            self.load_names(&mut connection).await?;
            listed = self.try_list(&mut connection, listing).await;
        }
        let listed = listed.map_err(|error| error.at_last(listing.from))?;
        connection.done();
        Ok(listed)
    }

    async fn try_list(
        &self,
        connection: &mut SqliteConnection,
        Listing { kind, from, order, limit }: Listing,
    ) -> Result<Listed, Undecoded> {
        let order = match order {
            Order::OldestFirst => 0,
            Order::NewestFirst => 1,
        };
        let query = match kind {
            None => query(sql::LIST[order]),
            Some(kind @ Kind::DeployAccepted) => by_channel(order, Channel::Deploys, kind),
            Some(kind @ Kind::FinalitySignature) => by_channel(order, Channel::Sigs, kind),
            Some(kind) => query(sql::LIST_KIND[order]).bind(i64::from(kind.code())),
        };
        let limit = limit.min(PAGE_ENTRIES);
        // One more, since the next entry's id is told.
        let rows = i64::try_from(limit + 1).expect("a few hundred fit");
        let mut rows = query.bind(signed(from)).bind(rows).fetch(connection);
        let failed = |error| Undecoded::Failed(read_error(from, error));
        let names = self.names();
        let mut listed = Listed { entries: Vec::new(), next: None };
        let mut bytes = 0;
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            let entry = decode(&row, &names)?;
            if listed.entries.len() == limit || bytes >= PAGE_BYTES {
                listed.next = Some(entry.id);
                break;
            }
            if let Body::Whole(payload) = &entry.body {
                bytes += payload.len();
            }
            listed.entries.push(entry);
        }
        Ok(listed)
    }

    pub(super) async fn senders(&self) -> Result<Vec<Arc<str>>, StoreError> {
        let mut connection = self.readers.take().await?;
        let names: Vec<String> = query_scalar(sql::SENDERS)
            .fetch_all(&mut *connection)
            .await
            .map_err(|error| read_error(0, error))?;
        connection.done();
        Ok(names.into_iter().map(Arc::from).collect())
    }

    pub(super) async fn slice(&self, id: EntryId, offset: u64, length: usize) -> Result<Bytes, StoreError> {
        let failed = |error| read_error(id, error);
        let size = LARGE as u64;
        let end = offset.saturating_add(length as u64);
        let first = offset / size;
        let mut connection = self.readers.take().await?;
        let mut slice = BytesMut::new();
        let mut number = first;
        let mut found = false;
        {
            let last = end.saturating_sub(1) / size;
            let mut parts = query(sql::PARTS)
                .bind(signed(id))
                .bind(signed(first))
                .bind(signed(last.max(first)))
                .fetch(&mut *connection);
            while let Some(row) = parts.try_next().await.map_err(failed)? {
                found = true;
                let part: &[u8] = row.try_get(0).map_err(failed)?;
                let start = number * size;
                slice.extend_from_slice(within(
                    part,
                    offset.saturating_sub(start),
                    end.saturating_sub(start),
                ));
                number += 1;
            }
        }
        if found {
            connection.done();
            return Ok(slice.freeze());
        }
        let row = query(sql::DATA).bind(signed(id)).fetch_optional(&mut *connection).await.map_err(failed)?;
        let row = row.ok_or_else(|| corrupt(id, "there is no such entry, or no longer"))?;
        // No data: it is in parts, and the offset is beyond them.
        let data: Option<&[u8]> = row.try_get(0).map_err(failed)?;
        let slice = Bytes::copy_from_slice(within(data.unwrap_or_default(), offset, end));
        connection.done();
        Ok(slice)
    }

    fn names(&self) -> Arc<Names> {
        Arc::clone(&self.names.read().expect("nothing panics while it holds this lock"))
    }

    async fn load_names(&self, connection: &mut SqliteConnection) -> Result<Arc<Names>, StoreError> {
        let failed = |error| read_error(0, error);
        let versions: Vec<(i64, String)> =
            query_as("SELECT id, json FROM api_version").fetch_all(&mut *connection).await.map_err(failed)?;
        let sources: Vec<(i64, String)> =
            query_as("SELECT id, name FROM source").fetch_all(&mut *connection).await.map_err(failed)?;
        let versions = versions
            .into_iter()
            .map(|(id, json)| match Message::parse(Payload::new(&json), Filter::Main) {
                Ok(Message::ApiVersion(version)) => Ok((id, version)),
                _ => Err(corrupt(0, format!("{json:?} is not an API version"))),
            })
            .collect::<Result<_, _>>()?;
        let sources = sources.into_iter().map(|(id, name)| (id, name.into())).collect();
        let names = Arc::new(Names { versions, sources });
        *self.names.write().expect("nothing panics while it holds this lock") = Arc::clone(&names);
        Ok(names)
    }
}

fn by_channel(
    order: usize,
    channel: Channel,
    kind: Kind,
) -> query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments> {
    query(sql::LIST_CHANNEL[order]).bind(i64::from(channel.code())).bind(i64::from(kind.code()))
}

fn within(bytes: &[u8], start: u64, end: u64) -> &[u8] {
    let clamp = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    &bytes[clamp(start)..clamp(end)]
}

fn cursor(row: (String, i64, i64, Vec<u8>, i64, i64)) -> Option<Cursor> {
    let (node, filter, id, fingerprint, run, resume) = row;
    Some(Cursor {
        node: node.into(),
        filter: *Filter::ALL.get(usize::try_from(filter).ok()?)?,
        id: id.try_into().ok()?,
        fingerprint: Identity(fingerprint.try_into().ok()?),
        run: run.try_into().ok()?,
        resume: resume.try_into().ok()?,
    })
}

fn decode(row: &SqliteRow, names: &Names) -> Result<Entry, Undecoded> {
    let failed = |error| Undecoded::Failed(read_error(0, error));
    let number = |at: usize| row.try_get_unchecked::<i64, _>(at).map_err(failed);
    let id = u64::try_from(number(0)?).unwrap_or(0);
    let wrong = |what: &str| Undecoded::Failed(corrupt(id, format!("its {what} is out of range")));
    let small = number(2)?.to_le_bytes();
    let [codes, version @ .., _, _, _, _] = small;
    let source = i64::from(u32::from_le_bytes([small[4], small[5], small[6], small[7]]));
    let version = match i64::from(u32::from_le_bytes([version[0], version[1], version[2], 0])) {
        0 => None,
        version => Some(names.versions.get(&version).ok_or(Undecoded::NewName)?.clone()),
    };
    let body = row.try_get_raw(3).map_err(failed)?;
    let body = if body.type_info().name() == "INTEGER" {
        Body::Large { len: u64::try_from(number(3)?).map_err(|_| wrong("length"))? }
    } else {
        let json: &[u8] = row.try_get_unchecked(3).map_err(failed)?;
        Body::Whole(Payload::new(str::from_utf8(json).map_err(|_| wrong("text"))?))
    };
    Ok(Entry {
        id,
        channel: Channel::from_code(codes >> 4).ok_or_else(|| wrong("channel"))?,
        kind: Kind::from_code(codes & 15).ok_or_else(|| wrong("kind"))?,
        version,
        node: Arc::clone(names.sources.get(&source).ok_or(Undecoded::NewName)?),
        received_at: u64::try_from(number(1)?).map_err(|_| wrong("time"))?,
        body,
    })
}
