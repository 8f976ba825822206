//! Appending, remembering, forgetting.

use std::time::Duration;

use futures_util::FutureExt;

use super::{Place, batch, block, ids, is_new, of, on_every_store, shown, signature, version};
use crate::event::{EntryId, Filter, Identity, Kind};
use crate::store::{Appended, Batch, Cursor, InForce, Lookup, OpenError, State, Store};

on_every_store!(
    super::an_empty_log as nothing_is_in_an_empty_log,
    super::dense_ids as ids_are_dense_and_duplicates_get_none,
    super::great_batches as great_batches_are_appended_whole,
    super::repetitions as what_a_node_sends_again_after_a_restart_is_known,
    super::cursors as cursors_move_even_when_all_arrivals_are_duplicates,
    super::version_and_chain as the_version_in_force_and_the_chain_are_remembered,
    super::what_is_durable as a_store_that_is_opened_again_goes_on,
    super::one_writer as a_second_writer_is_refused,
    super::pruning as ids_are_not_used_again_after_a_prune,
    super::pruned_events as an_event_that_was_forgotten_can_come_again,
    super::dropped_appends as an_append_can_be_dropped_at_any_moment,
);

async fn an_empty_log(place: impl Place) {
    let store = place.open().await.expect("opens");
    let state = State { head: 0, oldest: 1, cursors: vec![], in_force: None, chain: None };
    assert_eq!(store.state().await.expect("reads"), state);
    let page = store.page(None, 0).await.expect("reads");
    assert_eq!((page.entries.len(), page.next), (0, 1));
    assert_eq!(store.append(&Batch::default()).await.expect("writes"), []);
    assert_eq!(store.state().await.expect("reads"), state);
    store.close().await;
}

async fn dense_ids(place: impl Place) {
    let store = place.open().await.expect("opens");
    let first = batch([signature("a", 1), signature("a", 2), signature("a", 1)]);
    let appended = store.append(&first).await.expect("writes");
    assert_eq!(appended, [Appended::New(1), Appended::New(2), Appended::Duplicate]);
    let second = batch([signature("a", 2), signature("b", 1), signature("a", 1), signature("b", 2)]);
    let appended = store.append(&second).await.expect("writes");
    assert_eq!(appended, [Appended::Duplicate, Appended::New(3), Appended::Duplicate, Appended::New(4)]);
    let page = store.page(None, 0).await.expect("reads");
    assert_eq!((ids(&page.entries), page.next), (vec![1, 2, 3, 4], 5));
    assert_eq!(store.state().await.expect("reads").head, 4);
}

async fn great_batches(place: impl Place) {
    let store = place.open().await.expect("opens");
    let mut id = 0;
    for count in [1, 2, 15, 16, 17, 127, 128, 129, 300] {
        let events = (0..count).map(|number| signature(&format!("block {count}"), number));
        let appended = store.append(&batch(events)).await.expect("writes");
        let expected: Vec<_> = (1..=count).map(|number| Appended::New(id + number)).collect();
        assert_eq!(appended, expected);
        id += count;
    }
    let mut from = 1;
    while from <= id {
        let page = store.page(None, from).await.expect("reads");
        let expected: Vec<_> = (from..page.next).collect();
        assert_eq!(ids(&page.entries), expected);
        from = page.next;
    }
}

async fn repetitions(place: impl Place) {
    let store = place.open().await.expect("opens");
    store.append(&batch((0..300).map(|number| signature("a", number)))).await.expect("writes");
    drop(store);

    let store = place.open().await.expect("opens again");
    for (first, new) in [(0, 0), (250, 150), (300, 50), (500, 200)] {
        let mut again = batch((first..first + 200).map(|number| signature("a", number)));
        for arrival in &mut again.arrivals {
            arrival.node = format!("node{first}:9999").into();
            arrival.version = Some(version(&format!("1.6.{first}")));
        }
        again.cursors = vec![cursor("another:9999", Filter::Sigs, u32::try_from(first).expect("small"))];
        let appended = store.append(&again).await.expect("writes");
        let found = is_new(&appended).iter().filter(|new| **new).count();
        assert_eq!(found, new, "of those from {first} on");
        assert_eq!(store.state().await.expect("reads").cursors, again.cursors);
    }
    let page = store.page(None, 451).await.expect("reads");
    let nodes: Vec<_> = page.entries.iter().map(|entry| &*entry.node).collect();
    assert_eq!(nodes[..50], ["node300:9999"; 50]);
    assert_eq!(nodes[50..], ["node500:9999"; 200]);
    assert_eq!(page.entries[249].version, Some(version("1.6.500")));
}

fn cursor(node: &str, filter: Filter, id: u32) -> Cursor {
    let fingerprint = Identity::of(Kind::Step, &[node, &id.to_string()]);
    Cursor { node: node.into(), filter, id, fingerprint, run: id % 3, resume: id.saturating_sub(2) }
}

async fn cursors(place: impl Place) {
    let store = place.open().await.expect("opens");
    let events = [signature("a", 1)];
    let mut first = batch(events.clone());
    first.cursors = vec![cursor("n2:1", Filter::Sigs, u32::MAX), cursor("n1:1", Filter::Main, 7)];
    store.append(&first).await.expect("writes");
    let expected = [cursor("n1:1", Filter::Main, 7), cursor("n2:1", Filter::Sigs, u32::MAX)];
    assert_eq!(store.state().await.expect("reads").cursors, expected);

    let mut again = batch(events);
    again.cursors = vec![cursor("n2:1", Filter::Sigs, 0), cursor("n1:1", Filter::Sigs, 9)];
    assert_eq!(store.append(&again).await.expect("writes"), [Appended::Duplicate]);
    let expected =
        [cursor("n1:1", Filter::Main, 7), cursor("n1:1", Filter::Sigs, 9), cursor("n2:1", Filter::Sigs, 0)];
    assert_eq!(store.state().await.expect("reads").cursors, expected);

    let mut all = Vec::new();
    for node in 0..10 {
        all.extend(Filter::ALL.map(|filter| cursor(&format!("node{node}:1"), filter, node)));
    }
    let cursors = all.iter().rev().cloned().collect();
    store.append(&Batch { cursors, ..Batch::default() }).await.expect("writes");
    assert_eq!(store.state().await.expect("reads").cursors[3..], all);
}

async fn version_and_chain(place: impl Place) {
    let store = place.open().await.expect("opens");
    let in_force = Some(InForce { version: version("2.0.0-rc1"), node: "n1:1".into() });
    let first = Batch { in_force: in_force.clone(), chain: Some("casper".into()), ..Batch::default() };
    store.append(&first).await.expect("writes");
    store.append(&batch([signature("a", 1)])).await.expect("writes");
    let state = store.state().await.expect("reads");
    assert_eq!(state.in_force, in_force);
    assert_eq!(state.chain.as_deref(), Some("casper"));
    let found = state.in_force.expect("compared").version;
    assert!(found < version("2.0.0"), "a pre-release stays one");
    assert_eq!(found.json(), r#"{"ApiVersion":"2.0.0-rc1"}"#);

    let lower = Some(InForce { version: version("1.5.8"), node: "n2:1".into() });
    let mut second = batch([signature("a", 1), signature("a", 2)]);
    second.in_force = lower.clone();
    store.append(&second).await.expect("writes");
    let state = store.state().await.expect("reads");
    assert_eq!((state.head, state.in_force), (2, lower));
    assert_eq!(state.chain.as_deref(), Some("casper"));
}

async fn what_is_durable(place: impl Place) {
    let store = place.open().await.expect("opens");
    let mut first = batch([signature("a", 1), block(3)]);
    first.cursors = vec![cursor("n1:1", Filter::Main, 7)];
    first.in_force = Some(InForce { version: version("1.5.8"), node: "n1:1".into() });
    store.append(&first).await.expect("writes");
    let state = store.state().await.expect("reads");
    store.close().await;
    drop(store);

    let store = place.open().await.expect("opens again");
    assert_eq!(store.state().await.expect("reads"), state);
    let second = batch([block(3), block(4), signature("a", 1)]);
    let appended = store.append(&second).await.expect("writes");
    assert_eq!(appended, [Appended::Duplicate, Appended::New(3), Appended::Duplicate]);
    drop(store); // As a crash would: nothing is closed.

    let store = place.open().await.expect("opens again");
    let page = store.page(None, 0).await.expect("reads");
    let found: Vec<_> = page.entries.iter().map(shown).collect();
    let arrivals = [&first.arrivals[0], &first.arrivals[1], &second.arrivals[1]];
    assert_eq!(found, [of(1, arrivals[0]), of(2, arrivals[1]), of(3, arrivals[2])]);
}

async fn one_writer(place: impl Place) {
    let store = place.open().await.expect("opens");
    match place.open().await {
        Err(OpenError::Refused(message)) => assert!(message.contains("in use by another"), "{message}"),
        other => panic!("{:?}", other.map(drop)),
    }
    store.append(&batch([block(1)])).await.expect("the first is not disturbed");
    drop(store);
    place.open().await.expect("opens after the first has ended");
}

async fn pruning(place: impl Place) {
    let store = place.open().await.expect("opens");
    store.append(&batch((0..10).map(block))).await.expect("writes");
    assert_eq!(store.prune(1).await.expect("prunes"), 0);
    assert_eq!(store.prune(8).await.expect("prunes"), 7);
    let state = store.state().await.expect("reads");
    assert_eq!((state.oldest, state.head), (8, 10));
    let page = store.page(None, 1).await.expect("reads");
    assert_eq!((ids(&page.entries), page.next), (vec![8, 9, 10], 11));

    assert_eq!(store.prune(EntryId::MAX).await.expect("prunes"), 3);
    let state = store.state().await.expect("reads");
    assert_eq!((state.oldest, state.head), (11, 10));
    let page = store.page(None, 1).await.expect("reads");
    assert_eq!((ids(&page.entries), page.next), (vec![], 11));
    drop(store);

    let store = place.open().await.expect("opens again");
    assert_eq!(store.append(&batch([block(99)])).await.expect("writes"), [Appended::New(11)]);
}

async fn pruned_events(place: impl Place) {
    let store = place.open().await.expect("opens");
    store.append(&batch([block(1), block(2)])).await.expect("writes");
    store.prune(2).await.expect("prunes");
    assert!(store.find(Lookup::Identity(block(1).identity)).await.expect("reads").is_empty());
    let appended = store.append(&batch([block(1), block(2)])).await.expect("writes");
    assert_eq!(appended, [Appended::New(3), Appended::Duplicate]);
    let greatest = store.find(Lookup::GreatestBlock).await.expect("reads");
    assert_eq!(ids(&greatest), [2]);
}

async fn dropped_appends(place: impl Place) {
    let store = place.open().await.expect("opens");
    let mut count = 0;
    for round in 0..40 {
        let size = if round % 2 == 0 { 3 } else { 200 };
        let events: Vec<_> = (0..size).map(|number| signature(&format!("{round}"), number)).collect();
        let lost = batch(events.clone());
        if round < 4 {
            // Not even begun, or just begun.
            let _ = store.append(&lost).now_or_never();
        } else {
            let _ = tokio::time::timeout(Duration::from_micros(round * 100), store.append(&lost)).await;
        }
        count += size;
        let appended = store.append(&batch(events)).await.expect("a dropped append does no harm");
        let new = is_new(&appended);
        assert!(new.iter().all(|each| *each == new[0]), "all or none of a batch is durable: {new:?}");
        let state = store.state().await.expect("reads");
        assert_eq!(state.head, count, "each event has one id");
    }
}
