//! What is done on the writing connection as long as it lasts.

use std::collections::HashSet;
use std::sync::Arc;

use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::{Row, SqlSafeStr, query, query_as, query_scalar, query_with};

use super::super::{Appended, Arrival, Batch, LARGE, StoreError};
use super::connect::Server;
use super::statements::{
    ADD_KEYS, ADD_PARTS, ADD_SOURCE, ADD_VERSION, APPEND, FORGET, HOLD, Numbers, SOURCES, VERSIONS, add,
    add_arrivals, add_cursors,
};
use super::{lost, signed, unavailable, unsigned};
use crate::event::EntryId;

/// Entries that one step of a prune forgets: some tens of milliseconds of work.
const PRUNE_STEP: u64 = 2000;

/// Parts of a large body that are sent at once: 1 MiB.
const PARTS: usize = 16;

/// Settings that not every server has, and one that must not be as some have it: an event that was told to
/// subscribers must be on the server's disk.
const SETTINGS: &str =
    "SELECT pg_backend_pid(), (SELECT count(set_config(name, wanted, false)) FROM pg_settings
    JOIN (VALUES ('client_connection_check_interval', '1s', '0'), ('idle_session_timeout', '0', NULL),
        ('synchronous_commit', 'on', 'off')) AS ours (name, wanted, instead_of) USING (name)
    WHERE instead_of IS NULL OR setting = instead_of)";

/// A connection that holds the lock, and what is known of the database as long as it lasts.
pub(super) struct Session {
    connection: PgConnection,
    server: Server,
    /// The server's process that does the work.
    pub(super) process: i32,
    pub(super) epoch: i64,
    pub(super) head: EntryId,
    versions: Numbers,
    sources: Numbers,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("process", &self.process).finish_non_exhaustive()
    }
}

/// That the log has another writer.
fn another_writer() -> StoreError {
    lost("another sidecar has opened the database meanwhile, and writes to it now: stop one of the two")
}

impl Session {
    /// A session on a connection that holds the lock. Its epoch is what it expects the log to have.
    pub(super) async fn begin(
        mut connection: PgConnection,
        server: &Server,
        epoch: i64,
    ) -> Result<Self, sqlx::Error> {
        let settings = query_as(SETTINGS).fetch_one(&mut connection);
        let (process, _): (i32, i64) = server.answer(settings).await?;
        let versions = server.answer(query_as(VERSIONS).fetch_all(&mut connection)).await?;
        let sources = server.answer(query_as(SOURCES).fetch_all(&mut connection)).await?;
        let head = query_scalar("SELECT head FROM casper_sidecar.log WHERE one").fetch_one(&mut connection);
        let head: i64 = server.answer(head).await?;
        Ok(Self {
            connection,
            server: server.clone(),
            process,
            epoch,
            head: unsigned(head),
            versions: numbers(versions),
            sources: numbers(sources),
        })
    }

    /// Whether the log is still this writer's own.
    pub(super) async fn is_own(&mut self) -> Result<bool, sqlx::Error> {
        let epoch = query_scalar("SELECT epoch FROM casper_sidecar.log WHERE one");
        let epoch: i64 = self.server.answer(epoch.fetch_one(&mut self.connection)).await?;
        Ok(epoch == self.epoch)
    }

    pub(super) async fn end(self) {
        Server::end(self.connection).await;
    }

    async fn row(&mut self, sql: &'static str, arguments: PgArguments) -> Result<PgRow, StoreError> {
        let row = query_with(sql, arguments).fetch_one(&mut self.connection);
        self.server.answer(row).await.map_err(unavailable)
    }

    async fn run(&mut self, sql: impl SqlSafeStr, arguments: PgArguments) -> Result<(), StoreError> {
        let done = query_with(sql, arguments).execute(&mut self.connection);
        self.server.answer(done).await.map(drop).map_err(unavailable)
    }

    /// Appends a batch. After an error the session is of no use any more.
    pub(super) async fn append(&mut self, batch: &Batch) -> Result<Vec<Appended>, StoreError> {
        let candidates = candidates(batch);
        let appended = if self.fits_one_statement(batch, &candidates) {
            self.write(batch, &candidates).await?
        } else {
            self.run("BEGIN", PgArguments::default()).await?;
            self.intern(batch).await?;
            let appended = self.write(batch, &candidates).await?;
            for (arrival, appended) in batch.arrivals.iter().zip(&appended) {
                if let Appended::New(id) = *appended {
                    self.write_rest(arrival, id).await?;
                }
            }
            self.run("COMMIT", PgArguments::default()).await?;
            appended
        };
        let newest = appended.iter().filter_map(|appended| match appended {
            Appended::New(id) => Some(*id),
            Appended::Duplicate => None,
        });
        self.head = newest.max().unwrap_or(self.head);
        Ok(appended)
    }

    fn fits_one_statement(&self, batch: &Batch, candidates: &[usize]) -> bool {
        let in_force = batch.in_force.as_ref();
        candidates.iter().all(|at| {
            let arrival = &batch.arrivals[*at];
            arrival.event.payload.len() <= LARGE
                && arrival.event.keys.len() <= 1
                && self.sources.contains_key(&arrival.node)
                && arrival.version.as_ref().is_none_or(|version| self.versions.contains_key(version.json()))
        }) && batch.cursors.iter().all(|cursor| self.sources.contains_key(&cursor.node))
            && in_force.is_none_or(|in_force| {
                self.versions.contains_key(in_force.version.json())
                    && self.sources.contains_key(&in_force.node)
            })
    }

    /// Writes all of the batch but what is not kept in the entries' own rows.
    async fn write(&mut self, batch: &Batch, candidates: &[usize]) -> Result<Vec<Appended>, StoreError> {
        let arrivals: Vec<_> = candidates.iter().map(|at| &batch.arrivals[*at]).collect();
        let in_force = batch.in_force.as_ref();
        let mut arguments = PgArguments::default();
        let added = (|| {
            add(&mut arguments, self.epoch)?;
            add(&mut arguments, in_force.map(|in_force| self.versions[in_force.version.json()]))?;
            add(&mut arguments, in_force.map(|in_force| self.sources[&in_force.node]))?;
            add(&mut arguments, batch.chain.as_deref())?;
            add_arrivals(&mut arguments, &arrivals, &self.versions, &self.sources)?;
            add_cursors(&mut arguments, &batch.cursors, &self.sources)
        })();
        added.map_err(unavailable)?;
        let row = self.row(APPEND, arguments).await?;
        let before: Option<i64> = row.try_get(0).map_err(unavailable)?;
        let new: Option<Vec<i64>> = row.try_get(1).map_err(unavailable)?;
        let before = before.ok_or_else(another_writer)?;
        let mut appended = vec![Appended::Duplicate; batch.arrivals.len()];
        for (id, place) in (unsigned(before) + 1..).zip(new.unwrap_or_default()) {
            let at = usize::try_from(place - 1).ok().and_then(|at| candidates.get(at));
            let at = at.ok_or_else(|| unavailable("the server named an arrival that there is not"))?;
            appended[*at] = Appended::New(id);
        }
        Ok(appended)
    }

    /// Writes what is kept beside the row of an entry: further keys, and a large body.
    async fn write_rest(&mut self, arrival: &Arrival, id: EntryId) -> Result<(), StoreError> {
        let further: Vec<_> = arrival.event.keys.iter().skip(1).map(|key| &key.0[..]).collect();
        if !further.is_empty() {
            let ids = vec![signed(id); further.len()];
            self.run(ADD_KEYS, arguments2(further, ids).map_err(unavailable)?).await?;
        }
        if arrival.event.payload.len() <= LARGE {
            return Ok(());
        }
        let parts: Vec<_> = (0..).zip(arrival.event.payload.bytes().chunks(LARGE)).collect();
        for parts in parts.chunks(PARTS) {
            let (numbers, data): (Vec<i32>, Vec<&[u8]>) = parts.iter().copied().unzip();
            let mut arguments = PgArguments::default();
            add(&mut arguments, signed(id)).map_err(unavailable)?;
            add(&mut arguments, numbers).map_err(unavailable)?;
            add(&mut arguments, data).map_err(unavailable)?;
            self.run(ADD_PARTS, arguments).await?;
        }
        Ok(())
    }

    /// Gives numbers to versions and senders that have none. If the transaction fails, the session goes with it.
    async fn intern(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let hold = query(HOLD).bind(self.epoch).fetch_optional(&mut self.connection);
        let held = self.server.answer(hold).await.map_err(unavailable)?;
        held.ok_or_else(another_writer)?;
        let in_force = batch.in_force.as_ref();
        let versions = batch.arrivals.iter().filter_map(|arrival| arrival.version.as_ref());
        for version in versions.chain(in_force.map(|in_force| &in_force.version)) {
            if !self.versions.contains_key(version.json()) {
                let id = next_number(&self.versions);
                self.run(ADD_VERSION, arguments2(id, version.json()).map_err(unavailable)?).await?;
                self.versions.insert(version.json().into(), id);
            }
        }
        let nodes = batch.arrivals.iter().map(|arrival| &arrival.node);
        let nodes = nodes.chain(batch.cursors.iter().map(|cursor| &cursor.node));
        for node in nodes.chain(in_force.map(|in_force| &in_force.node)) {
            if !self.sources.contains_key(node) {
                let id = next_number(&self.sources);
                self.run(ADD_SOURCE, arguments2(id, &**node).map_err(unavailable)?).await?;
                self.sources.insert(Arc::clone(node), id);
            }
        }
        Ok(())
    }

    /// Forgets some of the entries below `before`, and says how many; 0 if there are none left.
    pub(super) async fn prune_step(&mut self, before: EntryId) -> Result<u64, StoreError> {
        let row = self.row("SELECT min(id) FROM casper_sidecar.entry", PgArguments::default()).await?;
        let oldest: Option<i64> = row.try_get(0).map_err(unavailable)?;
        let Some(oldest) = oldest.map(unsigned).filter(|oldest| *oldest < before) else { return Ok(0) };
        let before = signed(before.min(oldest + PRUNE_STEP));
        let row = self.row(FORGET, arguments2(self.epoch, before).map_err(unavailable)?).await?;
        let own: bool = row.try_get(0).map_err(unavailable)?;
        let gone: i64 = row.try_get(1).map_err(unavailable)?;
        if own { Ok(unsigned(gone)) } else { Err(another_writer()) }
    }
}

/// Places in the batch of the arrivals that may be new: no earlier one of the batch is the same event.
fn candidates(batch: &Batch) -> Vec<usize> {
    let mut seen = HashSet::with_capacity(batch.arrivals.len());
    let identities = batch.arrivals.iter().map(|arrival| arrival.event.identity).enumerate();
    identities.filter(|(_, identity)| seen.insert(*identity)).map(|(at, _)| at).collect()
}

fn arguments2<'q, A, B>(one: A, other: B) -> Result<PgArguments, sqlx::Error>
where
    A: sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    B: sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let mut arguments = PgArguments::default();
    add(&mut arguments, one)?;
    add(&mut arguments, other)?;
    Ok(arguments)
}

fn numbers(rows: Vec<(String, i32)>) -> Numbers {
    rows.into_iter().map(|(name, id)| (name.into(), id)).collect()
}

fn next_number(numbers: &Numbers) -> i32 {
    i32::try_from(numbers.len() + 1).unwrap_or(i32::MAX)
}
