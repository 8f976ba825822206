//! What goes wrong on demand, in virtual time.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{self, Instant};

use super::{Disk, Fault, Model};
use crate::store::contract::{batch, block, ids};
use crate::store::{Appended, Store, StoreError};

async fn pages(store: &Model) -> Vec<u64> {
    ids(&store.page(None, 0).await.expect("reads").entries)
}

#[tokio::test(start_paused = true)]
async fn appends_and_reads_take_their_latency() {
    let disk = Disk::new();
    let store = Model::open(&disk).expect("opens");
    disk.set_latency(Duration::from_millis(30), Duration::from_millis(4));
    let start = Instant::now();
    store.append(&batch([block(1)])).await.expect("writes");
    assert_eq!(start.elapsed(), Duration::from_millis(30));
    store.state().await.expect("reads");
    assert_eq!(start.elapsed(), Duration::from_millis(34));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_append_is_durable_after_half_of_its_latency() {
    let disk = Disk::new();
    let store = Model::open(&disk).expect("opens");
    disk.set_latency(Duration::from_millis(30), Duration::ZERO);
    let _ = time::timeout(Duration::from_millis(14), store.append(&batch([block(1)]))).await;
    assert_eq!(disk.durable_state().head, 0);
    let _ = time::timeout(Duration::from_millis(16), store.append(&batch([block(1)]))).await;
    assert_eq!(disk.durable_state().head, 1);
}

#[tokio::test(start_paused = true)]
async fn the_next_appends_fail_as_told() {
    let disk = Disk::new();
    let store = Model::open(&disk).expect("opens");
    disk.fail_next(2, Fault::Fail);
    disk.fail_next(1, Fault::FailAfterCommit);
    for head in [0, 0, 1] {
        let error = store.append(&batch([block(1)])).await.expect_err("it was told to fail");
        assert!(matches!(error, StoreError::Unavailable(_)));
        assert_eq!(disk.durable_state().head, head);
    }
    assert_eq!(store.append(&batch([block(1)])).await.expect("writes"), [Appended::Duplicate]);
    let counts = disk.counts();
    assert_eq!((counts.appends, counts.commits, counts.failed_appends), (4, 2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_lasting_fault_ends_when_it_is_healed() {
    let disk = Disk::new();
    let store = Model::open(&disk).expect("opens");
    disk.fail_from_now_on(Fault::Fail);
    disk.fail_reads();
    for _ in 0..10 {
        store.append(&batch([block(1)])).await.expect_err("it was told to fail");
        store.state().await.expect_err("it was told to fail");
    }
    disk.heal();
    store.append(&batch([block(1)])).await.expect("it is healed");
    assert_eq!(pages(&store).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_append_goes_on_when_it_is_healed() {
    let disk = Disk::new();
    let store = Model::open(&disk).expect("opens");
    disk.fail_from_now_on(Fault::Hang);
    let events = batch([block(1)]);
    let healing = async {
        time::sleep(Duration::from_secs(60)).await;
        assert_eq!(pages(&store).await, [] as [u64; 0], "reads do not wait for it");
        disk.heal();
    };
    let (appended, ()) = tokio::join!(store.append(&events), healing);
    assert_eq!(appended.expect("it went on"), [Appended::New(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_was_full_works_when_there_is_room() {
    let disk = Disk::new();
    let store = Model::open(&disk).expect("opens");
    let size = batch([block(1)]).arrivals[0].event.payload.len() as u64;
    disk.set_capacity(Some(size));
    store.append(&batch([block(1)])).await.expect("it fits");
    store.append(&batch([block(2)])).await.expect_err("it is full");
    assert_eq!(store.prune(2).await.expect("prunes"), 1);
    assert_eq!(store.append(&batch([block(2)])).await.expect("it fits"), [Appended::New(2)]);
    store.append(&batch([block(3)])).await.expect_err("it is full");
    disk.set_capacity(None);
    store.append(&batch([block(3)])).await.expect("it fits");
}

#[tokio::test(start_paused = true)]
async fn a_crash_tears_an_append_before_or_after_its_commit() {
    for (fault, head) in [(Fault::TearBeforeCommit, 0), (Fault::TearAfterCommit, 1)] {
        let disk = Disk::new();
        let store = Model::open(&disk).expect("opens");
        disk.fail_next(1, fault);
        let events = batch([block(1)]);
        assert!(store.append(&events).now_or_never().is_none(), "it never ends");
        assert!(disk.is_torn());
        Model::open(&disk).expect_err("the crashed one still has it");
        drop(store);
        let store = Model::open(&disk).expect("opens");
        assert!(!disk.is_torn());
        assert_eq!(disk.durable_state().head, head);
        store.append(&events).await.expect("writes");
        assert_eq!(pages(&store).await, [1]);
    }
}
