//! The connections that read.
//!
//! A connection is in the pool only while nothing is under way on it: one whose question was given up, or failed,
//! is closed. So nothing has to be cleaned up in the background, and a hung server holds up nobody for longer than
//! its limits.

use std::sync::Mutex;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query_with;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::super::StoreError;
use super::connect::{Server, is_broken};
use super::{corrupt, unavailable};

/// Longest wait for one of the connections.
const WAIT: Duration = Duration::from_secs(5);

/// A connection that was not needed for this long is closed when another one is put back.
const IDLE: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Idle {
    connection: PgConnection,
    since: Instant,
}

#[derive(Debug)]
pub(super) struct Pool {
    server: Server,
    places: Semaphore,
    /// The one that was used last is at the end.
    idle: Mutex<Vec<Idle>>,
}

impl Pool {
    pub(super) fn new(server: Server, connections: u32) -> Self {
        let places = usize::try_from(connections).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { server, places: Semaphore::new(places), idle: Mutex::default() }
    }

    /// All rows of a statement, whose size its text must bound.
    pub(super) async fn fetch(
        &self,
        sql: &'static str,
        arguments: PgArguments,
    ) -> Result<Vec<PgRow>, StoreError> {
        let place = timeout(WAIT, self.places.acquire()).await;
        let place = place.map_err(|_| unavailable("all connections to it are in use"))?;
        let _place = place.map_err(|_| unavailable("it is closed"))?;
        loop {
            let idle = self.idle().pop();
            let was_idle = idle.is_some();
            let mut connection = match idle {
                Some(idle) => idle.connection,
                None => self.server.connect().await.map_err(unavailable)?,
            };
            let rows = query_with(sql, arguments.clone()).fetch_all(&mut connection);
            match self.server.answer(rows).await {
                Ok(rows) => {
                    self.put_back(connection);
                    return Ok(rows);
                }
                // The server may have been started again since it was used last, and there may be more of its kind.
                Err(error) if was_idle && is_broken(&error) => {}
                Err(error) => return Err(read_error(error)),
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().expect("nothing panics while it holds this lock")
    }

    fn put_back(&self, connection: PgConnection) {
        let now = Instant::now();
        let mut idle = self.idle();
        idle.push(Idle { connection, since: now });
        // To drop one closes its socket, which is all that the server needs.
        idle.retain(|idle| now - idle.since < IDLE);
    }

    pub(super) async fn close(&self) {
        self.places.close();
        let idle = std::mem::take(&mut *self.idle());
        for idle in idle {
            Server::end(idle.connection).await;
        }
    }
}

/// What a failed read means.
fn read_error(error: sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(|error| error.code());
    // Data and index corrupted. Source: PostgreSQL's table of error codes, class XX.
    match code.as_deref() {
        Some("XX001" | "XX002") => corrupt(0, error),
        _ => unavailable(error),
    }
}
