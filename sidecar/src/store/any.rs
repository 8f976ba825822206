//! The store that a configuration chose.

use std::sync::Arc;

use bytes::Bytes;

use super::postgres::Postgres;
use super::sqlite::Sqlite;
use super::{Appended, Batch, Entry, Listed, Listing, Lookup, OpenError, Page, State, Store, StoreError};
use crate::config::{Database, Storage};
use crate::event::{Endpoint, EntryId};

/// The log, in either of the databases.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of it in a process, behind a pointer")]
pub enum AnyStore {
    /// In an SQLite file.
    Sqlite(Sqlite),
    /// On a PostgreSQL server.
    Postgres(Postgres),
}

impl AnyStore {
    /// Opens the log where the configuration says. See [`Sqlite::open`] and [`Postgres::open`].
    ///
    /// # Errors
    /// As theirs.
    pub async fn open(storage: &Storage) -> Result<Self, OpenError> {
        match &storage.database {
            Database::Sqlite(config) => Sqlite::open(&storage.path, config).await.map(Self::Sqlite),
            Database::Postgres(config) => Postgres::open(config).await.map(Self::Postgres),
        }
    }
}

/// The same call on whichever it is.
macro_rules! either {
    ($self:ident, $store:ident => $call:expr) => {
        match $self {
            Self::Sqlite($store) => $call.await,
            Self::Postgres($store) => $call.await,
        }
    };
}

impl Store for AnyStore {
    async fn state(&self) -> Result<State, StoreError> {
        either!(self, store => store.state())
    }

    async fn append(&self, batch: &Batch) -> Result<Vec<Appended>, StoreError> {
        either!(self, store => store.append(batch))
    }

    async fn page(&self, endpoint: Option<Endpoint>, from: EntryId) -> Result<Page, StoreError> {
        either!(self, store => store.page(endpoint, from))
    }

    async fn slice(&self, id: EntryId, offset: u64, length: usize) -> Result<Bytes, StoreError> {
        either!(self, store => store.slice(id, offset, length))
    }

    async fn find(&self, lookup: Lookup) -> Result<Vec<Entry>, StoreError> {
        either!(self, store => store.find(lookup))
    }

    async fn list(&self, listing: Listing) -> Result<Listed, StoreError> {
        either!(self, store => store.list(listing))
    }

    async fn senders(&self) -> Result<Vec<Arc<str>>, StoreError> {
        either!(self, store => store.senders())
    }

    async fn prune(&self, before: EntryId) -> Result<u64, StoreError> {
        either!(self, store => store.prune(before))
    }

    async fn size(&self) -> Result<u64, StoreError> {
        either!(self, store => store.size())
    }

    async fn close(&self) {
        either!(self, store => store.close());
    }
}
