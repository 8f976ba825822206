//! Where a simulated sidecar keeps its log: in memory, or at the same time on real SQLite files; and stores that are
//! broken on purpose.
//!
//! What goes wrong and how long things take is told to the [`Disk`] in every case. With files, SQLite takes each batch
//! at the moment at which it becomes durable on the disk in memory, and it answers all that is read; whatever it answers
//! otherwise than the memory is a failure of the run. A query is finished on a runtime outside the simulated hosts while
//! virtual time stands still: sqlx answers from threads of its own, and waiting for one inside a host would let their
//! timing into the simulation.

use std::fmt::Debug;
use std::future::{self, Future};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use casper_event_sidecar::config;
use casper_event_sidecar::event::{Endpoint, EntryId};
use casper_event_sidecar::store::model::{Disk, Model};
use casper_event_sidecar::store::sqlite::Sqlite;
use casper_event_sidecar::store::{
    Appended, Batch, Entry, Listed, Listing, Lookup, OpenError, Page, State, Store, StoreError,
};
use tempfile::TempDir;
use tokio::runtime::{self, Runtime};

use crate::broken::Breakage;
pub use crate::broken::Broken;

/// Where the log of a world is. Clones are the same place.
#[derive(Debug, Clone, Default)]
pub struct Storage {
    disk: Disk,
    files: Option<Arc<Files>>,
    broken: Option<Broken>,
}

impl Storage {
    /// What is durable in memory, and what goes wrong.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Keeps the log on SQLite files too.
    ///
    /// # Panics
    /// If there is no room for a temporary folder or a thread.
    #[must_use]
    pub fn on_files(mut self) -> Self {
        self.files = Some(Arc::new(Files::new()));
        self
    }

    /// Makes the store a broken one.
    #[must_use]
    pub fn broken(mut self, broken: Broken) -> Self {
        self.broken = Some(broken);
        self
    }

    /// Opens the log, as its one writer.
    ///
    /// # Errors
    /// As the stores themselves.
    pub fn open(&self) -> Result<SimStore, OpenError> {
        let model = Model::open(&self.disk)?;
        let files = match &self.files {
            Some(files) => Some(OnFiles { sqlite: Some(files.open()?), files: Arc::clone(files) }),
            None => None,
        };
        Ok(SimStore {
            disk: self.disk.clone(),
            model,
            files,
            breakage: self.broken.map(|broken| Breakage::new(broken, self.disk.head())),
        })
    }

    /// At the end of a run, when nobody has it open: what is on the files is what is in memory.
    ///
    /// # Panics
    /// If it is not, or was not at any time of the run.
    pub fn check(&self) {
        let Some(files) = &self.files else { return };
        let sqlite = files.open().expect("the files can be opened again");
        let (state, entries) = files.finish(async || {
            let mut entries = Vec::new();
            let mut from = 1;
            loop {
                let page = sqlite.page(None, from).await.expect("the files can be read");
                if page.entries.is_empty() {
                    break;
                }
                entries.extend(page.entries);
                from = page.next;
            }
            let state = sqlite.state().await.expect("the files can be read");
            sqlite.close().await;
            (state, entries)
        });
        files.compare("the state", &self.disk.durable_state(), &state);
        files.compare("the log", &self.disk.entries(), &entries);
        let differences = files.differences.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(differences.is_empty(), "SQLite differs from the memory:\n{}", differences.join("\n"));
    }
}

/// A folder with a database, and a runtime on which its queries are finished.
#[derive(Debug)]
struct Files {
    folder: TempDir,
    runtime: Runtime,
    differences: Mutex<Vec<String>>,
}

impl Files {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("there is room for a folder"),
            runtime: runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .expect("there is room for a thread"),
            differences: Mutex::default(),
        }
    }

    fn open(&self) -> Result<Sqlite, OpenError> {
        let config = config::Sqlite {
            file_name: "log.db3".to_owned(),
            max_connections_in_pool: 2,
            wal_autocheckpointing_interval: 1000,
        };
        self.finish(async || Sqlite::open(self.folder.path(), &config).await)
    }

    /// Finishes what is asked on the runtime outside, and lets virtual time stand still for so long.
    fn finish<T: Send>(&self, ask: impl AsyncFnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let outside = scope.spawn(|| self.runtime.block_on(ask()));
            outside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn compare(&self, what: &str, modelled: &impl Debug, stored: &impl Debug) {
        let (modelled, stored) = (format!("{modelled:?}"), format!("{stored:?}"));
        if modelled != stored {
            let difference = format!("{what}:\n  memory: {modelled}\n  SQLite: {stored}");
            self.differences.lock().unwrap_or_else(PoisonError::into_inner).push(difference);
        }
    }
}

/// The open database.
#[derive(Debug)]
struct OnFiles {
    /// Gone only while this is dropped.
    sqlite: Option<Sqlite>,
    files: Arc<Files>,
}

impl OnFiles {
    fn ask<T: Send>(&self, ask: impl AsyncFnOnce(&Sqlite) -> T + Send) -> T {
        let sqlite = self.sqlite.as_ref().expect("it is there until it is dropped");
        self.files.finish(async move || ask(sqlite).await)
    }

    /// SQLite's answer, held against the one that was given from memory.
    fn answer<T: Debug + Send>(
        &self,
        what: &str,
        modelled: &T,
        ask: impl AsyncFnOnce(&Sqlite) -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        let stored = self.ask(ask);
        self.files.compare(what, &Ok::<_, StoreError>(modelled), &stored);
        stored
    }
}

impl Drop for OnFiles {
    /// As a killed process leaves it: without closing.
    fn drop(&mut self) {
        let sqlite = self.sqlite.take();
        self.files.finish(async move || drop(sqlite));
    }
}

/// The store of a simulated sidecar.
#[derive(Debug)]
pub struct SimStore {
    disk: Disk,
    model: Model,
    files: Option<OnFiles>,
    breakage: Option<Breakage>,
}

impl SimStore {
    /// What memory answers, or what the files do if there are any.
    fn answer<T: Debug + Send>(
        &self,
        what: &str,
        modelled: Result<T, StoreError>,
        ask: impl AsyncFnOnce(&Sqlite) -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        match (&self.files, modelled) {
            (Some(files), Ok(modelled)) => files.answer(what, &modelled, ask),
            (_, modelled) => modelled,
        }
    }

    async fn append_sound(&self, batch: &Batch) -> Result<Vec<Appended>, StoreError> {
        let Some(files) = &self.files else { return self.model.append(batch).await };
        let before = self.disk.counts().commits;
        let mut stored = None;
        let mut append = pin!(self.model.append(batch));
        let modelled = future::poll_fn(|context| {
            let modelled = append.as_mut().poll(context);
            if stored.is_none() && self.disk.counts().commits > before {
                stored = Some(files.ask(async |sqlite: &Sqlite| sqlite.append(batch).await));
            }
            modelled
        })
        .await?;
        match stored {
            Some(stored) => {
                files.files.compare("an append", &Ok::<_, StoreError>(&modelled), &stored);
                stored
            }
            None => Ok(modelled),
        }
    }
}

impl Store for SimStore {
    async fn state(&self) -> Result<State, StoreError> {
        let modelled = self.model.state().await;
        self.answer("the state", modelled, async |sqlite: &Sqlite| sqlite.state().await)
    }

    async fn append(&self, batch: &Batch) -> Result<Vec<Appended>, StoreError> {
        let Some(breakage) = &self.breakage else { return self.append_sound(batch).await };
        let (altered, answer) = breakage.alter(batch.clone());
        let appended = match &altered {
            Some(altered) => self.append_sound(altered).await?,
            None => Vec::new(),
        };
        Ok(answer.to(appended))
    }

    async fn page(&self, endpoint: Option<Endpoint>, from: EntryId) -> Result<Page, StoreError> {
        let modelled = self.model.page(endpoint, from).await;
        let page = self.answer("a page", modelled, async |sqlite: &Sqlite| sqlite.page(endpoint, from).await);
        match &self.breakage {
            Some(breakage) => page.map(|page| breakage.page(page)),
            None => page,
        }
    }

    async fn slice(&self, id: EntryId, offset: u64, length: usize) -> Result<Bytes, StoreError> {
        let modelled = self.model.slice(id, offset, length).await;
        self.answer("a slice", modelled, async |sqlite: &Sqlite| sqlite.slice(id, offset, length).await)
    }

    async fn find(&self, lookup: Lookup) -> Result<Vec<Entry>, StoreError> {
        let modelled = self.model.find(lookup).await;
        self.answer("a look-up", modelled, async |sqlite: &Sqlite| sqlite.find(lookup).await)
    }

    async fn list(&self, listing: Listing) -> Result<Listed, StoreError> {
        let modelled = self.model.list(listing).await;
        self.answer("a listing", modelled, async |sqlite: &Sqlite| sqlite.list(listing).await)
    }

    async fn senders(&self) -> Result<Vec<Arc<str>>, StoreError> {
        let modelled = self.model.senders().await;
        self.answer("the senders", modelled, async |sqlite: &Sqlite| sqlite.senders().await)
    }

    async fn prune(&self, before: EntryId) -> Result<u64, StoreError> {
        let modelled = self.model.prune(before).await;
        self.answer("a prune", modelled, async |sqlite: &Sqlite| sqlite.prune(before).await)
    }

    /// That of the memory: a file's size is another, and a world must not depend on where its log is.
    async fn size(&self) -> Result<u64, StoreError> {
        self.model.size().await
    }

    async fn close(&self) {
        self.model.close().await;
        if let Some(files) = &self.files {
            files.ask(async |sqlite: &Sqlite| sqlite.close().await);
        }
        if let Some(breakage) = &self.breakage {
            breakage.close().await;
        }
    }
}
