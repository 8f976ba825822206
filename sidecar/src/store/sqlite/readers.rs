//! The connections that read: opened when they are needed, kept open, and closed when they are not needed for long.
//!
//! sqlx's own pool asks a connection for a sign of life whenever it comes back: one more command to its thread for
//! each look-up. Here a connection comes back by a push to a list. The one that came back last is taken first: its
//! cache is warm, and the others are seen not to be needed.
//!
//! Only who is [done](Taken::done) gives a connection back for use. One whose query failed, or whose user was
//! dropped in the middle of a query, is closed, and counts as open until it is.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::super::StoreError;
use super::unavailable;

/// Longest wait for a connection.
const WAIT: Duration = Duration::from_secs(5);

/// A connection that was not needed for this long is closed: a thread and some hundred kilobytes.
const IDLE: Duration = Duration::from_secs(30);

/// As many stay open whether they are needed or not, so that a look-up now and then need not open one.
const KEPT: usize = 1;

/// At most so many connections.
#[derive(Debug)]
pub(super) struct Readers {
    shared: Arc<Shared>,
    /// Closes what is to be closed. It ends with this.
    _closing: JoinSet<()>,
}

struct Shared {
    options: SqliteConnectOptions,
    most: u32,
    /// One for each connection that may be taken. After [`Readers::close`] it is closed.
    places: Semaphore,
    resting: Mutex<Resting>,
    changed: Notify,
}

/// Connections that nobody uses.
#[derive(Default)]
struct Resting {
    /// In the order in which they came back.
    ready: Vec<(SqliteConnection, Instant)>,
    /// To be closed. Each still has its place.
    broken: Vec<SqliteConnection>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("most", &self.most).finish_non_exhaustive()
    }
}

impl Readers {
    /// None is opened yet. To be called within a runtime.
    pub(super) fn new(options: SqliteConnectOptions, most: u32) -> Self {
        let most = most.max(1);
        let shared = Arc::new(Shared {
            options,
            most,
            places: Semaphore::new(most as usize),
            resting: Mutex::default(),
            changed: Notify::new(),
        });
        let mut closing = JoinSet::new();
        closing.spawn(close_unneeded(shared.clone()));
        Self { shared, _closing: closing }
    }

    /// A connection on which nothing is under way.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if none is free for [`WAIT`], if none can be opened, and after
    /// [`close`](Self::close).
    pub(super) async fn take(&self) -> Result<Taken<'_>, StoreError> {
        let place = timeout(WAIT, self.shared.places.acquire()).await;
        place
            .map_err(|_| unavailable(format!("all {} reading connections are in use", self.shared.most)))?
            .map_err(|_| unavailable("the database is closed"))?
            .forget();
        // From here on this holds the place, whatever happens.
        let mut taken = Taken { shared: &self.shared, connection: None };
        let ready = self.shared.resting().ready.pop();
        taken.connection = Some(match ready {
            Some((connection, _)) => connection,
            None => self.shared.options.connect().await.map_err(unavailable)?,
        });
        Ok(taken)
    }

    /// Closes all, after those in use came back. Waits no longer than [`WAIT`] for them.
    pub(super) async fn close(&self) {
        let all = timeout(WAIT, self.shared.places.acquire_many(self.shared.most)).await;
        self.shared.places.close();
        let ready = std::mem::take(&mut self.shared.resting().ready);
        for (connection, _) in ready {
            let _ = connection.close().await;
        }
        drop(all);
    }
}

impl Shared {
    fn resting(&self) -> MutexGuard<'_, Resting> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use.
pub(super) struct Taken<'a> {
    shared: &'a Shared,
    /// There is one, but while it is opened and after the end.
    connection: Option<SqliteConnection>,
}

impl Taken<'_> {
    /// Gives it back for use: nothing is under way on it, and nothing failed.
    pub(super) fn done(mut self) {
        let Some(connection) = self.connection.take() else { return };
        if self.shared.places.is_closed() {
            return;
        }
        let mut resting = self.shared.resting();
        resting.ready.push((connection, Instant::now()));
        let news = resting.ready.len() == KEPT + 1;
        drop(resting);
        if news {
            self.shared.changed.notify_one();
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        match self.connection.take() {
            Some(connection) => {
                self.shared.resting().broken.push(connection);
                self.shared.changed.notify_one();
            }
            None => self.shared.places.add_permits(1),
        }
    }
}

impl Deref for Taken<'_> {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        self.connection.as_ref().expect("only who is done has none")
    }
}

impl DerefMut for Taken<'_> {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.connection.as_mut().expect("only who is done has none")
    }
}

/// Closes connections that broke at once, and those that are not needed after [`IDLE`]. Never ends by itself; it
/// has no timer while no more than [`KEPT`] rest.
async fn close_unneeded(shared: Arc<Shared>) {
    loop {
        let (broken, unneeded, next) = {
            let mut resting = shared.resting();
            let now = Instant::now();
            let old = resting.ready.iter().take_while(|(_, since)| *since + IDLE <= now).count();
            let excess = resting.ready.len().saturating_sub(KEPT);
            let unneeded: Vec<_> = resting.ready.drain(..old.min(excess)).collect();
            let next = (resting.ready.len() > KEPT).then(|| resting.ready[0].1 + IDLE);
            (std::mem::take(&mut resting.broken), unneeded, next)
        };
        for connection in broken {
            // After the answer to this, what was under way has an end.
            let _ = connection.close().await;
            shared.places.add_permits(1);
        }
        for (connection, _) in unneeded {
            let _ = connection.close().await;
        }
        match next {
            Some(next) => {
                tokio::select! {
                    biased;
                    () = shared.changed.notified() => {}
                    () = sleep_until(next) => {}
                }
            }
            None => shared.changed.notified().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use sqlx::{query, query_scalar};
    use tempfile::TempDir;
    use tokio::time::{pause, sleep};

    use super::*;

    /// Readers of an empty database.
    fn readers(most: u32) -> (Readers, TempDir) {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let options = SqliteConnectOptions::new().filename(folder.path().join("a")).create_if_missing(true);
        (Readers::new(options, most), folder)
    }

    /// Leaves a mark on a connection, which it loses only with its end.
    async fn mark(connection: &mut SqliteConnection) {
        query("PRAGMA cache_size = 77").execute(connection).await.expect("is valid");
    }

    async fn is_marked(connection: &mut SqliteConnection) -> bool {
        let size: i64 = query_scalar("PRAGMA cache_size").fetch_one(connection).await.expect("is valid");
        size == 77
    }

    async fn taken(readers: &Readers) -> Taken<'_> {
        readers.take().await.expect("there is one")
    }

    fn resting(readers: &Readers) -> usize {
        readers.shared.resting().ready.len()
    }

    /// What takes for ever, if it is let.
    const ENDLESS: &str = "WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n) SELECT x FROM n";

    #[tokio::test]
    async fn what_came_back_last_is_taken_first() {
        let (readers, _folder) = readers(3);
        let (one, mut other) = (taken(&readers).await, taken(&readers).await);
        mark(&mut other).await;
        one.done();
        other.done();
        for _ in 0..3 {
            let mut again = taken(&readers).await;
            assert!(is_marked(&mut again).await);
            again.done();
        }
        assert_eq!(resting(&readers), 2);
    }

    #[tokio::test]
    async fn a_connection_whose_user_was_dropped_in_a_query_is_not_used_again() {
        let (readers, _folder) = readers(1);
        let mut first = taken(&readers).await;
        mark(&mut first).await;
        let query = async move {
            query(ENDLESS).fetch_all(&mut *first).await.expect("is valid");
            first.done();
        };
        assert!(query.now_or_never().is_none(), "it is under way, and dropped");
        let mut second = taken(&readers).await;
        assert!(!is_marked(&mut second).await);
        second.done();
    }

    #[tokio::test]
    async fn a_connection_whose_query_failed_is_not_used_again() {
        let (readers, _folder) = readers(1);
        let mut first = taken(&readers).await;
        mark(&mut first).await;
        query("SELECT * FROM nothing").execute(&mut *first).await.expect_err("there is no such table");
        drop(first);
        let mut second = taken(&readers).await;
        assert!(!is_marked(&mut second).await);
    }

    #[tokio::test]
    async fn who_waits_gets_the_connection_that_comes_back() {
        let (readers, _folder) = readers(1);
        let mut first = taken(&readers).await;
        mark(&mut first).await;
        let mut waiting = Box::pin(readers.take());
        assert!(waiting.as_mut().now_or_never().is_none(), "there is one only");
        first.done();
        let mut second = waiting.await.expect("it came back");
        assert!(is_marked(&mut second).await);
    }

    #[tokio::test]
    async fn who_stops_to_wait_or_to_open_takes_no_place_along() {
        // To open takes a thread's time. Where that thread was quicker than this one, there was nothing to stop.
        let (readers, _folder) = loop {
            let (readers, folder) = readers(1);
            if readers.take().now_or_never().is_none() {
                break (readers, folder);
            }
        };
        let first = taken(&readers).await;
        assert!(readers.take().now_or_never().is_none(), "there is one only");
        first.done();
        taken(&readers).await.done();
    }

    #[tokio::test]
    async fn a_wait_has_an_end() {
        let (readers, _folder) = readers(2);
        let _both = (taken(&readers).await, taken(&readers).await);
        pause();
        match readers.take().await {
            Err(StoreError::Unavailable(why)) => assert!(why.to_string().contains("all 2"), "{why}"),
            other => panic!("{:?}", other.map(drop)),
        }
    }

    #[tokio::test]
    async fn what_cannot_be_opened_takes_no_place_along() {
        let options = SqliteConnectOptions::new().filename("/nowhere/at/all");
        let readers = Readers::new(options, 1);
        for _ in 0..3 {
            assert!(matches!(readers.take().await, Err(StoreError::Unavailable(_))));
        }
    }

    #[tokio::test]
    async fn connections_that_are_not_needed_are_closed_but_for_one() {
        let (readers, _folder) = readers(4);
        let mut all = Vec::new();
        for _ in 0..4 {
            all.push(taken(&readers).await);
        }
        all.into_iter().for_each(Taken::done);
        assert_eq!(resting(&readers), 4);
        pause();
        sleep(IDLE - Duration::from_secs(1)).await;
        assert_eq!(resting(&readers), 4);
        taken(&readers).await.done();
        while resting(&readers) > KEPT {
            sleep(Duration::from_secs(1)).await;
        }
        sleep(IDLE * 3).await;
        assert_eq!(resting(&readers), KEPT);
    }

    #[tokio::test]
    async fn close_waits_for_those_in_use_and_nothing_can_be_taken_afterwards() {
        let (readers, _folder) = readers(3);
        let (one, other, broken) = (taken(&readers).await, taken(&readers).await, taken(&readers).await);
        other.done();
        let mut closing = Box::pin(readers.close());
        assert!(closing.as_mut().now_or_never().is_none(), "one is in use");
        one.done();
        drop(broken);
        closing.await;
        assert!(matches!(readers.take().await, Err(StoreError::Unavailable(_))));
        let left = readers.shared.resting();
        assert_eq!((left.ready.len(), left.broken.len()), (0, 0));
    }

    #[tokio::test]
    async fn close_does_not_wait_for_ever() {
        let (readers, _folder) = readers(1);
        let late = taken(&readers).await;
        pause();
        readers.close().await;
        late.done();
        assert_eq!(resting(&readers), 0);
    }
}
