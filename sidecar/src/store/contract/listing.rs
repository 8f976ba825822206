//! Listings by kind and order, and who sent the entries.

use super::{Place, arrival, batch, block, event, ids, on_every_store, signature};
use crate::event::{Channel, Event, Kind};
use crate::store::{Arrival, Batch, Listing, Order, PAGE_BYTES, PAGE_ENTRIES, Store};

on_every_store!(
    super::kinds_and_orders as a_listing_shows_one_kind_or_all_but_shutdowns_in_either_order,
    super::limits as listings_end_at_their_limits,
    super::senders as senders_keep_their_order,
);

/// All that a listing shows, in steps of this many.
async fn walk(store: &impl Store, kind: Option<Kind>, order: Order, from: u64, limit: usize) -> Vec<u64> {
    let mut walked = Vec::new();
    let mut next = Some(from);
    while let Some(from) = next {
        let listed = store.list(Listing { kind, from, order, limit }).await.expect("reads");
        assert!(listed.entries.len() <= limit);
        assert!(listed.next.is_none() || listed.entries.len() == limit, "a listing is full or at its end");
        walked.extend(ids(&listed.entries));
        next = listed.next;
    }
    walked
}

async fn kinds_and_orders(place: impl Place) {
    let store = place.open().await.expect("opens");
    let of_kind = |number: usize| -> Event {
        let kind = Kind::ALL[number * 7 % Kind::ALL.len()];
        let channel = kind.channel(crate::event::Filter::ALL[number % 3]);
        event(kind, channel, &number.to_string(), &[], "{}")
    };
    let events: Vec<_> = (0..60).map(of_kind).collect();
    store.append(&batch(events.clone())).await.expect("writes");
    store.prune(4).await.expect("prunes");
    for kind in Kind::ALL.map(Some).into_iter().chain([None]) {
        let shown: Vec<u64> = (1..)
            .zip(&events)
            .filter(|(id, event)| *id >= 4 && kind.is_none_or(|kind| kind == event.kind))
            .filter(|(_, event)| event.kind != Kind::Shutdown)
            .map(|(id, _)| id)
            .collect();
        for (from, limit) in [(0, 1), (1, 7), (17, 3), (60, 100), (61, 1), (u64::MAX, 5)] {
            let rising: Vec<_> = shown.iter().copied().filter(|id| *id >= from).collect();
            assert_eq!(walk(&store, kind, Order::OldestFirst, from, limit).await, rising, "{kind:?} {from}");
            let falling: Vec<_> = shown.iter().copied().rev().filter(|id| *id <= from).collect();
            assert_eq!(walk(&store, kind, Order::NewestFirst, from, limit).await, falling, "{kind:?} {from}");
        }
    }
}

async fn limits(place: impl Place) {
    let store = place.open().await.expect("opens");
    store.append(&batch((0..=PAGE_ENTRIES as u64).map(block))).await.expect("writes");
    let asked = Listing { kind: None, from: 1, order: Order::OldestFirst, limit: usize::MAX };
    let listed = store.list(asked).await.expect("reads");
    assert_eq!((listed.entries.len(), listed.next), (PAGE_ENTRIES, Some(PAGE_ENTRIES as u64 + 1)));

    let json = "x".repeat(PAGE_BYTES / 5 - 1);
    let some = (0..7).map(|number| event(Kind::Step, Channel::Main, &number.to_string(), &[], &json));
    store.append(&batch(some)).await.expect("writes");
    let first = PAGE_ENTRIES as u64 + 2;
    let listed = store.list(Listing { from: first, ..asked }).await.expect("reads");
    assert_eq!(
        ids(&listed.entries),
        (first..first + 6).collect::<Vec<_>>(),
        "the sixth brings it to the limit"
    );
    assert_eq!(listed.next, Some(first + 6));
}

async fn senders(place: impl Place) {
    let store = place.open().await.expect("opens");
    assert!(store.senders().await.expect("reads").is_empty());
    for (number, node) in ["b:1", "a:1", "b:1", "sidecar", "c:1"].into_iter().enumerate() {
        let arrival = Arrival { node: node.into(), ..arrival(signature("x", number as u64)) };
        store.append(&Batch { arrivals: vec![arrival], ..Batch::default() }).await.expect("writes");
    }
    drop(store);
    let store = place.open().await.expect("opens again");
    let senders = store.senders().await.expect("reads");
    assert_eq!(senders.iter().map(|name| &**name).collect::<Vec<_>>(), ["b:1", "a:1", "sidecar", "c:1"]);
}
