//! What is PostgreSQL's own; what all stores have in common is in [`contract`](crate::store::contract).

mod faults;
mod migrations;
mod network;
mod plans;
mod refusals;
mod tls;
mod writers;

use std::time::Duration;

use super::Postgres;
use super::connect::Limits;
use crate::store::contract::{Database, batch, signature};
use crate::store::{Appended, Batch, Store, StoreError};

/// Short enough to be waited for in a test.
const IMPATIENT: Limits = Limits {
    connect: Duration::from_millis(500),
    statement: Duration::from_millis(800),
    answer: Duration::from_millis(1000),
    lock: Duration::from_millis(500),
};

/// Ten events that no other number has.
fn numbered(number: u64) -> Batch {
    batch((0..10).map(|each| signature(&format!("block {number}"), each)))
}

/// Appends as ingest does: again, until it is done.
async fn append_at_last(store: &Postgres, batch: &Batch) -> Vec<Appended> {
    for _ in 0..400 {
        match store.append(batch).await {
            Ok(appended) => return appended,
            Err(StoreError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(hopeless) => panic!("{hopeless:?}"),
        }
    }
    panic!("it cannot be written");
}

/// The log has the events of these numbers, each once, in this order, with dense ids.
async fn check_holds(store: &Postgres, numbers: std::ops::Range<u64>) {
    let expected = numbers.flat_map(|number| numbered(number).arrivals);
    let (mut from, mut found) = (1, Vec::new());
    loop {
        let page = store.page(None, from).await.expect("reads");
        found.extend(page.entries);
        if page.next == from {
            break;
        }
        from = page.next;
    }
    let expected: Vec<_> =
        (1..).zip(expected).map(|(id, arrival)| crate::store::contract::of(id, &arrival)).collect();
    let found: Vec<_> = found.iter().map(crate::store::contract::shown).collect();
    assert!(found == expected, "{} entries, not {}", found.len(), expected.len());
}

/// Ends the server's process that does the store's writing.
async fn end_writing_session(store: &Postgres, place: &Database) {
    let process = store.writer.lock().await.process();
    place.run(&format!("SELECT pg_terminate_backend({process}, 5000)")).await;
}
