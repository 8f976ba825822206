//! The lock that the writing connection holds: it ends with the connection, however that ends.

use sqlx::postgres::PgConnection;
use sqlx::{Row, query, query_scalar};
use tokio::time::{Duration, Instant, sleep};

use super::connect::Server;

/// What is locked, in the namespace that a database has for such locks: `CES1`, 1.
const LOCK: (i32, i32) = (0x4345_5331, 1);

const TAKE: &str = "SELECT pg_try_advisory_lock($1, $2)";

/// Who holds it. Another user's address is not shown.
const HOLDER: &str = "SELECT holder.pid, host(activity.client_addr) FROM pg_locks AS holder
     LEFT JOIN pg_stat_activity AS activity ON activity.pid = holder.pid
     WHERE holder.locktype = 'advisory' AND holder.granted
         AND holder.database = (SELECT oid FROM pg_database WHERE datname = current_database())
         AND holder.classid::bigint = $1 AND holder.objid::bigint = $2 AND holder.objsubid = 2";

/// Takes the lock, or says who holds it after all the time there is.
///
/// A session of this sidecar's own that was given up may still be at work on the server: it is ended.
pub(super) async fn take(
    connection: &mut PgConnection,
    server: &Server,
    own: Option<i32>,
) -> Result<Result<(), String>, sqlx::Error> {
    let deadline = Instant::now() + server.limits.lock;
    let mut wait = Duration::from_millis(5);
    loop {
        let take = query_scalar(TAKE).bind(LOCK.0).bind(LOCK.1).fetch_one(&mut *connection);
        if server.answer(take).await? {
            return Ok(Ok(()));
        }
        let holder = query(HOLDER).bind(i64::from(LOCK.0)).bind(i64::from(LOCK.1));
        let holder = server.answer(holder.fetch_optional(&mut *connection)).await?;
        if let Some(holder) = holder {
            let (pid, address): (i32, Option<String>) = (holder.try_get(0)?, holder.try_get(1)?);
            if own == Some(pid) {
                let end = query("SELECT pg_terminate_backend($1)").bind(pid);
                server.answer(end.execute(&mut *connection)).await?;
            }
            if Instant::now() >= deadline {
                let address =
                    address.map_or_else(String::new, |address| format!(", connected from {address}"));
                return Ok(Err(format!("server process {pid}{address}")));
            }
        }
        sleep(wait).await;
        wait = (wait * 2).min(Duration::from_millis(200));
    }
}
