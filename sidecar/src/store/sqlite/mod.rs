//! The log in an SQLite file.
//!
//! One connection writes, a few read; write-ahead logging keeps them out of each other's way, and a commit
//! returns only after its data is synced (`synchronous = FULL`). Each connection is a thread of sqlx's that is
//! reached by a channel: what costs is the number of commands, so a batch is few of them.
//!
//! The schema, with what each index is for, is in `migrations/sqlite`. JSON of more than [`LARGE`] bytes is
//! kept in parts, because SQLite reads and writes a value only as a whole.
//!
//! [`LARGE`]: super::LARGE

mod open;
mod read;
mod readers;
mod session;
mod statements;
mod write;

#[cfg(test)]
mod migrations;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod torn;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Mutex;

use super::{
    Appended, Batch, Entry, Listed, Listing, Lookup, OpenError, Page, State, Store, StoreError, corrupt,
    signed, unavailable,
};
use crate::config;
use crate::event::{Endpoint, EntryId};

use read::Reader;
use write::Writer;

/// The log in an SQLite file, held against other writers by a locked file beside it.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    writer: Mutex<Writer>,
    reader: Reader,
}

impl Sqlite {
    /// Opens the log in `folder`, and makes folder and file if they are missing.
    ///
    /// # Errors
    /// [`OpenError::Refused`] if what is there cannot be used, or must not be: then nothing of it was touched.
    pub async fn open(folder: &Path, config: &config::Sqlite) -> Result<Self, OpenError> {
        let path = folder.join(&config.file_name);
        let writer = open::open(folder, &path, config).await?;
        let reader = Reader::new(&path, config);
        Ok(Self { path, writer: Mutex::new(writer), reader })
    }
}

impl Store for Sqlite {
    async fn state(&self) -> Result<State, StoreError> {
        self.reader.state().await
    }

    async fn append(&self, batch: &Batch) -> Result<Vec<Appended>, StoreError> {
        self.writer.lock().await.append(batch).await.map_err(unavailable)
    }

    async fn page(&self, endpoint: Option<Endpoint>, from: EntryId) -> Result<Page, StoreError> {
        self.reader.page(endpoint, from).await
    }

    async fn slice(&self, id: EntryId, offset: u64, length: usize) -> Result<Bytes, StoreError> {
        self.reader.slice(id, offset, length).await
    }

    async fn find(&self, lookup: Lookup) -> Result<Vec<Entry>, StoreError> {
        self.reader.find(lookup).await
    }

    async fn list(&self, listing: Listing) -> Result<Listed, StoreError> {
        self.reader.list(listing).await
    }

    async fn senders(&self) -> Result<Vec<Arc<str>>, StoreError> {
        self.reader.senders().await
    }

    async fn prune(&self, before: EntryId) -> Result<u64, StoreError> {
        let mut pruned = 0;
        loop {
            // The writer is free between two steps: a long prune does not hold up the batches that come in.
            let step = self.writer.lock().await.prune_step(before).await.map_err(unavailable)?;
            pruned += step;
            if step == 0 {
                return Ok(pruned);
            }
        }
    }

    async fn size(&self) -> Result<u64, StoreError> {
        let database = std::fs::metadata(&self.path).map_err(unavailable)?.len();
        // There is none while no connection is open.
        let write_ahead = std::fs::metadata(open::beside(&self.path, "-wal")).map_or(0, |file| file.len());
        Ok(database + write_ahead)
    }

    async fn close(&self) {
        self.reader.close().await;
        self.writer.lock().await.close().await;
    }
}

/// SQLite's primary result code, if the error is SQLite's.
///
/// Source: <https://www.sqlite.org/rescode.html>; extended codes have the primary one in their lowest byte.
fn result_code(error: &sqlx::Error) -> Option<u8> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    u8::try_from(code & 0xff).ok()
}

/// What a failed read of the entries from `id` on means.
fn read_error(id: EntryId, error: sqlx::Error) -> StoreError {
    const CORRUPT: u8 = 11;
    const NOT_A_DATABASE: u8 = 26;
    match result_code(&error) {
        Some(CORRUPT | NOT_A_DATABASE) => corrupt(id, error),
        _ => unavailable(error),
    }
}
