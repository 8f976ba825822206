//! How many events came in each of the last minutes, for people who look at the status page.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::event::Kind;

/// Minutes that are remembered.
pub const MINUTES: usize = 60;

/// Events of each kind, by [`Kind::code`].
pub type ByKind = [u64; Kind::ALL.len()];

/// The last [`MINUTES`] minutes.
#[derive(Debug)]
pub(super) struct Activity {
    began: Instant,
    minutes: Mutex<VecDeque<Minute>>,
}

/// A minute in which something came.
#[derive(Debug)]
struct Minute {
    /// Counted from the begin.
    number: u64,
    events: ByKind,
}

impl Activity {
    /// Nothing has come yet.
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), minutes: Mutex::default() }
    }

    /// These events came now.
    pub(super) fn record(&self, events: &ByKind) {
        let now = self.minute();
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        match minutes.back_mut() {
            Some(minute) if minute.number == now => {
                minute.events.iter_mut().zip(events).for_each(|(sum, count)| *sum += count);
            }
            _ => minutes.push_back(Minute { number: now, events: *events }),
        }
        while minutes.front().is_some_and(|minute| minute.number + MINUTES as u64 <= now) {
            minutes.pop_front();
        }
    }

    /// The last minutes, oldest first; the last one is not over yet.
    pub(super) fn last_minutes(&self) -> Vec<ByKind> {
        let now = self.minute();
        let minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last = vec![[0; Kind::ALL.len()]; MINUTES];
        for minute in minutes.iter() {
            let ago = usize::try_from(now - minute.number).unwrap_or(usize::MAX);
            if ago < MINUTES {
                last[MINUTES - 1 - ago] = minute.events;
            }
        }
        last
    }

    fn minute(&self) -> u64 {
        self.began.elapsed().as_secs() / 60
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_minute_has_its_events_and_old_ones_are_forgotten() {
        let activity = Activity::new();
        let blocks = |count| {
            let mut events = [0; Kind::ALL.len()];
            events[usize::from(Kind::BlockAdded.code())] = count;
            events
        };
        activity.record(&blocks(1));
        activity.record(&blocks(2));
        advance(Duration::from_secs(61)).await;
        activity.record(&blocks(4));
        let seen = || activity.last_minutes().iter().map(|minute| minute[0]).collect::<Vec<_>>();
        assert_eq!(seen()[57..], [0, 3, 4]);
        advance(Duration::from_secs(58 * 60)).await;
        assert_eq!((seen()[0], seen()[1], seen()[59]), (3, 4, 0));
        advance(Duration::from_secs(60)).await;
        assert_eq!((seen()[0], seen().iter().sum::<u64>()), (4, 4));
        advance(Duration::from_secs(60_000)).await;
        activity.record(&blocks(8));
        assert_eq!((seen()[59], seen().iter().sum::<u64>()), (8, 8));
        assert_eq!(activity.minutes.lock().expect("not poisoned").len(), 1);
    }
}
