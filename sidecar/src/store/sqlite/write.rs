//! The one connection that writes: opened, emptied, opened anew.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::Connection;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions};

use super::super::{Appended, Batch};
use super::open::beside;
use super::session::Session;
use crate::event::EntryId;

/// Writes, on a connection that is opened anew after anything went wrong on it.
#[derive(Debug)]
pub(super) struct Writer {
    options: SqliteConnectOptions,
    write_ahead: PathBuf,
    /// The write-ahead log is to be no longer than this, in bytes.
    longest_write_ahead: u64,
    /// It is emptied when it is longer than this.
    empty_at: u64,
    lock: Arc<File>,
    session: Option<Session>,
}

impl Writer {
    /// A writer of the database at `path`; `lock` is held until its last connection has ended.
    pub(super) fn new(path: &Path, options: SqliteConnectOptions, checkpoint: u32, lock: Arc<File>) -> Self {
        // Four times of what SQLite itself keeps it to, if nobody reads.
        let longest_write_ahead = (16 << 20).max(4 * 4096 * u64::from(checkpoint));
        Self {
            options,
            write_ahead: beside(path, "-wal"),
            longest_write_ahead,
            empty_at: longest_write_ahead,
            lock,
            session: None,
        }
    }

    /// A session on which nothing is under way.
    pub(super) async fn ready(&mut self) -> Result<&mut Session, sqlx::Error> {
        if let Some(session) = &mut self.session
            && session.unfinished
        {
            // The last command's future was dropped. Commands are done one after the other: after the answer to
            // this one, that one has an end.
            let _ = session.connection.ping().await;
            self.abandon().await;
        }
        match &mut self.session {
            Some(session) => Ok(session),
            none => Ok(none.insert(Session::open(&self.options, &self.lock).await?)),
        }
    }

    /// Ends the session, and with it the transaction that may be open.
    async fn abandon(&mut self) {
        if let Some(session) = self.session.take() {
            let _ = session.connection.close().await;
        }
    }

    /// Appends one batch.
    pub(super) async fn append(&mut self, batch: &Batch) -> Result<Vec<Appended>, sqlx::Error> {
        let session = self.ready().await?;
        session.unfinished = true;
        match session.append(batch).await {
            Ok(appended) => {
                self.limit_write_ahead().await;
                self.finished();
                Ok(appended)
            }
            Err(error) => {
                self.abandon().await;
                Err(error)
            }
        }
    }

    /// Forgets some of the entries below `before`, and says how many; 0 if there are none left.
    pub(super) async fn prune_step(&mut self, before: EntryId) -> Result<u64, sqlx::Error> {
        let session = self.ready().await?;
        session.unfinished = true;
        match session.prune_step(before).await {
            Ok(pruned) => {
                self.finished();
                Ok(pruned)
            }
            Err(error) => {
                self.abandon().await;
                Err(error)
            }
        }
    }

    fn finished(&mut self) {
        if let Some(session) = &mut self.session {
            session.unfinished = false;
        }
    }

    /// Readers that follow each other without a gap keep SQLite from starting the write-ahead log over, and it
    /// would grow without end. This waits for those that read it now; others read the database file meanwhile.
    async fn limit_write_ahead(&mut self) {
        let length = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        if length(&self.write_ahead) <= self.empty_at {
            return;
        }
        if let Some(session) = &mut self.session {
            let _ = session.run("PRAGMA wal_checkpoint(TRUNCATE)", SqliteArguments::default()).await;
        }
        // If a reader takes too long this did nothing but wait for it: not again with every batch.
        self.empty_at = length(&self.write_ahead) + self.longest_write_ahead;
    }

    /// Moves everything into the database file and ends.
    pub(super) async fn close(&mut self) {
        if let Ok(session) = self.ready().await {
            let _ = session.run("PRAGMA wal_checkpoint(TRUNCATE)", SqliteArguments::default()).await;
        }
        self.abandon().await;
    }

    /// Runs SQL on the writing connection.
    #[cfg(test)]
    pub(super) async fn run(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        self.ready().await?.run(sql, SqliteArguments::default()).await
    }

    /// What is held against other writers.
    #[cfg(test)]
    pub(super) fn lock(&self) -> std::sync::Weak<File> {
        Arc::downgrade(&self.lock)
    }

    /// The number that a query on the writing connection gives.
    #[cfg(test)]
    pub(super) async fn number(&mut self, sql: &'static str) -> i64 {
        let session = self.ready().await.expect("opens");
        sqlx::query_scalar(sql).fetch_one(&mut session.connection).await.expect("is valid")
    }
}
