//! Forward from every version of the schema that there ever was.

use super::super::open::migrator;
use super::{append_at_last, numbered};
use crate::store::Store;
use crate::store::contract::{Database, Place, ids, of, shown};

#[tokio::test]
async fn a_log_of_any_earlier_version_is_taken_on_with_all_that_is_in_it() {
    for version in migrator().iter().map(|migration| migration.version) {
        let Some(place) = Database::new().await else { return };
        place.run("CREATE SCHEMA casper_sidecar").await;
        let mut connection = place.server.connect(&place.config.database_name).await.expect("connects");
        migrator().run_direct(Some(version), &mut connection, false).await.expect("is valid");
        // What every version has had: an entry as the first one wrote it.
        let arrival = &numbered(0).arrivals[0];
        let event = &arrival.event;
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        place
            .run(&format!(
                "INSERT INTO casper_sidecar.source VALUES (1, '{}');
                 INSERT INTO casper_sidecar.api_version VALUES (1, '{}');
                 INSERT INTO casper_sidecar.entry
                     (id, received_at, version, source, large, channel, kind, identity, key, data)
                 VALUES (1, {}, 1, 1, NULL, {}, {}, '\\x{}', '\\x{}', '{}');
                 INSERT INTO casper_sidecar.cursor VALUES (1, 2, 7, '\\x{}', 0, 7);
                 UPDATE casper_sidecar.log SET head = 1, version = 1, source = 1, chain = 'casper'",
                arrival.node,
                arrival.version.as_ref().expect("it has one").json(),
                arrival.received_at,
                event.channel.code(),
                event.kind.code(),
                hex(&event.identity.0),
                hex(&event.keys[0].0),
                event.payload.json(),
                "ab".repeat(16),
            ))
            .await;
        let store = place.open().await.expect("opens");
        let state = store.state().await.expect("reads");
        assert_eq!((state.head, state.oldest, state.cursors.len()), (1, 1, 1), "from version {version}");
        assert_eq!(state.chain.as_deref(), Some("casper"));
        let page = store.page(None, 1).await.expect("reads");
        assert_eq!(shown(&page.entries[0]), of(1, arrival));
        append_at_last(&store, &numbered(0)).await;
        let page = store.page(None, 1).await.expect("reads");
        assert_eq!(ids(&page.entries), (1..=10).collect::<Vec<_>>());
    }
}
