//! Emitting: events in any shape, under any id.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Emitted, Node, Spelling, State,
    builder::Config,
    process::{Delivery, Entry},
};
use crate::event::{Event, Filter};

/// Emitting.
impl Node {
    /// Sends an event under the next id of the counter, which it returns.
    ///
    /// On a node that is down nothing happens, as on a real one: the event is lost to this node's clients, and
    /// the id returned is the one that the counter still stands at. Ask [`Node::is_up`] where that matters.
    pub fn emit(&self, event: impl Into<Event>) -> u32 {
        self.emit_as(event, Delivery::Whole)
    }

    /// Sends many events in one go: cheaper than one by one.
    pub fn emit_all(&self, events: impl IntoIterator<Item = Event>) {
        let mut state = self.inner.state();
        if !state.up {
            return;
        }
        let entries: Vec<Entry> = events
            .into_iter()
            .map(|event| {
                let id = state.take_id();
                state.record(&self.inner.config, Some(id), &event, Delivery::Whole)
            })
            .collect();
        state.process.append(entries);
    }

    /// Sends an event in pieces of `bytes` bytes with a pause after each to everybody who is connected.
    pub fn emit_slowly(&self, event: impl Into<Event>, bytes: usize, pause: Duration) -> u32 {
        self.emit_as(event, Delivery::Slow(bytes, pause))
    }

    /// Sends the first `bytes` bytes of an event's wire form to everybody who is connected to its filter, then
    /// breaks these connections off. The event is in the ring: who asks again gets it whole.
    pub fn emit_cut(&self, event: impl Into<Event>, bytes: usize) -> u32 {
        self.emit_as(event, Delivery::Cut(bytes))
    }

    /// Sends an event in another legal spelling of SSE. The ring keeps it so.
    pub fn emit_spelled(&self, event: impl Into<Event>, spelling: Spelling) -> u32 {
        let event = event.into();
        let mut state = self.inner.state();
        if !state.up {
            return state.next_id;
        }
        let id = state.take_id();
        let (wire, data) = spelling.encode(event.data(), Some(id));
        state.remember(&self.inner.config, Some(id), event.filter(), data);
        let entry = Entry { id: Some(id), filter: Some(event.filter()), wire, delivery: Delivery::Whole };
        state.process.append([entry]);
        id
    }

    fn emit_as(&self, event: impl Into<Event>, delivery: Delivery) -> u32 {
        let event = event.into();
        let mut state = self.inner.state();
        if !state.up {
            return state.next_id;
        }
        let id = state.take_id();
        let entry = state.record(&self.inner.config, Some(id), &event, delivery);
        state.process.append([entry]);
        id
    }

    /// Sends an event under an id of your choice, such as one that was used before. The counter does not move.
    pub fn emit_with_id(&self, event: impl Into<Event>, id: u32) {
        self.emit_odd(event, Some(id));
    }

    /// Sends an event without an id. It is not replayed.
    pub fn emit_without_id(&self, event: impl Into<Event>) {
        self.emit_odd(event, None);
    }

    fn emit_odd(&self, event: impl Into<Event>, id: Option<u32>) {
        let mut state = self.inner.state();
        if state.up {
            let entry = state.record(&self.inner.config, id, &event.into(), Delivery::Whole);
            state.process.append([entry]);
        }
    }

    /// Writes bytes as they are to everybody who is connected to the filter: other spellings of SSE, nonsense,
    /// whatever. They have no id and are not replayed.
    pub fn write_raw(&self, filter: Filter, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        let mut state = self.inner.state();
        if state.up {
            state.remember(&self.inner.config, None, filter, bytes.clone());
            let entry = Entry { id: None, filter: Some(filter), wire: bytes, delivery: Delivery::Whole };
            state.process.append([entry]);
        }
    }

    /// Leaves `count` ids out: a hole, which to a reader looks like loss.
    pub fn skip_ids(&self, count: u32) {
        let mut state = self.inner.state();
        state.next_id = state.next_id.wrapping_add(count);
    }

    /// Sets the counter: the next event gets this id. Of a node that is down it is the saved counter that is set, to
    /// which a later crash falls back.
    pub fn set_id(&self, id: u32) {
        let mut state = self.inner.state();
        state.next_id = id;
        if !state.up {
            state.saved_id = id;
        }
    }

    /// The id that the next event gets.
    pub fn next_id(&self) -> u32 {
        self.inner.state().next_id
    }

    /// Everything sent so far, in order: the last 100,000 events unless [`Builder::history`](crate::Builder::history) said otherwise.
    pub fn emitted(&self) -> Vec<Emitted> {
        self.inner.state().emitted.iter().cloned().collect()
    }

    /// How many events [`Node::emitted`] no longer has.
    pub fn forgotten(&self) -> u64 {
        self.inner.state().forgotten
    }

    /// Waits until the slowest subscriber is less than one ring behind, if the node holds back for laggards
    /// ([`Laggards::HoldBack`](crate::Laggards::HoldBack)); returns at once otherwise. Cancel safe.
    pub async fn room(&self) {
        let process = self.inner.state().process.clone();
        process.room().await;
    }
}

impl State {
    /// Writes one event on the wire with the id given, and keeps it as truth.
    fn record(&mut self, config: &Config, id: Option<u32>, event: &Event, delivery: Delivery) -> Entry {
        let wire = encode(event.data(), id);
        let data = wire.slice(5..5 + event.data().len());
        if data.starts_with(b"{\"BlockAdded\"") {
            self.last_block = Some(data.clone());
        }
        self.remember(config, id, event.filter(), data);
        Entry { id, filter: Some(event.filter()), wire, delivery }
    }

    pub(super) fn remember(&mut self, config: &Config, id: Option<u32>, filter: Filter, data: Bytes) {
        if self.emitted.len() == config.history {
            self.forgotten += 1;
            if self.emitted.pop_front().is_none() {
                return;
            }
        }
        self.emitted.push_back(Emitted { id, filter, data, run: self.run });
    }

    pub(super) fn take_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        id
    }
}

/// The bytes of one event: no space after the colons, `id` after `data`, as a real node writes it.
pub(super) fn encode(data: &[u8], id: Option<u32>) -> Bytes {
    use std::io::Write as _;
    let mut wire = Vec::with_capacity(data.len() + 24);
    wire.extend_from_slice(b"data:");
    wire.extend_from_slice(data);
    match id {
        Some(id) => {
            let _infallible = write!(wire, "\nid:{id}\n\n");
        }
        None => wire.extend_from_slice(b"\n\n"),
    }
    Bytes::from(wire)
}
