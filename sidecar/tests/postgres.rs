//! The sidecar as its users meet it, on PostgreSQL.

#![allow(clippy::disallowed_methods, reason = "these tests are about the real network")]

mod support;

use std::time::Duration;

use support::postgres::{self, PASSWORD};
use support::{Message, PATIENCE, Place, Subscriber, command, feed, node, ports};
use tokio::time::{sleep, timeout};

async fn ready(place: &Place) -> String {
    let answer = reqwest::get(format!("http://127.0.0.1:{}/health/ready", place.admin)).await;
    answer.expect("it answers").text().await.expect("it is text")
}

/// Waits until `/health/ready` says this.
async fn until_ready_says(place: &Place, expected: &str) {
    let said = async {
        while !ready(place).await.contains(expected) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, said).await.unwrap_or_else(|_| panic!("it never says {expected:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_server_is_killed_in_mid_stream_nothing_is_lost_nor_seen_twice_and_subscribers_stay() {
    const COUNT: usize = 2000;
    let Some(mut server) = postgres::own(&[]).await else { return };
    let node = node().await;
    let mut place = Place::new().await;
    place.database = server.address.section(&server.address.new_database().await);
    let config = place.configure(&[ports(&node)], 100);
    let sidecar = place.start(&config).await;
    node.wait_for_subscribers(3).await;
    let mut stream = Subscriber::connect(place.events, "/events/main?start_from=0", None).await;
    let feeding = feed(&node, COUNT, Duration::from_micros(1500));
    let mut seen: Vec<Message> = Vec::new();
    for stop in [COUNT / 5, COUNT / 2] {
        seen.extend(stream.take(stop - seen.len()).await);
        server.kill();
        until_ready_says(&place, "the database cannot be written").await;
        server.start();
        server.ready().await;
    }
    seen.extend(stream.take(COUNT - seen.len()).await);
    feeding.join_all().await;
    until_ready_says(&place, "\"ready\":true").await;
    let sent: Vec<_> =
        node.emitted().iter().map(|sent| String::from_utf8_lossy(&sent.data).into_owned()).collect();
    assert_eq!(seen.iter().map(|message| message.data.clone()).collect::<Vec<_>>(), sent);
    let ids: Vec<_> = seen.iter().filter_map(|message| message.id).collect();
    assert_eq!(ids, (1..=COUNT as u64).collect::<Vec<_>>(), "ids are dense");

    let mut again = Subscriber::connect(place.events, "/events/main?start_from=0", None).await;
    assert_eq!(again.take(COUNT).await, seen, "a replay shows the same");
    assert!(sidecar.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sidecar_on_the_database_ends_and_nothing_shows_the_password() {
    let Some(server) = postgres::shared().await else { return };
    let node = node().await;
    let mut place = Place::new().await;
    place.database = server.section(&server.new_database().await);
    let config = place.configure(&[ports(&node)], 100);
    let sidecar = place.start(&config).await;

    let mut other = Place::new().await;
    other.database.clone_from(&place.database);
    let mut second = command(&other.configure(&[ports(&node)], 100));
    let ended =
        timeout(PATIENCE, tokio::task::spawn_blocking(move || second.env("RUST_LOG", "debug").output()));
    let ended = ended.await.expect("it ends").expect("no panic").expect("it starts");
    assert_eq!(ended.status.code(), Some(1));
    let log = String::from_utf8_lossy(&ended.stderr).into_owned() + &String::from_utf8_lossy(&ended.stdout);
    assert!(log.contains("in use by another sidecar"), "{log}");
    assert!(!log.contains(PASSWORD), "{log}");

    let metrics =
        reqwest::get(format!("http://127.0.0.1:{}/metrics", place.admin)).await.expect("it answers");
    assert!(!metrics.text().await.expect("it is text").contains(PASSWORD));
    assert!(sidecar.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_waits_for_its_database_ends_when_it_is_told_to() {
    let nobody = support::free_port().await;
    let mut place = Place::new().await;
    place.database = format!(
        "[storage.postgresql_config]\nhost = \"127.0.0.1\"\nport = {nobody}\ndatabase_name = \"x\"\n\
         database_username = \"x\"\ndatabase_password = \"{PASSWORD}\"\n"
    );
    let mut waiting = command(&place.configure(&[(nobody, nobody)], 1));
    let child = waiting.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn();
    let child = child.expect("it starts");
    let id = child.id().to_string();
    sleep(Duration::from_secs(1)).await;
    let sent = std::process::Command::new("kill").arg(&id).status().expect("there is a kill command");
    assert!(sent.success());
    let ended = timeout(PATIENCE, tokio::task::spawn_blocking(move || child.wait_with_output()));
    let ended = ended.await.expect("it ends").expect("no panic").expect("it can be waited for");
    let log = String::from_utf8_lossy(&ended.stderr).into_owned() + &String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{log}");
    assert!(log.contains("waiting for the database") && log.contains(&nobody.to_string()), "{log}");
    assert!(!log.contains(PASSWORD), "{log}");
}
