//! One writer, whatever happens to its connection.

use super::{append_at_last, check_holds, end_writing_session, numbered};
use crate::event::{Channel, Kind};
use crate::store::contract::{Database, Place, event};
use crate::store::{OpenError, Store, StoreError};

#[track_caller]
fn check_lost<T: std::fmt::Debug>(result: Result<T, StoreError>, expected: &str) {
    match result {
        Err(StoreError::Lost(why)) => assert!(why.to_string().contains(expected), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_second_sidecar_is_told_who_is_there() {
    let Some(place) = Database::new().await else { return };
    let store = place.open().await.expect("opens");
    let process = store.writer.lock().await.process();
    match place.open().await {
        Err(OpenError::Refused(message)) => {
            let name = &place.config.database_name;
            for part in
                [&**name, "in use by another sidecar", &format!("server process {process}"), "database_name"]
            {
                assert!(message.contains(part), "{part:?} is not in {message}");
            }
        }
        other => panic!("{:?}", other.map(drop)),
    }
}

#[tokio::test]
async fn who_lost_the_lock_to_another_cannot_write_on() {
    let Some(place) = Database::new().await else { return };
    let first = place.open().await.expect("opens");
    append_at_last(&first, &numbered(0)).await;
    end_writing_session(&first, &place).await;
    let second = place.open().await.expect("the lock is free");
    append_at_last(&second, &numbered(1)).await;
    for _ in 0..2 {
        let mut result = first.append(&numbered(2)).await;
        if matches!(result, Err(StoreError::Unavailable(_))) {
            // The first try only shows that the session is gone.
            result = first.append(&numbered(2)).await;
        }
        check_lost(result, "another sidecar has opened the database");
    }
    check_lost(first.prune(100).await, "another sidecar");
    drop(second);
    check_lost(first.append(&numbered(2)).await, "another sidecar");
    check_holds(&place.open().await.expect("opens"), 0..2).await;
}

#[tokio::test]
async fn each_statement_that_writes_looks_whether_the_log_has_another_writer() {
    let Some(place) = Database::new().await else { return };
    // As if the lock had been let go without the session having ended, as behind a pooler of connections.
    let raise = "UPDATE casper_sidecar.log SET epoch = epoch + 1";
    let store = place.open().await.expect("opens");
    append_at_last(&store, &numbered(0)).await;
    place.run(raise).await;
    check_lost(store.append(&numbered(1)).await, "another sidecar");
    drop(store);
    let store = place.open().await.expect("opens");
    place.run(raise).await;
    check_lost(store.prune(5).await, "another sidecar");
    drop(store);
    let store = place.open().await.expect("opens");
    place.run(raise).await;
    let mut with_new_names = numbered(1);
    with_new_names.arrivals[0].node = "a new one:1".into();
    let json = "x".repeat(200_000);
    with_new_names.arrivals[1].event = event(Kind::Step, Channel::Main, "1", &[], &json);
    check_lost(store.append(&with_new_names).await, "another sidecar");
    drop(store);
    let store = place.open().await.expect("opens");
    check_holds(&store, 0..1).await;
    assert_eq!(store.senders().await.expect("reads").len(), 1);
}

#[tokio::test]
async fn a_database_that_has_gone_back_ends_the_run() {
    let Some(place) = Database::new().await else { return };
    let store = place.open().await.expect("opens");
    append_at_last(&store, &numbered(0)).await;
    // As after a fail-over to a server that had not got everything.
    place.run("DELETE FROM casper_sidecar.entry WHERE id > 5; UPDATE casper_sidecar.log SET head = 5").await;
    end_writing_session(&store, &place).await;
    let mut result = store.append(&numbered(1)).await;
    if matches!(result, Err(StoreError::Unavailable(_))) {
        result = store.append(&numbered(1)).await;
    }
    check_lost(result, "gone back: it ends with entry 5, and entry 10 was in it");
}
