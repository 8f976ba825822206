//! The log in a PostgreSQL database, in a schema of its own: `casper_sidecar`.
//!
//! One connection writes, others read. A usual batch is one statement, which is a transaction of its own, and one
//! round trip; it returns after the server has synced it (`synchronous_commit`).
//!
//! There is one writer. The connection that writes holds an advisory lock, which ends with it, and the log's one
//! row has an epoch, which each sidecar that opens the log raises. A statement that writes does nothing unless the
//! epoch is still the writer's own: so one that lost its connection, and with it the lock, cannot write on after
//! another has opened the log. When the connection is lost the writer opens another, takes the lock again, and
//! checks that the log is as it left it; if it is not, [`StoreError::Lost`] ends the run.
//!
//! No answer is waited for without end: a network or a server that hangs is [`StoreError::Unavailable`] after some
//! seconds, and the connection is given up. The schema, with what each index is for, is in `migrations/postgres`.

mod connect;
mod lock;
mod open;
mod pool;
mod read;
mod session;
mod sql;
mod statements;
mod write;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Mutex;

use super::{
    Appended, Batch, Entry, Listed, Listing, Lookup, OpenError, Page, State, Store, StoreError, corrupt,
    signed, unavailable,
};
use crate::config;
use crate::event::{Endpoint, EntryId};

use connect::{Limits, Server};
use read::Reader;
use write::Writer;

/// The log in a PostgreSQL database, held against other writers.
#[derive(Debug)]
pub struct Postgres {
    writer: Mutex<Writer>,
    reader: Reader,
}

impl Postgres {
    /// Opens the log in the database, and makes its schema if there is none. Waits for a server that is not there
    /// yet, for as long as that takes: whoever does not want to wait any more drops the future.
    ///
    /// # Errors
    /// [`OpenError::Refused`] if what is there cannot be used, or must not be: then nothing of it was touched.
    pub async fn open(config: &config::Postgres) -> Result<Self, OpenError> {
        Self::open_with(config, Limits::default()).await
    }

    async fn open_with(config: &config::Postgres, limits: Limits) -> Result<Self, OpenError> {
        let server = Server::new(config, limits)?;
        let writer = open::open(&server).await?;
        // One of the connections writes.
        let reader = Reader::new(server, config.max_connections_in_pool.saturating_sub(1).max(1));
        Ok(Self { writer: Mutex::new(writer), reader })
    }
}

impl Store for Postgres {
    async fn state(&self) -> Result<State, StoreError> {
        self.reader.state().await
    }

    async fn append(&self, batch: &Batch) -> Result<Vec<Appended>, StoreError> {
        self.writer.lock().await.append(batch).await
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
            let step = self.writer.lock().await.prune_step(before).await?;
            pruned += step;
            if step == 0 {
                return Ok(pruned);
            }
        }
    }

    async fn size(&self) -> Result<u64, StoreError> {
        self.reader.size().await
    }

    async fn close(&self) {
        self.reader.close().await;
        self.writer.lock().await.close().await;
    }
}

fn lost(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Lost(reason.into())
}

/// A number that the database gave and that cannot be negative.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
