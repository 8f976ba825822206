//! From a path to a database that is ours, current, and held against other writers.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::super::OpenError;
use super::{result_code, unavailable, write::Writer};
use crate::config;

pub(super) static MIGRATOR: Migrator = sqlx::migrate!("migrations/sqlite");

/// Marks a database file as ours, in SQLite's own header: `CES1`.
pub(super) const APPLICATION_ID: u32 = 0x4345_5331;

/// Tables that the original sidecar 1.x makes and we do not.
const TABLES_OF_THE_ORIGINAL: [&str; 4] = ["event_log", "BlockAdded", "DeployAccepted", "event_type"];

/// How long a writer that is about to end may take to let go: its last commit and its process's end.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a write waits for another process (the sqlite3 shell, a backup) that writes to the same file.
const BUSY: Duration = Duration::from_secs(1);

/// Opens the database in `folder` for writing.
pub(super) async fn open(folder: &Path, path: &Path, config: &config::Sqlite) -> Result<Writer, OpenError> {
    make_folder(folder)?;
    let fresh = inspect(path).await?;
    let lock = Arc::new(hold(path).await?);
    let options = options(path)
        .create_if_missing(true)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", config.wal_autocheckpointing_interval.to_string())
        .pragma("cache_size", "-2000");
    migrate(path, &options, fresh).await?;
    let options = options.create_if_missing(false);
    let mut writer = Writer::new(path, options, config.wal_autocheckpointing_interval, lock);
    writer.ready().await.map_err(unavailable)?;
    Ok(writer)
}

/// What all connections have in common.
pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY)
        // References are to tables that are only added to: to check each costs and finds nothing.
        .foreign_keys(false)
        .disable_statement_logging()
}

/// `path` with `suffix` after its last letter, as SQLite names the files it keeps beside a database.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn refused(message: impl Into<String>) -> OpenError {
    OpenError::Refused(message.into())
}

fn make_folder(folder: &Path) -> Result<(), OpenError> {
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(refused(format!(
            "{} is not a folder: set storage_path to a folder, or move the file away",
            folder.display()
        ))),
        Err(_) => fs::create_dir_all(folder).map_err(|error| {
            refused(format!(
                "cannot make the folder {}: {error}; make it for the user that runs the sidecar, or set \
                 storage_path to a folder that this user may write to",
                folder.display()
            ))
        }),
    }
}

/// Looks at the file without touching it: whether there is none yet, or an error if it is not ours to use.
async fn inspect(path: &Path) -> Result<bool, OpenError> {
    let mut header = [0; 100];
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(not_accessible(path, &error)),
    };
    let metadata = file.metadata().map_err(|error| not_accessible(path, &error))?;
    if metadata.is_dir() {
        return Err(refused(format!(
            "{} is a folder: set file_name to another name, or move the folder away",
            path.display()
        )));
    }
    if metadata.len() == 0 {
        return Ok(true);
    }
    let read = (&file).take(100).read_exact(&mut header);
    if read.is_err() || !header.starts_with(b"SQLite format 3\0") {
        return Err(refused(format!(
            "{} is not an SQLite database: set file_name or storage_path to another, or move the file away",
            path.display()
        )));
    }
    // Source of the offsets: https://www.sqlite.org/fileformat2.html#the_database_header
    let field = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if field(68) != APPLICATION_ID {
        return Err(foreign(path).await);
    }
    if i64::from(field(60)) > newest_migration() {
        return Err(newer(path));
    }
    OpenOptions::new().write(true).open(path).map_err(|error| not_accessible(path, &error))?;
    Ok(false)
}

/// The version of the schema that this program makes; each migration leaves its own in the header.
pub(super) fn newest_migration() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

fn newer(path: &Path) -> OpenError {
    refused(format!(
        "{} was written by a newer version of the sidecar: install that version again, or set storage_path to \
         another folder",
        path.display()
    ))
}

fn not_accessible(path: &Path, error: &io::Error) -> OpenError {
    refused(format!(
        "cannot open {}: {error}; let the user that runs the sidecar read and write it and its folder, or set \
         storage_path to a folder where it may",
        path.display()
    ))
}

/// Says whose database it is. It is read as if nobody could write to it: so SQLite makes no file beside it.
async fn foreign(path: &Path) -> OpenError {
    let tables: Result<Vec<String>, sqlx::Error> = async {
        let mut connection = options(path).read_only(true).immutable(true).connect().await?;
        let tables = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
            .fetch_all(&mut connection)
            .await?;
        connection.close().await?;
        Ok(tables)
    }
    .await;
    let tables = tables.unwrap_or_default();
    if TABLES_OF_THE_ORIGINAL.iter().any(|name| tables.iter().any(|table| table == name)) {
        refused(format!(
            "{} is a database of the original sidecar 1.x, which this version cannot take over; it was left as \
             it is: set storage_path to another folder (the nodes send again what they still have)",
            path.display()
        ))
    } else {
        refused(format!(
            "{} is a database of another program; it was left as it is: set file_name or storage_path to \
             another",
            path.display()
        ))
    }
}

/// Locks the file beside the database that stands for the right to write. The operating system lets go of it
/// when the process ends, however it ends.
async fn hold(path: &Path) -> Result<File, OpenError> {
    let path_of_lock = beside(path, "-lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path_of_lock)
        .map_err(|error| not_accessible(&path_of_lock, &error))?;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(TryLockError::WouldBlock) => {
                return Err(refused(format!(
                    "{} is in use by another sidecar (it holds {}): stop that one, or set storage_path to \
                     another folder",
                    path.display(),
                    path_of_lock.display()
                )));
            }
            Err(TryLockError::Error(error)) => {
                return Err(refused(format!(
                    "cannot lock {}: {error}; set storage_path to a folder on a file system with locks",
                    path_of_lock.display()
                )));
            }
        }
    }
}

/// Brings the schema up to date.
///
/// The first migration of a file is made with a rollback journal, and the file is marked as ours before it: so
/// what [`inspect`] reads is in the file itself at all times, and never only in the write-ahead log.
async fn migrate(path: &Path, options: &SqliteConnectOptions, fresh: bool) -> Result<(), OpenError> {
    let refuse = |error: sqlx::Error| match result_code(&error) {
        // Busy, locked, no memory, interrupted, i/o, full: may pass. The rest will not.
        Some(5 | 6 | 7 | 9 | 10 | 13) => OpenError::Unavailable(unavailable(error)),
        _ => refused(format!(
            "cannot open the database {}: {error}; restore it from a backup, or move it away",
            path.display()
        )),
    };
    let mut connection = options.connect().await.map_err(refuse)?;
    if fresh {
        let mark = format!("PRAGMA application_id = {APPLICATION_ID}");
        execute(&mut connection, mark).await.map_err(refuse)?;
    }
    MIGRATOR.run_direct(None, &mut connection, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(_) => newer(path),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => refuse(error),
        error => refused(format!(
            "the schema of {} is not what this version made of it: {error}; restore it from a backup, or move \
             it away",
            path.display()
        )),
    })?;
    execute(&mut connection, "PRAGMA journal_mode = WAL".into()).await.map_err(refuse)?;
    connection.close().await.map_err(refuse)
}

async fn execute(connection: &mut SqliteConnection, sql: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}
