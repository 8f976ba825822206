//! Forward from every version of the schema that there ever was.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::open::{APPLICATION_ID, MIGRATOR};
use crate::store::Store;
use crate::store::contract::{Folder, Place, batch, ids, of, shown, signature};

#[tokio::test]
async fn a_log_of_any_earlier_version_is_taken_on_with_all_that_is_in_it() {
    let events = || (0..10).map(|number| signature("a", number));
    for version in MIGRATOR.iter().map(|migration| migration.version) {
        let place = Folder::new();
        let path = place.0.path().join("log.db3");
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true).foreign_keys(false);
        let mut connection = options.connect().await.expect("opens");
        let mark = AssertSqlSafe(format!("PRAGMA application_id = {APPLICATION_ID}"));
        sqlx::raw_sql(mark).execute(&mut connection).await.expect("is valid");
        MIGRATOR.run_direct(Some(version), &mut connection, false).await.expect("is valid");
        // What every version has had: an entry as the first one wrote it.
        let arrival = &batch(events()).arrivals[0];
        let event = &arrival.event;
        sqlx::query("INSERT INTO source VALUES (1, ?)")
            .bind(&*arrival.node)
            .execute(&mut connection)
            .await
            .expect("is valid");
        sqlx::query("INSERT INTO api_version VALUES (1, ?)")
            .bind(arrival.version.as_ref().expect("it has one").json())
            .execute(&mut connection)
            .await
            .expect("is valid");
        sqlx::query(
            "INSERT INTO entry (id, channel, kind, identity, key, version, source, received_at, large, data)
             VALUES (1, ?, ?, ?, ?, 1, 1, ?, NULL, ?)",
        )
        .bind(event.channel.code())
        .bind(event.kind.code())
        .bind(&event.identity.0[..])
        .bind(&event.keys[0].0[..])
        .bind(i64::try_from(arrival.received_at).expect("a time of this century"))
        .bind(event.payload.bytes())
        .execute(&mut connection)
        .await
        .expect("is valid");
        let rest = "INSERT INTO cursor VALUES (1, 2, 7, x'abababababababababababababababab', 0, 7);
                    UPDATE log SET version = 1, source = 1, chain = 'casper'";
        sqlx::raw_sql(rest).execute(&mut connection).await.expect("is valid");
        connection.close().await.expect("closes");

        let store = place.open().await.expect("opens");
        let state = store.state().await.expect("reads");
        assert_eq!((state.head, state.oldest, state.cursors.len()), (1, 1, 1), "from version {version}");
        assert_eq!(state.chain.as_deref(), Some("casper"));
        let page = store.page(None, 1).await.expect("reads");
        assert_eq!(shown(&page.entries[0]), of(1, arrival));
        store.append(&batch(events())).await.expect("writes");
        let page = store.page(None, 1).await.expect("reads");
        assert_eq!(ids(&page.entries), (1..=10).collect::<Vec<_>>());
    }
}
