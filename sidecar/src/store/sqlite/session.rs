//! What is done on the writing connection as long as it lasts.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;

use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions};
use sqlx::{Arguments, ConnectOptions, SqlSafeStr, SqliteConnection};

use super::super::{Appended, Arrival, Batch, Cursor, LARGE};
use super::signed;
use super::statements::{
    CURSOR_COLUMNS, CURSORS, ENTRY_COLUMNS, FORGET_ENTRIES, FORGET_KEYS, FORGET_PARTS, SIZES, SOURCES,
    Statements, VERSIONS, Value, add, add_nulls, arguments_of, size_for,
};
use crate::event::{EntryId, Identity};

/// Entries that one step of a prune forgets: some tens of milliseconds of work.
const PRUNE_STEP: u64 = 2000;

/// Identities that are remembered in memory, to know the repetitions of other nodes without a look at the index.
/// Nodes are some seconds apart; this is a minute of a busy chain. It takes up to 1 MB.
const RECENT: usize = 16 * 1024;

/// A connection and what is known of the database as long as it lasts.
pub(super) struct Session {
    pub(super) connection: SqliteConnection,
    /// Whether a command was given whose outcome is not known here.
    pub(super) unfinished: bool,
    statements: Statements,
    head: EntryId,
    versions: HashMap<Arc<str>, i64>,
    sources: HashMap<Arc<str>, i64>,
    recent: Recent,
    /// Whether the last batch had events that the log has and that are not recent.
    repeated: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("head", &self.head).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) async fn open(options: &SqliteConnectOptions, lock: &Arc<File>) -> Result<Self, sqlx::Error> {
        let mut connection = options.connect().await?;
        // The connection's thread lives on for a moment when its owner is dropped, and may still commit: it
        // holds the lock itself, in a hook that does nothing else.
        let lock = Arc::clone(lock);
        connection.lock_handle().await?.set_commit_hook(move || {
            let _held = &lock;
            true
        });
        let head = sqlx::query_scalar::<_, i64>(super::read::HEAD).fetch_one(&mut connection).await?;
        let versions = names(&mut connection, VERSIONS).await?;
        let sources = names(&mut connection, SOURCES).await?;
        Ok(Self {
            connection,
            unfinished: false,
            statements: Statements::new(),
            head: u64::try_from(head).unwrap_or(0),
            versions,
            sources,
            recent: Recent::default(),
            repeated: false,
        })
    }

    pub(super) async fn run(
        &mut self,
        sql: impl SqlSafeStr,
        arguments: SqliteArguments,
    ) -> Result<(), sqlx::Error> {
        self.rows_affected(sql, arguments).await.map(drop)
    }

    async fn rows_affected(
        &mut self,
        sql: impl SqlSafeStr,
        arguments: SqliteArguments,
    ) -> Result<u64, sqlx::Error> {
        Ok(sqlx::query_with(sql, arguments).execute(&mut self.connection).await?.rows_affected())
    }

    pub(super) async fn append(&mut self, batch: &Batch) -> Result<Vec<Appended>, sqlx::Error> {
        let candidates = self.candidates(batch);
        let new = if self.fits_one_command(batch, &candidates) {
            self.write_at_once(batch, &candidates).await?
        } else {
            self.write_unknown(batch, candidates).await?
        };
        let mut appended = vec![Appended::Duplicate; batch.arrivals.len()];
        for (id, at) in (self.head + 1..).zip(&new) {
            appended[*at] = Appended::New(id);
        }
        self.head += new.len() as u64;
        for arrival in &batch.arrivals {
            self.recent.insert(arrival.event.identity);
        }
        Ok(appended)
    }

    /// Places in the batch of the arrivals that may be new: neither an earlier one of the batch nor a recent one
    /// is the same event.
    fn candidates(&self, batch: &Batch) -> Vec<usize> {
        let mut seen = HashSet::with_capacity(batch.arrivals.len());
        let may_be_new = |identity| !self.recent.contains(identity) && seen.insert(*identity);
        let identities = batch.arrivals.iter().map(|arrival| &arrival.event.identity);
        let may_be_new: Vec<_> = identities.map(may_be_new).collect();
        (0..may_be_new.len()).filter(|at| may_be_new[*at]).collect()
    }

    /// Writes the batch without those candidates that the log has, and says which it did not have.
    ///
    /// In most batches it has none of them, so the look for them is left out until the index shows that there are
    /// some: when a node sends again what it still has, batch after batch has.
    async fn write_unknown(
        &mut self,
        batch: &Batch,
        candidates: Vec<usize>,
    ) -> Result<Vec<usize>, sqlx::Error> {
        if !self.repeated {
            match self.write_in_turn(batch, &candidates).await {
                Ok(()) => return Ok(candidates),
                Err(error) if error.as_database_error().is_some_and(|e| e.is_unique_violation()) => {
                    self.run("ROLLBACK", SqliteArguments::default()).await?;
                    // Numbers that this transaction gave are gone with it.
                    self.versions = names(&mut self.connection, VERSIONS).await?;
                    self.sources = names(&mut self.connection, SOURCES).await?;
                }
                Err(error) => return Err(error),
            }
        }
        let asked = candidates.len();
        let new = self.unknown(batch, candidates).await?;
        self.repeated = new.len() < asked;
        self.write_in_turn(batch, &new).await?;
        Ok(new)
    }

    /// Those of the candidates that the log does not have.
    async fn unknown(&mut self, batch: &Batch, candidates: Vec<usize>) -> Result<Vec<usize>, sqlx::Error> {
        let mut known = HashSet::new();
        for chunk in candidates.chunks(SIZES[2]) {
            let size = size_for(chunk.len());
            let mut arguments = SqliteArguments::default();
            for at in chunk {
                add(&mut arguments, &batch.arrivals[*at].event.identity.0[..])?;
            }
            let query = sqlx::query_scalar_with(self.statements.ask[size].clone(), arguments);
            known.extend(query.fetch_all(&mut self.connection).await?);
        }
        Ok(without(candidates, batch, &known))
    }

    /// Whether it is a usual small batch: then one command writes it, and its latency is that of the sync.
    fn fits_one_command(&self, batch: &Batch, candidates: &[usize]) -> bool {
        !candidates.is_empty()
            && candidates.len() <= SIZES[1]
            && batch.cursors.len() <= CURSORS
            && batch.in_force.is_none()
            && batch.chain.is_none()
            && batch.cursors.iter().all(|cursor| self.sources.contains_key(&cursor.node))
            && candidates.iter().all(|at| {
                let arrival = &batch.arrivals[*at];
                arrival.event.payload.len() <= LARGE
                    && arrival.event.keys.len() <= 1
                    && self.sources.contains_key(&arrival.node)
                    && arrival.version.as_ref().is_none_or(|v| self.versions.contains_key(v.json()))
            })
    }

    /// Writes the batch with one command, which passes over the candidates that the log has, and says which it
    /// did not have.
    async fn write_at_once(
        &mut self,
        batch: &Batch,
        candidates: &[usize],
    ) -> Result<Vec<usize>, sqlx::Error> {
        let size = size_for(candidates.len());
        let mut arguments = SqliteArguments::default();
        add(&mut arguments, signed(self.head))?;
        for (order, at) in (1..).zip(candidates) {
            self.add_entry(&mut arguments, order, &batch.arrivals[*at])?;
        }
        add_nulls(&mut arguments, (SIZES[size] - candidates.len()) * ENTRY_COLUMNS)?;
        self.add_cursors(&mut arguments, &batch.cursors)?;
        add_nulls(&mut arguments, (CURSORS - batch.cursors.len()) * CURSOR_COLUMNS)?;
        add(&mut arguments, signed(self.head))?;
        let query = sqlx::query_scalar_with(self.statements.at_once[size].clone(), arguments);
        let added: i64 = query.fetch_one(&mut self.connection).await?;
        if u64::try_from(added) == Ok(candidates.len() as u64) {
            return Ok(candidates.to_vec());
        }
        let new = sqlx::query_scalar("SELECT identity FROM entry WHERE id > ?").bind(signed(self.head));
        let new: HashSet<Vec<u8>> = new.fetch_all(&mut self.connection).await?.into_iter().collect();
        let is_new = |at: &usize| new.contains(&batch.arrivals[*at].event.identity.0[..]);
        Ok(candidates.iter().copied().filter(is_new).collect())
    }

    /// Writes a batch of any size and content, of whose arrivals those at `new` are new.
    async fn write_in_turn(&mut self, batch: &Batch, new: &[usize]) -> Result<(), sqlx::Error> {
        if new.is_empty() && batch.cursors.is_empty() && batch.in_force.is_none() && batch.chain.is_none() {
            return Ok(());
        }
        let rows: Vec<_> = (self.head + 1..).zip(new.iter().map(|at| &batch.arrivals[*at])).collect();
        self.run("BEGIN IMMEDIATE", SqliteArguments::default()).await?;
        self.intern(batch).await?;
        for chunk in rows.chunks(SIZES[2]) {
            let size = size_for(chunk.len());
            let mut arguments = SqliteArguments::default();
            arguments.reserve(SIZES[size] * ENTRY_COLUMNS, 0);
            for (id, arrival) in chunk {
                self.add_entry(&mut arguments, *id, arrival)?;
            }
            self.run(self.statements.entries[size].clone(), arguments).await?;
        }
        for (id, arrival) in &rows {
            for key in arrival.event.keys.iter().skip(1) {
                let arguments = arguments_of(&[Value::Bytes(&key.0), Value::Number(signed(*id))])?;
                self.run("INSERT OR IGNORE INTO further_key VALUES (?, ?)", arguments).await?;
            }
            if arrival.event.payload.len() > LARGE {
                self.write_parts(*id, arrival.event.payload.bytes()).await?;
            }
        }
        for cursors in batch.cursors.chunks(CURSORS) {
            let mut arguments = SqliteArguments::default();
            self.add_cursors(&mut arguments, cursors)?;
            self.run(self.statements.cursors.clone(), arguments).await?;
        }
        if let Some(in_force) = &batch.in_force {
            let version = Value::Number(self.versions[in_force.version.json()]);
            let arguments = arguments_of(&[version, Value::Number(self.sources[&in_force.node])])?;
            self.run("UPDATE log SET version = ?, source = ? WHERE one = 1", arguments).await?;
        }
        if let Some(chain) = &batch.chain {
            let arguments = arguments_of(&[Value::Text(chain)])?;
            self.run("UPDATE log SET chain = ? WHERE one = 1", arguments).await?;
        }
        self.run("COMMIT", SqliteArguments::default()).await
    }

    async fn write_parts(&mut self, id: EntryId, data: &[u8]) -> Result<(), sqlx::Error> {
        for (number, part) in (0..).zip(data.chunks(LARGE)) {
            let arguments =
                arguments_of(&[Value::Number(signed(id)), Value::Number(number), Value::Bytes(part)])?;
            self.run("INSERT INTO entry_part VALUES (?, ?, ?)", arguments).await?;
        }
        Ok(())
    }

    /// Gives numbers to versions and senders that have none. If the transaction fails, the session goes with it.
    async fn intern(&mut self, batch: &Batch) -> Result<(), sqlx::Error> {
        let in_force = batch.in_force.as_ref();
        let versions = batch.arrivals.iter().filter_map(|arrival| arrival.version.as_ref());
        for version in versions.chain(in_force.map(|in_force| &in_force.version)) {
            if !self.versions.contains_key(version.json()) {
                let id = signed(self.versions.len() as u64 + 1);
                let arguments = arguments_of(&[Value::Number(id), Value::Text(version.json())])?;
                self.run("INSERT INTO api_version VALUES (?, ?)", arguments).await?;
                self.versions.insert(version.json().into(), id);
            }
        }
        let nodes = batch.arrivals.iter().map(|arrival| &arrival.node);
        let nodes = nodes.chain(batch.cursors.iter().map(|cursor| &cursor.node));
        for node in nodes.chain(in_force.map(|in_force| &in_force.node)) {
            if !self.sources.contains_key(node) {
                let id = signed(self.sources.len() as u64 + 1);
                let arguments = arguments_of(&[Value::Number(id), Value::Text(node)])?;
                self.run("INSERT INTO source VALUES (?, ?)", arguments).await?;
                self.sources.insert(Arc::clone(node), id);
            }
        }
        Ok(())
    }

    fn add_entry(
        &self,
        arguments: &mut SqliteArguments,
        id: EntryId,
        arrival: &Arrival,
    ) -> Result<(), sqlx::Error> {
        let event = &arrival.event;
        let json = event.payload.bytes();
        let large = json.len() > LARGE;
        add(arguments, signed(id))?;
        add(arguments, i64::from(event.channel.code()))?;
        add(arguments, i64::from(event.kind.code()))?;
        add(arguments, &event.identity.0[..])?;
        add(arguments, event.keys.first().map(|key| key.0.to_vec()))?;
        add(arguments, arrival.version.as_ref().map(|version| self.versions[version.json()]))?;
        add(arguments, self.sources[&arrival.node])?;
        add(arguments, signed(arrival.received_at))?;
        add(arguments, large.then(|| signed(json.len() as u64)))?;
        add(arguments, (!large).then(|| json.to_vec()))
    }

    fn add_cursors(&self, arguments: &mut SqliteArguments, cursors: &[Cursor]) -> Result<(), sqlx::Error> {
        for cursor in cursors {
            add(arguments, self.sources[&cursor.node])?;
            add(arguments, cursor.filter as i64)?;
            add(arguments, i64::from(cursor.id))?;
            add(arguments, &cursor.fingerprint.0[..])?;
            add(arguments, i64::from(cursor.run))?;
            add(arguments, i64::from(cursor.resume))?;
        }
        Ok(())
    }

    pub(super) async fn prune_step(&mut self, before: EntryId) -> Result<u64, sqlx::Error> {
        let oldest: Option<i64> =
            sqlx::query_scalar("SELECT min(id) FROM entry").fetch_one(&mut self.connection).await?;
        let Some(oldest) = oldest.and_then(|id| u64::try_from(id).ok()).filter(|oldest| *oldest < before)
        else {
            return Ok(0);
        };
        let before = Value::Number(signed(before.min(oldest + PRUNE_STEP)));
        let below = arguments_of(&[before])?;
        self.run("BEGIN IMMEDIATE", SqliteArguments::default()).await?;
        self.run("UPDATE log SET head = ? WHERE one = 1", arguments_of(&[Value::Number(signed(self.head))])?)
            .await?;
        let pruned = self.rows_affected(FORGET_ENTRIES, below.clone()).await?;
        self.run(FORGET_KEYS, below.clone()).await?;
        self.run(FORGET_PARTS, below).await?;
        self.run("COMMIT", SqliteArguments::default()).await?;
        // What was forgotten may come again.
        self.recent = Recent::default();
        Ok(pruned)
    }
}

fn without(candidates: Vec<usize>, batch: &Batch, known: &HashSet<Vec<u8>>) -> Vec<usize> {
    if known.is_empty() {
        return candidates;
    }
    let is_new = |at: &usize| !known.contains(&batch.arrivals[*at].event.identity.0[..]);
    candidates.into_iter().filter(is_new).collect()
}

async fn names(
    connection: &mut SqliteConnection,
    sql: &'static str,
) -> Result<HashMap<Arc<str>, i64>, sqlx::Error> {
    let rows: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(name, id)| (name.into(), id)).collect())
}

/// The newest identities: two sets, of which the older is forgotten when the younger is full.
#[derive(Default)]
struct Recent {
    younger: HashSet<Identity>,
    older: HashSet<Identity>,
}

impl Recent {
    fn contains(&self, identity: &Identity) -> bool {
        self.younger.contains(identity) || self.older.contains(identity)
    }

    fn insert(&mut self, identity: Identity) {
        if self.younger.len() >= RECENT / 2 {
            self.older = std::mem::take(&mut self.younger);
        }
        self.younger.insert(identity);
    }
}
