//! What is read, and how rows become entries.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use bytes::{Bytes, BytesMut};
use sqlx::Row;
use sqlx::postgres::{PgArguments, PgRow};

use super::super::{
    Body, Cursor, Entry, InForce, LARGE, Listed, Listing, Lookup, Order, PAGE_BYTES, PAGE_ENTRIES, Page,
    State, StoreError,
};
use super::connect::Server;
use super::pool::Pool;
use super::statements::add;
use super::{corrupt, signed, sql, unavailable, unsigned};
use crate::event::{ApiVersion, Channel, Endpoint, EntryId, Filter, Identity, Key, Kind, Message, Payload};

/// Reads, on as many connections as are used at once.
#[derive(Debug)]
pub(super) struct Reader {
    pool: Pool,
    names: RwLock<Arc<Names>>,
}

/// What the numbers of versions and senders stand for. They are only ever added to.
#[derive(Debug, Default)]
struct Names {
    versions: HashMap<i32, ApiVersion>,
    sources: HashMap<i32, Arc<str>>,
}

impl Reader {
    pub(super) fn new(server: Server, connections: u32) -> Self {
        Self { pool: Pool::new(server, connections), names: RwLock::default() }
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    pub(super) async fn state(&self) -> Result<State, StoreError> {
        let rows = self.pool.fetch(sql::STATE, PgArguments::default()).await?;
        let first = rows.first().ok_or_else(|| corrupt(0, "the log has no head"))?;
        let head = unsigned(get(first, 0)?);
        let oldest: Option<i64> = get(first, 1)?;
        let chain: Option<String> = get(first, 2)?;
        let version: Option<String> = get(first, 3)?;
        let node: Option<String> = get(first, 4)?;
        let in_force = match version.zip(node) {
            Some((json, node)) => Some(InForce { version: version_of(&json)?, node: node.into() }),
            None => None,
        };
        let mut cursors = Vec::new();
        for row in &rows {
            if let Some(node) = get::<Option<String>>(row, 5)? {
                cursors.push(cursor(row, node)?.ok_or_else(|| corrupt(0, "a cursor is out of range"))?);
            }
        }
        // The database has an order of texts of its own.
        cursors.sort_unstable_by(|a, b| (&a.node, a.filter).cmp(&(&b.node, b.filter)));
        Ok(State {
            head,
            oldest: oldest.map_or(head + 1, unsigned),
            cursors,
            in_force,
            chain: chain.map(Into::into),
        })
    }

    pub(super) async fn page(&self, endpoint: Option<Endpoint>, from: EntryId) -> Result<Page, StoreError> {
        let mut arguments = arguments(signed(from))?;
        let sql = match endpoint.map(Endpoint::channel) {
            None => sql::PAGE_OF_LOG,
            Some(None) => sql::PAGE_OF_ALL,
            Some(Some(channel)) => {
                add(&mut arguments, i16::from(channel.code())).map_err(unavailable)?;
                sql::PAGE_OF_ONE
            }
        };
        let rows = self.pool.fetch(sql, arguments).await?;
        let first = rows.first().ok_or_else(|| corrupt(from, "the log has no head"))?;
        let head = unsigned(get(first, 0)?);
        // One row without an entry stands for none at all.
        let is_empty = get::<Option<i64>>(first, 1)?.is_none();
        let entries = if is_empty { Vec::new() } else { self.entries(&rows, 1).await? };
        let bytes: usize = entries.iter().map(bytes_of).sum();
        let ended = bytes < PAGE_BYTES && entries.len() < PAGE_ENTRIES;
        let after_last = entries.last().map_or(from, |entry| entry.id + 1);
        let next = if ended { after_last.max(head + 1) } else { after_last };
        Ok(Page { entries, next: next.max(from) })
    }

    pub(super) async fn find(&self, lookup: Lookup) -> Result<Vec<Entry>, StoreError> {
        let (sql, arguments) = match lookup {
            Lookup::Id(id) => (sql::BY_ID, arguments(signed(id))?),
            Lookup::Identity(identity) => (sql::BY_IDENTITY, arguments(&identity.0[..])?),
            Lookup::Identities(identities) => (
                sql::BY_IDENTITIES,
                arguments(identities.iter().map(|name| &name.0[..]).collect::<Vec<_>>())?,
            ),
            Lookup::Key(key) => (sql::BY_KEY, arguments(&key.0[..])?),
            Lookup::GreatestBlock => {
                let mut arguments = arguments(&Key::block_height(0).0[..])?;
                add(&mut arguments, &Key::block_height(u64::MAX).0[..]).map_err(unavailable)?;
                (sql::GREATEST_BLOCK, arguments)
            }
        };
        let rows = self.pool.fetch(sql, arguments).await?;
        let mut entries = self.entries(&rows, 0).await?;
        entries.sort_unstable_by_key(|entry| entry.id);
        Ok(entries)
    }

    pub(super) async fn list(&self, listing: Listing) -> Result<Listed, StoreError> {
        let Listing { kind, from, order, limit } = listing;
        let limit = limit.min(PAGE_ENTRIES);
        let order = match order {
            Order::OldestFirst => 0,
            Order::NewestFirst => 1,
        };
        let mut arguments = arguments(signed(from))?;
        // One more, since the next entry's id is told.
        add(&mut arguments, i64::try_from(limit + 1).expect("a few hundred fit")).map_err(unavailable)?;
        let mut of = |sql: &'static str, numbers: &[u8]| {
            for number in numbers {
                add(&mut arguments, i16::from(*number)).map_err(unavailable)?;
            }
            Ok::<_, StoreError>(sql)
        };
        let sql = match kind {
            None => of(sql::LIST[order], &[])?,
            Some(kind @ Kind::DeployAccepted) => {
                of(sql::LIST_CHANNEL[order], &[kind.code(), Channel::Deploys.code()])?
            }
            Some(kind @ Kind::FinalitySignature) => {
                of(sql::LIST_CHANNEL[order], &[kind.code(), Channel::Sigs.code()])?
            }
            Some(kind) => of(sql::LIST_KIND[order], &[kind.code()])?,
        };
        let mut rows = self.pool.fetch(sql, arguments).await?;
        rows.truncate(limit);
        let next = match rows.last() {
            Some(last) => get::<Option<i64>>(last, 8)?.map(unsigned),
            None => None,
        };
        Ok(Listed { entries: self.entries(&rows, 0).await?, next })
    }

    pub(super) async fn senders(&self) -> Result<Vec<Arc<str>>, StoreError> {
        let rows = self.pool.fetch(sql::SENDERS, PgArguments::default()).await?;
        rows.iter().map(|row| get::<&str>(row, 0).map(Arc::from)).collect()
    }

    pub(super) async fn size(&self) -> Result<u64, StoreError> {
        let rows = self.pool.fetch(sql::SIZE, PgArguments::default()).await?;
        rows.first().map_or(Ok(0), |row| get(row, 0).map(unsigned))
    }

    pub(super) async fn slice(&self, id: EntryId, offset: u64, length: usize) -> Result<Bytes, StoreError> {
        let size = LARGE as u64;
        let end = offset.saturating_add(length as u64);
        let (first, last) = (offset / size, end.saturating_sub(1) / size);
        let number = |part: u64| i32::try_from(part).unwrap_or(i32::MAX);
        let mut arguments = arguments(signed(id))?;
        add(&mut arguments, number(first)).map_err(unavailable)?;
        add(&mut arguments, number(last.max(first))).map_err(unavailable)?;
        let rows = self.pool.fetch(sql::SLICE, arguments).await?;
        if rows.is_empty() {
            return Err(corrupt(id, "there is no such entry, or no longer"));
        }
        let mut slice = BytesMut::new();
        for row in &rows {
            // No part: the offset is beyond the last one.
            let number: Option<i32> = get(row, 0)?;
            let Some(data) = get::<Option<&[u8]>>(row, 1)? else { continue };
            let start = number.map_or(0, |number| unsigned(number.into()) * size);
            slice.extend_from_slice(within(data, offset.saturating_sub(start), end.saturating_sub(start)));
        }
        Ok(slice.freeze())
    }

    /// The entries that rows are, from this column on, and in the order of the rows.
    async fn entries(&self, rows: &[PgRow], at: usize) -> Result<Vec<Entry>, StoreError> {
        let decode_all = |names: &Names| -> Result<Option<Vec<Entry>>, StoreError> {
            rows.iter().map(|row| decode(row, at, names).transpose()).collect::<Option<_>>().transpose()
        };
        let names = Arc::clone(&self.names.read().expect("nothing panics while it holds this lock"));
        if let Some(entries) = decode_all(&names)? {
            return Ok(entries);
        }
        let names = self.load_names().await?;
        decode_all(&names)?.ok_or_else(|| corrupt(0, "it names a version or a sender that there is not"))
    }

    async fn load_names(&self) -> Result<Arc<Names>, StoreError> {
        let mut names = Names::default();
        for row in self.pool.fetch(sql::VERSIONS, PgArguments::default()).await? {
            names.versions.insert(get(&row, 0)?, version_of(get(&row, 1)?)?);
        }
        for row in self.pool.fetch(sql::SOURCES, PgArguments::default()).await? {
            names.sources.insert(get(&row, 0)?, get::<&str>(&row, 1)?.into());
        }
        let names = Arc::new(names);
        *self.names.write().expect("nothing panics while it holds this lock") = Arc::clone(&names);
        Ok(names)
    }
}

fn arguments<'q, T>(value: T) -> Result<PgArguments, StoreError>
where
    T: sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let mut arguments = PgArguments::default();
    add(&mut arguments, value).map_err(unavailable)?;
    Ok(arguments)
}

fn get<'r, T>(row: &'r PgRow, at: usize) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(at).map_err(|error| corrupt(0, error))
}

fn bytes_of(entry: &Entry) -> usize {
    match &entry.body {
        Body::Whole(payload) => payload.len(),
        Body::Large { .. } => 0,
    }
}

fn within(bytes: &[u8], start: u64, end: u64) -> &[u8] {
    let clamp = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    &bytes[clamp(start)..clamp(end)]
}

fn version_of(json: &str) -> Result<ApiVersion, StoreError> {
    match Message::parse(Payload::new(json), Filter::Main) {
        Ok(Message::ApiVersion(version)) => Ok(version),
        _ => Err(corrupt(0, format!("{json:?} is not an API version"))),
    }
}

fn cursor(row: &PgRow, node: String) -> Result<Option<Cursor>, StoreError> {
    let filter = usize::try_from(get::<i16>(row, 6)?).ok().and_then(|filter| Filter::ALL.get(filter));
    let number = |at| Ok::<_, StoreError>(u32::try_from(get::<i64>(row, at)?).ok());
    let (id, run, resume) = (number(7)?, number(9)?, number(10)?);
    let fingerprint: Option<[u8; 16]> = get::<&[u8]>(row, 8)?.try_into().ok();
    Ok((|| {
        Some(Cursor {
            node: node.into(),
            filter: *filter?,
            id: id?,
            fingerprint: Identity(fingerprint?),
            run: run?,
            resume: resume?,
        })
    })())
}

/// The entry that a row is from column `at` on; none if it has a name that is newer than `names`.
fn decode(row: &PgRow, at: usize, names: &Names) -> Result<Option<Entry>, StoreError> {
    let id = unsigned(get(row, at)?);
    let wrong = |what: &str| corrupt(id, format!("its {what} is out of range"));
    let code = |at| u8::try_from(get::<i16>(row, at)?).map_err(|_| wrong("code"));
    let version = match get::<Option<i32>>(row, at + 2)? {
        None => None,
        Some(version) => match names.versions.get(&version) {
            Some(version) => Some(version.clone()),
            None => return Ok(None),
        },
    };
    let Some(node) = names.sources.get(&get::<i32>(row, at + 3)?) else { return Ok(None) };
    let body = match get::<Option<i32>>(row, at + 6)? {
        Some(len) => Body::Large { len: unsigned(len.into()) },
        None => {
            let json: &[u8] = get(row, at + 7)?;
            Body::Whole(Payload::new(str::from_utf8(json).map_err(|_| wrong("text"))?))
        }
    };
    Ok(Some(Entry {
        id,
        received_at: unsigned(get(row, at + 1)?),
        channel: Channel::from_code(code(at + 4)?).ok_or_else(|| wrong("channel"))?,
        kind: Kind::from_code(code(at + 5)?).ok_or_else(|| wrong("kind"))?,
        version,
        node: Arc::clone(node),
        body,
    }))
}
