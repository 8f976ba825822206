//! What must not be used is left as it is.

use super::super::Postgres;
use crate::config::Password;
use crate::store::OpenError;
use crate::store::contract::{Database, Place};

/// All that there is in the database, by schema, name and kind, and what the log's one row says.
async fn contents(place: &Database) -> Vec<String> {
    let mut connection = place.server.connect(&place.config.database_name).await.expect("connects");
    sqlx::query_scalar(
        "SELECT concat_ws(' ', relnamespace::regnamespace, relname, relkind, relfilenode, reltuples) FROM pg_class
         WHERE relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_' OR nspname = 'information_schema')
         UNION ALL SELECT nspname FROM pg_namespace UNION ALL SELECT xmin::text FROM pg_database
         WHERE datname = current_database() ORDER BY 1",
    )
    .fetch_all(&mut connection)
    .await
    .expect("reads")
}

/// Opening is refused with a message that says all of `expected`, and nothing in the database is touched.
async fn check_refused(place: &Database, expected: &[&str]) {
    let before = contents(place).await;
    match place.open().await {
        Err(OpenError::Refused(message)) => {
            assert!(
                message.contains(&place.config.database_name),
                "the message names the database: {message}"
            );
            for part in expected {
                assert!(message.contains(part), "{part:?} is not in {message}");
            }
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was opened"),
    }
    assert_eq!(contents(place).await, before, "something was touched");
}

#[tokio::test]
async fn a_database_of_the_original_is_refused_untouched() {
    let Some(place) = Database::new().await else { return };
    place.run("CREATE TABLE event_log (id bigint); CREATE TABLE \"BlockAdded\" (height bigint)").await;
    check_refused(&place, &["original sidecar 1.x", "it was left as it is", "database_name"]).await;
}

#[tokio::test]
async fn a_schema_of_another_program_is_refused_untouched() {
    let Some(place) = Database::new().await else { return };
    place.run("CREATE SCHEMA casper_sidecar; CREATE TABLE casper_sidecar.entry (id bigint)").await;
    check_refused(&place, &["of another program", "it was left as it is", "database_name"]).await;
}

#[tokio::test]
async fn tables_beside_ours_do_no_harm() {
    let Some(place) = Database::new().await else { return };
    place.run("CREATE TABLE entry (id text); CREATE TABLE log (x int); CREATE SCHEMA casper_sidecar").await;
    place.open().await.expect("opens, in the schema that was made for it");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_untouched() {
    let Some(place) = Database::new().await else { return };
    drop(place.open().await.expect("opens"));
    place
        .run(
            "INSERT INTO casper_sidecar._sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (999, 'of later', true, '', 0)",
        )
        .await;
    check_refused(&place, &["newer version", "install that version again"]).await;
}

#[tokio::test]
async fn a_user_who_may_make_no_schema_is_told_what_to_do() {
    let Some(mut place) = Database::new().await else { return };
    let role = format!("{}_guest", place.config.database_name);
    place.run(&format!("CREATE ROLE {role} LOGIN PASSWORD 'guest'")).await;
    place.config.database_username = role;
    place.config.database_password = Password::new("guest");
    check_refused(&place, &["GRANT CREATE ON DATABASE"]).await;
}

#[tokio::test]
async fn nothing_that_is_shown_of_a_store_has_the_password_in_it() {
    let Some(place) = Database::new().await else { return };
    let store = place.open().await.expect("opens");
    let password = place.config.database_password.expose();
    for text in [format!("{store:?}"), format!("{store:#?}"), format!("{:?}", place.config)] {
        assert!(!text.contains(password), "{text}");
    }
    let mut config = place.config.clone();
    config.database_name = "no_such_database".into();
    let error = anyhow::Error::from(Postgres::open(&config).await.expect_err("there is none"));
    assert!(!format!("{error:?} {error:#}").contains(password));
}
