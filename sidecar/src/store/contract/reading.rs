//! Pages, slices, look-ups.

use super::{
    Place, arrival, batch, block, event, ids, json_of, of, on_every_store, shown, signature, version,
};
use crate::event::{Channel, Endpoint, EntryId, Event, Identity, Key, Kind};
use crate::store::{Arrival, Batch, Body, LARGE, Lookup, PAGE_BYTES, PAGE_ENTRIES, Store, StoreError};

on_every_store!(
    super::what_was_stored as everything_of_an_entry_is_read_back,
    super::endpoints as each_endpoint_shows_its_entries,
    super::sparse_channels as pages_of_a_sparse_endpoint_pass_over_the_rest,
    super::limits as pages_end_at_their_limits,
    super::large_bodies as large_bodies_are_read_in_slices,
    super::limit_of_large as a_body_at_the_limit_is_whole,
    super::missing_entries as slices_of_missing_entries_are_refused,
    super::look_ups as entries_are_found_by_identity_key_and_id,
    super::greatest_block as the_greatest_block_is_so_by_height,
    super::whole_batches as a_reader_sees_whole_batches_only,
);

async fn what_was_stored(place: impl Place) {
    let store = place.open().await.expect("opens");
    let own = event(Kind::Shutdown, Channel::Sidecar, "1", &[], "\"Shutdown\"");
    let spaced = r#"{"ApiVersion" : "1.5.9"}"#;
    let mut arrivals = vec![
        Arrival { version: None, node: "sidecar".into(), received_at: 0, ..arrival(own) },
        arrival(event(Kind::Step, Channel::Main, "ü", &[], "{\"Step\":\n \"über\"}")),
        Arrival { version: Some(version("1.5.9")), node: "n2:1".into(), ..arrival(block(1)) },
    ];
    let same = crate::event::ApiVersion::new(spaced, "1.5.9").expect("a version");
    arrivals.push(Arrival { version: Some(same), received_at: u64::MAX >> 1, ..arrival(block(2)) });
    for (number, kind) in (0..).zip(Kind::ALL) {
        for channel in Channel::ALL {
            arrivals.push(arrival(event(kind, channel, "x", &[], &format!("{{\"{kind}\":{number}}}"))));
        }
    }
    store.append(&Batch { arrivals: arrivals.clone(), ..Batch::default() }).await.expect("writes");
    let page = store.page(None, 0).await.expect("reads");
    let expected: Vec<_> = (1..).zip(&arrivals).map(|(id, arrival)| of(id, arrival)).collect();
    assert_eq!(page.entries.iter().map(shown).collect::<Vec<_>>(), expected);
}

/// All ids that an endpoint shows, page by page.
async fn walk(store: &impl Store, endpoint: Option<Endpoint>, head: EntryId) -> Vec<EntryId> {
    let (mut from, mut walked) = (0, Vec::new());
    while from <= head {
        let page = store.page(endpoint, from).await.expect("reads");
        assert!(page.next > from, "a page leads on");
        assert!(ids(&page.entries).iter().all(|id| (from..page.next).contains(id)));
        walked.extend(ids(&page.entries));
        from = page.next;
    }
    assert_eq!(store.page(endpoint, head + 1).await.expect("reads").next, head + 1);
    let beyond = store.page(endpoint, head + 100).await.expect("reads");
    assert_eq!((beyond.entries.len(), beyond.next), (0, head + 100));
    walked
}

async fn endpoints(place: impl Place) {
    let store = place.open().await.expect("opens");
    let all = Kind::ALL.into_iter().flat_map(|kind| Channel::ALL.map(|channel| (kind, channel)));
    let all: Vec<_> = all.collect();
    let events = all.iter().map(|(kind, channel)| event(*kind, *channel, "x", &[], "{}"));
    store.append(&batch(events)).await.expect("writes");
    let head = all.len() as u64;
    for endpoint in Endpoint::ALL {
        let shows = (1..).zip(&all).filter(|(_, (kind, channel))| endpoint.shows(*channel, *kind));
        let expected: Vec<_> = shows.map(|(id, _)| id).collect();
        assert_eq!(walk(&store, Some(endpoint), head).await, expected, "{endpoint}");
    }
    assert_eq!(walk(&store, None, head).await, (1..=head).collect::<Vec<_>>());
}

async fn sparse_channels(place: impl Place) {
    let store = place.open().await.expect("opens");
    let events =
        (0..3000).map(|number| if number % 1000 == 500 { block(number) } else { signature("a", number) });
    store.append(&batch(events)).await.expect("writes");
    let page = store.page(Some(Endpoint::Main), 1).await.expect("reads");
    assert_eq!((ids(&page.entries), page.next), (vec![501, 1501, 2501], 3001));
    assert_eq!(walk(&store, Some(Endpoint::Sigs), 3000).await.len(), 2997);
    assert!(walk(&store, Some(Endpoint::Deploys), 3000).await.is_empty());
}

async fn limits(place: impl Place) {
    let store = place.open().await.expect("opens");
    let small = (0..=PAGE_ENTRIES as u64).map(block);
    store.append(&batch(small)).await.expect("writes");
    let page = store.page(Some(Endpoint::Main), 1).await.expect("reads");
    assert_eq!((page.entries.len(), page.next), (PAGE_ENTRIES, PAGE_ENTRIES as u64 + 1));

    let json = "x".repeat(PAGE_BYTES / 5 - 1);
    let some = (0..20).map(|number| event(Kind::Step, Channel::Deploys, &number.to_string(), &[], &json));
    store.append(&batch(some)).await.expect("writes");
    let page = store.page(Some(Endpoint::Deploys), 1).await.expect("reads");
    assert_eq!(page.entries.len(), 6, "it ends with the entry that brings it to the limit");
    assert_eq!(page.next, page.entries[5].id + 1);
    let walked = walk(&store, Some(Endpoint::Deploys), PAGE_ENTRIES as u64 + 21).await;
    assert_eq!(walked.len(), 20);
}

fn step(era: u64, len: usize) -> Event {
    let mut json = format!(r#"{{"Step":{{"era_id":{era},"x":"#);
    let mut number = era;
    while json.len() < len {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        json.push_str(&number.to_string());
    }
    json.truncate(len - 2);
    json.push_str("}}");
    event(Kind::Step, Channel::Main, &era.to_string(), &[], &json)
}

async fn large_bodies(place: impl Place) {
    const LEN: usize = 30 << 20;
    let store = place.open().await.expect("opens");
    let large = step(1, LEN);
    store.append(&batch([block(1), large.clone(), block(2)])).await.expect("writes");
    let page = store.page(None, 1).await.expect("reads");
    assert_eq!(ids(&page.entries), [1, 2, 3]);
    assert!(matches!(page.entries[1].body, Body::Large { len } if len == LEN as u64));
    let json = large.payload.bytes();
    let part = LARGE as u64;
    for (offset, length) in [
        (0, 1),
        (0, LARGE),
        (1, LARGE),
        (part - 1, 2),
        (part, 10),
        (part * 3, LARGE * 2),
        (part * 3 + 7, LARGE * 2 + 9),
        (0, 0),
        (5, 0),
        (LEN as u64 - 3, 100),
        (LEN as u64, 1),
        (LEN as u64 + part, 1),
        (u64::MAX, usize::MAX),
    ] {
        let slice = store.slice(2, offset, length).await.expect("reads");
        let start = usize::try_from(offset).expect("64 bits").min(LEN);
        let expected = &json[start..start.saturating_add(length).min(LEN)];
        assert!(slice == expected, "{offset}, {length}: {} of {} bytes", slice.len(), expected.len());
    }
    assert!(json_of(&store, &page.entries[1]).await.as_bytes() == json, "the whole is what was put in");
    let found = store.find(Lookup::Identity(large.identity)).await.expect("reads");
    assert!(matches!(found[0].body, Body::Large { len } if len == LEN as u64));
    assert!(store.size().await.expect("reads") >= LEN as u64);
    assert_eq!(store.prune(3).await.expect("prunes"), 2);
    assert!(store.slice(2, 0, 1).await.is_err());
}

async fn limit_of_large(place: impl Place) {
    let store = place.open().await.expect("opens");
    let whole = step(1, LARGE);
    store.append(&batch([whole.clone(), step(2, LARGE + 1)])).await.expect("writes");
    let page = store.page(None, 1).await.expect("reads");
    assert!(matches!(&page.entries[0].body, Body::Whole(payload) if payload.json() == whole.payload.json()));
    assert!(matches!(page.entries[1].body, Body::Large { len } if len == LARGE as u64 + 1));
    let slice = store.slice(1, 10, 20).await.expect("a small body can be read in slices, too");
    assert_eq!(slice, whole.payload.bytes()[10..30]);
    assert_eq!(store.slice(1, LARGE as u64 + 5, 20).await.expect("reads"), "");
}

async fn missing_entries(place: impl Place) {
    let store = place.open().await.expect("opens");
    store.append(&batch([block(1)])).await.expect("writes");
    let error = store.slice(2, 0, 1).await.expect_err("there is no such entry");
    assert!(matches!(error, StoreError::Corrupt { id: 2, .. }), "{error:?}");
}

async fn look_ups(place: impl Place) {
    let store = place.open().await.expect("opens");
    let validator = [Key::faulty_validator("v1"), Key::faulty_validator("v2")];
    let fault = |era: u64, who: usize| {
        let name = format!("{era}-{who}");
        let keys = [validator[who], Key::faulty_era(era)];
        event(Kind::Fault, Channel::Main, &name, &keys, &format!("{{\"Fault\":{era}}}"))
    };
    let first = batch([signature("b", 1), fault(1, 0), signature("a", 1), fault(1, 1)]);
    store.append(&first).await.expect("writes");
    let second = batch([fault(2, 0), signature("b", 2), block(5)]);
    store.append(&second).await.expect("writes");

    let find = async |lookup| ids(&store.find(lookup).await.expect("reads"));
    assert_eq!(find(Lookup::Key(Key::signed_block("B"))).await, [1, 6]);
    assert!(find(Lookup::Key(Key::signed_block("c"))).await.is_empty());
    assert_eq!(find(Lookup::Key(validator[0])).await, [2, 5]);
    assert_eq!(find(Lookup::Key(validator[1])).await, [4]);
    assert_eq!(find(Lookup::Key(Key::faulty_era(1))).await, [2, 4]);
    assert_eq!(find(Lookup::Key(Key::faulty_era(2))).await, [5]);
    assert_eq!(find(Lookup::Key(Key::block_height(5))).await, [7]);
    assert_eq!(find(Lookup::Identity(fault(1, 1).identity)).await, [4]);
    assert!(find(Lookup::Identity(Identity([0; 16]))).await.is_empty());
    let some = [fault(2, 0).identity, Identity([0; 16]), fault(1, 1).identity];
    assert_eq!(find(Lookup::Identities(some)).await, [4, 5]);
    assert_eq!(find(Lookup::Id(3)).await, [3]);
    assert!(find(Lookup::Id(0)).await.is_empty());
    assert!(find(Lookup::Id(8)).await.is_empty());
    assert!(find(Lookup::Id(u64::MAX)).await.is_empty());
    let found = store.find(Lookup::Id(5)).await.expect("reads");
    assert_eq!(shown(&found[0]), of(5, &second.arrivals[0]));

    store.prune(5).await.expect("prunes");
    assert_eq!(find(Lookup::Key(validator[0])).await, [5]);
    assert!(find(Lookup::Key(Key::faulty_era(1))).await.is_empty());
    assert_eq!(find(Lookup::Key(Key::signed_block("b"))).await, [6]);
}

async fn greatest_block(place: impl Place) {
    let store = place.open().await.expect("opens");
    assert_eq!(store.find(Lookup::GreatestBlock).await.expect("reads").len(), 0);
    for height in [7, 300, 2] {
        store.append(&batch([block(height), signature("z", height)])).await.expect("writes");
    }
    assert_eq!(ids(&store.find(Lookup::GreatestBlock).await.expect("reads")), [3]);
    store.append(&batch([block(1 << 63)])).await.expect("writes");
    assert_eq!(ids(&store.find(Lookup::GreatestBlock).await.expect("reads")), [7]);
}

async fn whole_batches(place: impl Place) {
    let store = place.open().await.expect("opens");
    let size = 400;
    let writing = async {
        for round in 0..10 {
            let events = (0..size).map(|number| signature(&round.to_string(), number));
            store.append(&batch(events)).await.expect("writes");
        }
    };
    let reading = async {
        let mut reads = 0;
        loop {
            let head = store.state().await.expect("reads").head;
            assert_eq!(head % size, 0, "a part of a batch is seen");
            // No more than one page, so that one read is one look at the log.
            let page = store.page(None, (head + 1).max(101) - 100).await.expect("reads");
            let last = page.entries.last().map_or(0, |entry| entry.id);
            assert!(page.entries.len() == PAGE_ENTRIES || last % size == 0, "a part of a batch is seen");
            reads += 1;
            if head == 10 * size {
                return reads;
            }
            tokio::task::yield_now().await;
        }
    };
    let ((), reads) = tokio::join!(writing, reading);
    assert!(reads > 0);
}
