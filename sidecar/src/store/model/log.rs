//! The log itself: what SQL does for the real stores. No I/O, no time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::super::{
    Appended, Arrival, Batch, Body, Cursor, Entry, InForce, LARGE, Listed, Listing, Lookup, Order,
    PAGE_BYTES, PAGE_ENTRIES, Page, State,
};
use crate::event::{Endpoint, EntryId, Filter, Identity, Key, Kind, Payload};

#[derive(Debug, Default)]
pub(super) struct Log {
    head: EntryId,
    entries: BTreeMap<EntryId, Stored>,
    identities: BTreeMap<Identity, EntryId>,
    keys: BTreeSet<(Key, EntryId)>,
    cursors: BTreeMap<(Arc<str>, Filter), Cursor>,
    senders: Vec<Arc<str>>,
    in_force: Option<InForce>,
    chain: Option<Arc<str>>,
    size: u64,
}

/// An entry whose body is `Large` here, whatever its length; its JSON is beside it.
#[derive(Debug)]
struct Stored {
    entry: Entry,
    identity: Identity,
    keys: Vec<Key>,
    json: Bytes,
}

impl Stored {
    fn entry(&self) -> Entry {
        let mut entry = self.entry.clone();
        if self.json.len() <= LARGE {
            let json = str::from_utf8(&self.json).expect("it comes from a payload");
            entry.body = Body::Whole(Payload::new(json));
        }
        entry
    }
}

impl Log {
    pub(super) fn state(&self) -> State {
        State {
            head: self.head,
            oldest: self.entries.keys().next().copied().unwrap_or(self.head + 1),
            cursors: self.cursors.values().cloned().collect(),
            in_force: self.in_force.clone(),
            chain: self.chain.clone(),
        }
    }

    pub(super) fn head(&self) -> EntryId {
        self.head
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        self.entries.values().map(Stored::entry).collect()
    }

    pub(super) fn append(&mut self, batch: &Batch) -> Vec<Appended> {
        let appended = batch.arrivals.iter().map(|arrival| self.append_one(arrival)).collect();
        for cursor in &batch.cursors {
            self.cursors.insert((Arc::clone(&cursor.node), cursor.filter), cursor.clone());
        }
        if let Some(in_force) = &batch.in_force {
            self.in_force = Some(in_force.clone());
        }
        if let Some(chain) = &batch.chain {
            self.chain = Some(Arc::clone(chain));
        }
        appended
    }

    fn append_one(&mut self, arrival: &Arrival) -> Appended {
        let event = &arrival.event;
        if self.identities.contains_key(&event.identity) {
            return Appended::Duplicate;
        }
        self.head += 1;
        let id = self.head;
        if !self.senders.contains(&arrival.node) {
            self.senders.push(Arc::clone(&arrival.node));
        }
        let json = Bytes::copy_from_slice(event.payload.bytes());
        self.size += json.len() as u64;
        self.identities.insert(event.identity, id);
        self.keys.extend(event.keys.iter().map(|key| (*key, id)));
        let entry = Entry {
            id,
            kind: event.kind,
            channel: event.channel,
            version: arrival.version.clone(),
            node: Arc::clone(&arrival.node),
            received_at: arrival.received_at,
            body: Body::Large { len: json.len() as u64 },
        };
        let stored = Stored { entry, identity: event.identity, keys: event.keys.clone(), json };
        self.entries.insert(id, stored);
        Appended::New(id)
    }

    pub(super) fn page(&self, endpoint: Option<Endpoint>, from: EntryId) -> Page {
        let mut entries = Vec::new();
        let mut bytes = 0;
        for stored in self.entries.range(from..).map(|(_, stored)| stored) {
            let Entry { id, channel, kind, .. } = stored.entry;
            if endpoint.is_some_and(|endpoint| !endpoint.shows(channel, kind)) {
                continue;
            }
            let entry = stored.entry();
            if let Body::Whole(payload) = &entry.body {
                bytes += payload.len();
            }
            entries.push(entry);
            if entries.len() == PAGE_ENTRIES || bytes >= PAGE_BYTES {
                return Page { entries, next: id + 1 };
            }
        }
        Page { entries, next: from.max(self.head + 1) }
    }

    pub(super) fn slice(&self, id: EntryId, offset: u64, length: usize) -> Option<Bytes> {
        let json = &self.entries.get(&id)?.json;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(json.len());
        let end = start.saturating_add(length).min(json.len());
        Some(json.slice(start..end))
    }

    pub(super) fn find(&self, lookup: Lookup) -> Vec<Entry> {
        let id = match lookup {
            Lookup::Id(id) => Some(id),
            Lookup::Identity(identity) => self.identities.get(&identity).copied(),
            Lookup::GreatestBlock => {
                let heights = (Key::block_height(0), 0)..=(Key::block_height(u64::MAX), EntryId::MAX);
                self.keys.range(heights).next_back().map(|(_, id)| *id)
            }
            Lookup::Identities(identities) => {
                let ids: BTreeSet<_> =
                    identities.iter().filter_map(|name| self.identities.get(name)).collect();
                return ids.into_iter().filter_map(|id| self.entries.get(id)).map(Stored::entry).collect();
            }
            Lookup::Key(key) => {
                let ids = self.keys.range((key, 0)..=(key, EntryId::MAX)).map(|(_, id)| id);
                return ids.filter_map(|id| self.entries.get(id)).map(Stored::entry).collect();
            }
        };
        id.and_then(|id| self.entries.get(&id)).map(Stored::entry).into_iter().collect()
    }

    pub(super) fn list(&self, listing: Listing) -> Listed {
        let Listing { kind, from, order, limit } = listing;
        let mut rising = self.entries.range(from..);
        let mut falling = self.entries.range(..=from).rev();
        let in_order = std::iter::from_fn(|| match order {
            Order::OldestFirst => rising.next(),
            Order::NewestFirst => falling.next(),
        });
        let shown = in_order.filter(|(_, Stored { entry, .. })| {
            entry.kind != Kind::Shutdown && kind.is_none_or(|kind| kind == entry.kind)
        });
        let mut entries = Vec::new();
        let mut bytes = 0;
        for (id, stored) in shown {
            if entries.len() == limit.min(PAGE_ENTRIES) || bytes >= PAGE_BYTES {
                return Listed { entries, next: Some(*id) };
            }
            let entry = stored.entry();
            if let Body::Whole(payload) = &entry.body {
                bytes += payload.len();
            }
            entries.push(entry);
        }
        Listed { entries, next: None }
    }

    pub(super) fn senders(&self) -> Vec<Arc<str>> {
        self.senders.clone()
    }

    pub(super) fn prune(&mut self, before: EntryId) -> u64 {
        let mut pruned = 0;
        while let Some(oldest) = self.entries.first_entry().filter(|oldest| *oldest.key() < before) {
            let (id, stored) = oldest.remove_entry();
            self.identities.remove(&stored.identity);
            for key in stored.keys {
                self.keys.remove(&(key, id));
            }
            self.size -= stored.json.len() as u64;
            pruned += 1;
        }
        pruned
    }
}
