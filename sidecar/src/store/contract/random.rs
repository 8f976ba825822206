//! Random operations on each store, against the most naive log there can be.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::place::{Database, Folder, Place, Shown};
use super::{event, json_of, of, shown, version};
use crate::event::{Channel, Endpoint, EntryId, Event, Filter, Identity, Key, Kind};
use crate::store::model::{Disk, Fault};
use crate::store::{
    Appended, Arrival, Batch, Body, Cursor, InForce, LARGE, Lookup, PAGE_BYTES, PAGE_ENTRIES, State, Store,
};

/// How many different events there are: few, so that most operations meet what is there already.
const EVENTS: u8 = 40;

#[derive(Debug, Clone)]
enum Operation {
    Append(Step),
    /// As `Append`, but the future is dropped after these microseconds; then the same again.
    AppendDropped(Step, u64),
    Page(usize, u64),
    Find(u8, u8),
    Slice(u8, u32, u32),
    Prune(u64),
    /// Opens again, after a close or after none, as after a crash.
    Reopen(bool),
}

#[derive(Debug, Clone)]
struct Step {
    events: Vec<u8>,
    cursor: Option<(u8, usize, u32)>,
    in_force: Option<u8>,
}

fn operation() -> impl Strategy<Value = Operation> {
    let step = (
        vec(0..EVENTS, 0..25),
        proptest::option::of((0..3u8, 0..3usize, any::<u32>())),
        proptest::option::weighted(0.1, 0..3u8),
    )
        .prop_map(|(events, cursor, in_force)| Step { events, cursor, in_force });
    prop_oneof![
        6 => step.clone().prop_map(Operation::Append),
        2 => (step, 0..2000u64).prop_map(|(step, after)| Operation::AppendDropped(step, after)),
        4 => (0..6usize, 0..120u64).prop_map(|(endpoint, from)| Operation::Page(endpoint, from)),
        3 => (0..6u8, 0..EVENTS).prop_map(|(lookup, number)| Operation::Find(lookup, number)),
        2 => (0..120u8, 0..80_000u32, 0..80_000u32).prop_map(|(id, from, len)| Operation::Slice(id, from, len)),
        1 => (0..120u64).prop_map(Operation::Prune),
        1 => any::<bool>().prop_map(Operation::Reopen),
    ]
}

/// The event with this number. What is a block has its height as its first key.
fn numbered(number: u8) -> Event {
    let kind = Kind::ALL[usize::from(number) % Kind::ALL.len()];
    let channel = Channel::ALL[usize::from(number / 9 + number) % Channel::ALL.len()];
    let group = u64::from(number % 5);
    let keys = match kind {
        Kind::BlockAdded => vec![height(number)],
        Kind::Fault => vec![Key::faulty_validator(&group.to_string()), Key::faulty_era(group)],
        Kind::FinalitySignature => vec![Key::signed_block(&group.to_string())],
        Kind::DeployAccepted
        | Kind::DeployProcessed
        | Kind::DeployExpired
        | Kind::Step
        | Kind::Shutdown
        | Kind::Unknown => vec![],
    };
    let len = if number % 13 == 1 { LARGE + 4000 } else { usize::from(number) * 40 };
    let json = format!("{{\"{kind}\":{number},\"x\":\"{}\"}}", "x".repeat(len));
    event(kind, channel, &number.to_string(), &keys, &json)
}

/// Heights fall while numbers rise.
fn height(number: u8) -> Key {
    Key::block_height(u64::from(EVENTS - number))
}

fn arrival(number: u8) -> Arrival {
    Arrival {
        event: numbered(number),
        version: (!number.is_multiple_of(7)).then(|| version(&format!("1.5.{}", number % 3))),
        node: format!("node{}:9999", number % 4).into(),
        received_at: u64::from(number) << 30,
    }
}

fn batch(step: &Step) -> Batch {
    let cursor = |(node, filter, id): (u8, usize, u32)| Cursor {
        node: format!("node{node}:9999").into(),
        filter: Filter::ALL[filter],
        id,
        fingerprint: Identity::of(Kind::Step, &[&id.to_string()]),
        run: id / 3,
        resume: id / 2,
    };
    Batch {
        arrivals: step.events.iter().map(|number| arrival(*number)).collect(),
        cursors: step.cursor.map(cursor).into_iter().collect(),
        in_force: step.in_force.map(|number| InForce {
            version: version(&format!("1.5.{number}")),
            node: format!("node{number}:9999").into(),
        }),
        chain: None,
    }
}

/// The log as a list that is searched from one end to the other.
#[derive(Default)]
struct Naive {
    head: EntryId,
    list: Vec<(EntryId, Arrival)>,
    cursors: Vec<Cursor>,
    in_force: Option<InForce>,
}

impl Naive {
    fn append(&mut self, batch: &Batch) -> Vec<Appended> {
        let appended = batch.arrivals.iter().map(|arrival| {
            if self.list.iter().any(|(_, held)| held.event.identity == arrival.event.identity) {
                return Appended::Duplicate;
            }
            self.head += 1;
            self.list.push((self.head, arrival.clone()));
            Appended::New(self.head)
        });
        let appended = appended.collect();
        for cursor in &batch.cursors {
            self.cursors.retain(|held| (&held.node, held.filter) != (&cursor.node, cursor.filter));
            self.cursors.push(cursor.clone());
            self.cursors.sort_by_key(|cursor| (cursor.node.to_string(), cursor.filter as u8));
        }
        self.in_force = batch.in_force.clone().or(self.in_force.take());
        appended
    }

    fn state(&self) -> State {
        State {
            head: self.head,
            oldest: self.list.first().map_or(self.head + 1, |(id, _)| *id),
            cursors: self.cursors.clone(),
            in_force: self.in_force.clone(),
            chain: None,
        }
    }

    fn find(&self, lookup: Lookup) -> Vec<Shown> {
        let found: Vec<_> = match lookup {
            Lookup::GreatestBlock => {
                let blocks = self.list.iter().filter(|(_, held)| held.event.kind == Kind::BlockAdded);
                blocks.max_by_key(|(_, held)| held.event.keys[0]).into_iter().collect()
            }
            Lookup::Identity(identity) => {
                self.list.iter().filter(|(_, held)| held.event.identity == identity).collect()
            }
            Lookup::Identities(some) => {
                self.list.iter().filter(|(_, held)| some.contains(&held.event.identity)).collect()
            }
            Lookup::Key(key) => self.list.iter().filter(|(_, held)| held.event.keys.contains(&key)).collect(),
            Lookup::Id(id) => self.list.iter().filter(|(held, _)| *held == id).collect(),
        };
        found.into_iter().map(|(id, held)| of(*id, held)).collect()
    }
}

/// A store and the log that it must be like.
struct Pair<P: Place> {
    place: P,
    store: Option<P::Store>,
    naive: Naive,
}

impl<P: Place> Pair<P> {
    async fn new(place: P) -> Self {
        let store = place.open().await.expect("opens");
        Self { place, store: Some(store), naive: Naive::default() }
    }

    fn store(&self) -> &P::Store {
        self.store.as_ref().expect("it is only absent while it is opened again")
    }

    async fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Append(step) => {
                let batch = batch(step);
                let appended = self.store().append(&batch).await.expect("writes");
                assert_eq!(appended, self.naive.append(&batch));
            }
            Operation::AppendDropped(step, after) => {
                let batch = batch(step);
                let after = Duration::from_micros(*after);
                let _ = tokio::time::timeout(after, self.store().append(&batch)).await;
                let appended = self.store().append(&batch).await.expect("writes");
                let expected = self.naive.append(&batch);
                let duplicates = vec![Appended::Duplicate; expected.len()];
                assert!(appended == expected || appended == duplicates, "{appended:?}, not {expected:?}");
            }
            Operation::Page(endpoint, from) => {
                self.check_page(Endpoint::ALL.get(*endpoint).copied(), *from).await
            }
            Operation::Find(lookup, number) => {
                let lookup = match lookup {
                    0 => Lookup::Identity(numbered(*number).identity),
                    1 => Lookup::GreatestBlock,
                    2 => Lookup::Key(height(*number)),
                    3 => Lookup::Key(Key::faulty_era(u64::from(number % 5))),
                    4 => Lookup::Key(Key::signed_block(&(number % 5).to_string())),
                    _ => Lookup::Id(EntryId::from(*number)),
                };
                let found = self.store().find(lookup).await.expect("reads");
                assert_eq!(
                    found.iter().map(shown).collect::<Vec<_>>(),
                    self.naive.find(lookup),
                    "{lookup:?}"
                );
            }
            Operation::Slice(id, offset, length) => {
                let id = EntryId::from(*id);
                let slice = self.store().slice(id, (*offset).into(), *length as usize).await.ok();
                let held = self.naive.list.iter().find(|(held, _)| *held == id);
                let expected = held.map(|(_, arrival)| {
                    let json = arrival.event.payload.bytes();
                    let start = json.len().min(*offset as usize);
                    &json[start..json.len().min(start + *length as usize)]
                });
                assert!(slice.as_deref() == expected, "{slice:?}");
            }
            Operation::Prune(before) => {
                let pruned = self.store().prune(*before).await.expect("prunes");
                let count = self.naive.list.len();
                self.naive.list.retain(|(id, _)| id >= before);
                assert_eq!(pruned, (count - self.naive.list.len()) as u64);
            }
            Operation::Reopen(clean) => {
                if *clean {
                    self.store().close().await;
                }
                self.store = None;
                self.store = Some(self.place.open().await.expect("opens again"));
            }
        }
        assert_eq!(self.store().state().await.expect("reads"), self.naive.state());
    }

    async fn check_page(&self, endpoint: Option<Endpoint>, from: EntryId) {
        let page = self.store().page(endpoint, from).await.expect("reads");
        let shows = |arrival: &Arrival| {
            endpoint.is_none_or(|endpoint| endpoint.shows(arrival.event.channel, arrival.event.kind))
        };
        let within = |id: &EntryId| *id >= from && *id < page.next;
        let expected = self.naive.list.iter().filter(|(id, held)| within(id) && shows(held));
        let expected: Vec<_> = expected.map(|(id, held)| of(*id, held)).collect();
        assert_eq!(page.entries.iter().map(shown).collect::<Vec<_>>(), expected);
        let bytes: u64 =
            page.entries.iter().filter(|e| matches!(e.body, Body::Whole(_))).map(|e| e.body.len()).sum();
        let full = page.entries.len() == PAGE_ENTRIES || bytes >= PAGE_BYTES as u64;
        assert!(
            full || page.next == from.max(self.naive.head + 1),
            "a page that is not full goes to the end"
        );
        for entry in &page.entries {
            let (_, held) = self.naive.list.iter().find(|(id, _)| *id == entry.id).expect("compared above");
            assert!(json_of(self.store(), entry).await == held.event.payload.json());
        }
    }
}

fn run<F: Future<Output = ()>>(future: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn sqlite_is_like_a_naive_log(operations in vec(operation(), 1..30)) {
        run(async {
            let mut pair = Pair::new(Folder::new()).await;
            for operation in &operations {
                pair.apply(operation).await;
            }
            pair.check_page(None, 0).await;
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn postgres_is_like_a_naive_log(operations in vec(operation(), 1..30)) {
        run(async {
            let Some(place) = Database::new().await else { return };
            let mut pair = Pair::new(place).await;
            for operation in &operations {
                pair.apply(operation).await;
            }
            pair.check_page(None, 0).await;
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_model_is_like_a_naive_log(operations in vec(operation(), 1..30)) {
        run(async {
            let mut pair = Pair::new(Disk::new()).await;
            for operation in &operations {
                pair.apply(operation).await;
            }
            pair.check_page(None, 0).await;
        });
    }

    /// Whatever fails, to append again until it succeeds gives each event one place.
    #[test]
    fn batches_that_are_retried_take_one_place(
        steps in vec((vec(0..EVENTS, 1..10), proptest::option::of(any::<bool>())), 1..20)
    ) {
        run(async {
            let disk = Disk::new();
            let store = disk.open().await.expect("opens");
            let mut naive = Naive::default();
            for (events, fault) in steps {
                let batch = batch(&Step { events, cursor: None, in_force: None });
                if let Some(durable) = fault {
                    disk.fail_next(2, if durable { Fault::FailAfterCommit } else { Fault::Fail });
                }
                while store.append(&batch).await.is_err() {}
                naive.append(&batch);
                check_same(&store, &naive).await;
            }
        });
    }
}

async fn check_same(store: &impl Store, naive: &Naive) {
    assert_eq!(store.state().await.expect("reads"), naive.state());
    let page = store.page(None, 0).await.expect("reads");
    let expected: Vec<_> = naive.list.iter().map(|(id, held)| of(*id, held)).collect();
    assert_eq!(page.entries.iter().map(shown).collect::<Vec<_>>(), expected);
}
