//! From a server to a database that is ours, current, and held against other writers.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{query_as, query_scalar};
use tokio::time::sleep;
use tracing::{info, warn};

use super::super::OpenError;
use super::connect::Server;
use super::session::Session;
use super::write::Writer;
use super::{lock, unavailable};

/// Where migrations are kept account of.
const ACCOUNT: &str = "casper_sidecar._sqlx_migrations";

/// Wait after the first attempt that found no server, and the longest wait.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// The oldest version that has all that is used here.
const OLDEST_SERVER: i32 = 12;

/// Tables that the original sidecar 1.x makes, whatever schema they are in.
const OF_THE_ORIGINAL: &str = "SELECT EXISTS (SELECT FROM pg_class WHERE relkind = 'r' AND relname = 'event_log')
     AND EXISTS (SELECT FROM pg_class WHERE relkind = 'r' AND relname IN ('BlockAdded', 'DeployAccepted', 'event_type'))";

/// What there is: the schema, tables in it, the account of migrations.
const FOUND: &str = "SELECT to_regnamespace('casper_sidecar') IS NOT NULL,
     EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('casper_sidecar') AND relkind <> 'i'),
     to_regclass('casper_sidecar._sqlx_migrations') IS NOT NULL";

/// Opens the database for writing, however long it takes until there is a server.
pub(super) async fn open(server: &Server) -> Result<Writer, OpenError> {
    let mut wait = BACK_OFF.0;
    let mut waited = false;
    loop {
        match try_open(server).await {
            Err(OpenError::Unavailable(error)) => {
                let error = anyhow::Error::from(error);
                warn!("waiting for the database {}, next attempt in {wait:?}: {error:#}", server.name);
                waited = true;
                sleep(wait).await;
                wait = (wait * 2).min(BACK_OFF.1);
            }
            other => {
                if waited && other.is_ok() {
                    info!("the database {} is there", server.name);
                }
                return other;
            }
        }
    }
}

async fn try_open(server: &Server) -> Result<Writer, OpenError> {
    let failed = |error| server.open_error(error);
    let mut connection = server.connect().await.map_err(failed)?;
    if let Err(holder) = lock::take(&mut connection, server, None).await.map_err(failed)? {
        return Err(OpenError::Refused(format!(
            "the database {} is in use by another sidecar ({holder}): stop that one, or set database_name to \
             another database",
            server.name
        )));
    }
    inspect(&mut connection, server).await?;
    migrate(&mut connection, server).await?;
    let raise = query_scalar("UPDATE casper_sidecar.log SET epoch = epoch + 1 WHERE one RETURNING epoch");
    let epoch = server.answer(raise.fetch_one(&mut connection)).await.map_err(failed)?;
    let session = Session::begin(connection, server, epoch).await.map_err(failed)?;
    Ok(Writer::new(server.clone(), session))
}

/// Looks at the database without touching it: an error if it is not ours to use.
async fn inspect(connection: &mut PgConnection, server: &Server) -> Result<(), OpenError> {
    let failed = |error| server.open_error(error);
    let refused =
        |message: String| Err(OpenError::Refused(format!("the database {} {message}", server.name)));

    let version = query_scalar("SELECT current_setting('server_version_num')::int / 10000");
    let version: i32 = server.answer(version.fetch_one(&mut *connection)).await.map_err(failed)?;
    if version < OLDEST_SERVER {
        return refused(format!(
            "is on a server of PostgreSQL {version}: use one of version {OLDEST_SERVER} or newer"
        ));
    }
    let (schema, tables, account): (bool, bool, bool) =
        server.answer(query_as(FOUND).fetch_one(&mut *connection)).await.map_err(failed)?;
    if account {
        let newest = query_scalar("SELECT coalesce(max(version), 0) FROM casper_sidecar._sqlx_migrations");
        let newest: i64 = server.answer(newest.fetch_one(&mut *connection)).await.map_err(failed)?;
        if newest > newest_migration() {
            return refused(
                "was written by a newer version of the sidecar: install that version again, or set database_name \
                 to another database"
                    .into(),
            );
        }
    } else if tables {
        return refused(
            "has a schema casper_sidecar that is of another program; it was left as it is: set database_name to \
             another database"
                .into(),
        );
    } else if server
        .answer(query_scalar(OF_THE_ORIGINAL).fetch_one(&mut *connection))
        .await
        .map_err(failed)?
    {
        return refused(
            "is one of the original sidecar 1.x, which this version cannot take over; it was left as it is: set \
             database_name to another database (the nodes send again what they still have)"
                .into(),
        );
    }
    let read_only = query_scalar("SELECT current_setting('transaction_read_only') = 'on'");
    if server.answer(read_only.fetch_one(&mut *connection)).await.map_err(failed)? {
        return Err(OpenError::Unavailable(unavailable("it can only be read at the moment")));
    }
    if !schema {
        let make = sqlx::query("CREATE SCHEMA casper_sidecar");
        server.answer(make.execute(&mut *connection)).await.map_err(failed)?;
    }
    Ok(())
}

/// The version of the schema that this program makes.
pub(super) fn newest_migration() -> i64 {
    migrator().iter().map(|migration| migration.version).max().unwrap_or(0)
}

pub(super) fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!("migrations/postgres");
    migrator.dangerous_set_table_name(ACCOUNT);
    // The lock is held already.
    migrator.set_locking(false);
    migrator
}

/// Brings the schema up to date.
async fn migrate(connection: &mut PgConnection, server: &Server) -> Result<(), OpenError> {
    // A migration of a large database takes its time: the server's own limit is lifted for it.
    let lift = sqlx::query("SELECT set_config('statement_timeout', '0', false)");
    server.answer(lift.execute(&mut *connection)).await.map_err(|error| server.open_error(error))?;
    migrator().run_direct(None, &mut *connection, false).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => server.open_error(error),
        error => OpenError::Refused(format!(
            "the schema casper_sidecar of the database {} is not what this version made of it: {error}; restore it \
             from a backup, or set database_name to another database",
            server.name
        )),
    })?;
    let restore = sqlx::query("RESET statement_timeout");
    server.answer(restore.execute(connection)).await.map_err(|error| server.open_error(error))?;
    Ok(())
}
