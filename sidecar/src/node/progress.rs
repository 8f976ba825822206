//! How far a node was seen: from decoded messages to events in their place.
//!
//! Pure but for counting and logging. One filter's [`Continuity`] says whether it goes on where it was left, the
//! node's [`Holes`] say what no filter brought; the cursors that go with the events carry both on.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::{debug, warn};

use super::continuity::{Ask, Continuity, Verdict, is_before};
use super::holes::{Demand, Holes};
use super::sse::Decoded;
use crate::event::{ApiVersion, Cursor, Event, Filter, Identity, Kind, Message, Payload};
use crate::metrics::Metrics;

/// How far each filter of one node was seen.
pub(super) struct Progress {
    node: Arc<str>,
    metrics: Arc<Metrics>,
    tracks: [Continuity; 3],
    /// The highest run of the counter that any filter has seen; `holes` are of it.
    run: u32,
    holes: Holes,
    /// Which filters are to be asked from the lowest hole on, and have not brought anything since.
    again: [bool; 3],
    /// The resume point of each filter as it was told last.
    told: [Option<u32>; 3],
    /// The message that was last looked at does not belong where its filter was left.
    refuted: bool,
}

/// What one filter brought.
#[derive(Default)]
pub(super) struct Taken {
    /// Events in order.
    pub events: Vec<Event>,
    /// The place of the filter after the last of them, and those of other filters that go on from elsewhere now
    /// because a hole was closed.
    pub cursors: Vec<Cursor>,
    /// The version that it announced after them, if it did; what is left is to be taken after it was told.
    pub version: Option<ApiVersion>,
    /// It does not go on where it was left: this connection is to be replaced by one that asks for everything.
    pub ask_everything: bool,
}

impl Progress {
    /// Goes on from the cursors of this node.
    pub(super) fn new(node: Arc<str>, metrics: Arc<Metrics>, cursors: &[Cursor]) -> Self {
        let of = |filter| cursors.iter().find(|cursor| *cursor.node == *node && cursor.filter == filter);
        let run = Filter::ALL.into_iter().filter_map(|filter| of(filter).map(|cursor| cursor.run)).max();
        let present = || Filter::ALL.into_iter().filter_map(of).filter(|cursor| Some(cursor.run) == run);
        // An open hole is still one. Without, whatever is missing below the highest id comes after that of its filter.
        let hole = present().filter(|cursor| cursor.resume != cursor.id).map(|cursor| cursor.resume);
        let highest = || present().map(|cursor| cursor.id).reduce(|a, b| if is_before(a, b) { b } else { a });
        let floor = hole.reduce(|a, b| if is_before(a, b) { a } else { b }).or_else(highest);
        let told = Filter::ALL.map(|filter| of(filter).map(|cursor| cursor.resume));
        let tracks = Filter::ALL.map(|filter| Continuity::new(of(filter)));
        Self {
            run: run.unwrap_or(0),
            tracks,
            holes: Holes::starting_after(floor.map(|floor| floor.wrapping_sub(1)), Instant::now()),
            node,
            metrics,
            again: [false; 3],
            told,
            refuted: false,
        }
    }

    /// A new connection of `filter`: what to ask it for.
    pub(super) fn begin(&mut self, filter: Filter, everything: bool) -> Ask {
        // What was seen last is asked for first, since it proves that ids mean what they meant; for holes before it
        // there is another request, once they have been open for a while.
        let last = self.tracks[filter as usize].last().map(|(id, _)| id);
        let resume = if self.again[filter as usize] { self.resume(filter) } else { last };
        let everything = everything || self.is_of_older_run(filter);
        self.tracks[filter as usize].begin(resume, self.newest(), everything)
    }

    /// Whether the present connection of `filter` has shown that it goes on where it was left.
    pub(super) fn is_proved(&self, filter: Filter) -> bool {
        self.tracks[filter as usize].is_proved()
    }

    /// What is to be done about holes, while all filters are connected.
    pub(super) fn demand(&mut self) -> Demand {
        let demand = self.holes.demand(Instant::now());
        if demand == Demand::AskAgain {
            self.again = [true; 3];
        }
        if let Demand::GiveUp(count) = demand {
            self.metrics.missed(&self.node, count);
            warn!(node = %self.node, count, "the node no longer has these events when asked again: they are lost");
        }
        demand
    }

    /// Time passed in which nothing could be received.
    pub(super) fn forgive(&mut self, time: std::time::Duration) {
        self.holes.forgive(time);
    }

    /// Takes messages of `filter`, from the front, up to the first after which something else is to be done.
    pub(super) fn take(&mut self, filter: Filter, messages: &mut Vec<Decoded>) -> Taken {
        let mut taken = Taken::default();
        let mut count = 0;
        self.refuted = false;
        for message in messages.iter_mut() {
            count += 1;
            match self.message(filter, message) {
                Some(Message::Event(event)) => taken.events.push(event),
                Some(Message::ApiVersion(version)) => {
                    taken.version = Some(version);
                    break;
                }
                None if self.refuted => {
                    taken.ask_everything = true;
                    break;
                }
                None => {}
            }
        }
        messages.drain(..count);
        if !taken.events.is_empty() {
            taken.cursors = self.cursors(filter);
        }
        taken
    }

    /// What is to be taken of one message, if anything.
    fn message(&mut self, filter: Filter, message: &mut Decoded) -> Option<Message> {
        let (payload, id) = match message {
            Decoded::Oversized { len, id } => {
                self.metrics.received(filter, *len);
                self.skipped(
                    filter,
                    *id,
                    "oversized",
                    &format!("{len} bytes are more than max_event_size_in_bytes"),
                );
                // To ask again would bring the same.
                if let Some(id) = *id {
                    self.holes.see(id, Instant::now());
                }
                return None;
            }
            Decoded::Message { data, id } => {
                let data = std::mem::take(data);
                self.metrics.received(filter, data.len() - Payload::HEAD);
                match Payload::checked(data) {
                    Some(payload) => (payload, *id),
                    None => {
                        self.skipped(filter, *id, "malformed", &"not UTF-8");
                        return None;
                    }
                }
            }
        };
        match Message::parse(payload, filter) {
            Ok(Message::Event(event)) => self.event(filter, id, event),
            Ok(version) => Some(version),
            Err(malformed) => {
                // Its id stays unseen: after a while the node is asked for it once more.
                self.skipped(filter, id, "malformed", &malformed);
                None
            }
        }
    }

    fn event(&mut self, filter: Filter, id: Option<u32>, mut event: Event) -> Option<Message> {
        let is_shutdown = event.kind == Kind::Shutdown;
        self.again[filter as usize] = false;
        let track = &mut self.tracks[filter as usize];
        let (fingerprint, run) = (event.identity, self.run);
        let verdict = |id| {
            let place = if is_shutdown { Continuity::observe_last_word } else { Continuity::observe };
            (id, place(track, id, fingerprint, run))
        };
        match id.map(verdict) {
            Some((id, Verdict::Take)) if track.run() < self.run => {
                debug!(node = %self.node, %filter, id, "an event from before the counter was reset");
            }
            Some((id, Verdict::Take)) => self.holes.see(id, Instant::now()),
            Some((id, Verdict::TakeAfterReset)) => {
                debug!(node = %self.node, %filter, id, "the node's id counter was reset");
                if track.run() > self.run {
                    self.run = track.run();
                    self.holes = Holes::starting_after(Some(id), Instant::now());
                } else {
                    // Another filter saw it first: what they bring together has no holes.
                    self.holes.see(id, Instant::now());
                }
            }
            Some((_, Verdict::AskEverything)) => {
                self.refuted = true;
                return None;
            }
            None => debug!(node = %self.node, %filter, kind = %event.kind, "an event without an id"),
        }
        if is_shutdown {
            event.identity = Identity::of_shutdown(&self.node, filter, track.run(), id);
        }
        Some(Message::Event(event))
    }

    fn skipped(&mut self, filter: Filter, id: Option<u32>, reason: &str, why: &dyn std::fmt::Display) {
        self.metrics.skipped(filter, reason);
        self.metrics.error("connection_manager", &format!("deserialization_error:{filter}"));
        warn!(node = %self.node, %filter, ?id, "skipped a message that is no valid event: {why}");
    }

    /// The newest id that any filter brought.
    fn newest(&self) -> Option<u32> {
        let last = self.tracks.iter().filter_map(|track| track.last().map(|(id, _)| id));
        last.reduce(|a, b| if is_before(a, b) { b } else { a })
    }

    /// The id from which `filter` is to go on: the last one, or an open hole before it.
    fn resume(&self, filter: Filter) -> Option<u32> {
        let (last, _) = self.tracks[filter as usize].last()?;
        Some(match self.holes.lowest_missing() {
            _ if self.is_of_older_run(filter) => last,
            Some(missing) if is_before(missing, last) => missing,
            _ => last,
        })
    }

    /// Whether another filter has seen the counter reset since this one brought anything.
    fn is_of_older_run(&self, filter: Filter) -> bool {
        self.tracks[filter as usize].run() < self.run
    }

    /// The cursor of `filter`, and those that would be resumed from elsewhere than was told.
    fn cursors(&mut self, filter: Filter) -> Vec<Cursor> {
        let mut cursors = Vec::new();
        for other in Filter::ALL {
            let resume = self.resume(other);
            if (other == filter || resume != self.told[other as usize])
                && let Some(cursor) = self.cursor(other)
            {
                self.told[other as usize] = resume;
                cursors.push(cursor);
            }
        }
        cursors
    }

    fn cursor(&self, filter: Filter) -> Option<Cursor> {
        let track = &self.tracks[filter as usize];
        let (id, fingerprint) = track.last()?;
        let resume = self.resume(filter)?;
        Some(Cursor { node: self.node.clone(), filter, id, fingerprint, run: track.run(), resume })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(cursors: &[Cursor]) -> Progress {
        Progress::new("node:1".into(), Arc::new(Metrics::new().expect("metrics")), cursors)
    }

    fn message(id: Option<u32>, json: &str) -> Decoded {
        let mut data = Payload::buffer(json.len());
        data.extend_from_slice(json.as_bytes());
        Decoded::Message { data, id }
    }

    fn step(era: u32) -> String {
        format!(r#"{{"Step":{{"era_id":{era}}}}}"#)
    }

    fn identities(taken: &Taken) -> Vec<Identity> {
        taken.events.iter().map(|event| event.identity).collect()
    }

    #[test]
    fn events_are_taken_up_to_a_version() {
        let mut progress = progress(&[]);
        progress.begin(Filter::Main, false);
        let version = message(None, r#"{"ApiVersion":"1.5.9"}"#);
        let mut messages = vec![message(Some(1), &step(1)), version, message(Some(2), &step(2))];
        let first = progress.take(Filter::Main, &mut messages);
        assert_eq!((first.events.len(), first.version.map(|v| v.to_string())), (1, Some("1.5.9".to_owned())));
        let second = progress.take(Filter::Main, &mut messages);
        assert_eq!((second.events.len(), messages.len()), (1, 0));
        assert_eq!(second.cursors.first().map(|cursor| (cursor.id, cursor.resume)), Some((2, 2)));
    }

    #[test]
    fn a_hole_is_carried_on_in_the_cursor() {
        let mut progress = progress(&[]);
        progress.begin(Filter::Main, false);
        let mut messages = vec![message(Some(1), &step(1)), message(Some(4), &step(2))];
        let cursor = progress.take(Filter::Main, &mut messages).cursors.pop().expect("a place");
        assert_eq!((cursor.id, cursor.resume), (4, 2));
        let mut resumed = self::progress(&[cursor]);
        assert_eq!(
            resumed.begin(Filter::Main, false),
            Ask::From(4),
            "first it is to prove that ids mean the same"
        );
        assert_eq!(resumed.holes.lowest_missing(), Some(2));
        resumed.again = [true; 3];
        assert_eq!(resumed.begin(Filter::Main, false), Ask::From(2));
    }

    #[test]
    fn a_filter_that_brought_nothing_yet_is_asked_for_everything() {
        let mut progress = progress(&[]);
        progress.begin(Filter::Deploys, false);
        let cursors = progress.take(Filter::Deploys, &mut vec![message(Some(0), &step(1))]).cursors;
        assert_eq!(self::progress(&cursors).begin(Filter::Main, false), Ask::Everything(0));
    }

    #[test]
    fn a_hole_that_another_filter_closes_is_closed_in_all_cursors() {
        let mut progress = progress(&[]);
        for filter in Filter::ALL {
            progress.begin(filter, false);
        }
        let mut messages = vec![message(Some(1), &step(1)), message(Some(3), &step(2))];
        progress.take(Filter::Main, &mut messages);
        let closing = progress.take(Filter::Sigs, &mut vec![message(Some(2), &step(3))]).cursors;
        let places: Vec<_> = closing.iter().map(|cursor| (cursor.filter, cursor.resume)).collect();
        assert_eq!(places, [(Filter::Main, 3), (Filter::Sigs, 2)]);
    }

    #[test]
    fn nothing_is_taken_of_a_connection_that_does_not_go_on_where_it_was_left() {
        let mut progress = progress(&[]);
        progress.begin(Filter::Main, false);
        progress.take(Filter::Main, &mut vec![message(Some(7), &step(1))]);
        progress.begin(Filter::Main, false);
        let taken =
            progress.take(Filter::Main, &mut vec![message(Some(9), &step(2)), message(Some(10), &step(3))]);
        assert!(taken.ask_everything && taken.events.is_empty());
        progress.begin(Filter::Main, true);
        let taken = progress.take(Filter::Main, &mut vec![message(Some(9), &step(2))]);
        assert_eq!((taken.ask_everything, taken.events.len()), (false, 1));
    }

    #[test]
    fn a_shutdown_is_the_same_within_one_run_of_the_counter_and_a_new_one_after_a_reset() {
        let mut progress = progress(&[]);
        let shutdown = || message(Some(7), "\"Shutdown\"");
        progress.begin(Filter::Main, false);
        let first = progress.take(Filter::Main, &mut vec![shutdown()]);
        progress.begin(Filter::Main, false);
        let again = progress.take(Filter::Main, &mut vec![shutdown()]);
        assert_eq!(identities(&first), identities(&again));
        progress.begin(Filter::Main, false);
        assert!(progress.take(Filter::Main, &mut vec![message(Some(3), &step(1))]).ask_everything);
        progress.begin(Filter::Main, true);
        let after = progress.take(Filter::Main, &mut vec![message(Some(3), &step(1)), shutdown()]);
        assert!(!identities(&after).contains(&identities(&first)[0]));
    }

    #[test]
    fn a_message_that_is_no_event_is_skipped_and_its_id_stays_missing() {
        let mut progress = progress(&[]);
        progress.begin(Filter::Main, false);
        let bad =
            vec![message(Some(1), &step(1)), message(Some(2), "{\"Step\":{"), message(Some(3), &step(3))];
        let taken = progress.take(Filter::Main, &mut { bad });
        assert_eq!(taken.events.len(), 2);
        assert_eq!(taken.cursors.first().map(|cursor| cursor.resume), Some(2));
    }

    #[test]
    fn an_oversized_message_is_not_asked_for_again() {
        let mut progress = progress(&[]);
        progress.begin(Filter::Main, false);
        let mut messages = vec![message(Some(1), &step(1)), Decoded::Oversized { len: 9, id: Some(2) }];
        messages.push(message(Some(3), &step(3)));
        assert_eq!(
            progress.take(Filter::Main, &mut messages).cursors.first().map(|cursor| cursor.resume),
            Some(3)
        );
    }

    #[test]
    fn an_event_without_an_id_is_taken() {
        let mut progress = progress(&[]);
        progress.begin(Filter::Main, false);
        assert_eq!(progress.take(Filter::Main, &mut vec![message(None, &step(1))]).events.len(), 1);
    }
}
