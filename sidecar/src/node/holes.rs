//! Which ids of a node were not seen on any of its filters.
//!
//! Pure. A node counts the events of all its filters with one counter, so the union of the ids has no holes: a
//! hole is loss, or a filter that is merely late. A hole that does not close within a time of grace is asked for
//! once more, and only then given up and counted.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// Longest time that one filter may be behind another before the node is asked again.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// Most holes that are kept open; a node with more of them has its oldest given up.
const MOST: usize = 1000;

/// What is to be done about the holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// Nothing, for now.
    Nothing,
    /// The node is to be asked again, from [`Holes::lowest_missing`] on.
    AskAgain,
    /// This many ids were not brought by asking again: they are lost.
    GiveUp(u64),
}

/// The ids that were seen, as ranges; between them are the holes.
#[derive(Debug, Default)]
pub(super) struct Holes {
    /// Start to range, in ids that were unwrapped to 64 bits.
    ranges: BTreeMap<u64, Range>,
    /// Ids below this one say nothing: what was before it was looked at by an earlier run of the sidecar, or belongs to
    /// another run of the counter.
    floor: u64,
}

#[derive(Debug, Clone, Copy)]
struct Range {
    /// The first id after it.
    end: u64,
    /// Since when there is a hole before it.
    since: Instant,
    /// Whether the hole before it was asked for again.
    asked: bool,
}

impl Holes {
    /// Every id up to `floor` counts as seen.
    pub(super) fn starting_after(floor: Option<u32>, now: Instant) -> Self {
        let mut holes = Self::default();
        if let Some(floor) = floor {
            holes.see(floor, now);
            holes.floor = holes.ranges.first_key_value().map_or(0, |(start, _)| *start);
        }
        holes
    }

    /// An id was seen.
    pub(super) fn see(&mut self, id: u32, now: Instant) {
        let id = self.unwrap(id);
        if id < self.floor {
            return;
        }
        let before = self.ranges.range(..=id).next_back().map(|(start, range)| (*start, *range));
        if let Some((_, range)) = before
            && id < range.end
        {
            return;
        }
        let after = self.ranges.get(&(id + 1)).copied();
        let end = after.map_or(id + 1, |range| range.end);
        if after.is_some() {
            self.ranges.remove(&(id + 1));
        }
        match before {
            Some((start, range)) if range.end == id => {
                self.ranges.insert(start, Range { end, ..range });
            }
            _ => {
                let (since, asked) = after.map_or((now, false), |range| (range.since, range.asked));
                self.ranges.insert(id, Range { end, since, asked });
            }
        }
    }

    /// The lowest id that was not seen, if any was seen at all.
    pub(super) fn lowest_missing(&self) -> Option<u32> {
        self.ranges.first_key_value().map(|(_, range)| wrap(range.end))
    }

    /// Time passed in which nothing could be received: it does not count.
    pub(super) fn forgive(&mut self, time: Duration) {
        for range in self.ranges.values_mut() {
            range.since += time;
        }
    }

    /// What is to be done, while all filters of the node are connected.
    pub(super) fn demand(&mut self, now: Instant) -> Demand {
        let mut given_up = 0;
        while self.ranges.len() > MOST {
            given_up += self.close_first();
        }
        let late = |range: &Range| now.saturating_duration_since(range.since) >= GRACE;
        while let Some((_, second)) = self.ranges.iter().nth(1)
            && second.asked
            && late(second)
        {
            given_up += self.close_first();
        }
        if given_up > 0 {
            return Demand::GiveUp(given_up);
        }
        let mut ask = false;
        for (_, range) in self.ranges.iter_mut().skip(1) {
            if !range.asked && late(range) {
                (range.asked, range.since, ask) = (true, now, true);
            }
        }
        if ask { Demand::AskAgain } else { Demand::Nothing }
    }

    /// Counts the lowest hole as seen, and says how many ids it had.
    fn close_first(&mut self) -> u64 {
        let Some((start, first)) = self.ranges.pop_first() else { return 0 };
        let Some((next, second)) = self.ranges.pop_first() else {
            self.ranges.insert(start, first);
            return 0;
        };
        self.ranges.insert(start, Range { end: second.end, ..first });
        next - first.end
    }

    /// The 64-bit id nearest to the newest that was seen.
    fn unwrap(&self, id: u32) -> u64 {
        const ORIGIN: u64 = 1 << 40;
        let newest = self.ranges.last_key_value().map_or(ORIGIN + u64::from(id), |(_, range)| range.end);
        let ahead = id.wrapping_sub(wrap(newest)).cast_signed();
        newest.saturating_add_signed(i64::from(ahead))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a node's ids are the lower 32 bits")]
fn wrap(id: u64) -> u32 {
    id as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(ids: impl IntoIterator<Item = u32>, now: Instant) -> Holes {
        let mut holes = Holes::default();
        for id in ids {
            holes.see(id, now);
        }
        holes
    }

    #[track_caller]
    fn check(ids: &[u32], lowest_missing: u32, ranges: usize) {
        let holes = seen(ids.iter().copied(), Instant::now());
        assert_eq!((holes.lowest_missing(), holes.ranges.len()), (Some(lowest_missing), ranges), "{ids:?}");
    }

    #[test]
    fn the_order_in_which_filters_bring_ids_does_not_matter() {
        check(&[5, 6, 7], 8, 1);
        check(&[5, 7, 6], 8, 1);
        check(&[7, 6, 5], 8, 1);
        check(&[5, 8, 6], 7, 2);
        check(&[5, 5, 6, 6], 7, 1);
        check(&[9, 5], 6, 2);
        check(&[u32::MAX, 1, 0], 2, 1);
        check(&[0, u32::MAX], 1, 1);
    }

    #[test]
    fn what_comes_again_from_before_the_floor_opens_no_hole() {
        let mut holes = Holes::starting_after(Some(11), Instant::now());
        holes.see(6, Instant::now());
        assert_eq!((holes.lowest_missing(), holes.ranges.len()), (Some(12), 1));
    }

    #[test]
    fn a_hole_is_asked_for_once_and_then_given_up() {
        let start = Instant::now();
        let mut holes = seen([1, 2, 5], start);
        assert_eq!(holes.demand(start), Demand::Nothing);
        assert_eq!(holes.demand(start + GRACE), Demand::AskAgain);
        assert_eq!(holes.lowest_missing(), Some(3));
        assert_eq!(holes.demand(start + GRACE), Demand::Nothing);
        assert_eq!(holes.demand(start + 2 * GRACE), Demand::GiveUp(2));
        assert_eq!(holes.lowest_missing(), Some(6));
        assert_eq!(holes.demand(start + 3 * GRACE), Demand::Nothing);
    }

    #[test]
    fn a_hole_that_closes_in_time_is_none() {
        let start = Instant::now();
        let mut holes = seen([1, 4], start);
        holes.see(2, start + GRACE / 2);
        holes.see(3, start + GRACE / 2);
        assert_eq!(holes.demand(start + GRACE), Demand::Nothing);
    }

    #[test]
    fn time_in_which_nothing_could_be_received_does_not_count() {
        let start = Instant::now();
        let mut holes = seen([1, 4], start);
        holes.forgive(GRACE);
        assert_eq!(holes.demand(start + GRACE), Demand::Nothing);
    }

    #[test]
    fn the_number_of_open_holes_is_bounded() {
        let now = Instant::now();
        let mut holes = seen((0..2 * MOST as u32 + 4).step_by(2), now);
        assert_eq!(holes.demand(now), Demand::GiveUp(2));
        assert_eq!(holes.ranges.len(), MOST);
    }
}
