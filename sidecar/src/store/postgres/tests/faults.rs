//! The server goes away, and comes back.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::super::Postgres;
use super::{IMPATIENT, append_at_last, check_holds, end_writing_session, numbered};
use crate::config::Password;
use crate::store::contract::{Database, Place, server};
use crate::store::{OpenError, Store, StoreError};

#[tokio::test]
async fn batches_are_kept_once_though_the_server_is_killed_and_started_in_between() {
    let Some(mut server) = server::own(&[]).await else { return };
    let place = Database::on(server.address.clone()).await;
    let store = place.open().await.expect("opens");
    for round in 0..3 {
        let appending = async {
            for number in round * 40..round * 40 + 40 {
                append_at_last(&store, &numbered(number)).await;
            }
        };
        let killing = async {
            sleep(Duration::from_millis(20)).await;
            server.kill();
            server.start();
        };
        tokio::join!(appending, killing);
        server.ready().await;
        check_holds(&store, 0..round * 40 + 40).await;
    }
    store.close().await;
}

#[tokio::test]
async fn a_session_that_the_server_ends_is_replaced() {
    let Some(place) = Database::new().await else { return };
    let store = place.open().await.expect("opens");
    for number in 0..5 {
        end_writing_session(&store, &place).await;
        append_at_last(&store, &numbered(number)).await;
    }
    check_holds(&store, 0..5).await;
}

#[tokio::test]
async fn a_reader_does_not_notice_that_the_server_was_started_again() {
    let Some(mut server) = server::own(&[]).await else { return };
    let place = Database::on(server.address.clone()).await;
    let store = place.open().await.expect("opens");
    append_at_last(&store, &numbered(0)).await;
    // Several connections, all of which are of no use after the restart.
    let read = || store.page(None, 1);
    tokio::try_join!(read(), read(), read()).expect("reads");
    server.restart().await;
    for _ in 0..3 {
        store.page(None, 1).await.expect("reads on another connection");
    }
}

#[tokio::test]
async fn a_database_that_can_only_be_read_is_unavailable_until_it_can_be_written() {
    let Some(place) = Database::new().await else { return };
    let store = place.open().await.expect("opens");
    append_at_last(&store, &numbered(0)).await;
    let name = &place.config.database_name;
    place.run(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    end_writing_session(&store, &place).await;
    for _ in 0..2 {
        let error = store.append(&numbered(1)).await.expect_err("it can only be read");
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    }
    check_holds(&store, 0..1).await;
    drop(store);
    let mut opening = Box::pin(place.open());
    assert!(timeout(Duration::from_millis(600), &mut opening).await.is_err(), "it waits");
    place.server.run("postgres", &format!("ALTER DATABASE {name} RESET ALL")).await;
    let store = timeout(Duration::from_secs(20), opening).await.expect("in time").expect("opens");
    append_at_last(&store, &numbered(1)).await;
    check_holds(&store, 0..2).await;
}

#[tokio::test]
async fn where_no_connection_is_left_reads_are_unavailable_until_there_is_one() {
    let Some(mut place) = Database::new().await else { return };
    let name = place.config.database_name.clone();
    let role = format!("{name}_plain");
    // A limit that holds for whoever is not a superuser, and shows that nobody needs to be one.
    place
        .run(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'plain'; ALTER DATABASE {name} OWNER TO {role};
             ALTER DATABASE {name} CONNECTION LIMIT 1"
        ))
        .await;
    place.config.database_username = role;
    place.config.database_password = Password::new("plain");
    let store = place.open().await.expect("opens");
    append_at_last(&store, &numbered(0)).await;
    let error = store.page(None, 1).await.expect_err("there is no connection to read on");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    append_at_last(&store, &numbered(1)).await;
    place.run(&format!("ALTER DATABASE {name} CONNECTION LIMIT 2")).await;
    check_holds(&store, 0..2).await;
}

#[tokio::test]
async fn a_server_that_is_not_up_yet_is_waited_for() {
    let Some(mut server) = server::own(&[]).await else { return };
    let place = Database::on(server.address.clone()).await;
    server.kill();
    let mut opening = Box::pin(Postgres::open_with(&place.config, IMPATIENT));
    assert!(timeout(Duration::from_secs(1), &mut opening).await.is_err(), "it waits");
    server.start();
    let opened = timeout(Duration::from_secs(30), opening).await.expect("in time");
    append_at_last(&opened.expect("opens"), &numbered(0)).await;
}

#[tokio::test]
async fn nobody_is_waited_for_who_will_never_let_us_in() {
    let Some(place) = Database::new().await else { return };
    let wrong = |change: fn(&mut crate::config::Postgres)| {
        let mut config = place.config.clone();
        change(&mut config);
        async move {
            match Postgres::open(&config).await {
                Err(OpenError::Refused(message)) => message,
                other => panic!("{:?}", other.map(drop)),
            }
        }
    };
    let message = wrong(|config| config.database_password = Password::new("not-the-pass")).await;
    assert!(message.contains("correct database_username and database_password"), "{message}");
    assert!(!message.contains("not-the-pass") && message.contains("127.0.0.1"), "{message}");
    let message = wrong(|config| config.database_name = "no_such_database".into()).await;
    assert!(message.contains("make the database (createdb)"), "{message}");
}
