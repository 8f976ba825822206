//! Stores that break their contract on purpose, so that it is seen that the checkers catch what comes of it.

use std::future;
use std::sync::{Mutex, PoisonError};

use casper_event_sidecar::event::{ApiVersion, Payload};
use casper_event_sidecar::store::{Appended, Batch, Body, Page};

/// In which way a store is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// What it reads back is not byte for byte what it took.
    PagesInvented,
    /// It answers an append, and makes it durable with the next one.
    AnswersBeforeCommit,
    /// It does not know what it has already.
    TakesDuplicates,
    /// It reads back the JSON of one entry under the id of another.
    PagesMixedUp,
    /// It leaves out an entry of what it reads.
    PagesWithGaps,
    /// It calls an event a duplicate that is none, and moves the cursor.
    LosesArrivals,
    /// It takes two events of a batch in the wrong order.
    SwapsArrivals,
    /// It reads back another API version than the one that was in force.
    ForgetsVersions,
    /// It does not come to an end.
    NeverCloses,
}

/// What a broken store answers to an append.
#[derive(Debug)]
pub(crate) enum Answer {
    AsItIs,
    WithDuplicateAt(usize),
    Instead(Vec<Appended>),
}

impl Answer {
    pub(crate) fn to(self, mut appended: Vec<Appended>) -> Vec<Appended> {
        match self {
            Self::AsItIs => {}
            Self::WithDuplicateAt(place) => appended.insert(place, Appended::Duplicate),
            Self::Instead(answer) => return answer,
        }
        appended
    }
}

/// A broken store at work.
#[derive(Debug)]
pub(crate) struct Breakage {
    broken: Broken,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    arrivals: u64,
    head: u64,
    held_back: Option<Batch>,
}

impl Breakage {
    pub(crate) fn new(broken: Broken, head: u64) -> Self {
        Self { broken, state: Mutex::new(State { head, ..State::default() }) }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is appended instead of a batch, if anything is, and what is answered.
    pub(crate) fn alter(&self, mut batch: Batch) -> (Option<Batch>, Answer) {
        match self.broken {
            Broken::AnswersBeforeCommit => {
                let count = batch.arrivals.len() as u64;
                let (held_back, first) = self.with(|state| {
                    state.head += count;
                    (state.held_back.replace(batch), state.head - count + 1)
                });
                let ids = first..first + count;
                return (held_back, Answer::Instead(ids.map(Appended::New).collect()));
            }
            Broken::TakesDuplicates => {
                for arrival in &mut batch.arrivals {
                    let number = self.with(|state| {
                        state.arrivals += 1;
                        state.arrivals
                    });
                    arrival.event.identity.0[..8]
                        .copy_from_slice(&(number ^ arrival.received_at).to_be_bytes());
                }
            }
            Broken::LosesArrivals => {
                let count = batch.arrivals.len() as u64;
                let before = self.with(|state| {
                    state.arrivals += count;
                    state.arrivals - count
                });
                // The fifth, the tenth: a batch of this world is often one arrival.
                let lost = (0..batch.arrivals.len()).zip(before + 1..).find(|(_, number)| number % 5 == 0);
                if let Some((lost, _)) = lost {
                    batch.arrivals.remove(lost);
                    return (Some(batch), Answer::WithDuplicateAt(lost));
                }
            }
            Broken::SwapsArrivals => {
                let pair = (1..batch.arrivals.len()).find(|at| {
                    let [one, other] = [&batch.arrivals[at - 1].event, &batch.arrivals[*at].event];
                    one.channel == other.channel
                });
                if let Some(at) = pair {
                    batch.arrivals.swap(at - 1, at);
                }
            }
            Broken::PagesInvented
            | Broken::PagesMixedUp
            | Broken::PagesWithGaps
            | Broken::ForgetsVersions
            | Broken::NeverCloses => {}
        }
        (Some(batch), Answer::AsItIs)
    }

    pub(crate) fn page(&self, mut page: Page) -> Page {
        let count = page.entries.len();
        match self.broken {
            Broken::PagesInvented => {
                for entry in &mut page.entries {
                    if let Body::Whole(payload) = &mut entry.body {
                        *payload = Payload::new(&payload.json().replacen(':', ": ", 1));
                    }
                }
            }
            Broken::PagesMixedUp if count > 1 => {
                let body = page.entries[0].body.clone();
                page.entries[1].body = body;
            }
            Broken::PagesWithGaps if count > 1 => {
                page.entries.remove(1);
            }
            Broken::ForgetsVersions => {
                let other = ApiVersion::new("{\"ApiVersion\":\"1.5.0\"}", "1.5.0");
                for entry in page.entries.iter_mut().skip(1).step_by(3) {
                    entry.version.clone_from(&other);
                }
            }
            _ => {}
        }
        page
    }

    pub(crate) async fn close(&self) {
        if self.broken == Broken::NeverCloses {
            future::pending().await
        }
    }
}
