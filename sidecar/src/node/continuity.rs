//! Whether one filter of a node goes on where it was left: proved, not assumed.
//!
//! Pure. A node resumes with the event that was seen last, if it still has it. If it does not come back with that
//! very event, the node's ring has moved on or its id counter was reset (facts of casper-node 1.5: the counter is
//! saved only by an orderly stop, so after a crash ids go backwards and name other events; there is no gap signal).
//! Then the node is asked for everything it has, and the identity of the events removes what is known.

use crate::event::{Cursor, Identity};

/// Ids are compared modulo 2^32: `a` is before `b` if it is less than half the circle behind it.
pub(super) fn is_before(a: u32, b: u32) -> bool {
    a != b && b.wrapping_sub(a) < 1 << 31
}

/// What a node is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// Everything it has, by this `start_from`.
    Everything(u32),
    /// What it has from this id on.
    From(u32),
}

impl Ask {
    /// The value of `start_from`.
    pub(super) fn start_from(self) -> u32 {
        match self {
            Self::Everything(id) | Self::From(id) => id,
        }
    }
}

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is in its place.
    Take,
    /// It is the first of those after a reset of the node's counter; it is to be taken, and what was known of
    /// the ids before means nothing any more.
    TakeAfterReset,
    /// It is not what was to come: ask for everything, and take nothing of this connection.
    AskEverything,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    id: u32,
    fingerprint: Identity,
    run: u32,
}

/// How far one filter was seen, and whether the present connection goes on from there.
#[derive(Debug, Clone)]
pub(super) struct Continuity {
    last: Option<Seen>,
    /// What was seen last before the counter is thought to have been reset; it may prove that it was not.
    doubted: Option<Seen>,
    /// The node was seen to count from below what was asked for: its counter was reset without a doubt.
    refuted: bool,
    ask: Ask,
    /// Only everything will do, until a message was taken: what was asked for last did not go on where the filter was
    /// left, and to ask from there again would not either.
    everything: bool,
    /// An id of the node, for how to ask it for everything while nothing of this filter was seen.
    near: Option<u32>,
    proved: bool,
}

impl Continuity {
    /// Goes on from a cursor, or from nothing.
    pub(super) fn new(cursor: Option<&Cursor>) -> Self {
        let last =
            cursor.map(|cursor| Seen { id: cursor.id, fingerprint: cursor.fingerprint, run: cursor.run });
        Self {
            last,
            doubted: None,
            refuted: false,
            ask: Ask::Everything(0),
            everything: false,
            near: None,
            proved: false,
        }
    }

    /// A new connection: what to ask it for. `resume` is the earliest id that is wanted, `newest` the newest that any
    /// filter of the node brought.
    pub(super) fn begin(&mut self, resume: Option<u32>, newest: Option<u32>, everything: bool) -> Ask {
        self.proved = false;
        self.doubted = None;
        self.everything |= everything;
        let near = self.near.take().or(newest);
        self.ask = match (self.last, resume) {
            (Some(_), Some(resume)) if !self.everything => Ask::From(resume),
            (last, _) => Ask::Everything(everything_from(last.map(|last| last.id).or(near).unwrap_or(0))),
        };
        self.ask
    }

    /// Whether the present connection has shown that it goes on from where the filter was left.
    pub(super) fn is_proved(&self) -> bool {
        self.proved || self.last.is_none() || matches!(self.ask, Ask::Everything(_))
    }

    /// How many times the counter was seen to be reset.
    pub(super) fn run(&self) -> u32 {
        self.last.map_or(0, |last| last.run)
    }

    /// The id and the fingerprint of the last message that was taken.
    pub(super) fn last(&self) -> Option<(u32, Identity)> {
        self.last.map(|last| (last.id, last.fingerprint))
    }

    /// A message came. `run` is the highest of [`Continuity::run`] over the filters of the node: they share one counter,
    /// so what another filter saw reset was reset for this one too.
    pub(super) fn observe(&mut self, id: u32, fingerprint: Identity, run: u32) -> Verdict {
        let Some(last) = self.last else {
            if self.ask == Ask::Everything(0) && everything_from(id) != 0 {
                // First contact with a node that is about to wrap around: what it has was left out of its answer.
                self.near = Some(id);
                return Verdict::AskEverything;
            }
            self.proved = true;
            return self.take(id, fingerprint, 0);
        };
        if id == last.id && fingerprint == last.fingerprint {
            self.proved = true;
            self.everything = false;
            self.doubted = None;
            return Verdict::Take;
        }
        if let Some(doubted) = self.doubted
            && (id, fingerprint) == (doubted.id, doubted.fingerprint)
        {
            // There it is: the node was slow, its counter was not reset.
            self.doubted = None;
            self.last = Some(doubted);
            return Verdict::Take;
        }
        let backwards = is_before(id, last.id);
        match (self.proved, self.ask) {
            (true, _) if backwards => self.reset(last, id, fingerprint, run),
            (true, _) => self.take(id, fingerprint, last.run),
            // Asked for again because of a hole before the cursor.
            (false, Ask::From(from)) if last.run >= run && backwards && !is_before(id, from) => Verdict::Take,
            (false, Ask::From(_)) => {
                self.refuted = backwards || id == last.id;
                Verdict::AskEverything
            }
            // The node has an older message and did not have the last one, or has another in its place; or another
            // filter has seen the reset.
            (false, Ask::Everything(_)) if backwards || id == last.id || last.run < run => {
                self.doubted = (!self.refuted).then_some(last);
                self.reset(last, id, fingerprint, run)
            }
            (false, Ask::Everything(_)) => self.take(id, fingerprint, last.run),
        }
    }

    /// The last word of a node, which it says before it goes: it is taken wherever it stands, since the node will not
    /// be there to be asked for what came before it. `run` is as in [`Continuity::observe`].
    pub(super) fn observe_last_word(&mut self, id: u32, fingerprint: Identity, run: u32) -> Verdict {
        match (self.observe(id, fingerprint, run), self.last) {
            (Verdict::AskEverything, Some(last)) if self.refuted => self.reset(last, id, fingerprint, run),
            (Verdict::AskEverything, last) => {
                self.take(id, fingerprint, last.map_or(0, |last| last.run.max(run)))
            }
            (verdict, _) => verdict,
        }
    }

    fn take(&mut self, id: u32, fingerprint: Identity, run: u32) -> Verdict {
        self.proved = true;
        self.refuted = false;
        self.everything = false;
        self.last = Some(Seen { id, fingerprint, run });
        Verdict::Take
    }

    fn reset(&mut self, last: Seen, id: u32, fingerprint: Identity, run: u32) -> Verdict {
        self.take(id, fingerprint, if last.run < run { run } else { last.run.wrapping_add(1) });
        Verdict::TakeAfterReset
    }
}

/// The `start_from` that brings everything a node has, when its ids stand near `last`.
///
/// It is 0, but near the wrap at 2^32 a node compares ids shifted by the size of its ring (usually 5000): there 0
/// would leave out what is before the wrap, and 2^32 - 5000 leaves out nothing.
fn everything_from(last: u32) -> u32 {
    const RING: u32 = 5000;
    if last > u32::MAX - 2 * RING { u32::MAX - RING + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::{Filter, Kind};

    fn print(text: &str) -> Identity {
        Identity::of_content(Kind::Unknown, text.as_bytes())
    }

    fn at(id: u32, text: &str) -> Continuity {
        Continuity::new(Some(&Cursor {
            node: Arc::from("node:1"),
            filter: Filter::Main,
            id,
            fingerprint: print(text),
            run: 0,
            resume: id,
        }))
    }

    /// Feeds messages `(id, text)` and says what became of each: `+` taken, `!` taken after a reset, `?` ask again.
    #[track_caller]
    fn check(continuity: &mut Continuity, messages: &[(u32, &str)], expected: &str, run: u32) {
        let verdict = |(id, text): &(u32, &str)| match continuity.observe(*id, print(text), 0) {
            Verdict::Take => '+',
            Verdict::TakeAfterReset => '!',
            Verdict::AskEverything => '?',
        };
        let verdicts: String = messages.iter().map(verdict).collect();
        assert_eq!((&*verdicts, continuity.run()), (expected, run), "{messages:?}");
    }

    #[test]
    fn first_contact_asks_for_everything_and_takes_it() {
        let mut first = Continuity::new(None);
        assert_eq!(first.begin(None, None, false), Ask::Everything(0));
        check(&mut first, &[(17, "a"), (19, "b")], "++", 0);
    }

    #[test]
    fn the_last_event_proves_that_a_filter_goes_on() {
        let mut resumed = at(7, "a");
        assert_eq!(resumed.begin(Some(7), None, false), Ask::From(7));
        assert!(!resumed.is_proved());
        check(&mut resumed, &[(7, "a"), (9, "b")], "++", 0);
        assert!(resumed.is_proved());
    }

    #[test]
    fn another_event_in_its_place_asks_for_everything_and_shows_the_reset() {
        let mut resumed = at(7, "a");
        resumed.begin(Some(7), None, false);
        check(&mut resumed, &[(7, "other")], "?", 0);
        assert_eq!(resumed.begin(Some(7), None, true), Ask::Everything(0));
        check(&mut resumed, &[(3, "x"), (7, "other"), (8, "y")], "!++", 1);
    }

    #[test]
    fn everything_is_asked_for_again_if_it_did_not_come() {
        let mut resumed = at(7, "a");
        resumed.begin(Some(7), None, false);
        check(&mut resumed, &[(9, "other")], "?", 0);
        assert_eq!(resumed.begin(Some(7), None, true), Ask::Everything(0));
        assert_eq!(resumed.begin(Some(7), None, false), Ask::Everything(0));
        check(&mut resumed, &[(3, "x"), (9, "other")], "!+", 1);
        assert_eq!(resumed.begin(Some(9), None, false), Ask::From(9));
    }

    #[test]
    fn the_last_word_of_a_node_is_taken_wherever_it_stands() {
        for (id, verdict, run) in [(424, Verdict::Take, 0), (300, Verdict::TakeAfterReset, 1)] {
            let mut resumed = at(397, "a");
            resumed.begin(Some(397), None, false);
            assert_eq!(resumed.observe_last_word(id, print("end"), 0), verdict);
            assert_eq!((resumed.run(), resumed.last()), (run, Some((id, print("end")))));
        }
    }

    #[test]
    fn a_ring_that_has_moved_on_is_no_reset() {
        let mut resumed = at(7, "a");
        resumed.begin(Some(7), None, false);
        check(&mut resumed, &[(12, "c")], "?", 0);
        resumed.begin(Some(7), None, true);
        check(&mut resumed, &[(12, "c"), (13, "d")], "++", 0);
    }

    #[test]
    fn live_ids_below_the_cursor_are_a_reset() {
        let mut resumed = at(700, "a");
        resumed.begin(Some(700), None, false);
        check(&mut resumed, &[(361, "c")], "?", 0);
        resumed.begin(Some(700), None, true);
        check(&mut resumed, &[(349, "b"), (361, "c")], "!+", 1);
    }

    #[test]
    fn a_slow_node_is_not_mistaken_for_one_that_was_reset() {
        let mut resumed = at(7, "a");
        resumed.begin(Some(7), None, true);
        check(&mut resumed, &[(5, "y"), (6, "z"), (7, "a"), (8, "b")], "!+++", 0);
    }

    #[test]
    fn a_hole_before_the_cursor_is_asked_for_again() {
        let mut resumed = at(7, "a");
        assert_eq!(resumed.begin(Some(4), None, false), Ask::From(4));
        check(&mut resumed, &[(4, "x"), (5, "y"), (7, "a"), (8, "b")], "++++", 0);
        resumed.begin(Some(4), None, false);
        check(&mut resumed, &[(3, "w")], "?", 0);
    }

    #[test]
    fn ids_go_on_over_the_wrap() {
        let mut resumed = at(u32::MAX, "a");
        resumed.begin(Some(u32::MAX), None, false);
        check(&mut resumed, &[(u32::MAX, "a"), (0, "b"), (1, "c")], "+++", 0);
        assert_eq!(at(u32::MAX - 3, "a").begin(None, None, true), Ask::Everything(u32::MAX - 4999));
        assert!(is_before(u32::MAX, 0) && !is_before(0, u32::MAX) && !is_before(5, 5));
    }

    #[test]
    fn a_node_that_is_about_to_wrap_around_is_asked_by_what_is_known_of_its_ids() {
        let mut first = Continuity::new(None);
        assert_eq!(first.begin(None, None, false), Ask::Everything(0));
        check(&mut first, &[(u32::MAX - 3, "c")], "?", 0);
        assert_eq!(first.begin(None, None, true), Ask::Everything(u32::MAX - 4999));
        check(&mut first, &[(u32::MAX - 5, "b"), (u32::MAX - 3, "c"), (2, "d")], "+++", 0);
        let mut beside = Continuity::new(None);
        assert_eq!(beside.begin(None, Some(u32::MAX - 9), false), Ask::Everything(u32::MAX - 4999));
    }

    #[test]
    fn ids_that_go_backwards_on_a_proved_connection_are_a_reset() {
        let mut first = Continuity::new(None);
        first.begin(None, None, false);
        check(&mut first, &[(5, "a"), (6, "b"), (2, "c"), (3, "d")], "++!+", 1);
    }

    #[test]
    fn a_repeated_id_is_no_reset() {
        let mut first = Continuity::new(None);
        first.begin(None, None, false);
        check(&mut first, &[(5, "a"), (5, "b"), (6, "c")], "+++", 0);
    }
}
