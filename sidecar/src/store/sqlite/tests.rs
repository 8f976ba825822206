//! What is SQLite's own; what all stores have in common is in [`contract`](crate::store::contract).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection};
use tempfile::TempDir;

use super::{Sqlite, open, read, statements};
use crate::event::{Channel, Endpoint, Kind};
use crate::store::contract::{Folder, Place, batch, block, event, ids, signature};
use crate::store::{Appended, OpenError, Store, StoreError};

fn folder() -> TempDir {
    tempfile::tempdir().expect("there is room for a folder")
}

async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .foreign_keys(false)
        .connect()
        .await
        .expect("opens")
}

async fn run(connection: &mut SqliteConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.expect("is valid");
}

/// Names and contents of all files in a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(folder)
        .expect("it is there")
        .map(|file| file.expect("it is there").path())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap_or_default()))
        .collect()
}

/// Opening is refused with a message that says all of `expected`, and nothing in the folder is touched.
async fn check_refused(folder: &Path, expected: &[&str]) {
    let before = files(folder);
    match Sqlite::open(folder, &Folder::config()).await {
        Err(OpenError::Refused(message)) => {
            assert!(message.contains("log.db3"), "the message names the file: {message}");
            for part in expected {
                assert!(message.contains(part), "{part:?} is not in {message}");
            }
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was opened"),
    }
    assert!(files(folder) == before, "something was touched");
}

#[tokio::test]
async fn a_database_of_the_original_is_refused_untouched() {
    for journal in ["DELETE", "WAL"] {
        let folder = folder();
        let mut connection = connect(&folder.path().join("log.db3")).await;
        run(&mut connection, &format!("PRAGMA journal_mode = {journal}")).await;
        run(&mut connection, "CREATE TABLE event_log (id INTEGER); CREATE TABLE BlockAdded (height INTEGER)")
            .await;
        connection.close().await.expect("closes");
        check_refused(folder.path(), &["original sidecar 1.x", "left as it is", "storage_path"]).await;
    }
}

#[tokio::test]
async fn a_database_of_the_original_that_was_not_closed_is_refused_untouched() {
    let folder = folder();
    let made = folder.path().join("made.db3");
    let mut connection = connect(&made).await;
    run(&mut connection, "PRAGMA journal_mode = WAL; CREATE TABLE event_log (id INTEGER)").await;
    run(&mut connection, "PRAGMA wal_checkpoint; INSERT INTO event_log VALUES (1)").await;
    // As a crash leaves it: with a write-ahead log.
    fs::copy(&made, folder.path().join("log.db3")).expect("copies");
    fs::copy(open::beside(&made, "-wal"), folder.path().join("log.db3-wal")).expect("copies");
    connection.close().await.expect("closes");
    check_refused(folder.path(), &["original sidecar 1.x"]).await;
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_untouched() {
    let folder = folder();
    let mut connection = connect(&folder.path().join("log.db3")).await;
    run(&mut connection, "CREATE TABLE album (id INTEGER)").await;
    connection.close().await.expect("closes");
    check_refused(folder.path(), &["another program", "file_name"]).await;
}

#[tokio::test]
async fn what_is_no_database_is_refused_untouched() {
    let folder = folder();
    let path = folder.path().join("log.db3");
    fs::write(&path, "short").expect("writes");
    check_refused(folder.path(), &["not an SQLite database"]).await;
    fs::write(&path, "x".repeat(100_000)).expect("writes");
    check_refused(folder.path(), &["not an SQLite database"]).await;
    fs::remove_file(&path).expect("it is there");
    fs::create_dir(&path).expect("can be made");
    check_refused(folder.path(), &["is a folder", "file_name"]).await;
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_untouched() {
    let place = Folder::new();
    place.open().await.expect("opens").close().await;
    let mut connection = connect(&place.0.path().join("log.db3")).await;
    run(&mut connection, "PRAGMA user_version = 999").await;
    connection.close().await.expect("closes");
    check_refused(place.0.path(), &["newer version"]).await;
}

#[tokio::test]
async fn the_version_in_the_header_is_that_of_the_newest_migration() {
    let place = Folder::new();
    place.open().await.expect("opens").close().await;
    let header = fs::read(place.0.path().join("log.db3")).expect("it is there");
    assert_eq!(i64::from(header[63]), open::newest_migration());
}

#[tokio::test]
async fn a_damaged_database_is_refused() {
    let place = Folder::new();
    place.open().await.expect("opens").close().await;
    let path = place.0.path().join("log.db3");
    let mut bytes = fs::read(&path).expect("it is there");
    bytes[100..].fill(0x55);
    fs::write(&path, &bytes).expect("writes");
    match place.open().await {
        Err(OpenError::Refused(message)) => assert!(message.contains("backup"), "{message}"),
        other => panic!("{:?}", other.map(drop)),
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_refused_with_its_name() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "").expect("writes");
    for path in [file.clone(), file.join("below")] {
        match Sqlite::open(&path, &Folder::config()).await {
            Err(OpenError::Refused(message)) => {
                assert!(message.contains(&path.display().to_string()), "{message}");
                assert!(message.contains("storage_path"), "{message}");
            }
            other => panic!("{:?}", other.map(drop)),
        }
    }
}

#[tokio::test]
async fn folders_are_made() {
    let folder = folder();
    let path = folder.path().join("a/b/c");
    Sqlite::open(&path, &Folder::config()).await.expect("opens").close().await;
    assert!(path.join("log.db3").is_file());
}

#[tokio::test]
async fn a_full_disk_fails_a_batch_and_the_same_batch_succeeds_when_there_is_room() {
    let place = Folder::new();
    let store = place.open().await.expect("opens");
    store.append(&batch([block(1)])).await.expect("writes");
    // The limit is the connection's: the next one has none, as if room had been made.
    store.writer.lock().await.run("PRAGMA max_page_count = 30").await.expect("is valid");
    let much = batch((0..1000).map(|number| signature("a", number)));
    match store.append(&much).await {
        Err(StoreError::Unavailable(source)) => assert!(source.to_string().contains("full"), "{source}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(ids(&store.page(None, 1).await.expect("reads").entries), [1]);
    let appended = store.append(&much).await.expect("there is room");
    assert_eq!((appended[0], appended[999]), (Appended::New(2), Appended::New(1001)));
}

#[tokio::test]
async fn a_file_locked_by_another_program_fails_a_batch_until_it_is_free() {
    let place = Folder::new();
    let store = place.open().await.expect("opens");
    let mut other = connect(&place.0.path().join("log.db3")).await;
    run(&mut other, "BEGIN IMMEDIATE").await;
    for events in [batch([block(1)]), batch((0..100).map(|number| signature("a", number)))] {
        let error = store.append(&events).await.expect_err("it is locked");
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    }
    run(&mut other, "ROLLBACK").await;
    assert_eq!(store.append(&batch([block(1)])).await.expect("it is free"), [Appended::New(1)]);
}

#[tokio::test]
async fn an_entry_that_makes_no_sense_is_corrupt() {
    let place = Folder::new();
    let store = place.open().await.expect("opens");
    store.append(&batch([block(1), block(2), block(3)])).await.expect("writes");
    for change in
        ["kind = 15", "channel = 9", "data = x'ff'", "source = 77", "version = 77", "received_at = -1"]
    {
        let mut other = connect(&place.0.path().join("log.db3")).await;
        run(&mut other, &format!("SAVEPOINT x; UPDATE entry SET {change} WHERE id = 2; RELEASE x")).await;
        let error = store.page(None, 1).await.map(drop).expect_err(change);
        assert!(matches!(error, StoreError::Corrupt { .. }), "{change}: {error:?}");
        run(
            &mut other,
            "UPDATE entry SET (kind, channel, data, source, version, received_at) =
                 (SELECT kind, channel, data, source, version, received_at FROM entry WHERE id = 1) WHERE id = 2",
        )
        .await;
        other.close().await.expect("closes");
        assert_eq!(store.page(None, 1).await.expect("it is whole again").entries.len(), 3);
    }
}

#[tokio::test]
async fn the_writing_connection_itself_holds_the_lock() {
    let place = Folder::new();
    let store = place.open().await.expect("opens");
    let lock = store.writer.lock().await.lock();
    assert_eq!(lock.strong_count(), 2, "the writer's and its connection's");
    drop(store);
    while lock.strong_count() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_reader_is_not_held_up_by_a_long_write() {
    let place = Folder::new();
    let store = place.open().await.expect("opens");
    store.append(&batch([block(1)])).await.expect("writes");
    let mut writer = connect(&place.0.path().join("log.db3")).await;
    run(&mut writer, "BEGIN IMMEDIATE; UPDATE entry SET received_at = 7").await;
    let page = store.page(None, 1).await.expect("reads");
    assert_ne!(page.entries[0].received_at, 7, "what is not committed is not seen");
    assert_eq!(store.state().await.expect("reads").head, 1);
}

#[tokio::test]
async fn the_write_ahead_log_does_not_grow_without_end_under_readers() {
    let folder = folder();
    let config = crate::config::Sqlite { wal_autocheckpointing_interval: 100, ..Folder::config() };
    let store = Sqlite::open(folder.path(), &config).await.expect("opens");
    let json = "x".repeat(60_000);
    let writing = async {
        for round in 0..30 {
            let events = (0..30).map(|number| {
                event(Kind::DeployProcessed, Channel::Main, &format!("{round} {number}"), &[], &json)
            });
            store.append(&batch(events)).await.expect("writes");
        }
    };
    let reading = async {
        // Two readers that overlap, so that there is hardly a moment without one.
        loop {
            let (one, other) = tokio::join!(store.page(None, 1), store.page(Some(Endpoint::Main), 1));
            one.and(other).expect("reads");
        }
    };
    tokio::select! {
        biased;
        () = writing => {}
        () = reading => {}
    }
    let write_ahead = fs::metadata(folder.path().join("log.db3-wal")).expect("it is there").len();
    assert!(write_ahead < 24 << 20, "{write_ahead} bytes after 54 MB");
    store.close().await;
    assert!(!folder.path().join("log.db3-wal").exists(), "everything is in the database file at the end");
}

#[tokio::test]
async fn the_view_shows_events_as_text() {
    let place = Folder::new();
    let store = place.open().await.expect("opens");
    let large = format!("{{\"Step\":\"{}\"}}", "ü".repeat(100_000));
    store
        .append(&batch([block(7), event(Kind::Step, Channel::Main, "1", &[], &large)]))
        .await
        .expect("writes");
    store.close().await;
    let mut connection = connect(&place.0.path().join("log.db3")).await;
    let rows: Vec<(i64, String, String, String, String, String, String)> =
        sqlx::query_as("SELECT * FROM event").fetch_all(&mut connection).await.expect("is valid");
    let (id, endpoint, kind, version, source, received_at, data) = &rows[0];
    assert_eq!((*id, &**endpoint, &**kind), (1, "main", "BlockAdded"));
    assert_eq!((&**version, &**source), (r#"{"ApiVersion":"1.5.8"}"#, "10.0.0.1:9999"));
    assert_eq!(received_at, "2023-11-14T22:13:20.123Z");
    assert_eq!(data, block(7).payload.json());
    assert!(rows[1].6 == large, "a large body is put together");
}

#[tokio::test]
async fn no_statement_scans_a_table_or_sorts() {
    let place = Folder::new();
    place.open().await.expect("opens").close().await;
    let mut connection = connect(&place.0.path().join("log.db3")).await;
    let built = statements::Statements::new();
    let mut texts = vec![
        read::sql::PAGE_OF_LOG,
        read::sql::PAGE_OF_ALL,
        read::sql::PAGE_OF_ONE,
        read::sql::BY_ID,
        read::sql::BY_IDENTITY,
        read::sql::BY_IDENTITIES,
        read::sql::LIST[0],
        read::sql::LIST[1],
        read::sql::LIST_KIND[0],
        read::sql::LIST_KIND[1],
        read::sql::LIST_CHANNEL[0],
        read::sql::LIST_CHANNEL[1],
        read::sql::BY_KEY,
        read::sql::GREATEST_BLOCK,
        read::sql::PARTS,
        read::sql::DATA,
        read::sql::OLDEST,
        read::HEAD,
        statements::FORGET_ENTRIES,
        statements::FORGET_KEYS,
        statements::FORGET_PARTS,
    ];
    texts.extend(built.ask.iter().map(|sql| sql.as_str()));
    for statement in texts.iter().flat_map(|text| text.split(';')) {
        let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
            .fetch_all(&mut connection)
            .await
            .expect("is valid");
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        for step in &plan {
            assert!(!step.contains("TEMP B-TREE"), "{statement}\n{plan:#?}");
            assert!(!step.starts_with("SCAN") || step == "SCAN CONSTANT ROW", "{statement}\n{plan:#?}");
        }
    }
}

#[tokio::test]
async fn pages_go_by_the_index_that_fits_the_endpoint() {
    let place = Folder::new();
    place.open().await.expect("opens").close().await;
    let mut connection = connect(&place.0.path().join("log.db3")).await;
    for (sql, index) in [
        (read::sql::PAGE_OF_LOG, "USING INTEGER PRIMARY KEY (rowid>?)"),
        (read::sql::PAGE_OF_ALL, "USING INTEGER PRIMARY KEY (rowid>?)"),
        (read::sql::PAGE_OF_ONE, "USING INDEX entry_by_channel (channel=? AND rowid>?)"),
        (read::sql::BY_IDENTITY, "USING INDEX entry_by_identity (identity=?)"),
        (read::sql::BY_IDENTITIES, "INDEX entry_by_identity (identity=?)"),
        (read::sql::LIST[0], "USING INTEGER PRIMARY KEY (rowid>?)"),
        (read::sql::LIST[1], "USING INTEGER PRIMARY KEY (rowid<?)"),
        (read::sql::LIST_KIND[0], "USING INDEX entry_by_kind (kind=? AND rowid>?)"),
        (read::sql::LIST_KIND[1], "USING INDEX entry_by_kind (kind=? AND rowid<?)"),
        (read::sql::LIST_CHANNEL[0], "USING INDEX entry_by_channel (channel=? AND rowid>?)"),
        (read::sql::LIST_CHANNEL[1], "USING INDEX entry_by_channel (channel=? AND rowid<?)"),
        (read::sql::BY_KEY, "INDEX entry_by_key (key=?)"),
        (read::sql::GREATEST_BLOCK, "USING INDEX entry_by_key (key>? AND key<?)"),
    ] {
        let statement = sql.split(';').next_back().expect("there is one");
        let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
            .fetch_all(&mut connection)
            .await
            .expect("is valid");
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        assert!(plan.iter().any(|step| step.contains(index)), "{statement}\n{plan:#?}");
    }
}

#[tokio::test]
async fn commits_are_synced_and_readers_cannot_write() {
    let place = Folder::new();
    let store = place.open().await.expect("opens");
    let mut writer = store.writer.lock().await;
    assert_eq!(writer.number("PRAGMA synchronous").await, 2, "FULL");
    assert_eq!(writer.number("PRAGMA wal_autocheckpoint").await, 1000);
    drop(writer);
    let error = store.reader.run("DELETE FROM entry").await.expect_err("it reads only");
    assert_eq!(super::result_code(&error), Some(8), "READONLY");
}
