//! One attempt to connect to a node, and the life of the connection that it makes.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep, interval_at, sleep, timeout};
use tracing::{debug, info};

use super::Node;
use super::holes::Demand;
use super::status::Status;
use super::subscription::{Lost, Subscription};
use crate::environment::Environment;
use crate::event::{Filter, News};

/// How a session ended.
pub(super) enum End {
    /// The node is to be asked again for what is missing, at once.
    AskAgain,
    /// It is of a version or a chain that no events are taken from.
    Incompatible(String),
    /// The connection could not be made or was lost.
    Lost {
        /// For people.
        why: String,
        /// Whether it had been of use: then this does not count as a failed attempt.
        proved: bool,
    },
}

/// Longer than this without room for a delivery is time in which nothing could be received.
const HELD_BACK: Duration = Duration::from_millis(100);

/// When one filter is lost, how long the others are still read. A node that stops sends `Shutdown` on each filter and
/// keeps none of it for a later connection: what is under way on one must not be thrown away because another ended
/// first.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How often holes and unproved filters are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What an event takes in memory beside its JSON, about.
const EVENT_OVERHEAD: usize = 256;

/// Where one filter stands.
enum Slot {
    Opening(Pin<Box<dyn Future<Output = Result<Box<Subscription>, OpenError>> + Send>>),
    Open(Box<Subscription>),
    /// It is tried again when the time has come (only if it may be missing).
    Waiting(Pin<Box<Sleep>>),
}

/// Why a filter could not be opened.
enum OpenError {
    Incompatible(String),
    Lost(String),
}

/// What happened.
enum Step {
    Opened(Filter, Result<Box<Subscription>, OpenError>),
    Decoded(Filter),
    Lost(Filter, Lost),
    Due(Filter),
    Look,
    CheckSilence,
}

/// The three filters of a node and the clocks by which they are watched.
struct Slots {
    slots: [Slot; 3],
    look: Interval,
    silence: Interval,
    /// Which filter is asked first, so that a busy one does not starve the others.
    turn: usize,
    partial: bool,
}

impl<E: Environment> Node<E> {
    /// Connects and listens until the connection is of no more use.
    pub(super) async fn session(&mut self) -> End {
        if let Err(error) = self.check_status().await {
            return match error {
                OpenError::Incompatible(why) => End::Incompatible(why),
                OpenError::Lost(why) => End::Lost { why, proved: false },
            };
        }
        let mut slots = Slots {
            slots: Filter::ALL.map(|filter| self.opening(filter, false, false)),
            look: ticks(LOOK),
            silence: ticks(self.connection.sleep_between_keep_alive_checks),
            turn: 0,
            partial: self.connection.allow_partial_connection,
        };
        let mut life = Life::default();
        loop {
            let step = poll_fn(|context| slots.poll_step(context)).await;
            if let Some(end) = self.step(&mut slots, &mut life, step).await {
                return match end {
                    End::Lost { why, .. } if life.established => {
                        self.last_words(&mut slots, &mut life).await;
                        End::Lost { why, proved: life.proved }
                    }
                    end => end,
                };
            }
        }
    }

    /// Takes what is still under way on the filters that are open, until each ends, for at most [`LAST_WORDS`].
    async fn last_words(&mut self, slots: &mut Slots, life: &mut Life) {
        let mut limit = Box::pin(sleep(LAST_WORDS));
        loop {
            let next = poll_fn(|context| match slots.poll_open(context) {
                Poll::Pending => limit.as_mut().poll(context).map(|()| None),
                ready => ready,
            });
            match next.await {
                Some(Step::Decoded(filter)) => self.take(slots, life, filter).await,
                Some(Step::Lost(filter, _)) => {
                    slots.slots[filter as usize] = Slot::Waiting(Box::pin(sleep(Duration::ZERO)))
                }
                Some(_) | None => return,
            }
        }
    }

    async fn step(&mut self, slots: &mut Slots, life: &mut Life, step: Step) -> Option<End> {
        match step {
            Step::Opened(filter, Ok(subscription)) => {
                debug!(node = %self.name, %filter, version = %subscription.version, "connected");
                self.shared.metrics.received(filter, subscription.version.json().len());
                slots.slots[filter as usize] = Slot::Open(subscription);
                self.opened(slots, life, filter).await;
                None
            }
            Step::Opened(_, Err(OpenError::Incompatible(why))) => Some(End::Incompatible(why)),
            Step::Opened(filter, Err(OpenError::Lost(why))) => self.missing(slots, life, filter, &why),
            Step::Lost(filter, lost) => {
                if let Slot::Open(subscription) = &slots.slots[filter as usize] {
                    life.proved |= subscription.lived_longer_than(self.connection.no_message_timeout);
                }
                self.missing(slots, life, filter, &format!("{filter} was lost: {}", chain_of(&lost)))
            }
            Step::Due(filter) => {
                slots.slots[filter as usize] = self.opening(filter, false, true);
                None
            }
            Step::Decoded(filter) => {
                self.take(slots, life, filter).await;
                None
            }
            Step::Look => self.look(slots),
            Step::CheckSilence => self.check_silence(slots, life),
        }
    }

    /// A filter is missing: the session goes on only if it may be, and another is there.
    fn missing(&self, slots: &mut Slots, life: &Life, filter: Filter, why: &str) -> Option<End> {
        slots.slots[filter as usize] = Slot::Waiting(Box::pin(sleep(self.connection.delay_between_retries)));
        let others = slots.slots.iter().any(|slot| match slot {
            Slot::Open(_) => true,
            Slot::Opening(_) => !life.established,
            Slot::Waiting(_) => false,
        });
        if slots.partial && others {
            if self.connection.enable_logging {
                info!(node = %self.name, %filter, "going on without a filter: {why}");
            }
            return None;
        }
        Some(End::Lost { why: why.to_owned(), proved: life.proved })
    }

    /// A filter was opened: tells what the node says of itself, once events may be taken.
    async fn opened(&mut self, slots: &mut Slots, life: &mut Life, filter: Filter) {
        if !slots.may_flow() {
            return;
        }
        let versions: Vec<_> = if std::mem::replace(&mut life.established, true) {
            slots.open(filter).map(|subscription| subscription.version.clone()).into_iter().collect()
        } else {
            self.set_state(crate::event::NodeState::Connected);
            if let Some(chain) = self.shared.chain.get() {
                self.deliver(News::Chain(chain.clone()), 0).await;
            }
            Filter::ALL.into_iter().filter_map(|filter| Some(slots.open(filter)?.version.clone())).collect()
        };
        for version in versions {
            self.deliver(News::Version(version), 0).await;
        }
        let now = Instant::now();
        for filter in Filter::ALL {
            if let Some(subscription) = slots.open(filter) {
                subscription.last_byte = subscription.last_byte.max(now);
                subscription.opened = subscription.opened.max(now);
            }
        }
    }

    /// Hands over what a filter brought.
    async fn take(&mut self, slots: &mut Slots, life: &mut Life, filter: Filter) {
        let mut held = Duration::ZERO;
        while let Some(subscription) = slots.open(filter)
            && !subscription.decoded.is_empty()
        {
            let taken = self.progress.take(filter, &mut subscription.decoded);
            if !taken.events.is_empty() {
                life.proved = true;
                let bytes = taken.events.iter().map(|event| event.payload.len() + EVENT_OVERHEAD).sum();
                let news = News::Events { events: taken.events, cursors: taken.cursors };
                held += self.deliver(news, bytes).await;
            }
            if let Some(version) = taken.version {
                held += self.deliver(News::Version(version), 0).await;
            }
            if taken.ask_everything {
                self.ask_everything(slots, filter, "it does not go on where it was left");
            }
        }
        if held > HELD_BACK {
            self.progress.forgive(held);
            for filter in Filter::ALL {
                if let Some(subscription) = slots.open(filter) {
                    subscription.last_byte += held;
                }
            }
        }
    }

    fn ask_everything(&mut self, slots: &mut Slots, filter: Filter, why: &str) {
        debug!(node = %self.name, %filter, "asking for everything the node has: {why}");
        slots.slots[filter as usize] = self.opening(filter, true, false);
    }

    /// Looks for filters that have not shown that they go on where they were left, and for holes.
    fn look(&mut self, slots: &mut Slots) -> Option<End> {
        if !slots.may_flow() {
            return None;
        }
        let patience = self.connection.connection_timeout;
        for filter in Filter::ALL {
            if let Some(subscription) = slots.open(filter)
                && !self.progress.is_proved(filter)
                && subscription.opened.elapsed() >= patience
            {
                self.ask_everything(slots, filter, "the last event that was seen did not come again");
            }
        }
        // A hole is asked for only where ids are known to mean what they meant.
        let all_there = Filter::ALL
            .into_iter()
            .all(|filter| slots.open(filter).is_some() && self.progress.is_proved(filter));
        match if all_there { self.progress.demand() } else { Demand::Nothing } {
            Demand::AskAgain => {
                info!(node = %self.name, "events are missing between those that came: asking the node again");
                Some(End::AskAgain)
            }
            Demand::GiveUp(_) | Demand::Nothing => None,
        }
    }

    fn check_silence(&mut self, slots: &mut Slots, life: &mut Life) -> Option<End> {
        if !slots.may_flow() {
            return None;
        }
        let limit = self.connection.no_message_timeout;
        for filter in Filter::ALL {
            let Some(subscription) = slots.open(filter) else { continue };
            if subscription.last_byte.elapsed() < limit {
                continue;
            }
            life.proved |= subscription.lived_longer_than(limit);
            let why = format!("{filter} was lost: {}", chain_of(&Lost::Silent(limit)));
            if let Some(end) = self.missing(slots, life, filter, &why) {
                return Some(end);
            }
        }
        None
    }

    /// Reads the version and the chain of the node.
    async fn check_status(&self) -> Result<(), OpenError> {
        check_status(&self.shared.environment, &self.connection, &self.shared.chain).await
    }

    /// Begins to open a filter; `check` if the node's status is to be read again before.
    fn opening(&mut self, filter: Filter, everything: bool, check: bool) -> Slot {
        let ask = self.progress.begin(filter, everything);
        let environment = self.shared.environment.clone();
        let (connection, chain) = (self.connection.clone(), self.shared.chain.clone());
        let max_event_size = self.shared.max_event_size;
        Slot::Opening(Box::pin(async move {
            if check {
                check_status(&environment, &connection, &chain).await?;
            }
            Subscription::open(&environment, &connection, filter, ask, max_event_size)
                .await
                .map(Box::new)
                .map_err(|lost| OpenError::Lost(format!("{filter} cannot be opened: {}", chain_of(&lost))))
        }))
    }
}

/// What is known of the present connection.
#[derive(Default)]
struct Life {
    /// Events were allowed to flow.
    established: bool,
    /// It brought an event, or lived longer than the longest silence.
    proved: bool,
}

async fn check_status<E: Environment>(
    environment: &E,
    connection: &crate::config::Connection,
    chain: &super::Chain,
) -> Result<(), OpenError> {
    let limit = connection.connection_timeout;
    let status = timeout(limit, Status::get(environment, connection))
        .await
        .map_err(|_| {
            OpenError::Lost(format!("the node's status cannot be read: no answer within {limit:?}"))
        })?
        .map_err(|error| {
            OpenError::Lost(format!("the node's status cannot be read: {}", chain_of(&error)))
        })?;
    if let Some(why) = status.incompatibility() {
        return Err(OpenError::Incompatible(why));
    }
    let ours = chain.get_or_init(|| status.chain().clone());
    if ours != status.chain() {
        let theirs = status.chain();
        return Err(OpenError::Incompatible(format!(
            "it is of the chain {theirs:?}, and the log is of {ours:?}"
        )));
    }
    Ok(())
}

impl Slots {
    /// Whether events may be taken: all filters are there, or some may be missing.
    fn may_flow(&self) -> bool {
        let open = self.slots.iter().filter(|slot| matches!(slot, Slot::Open(_))).count();
        open == self.slots.len() || (self.partial && open > 0)
    }

    fn open(&mut self, filter: Filter) -> Option<&mut Subscription> {
        match &mut self.slots[filter as usize] {
            Slot::Open(subscription) => Some(subscription),
            Slot::Opening(_) | Slot::Waiting(_) => None,
        }
    }

    /// What an open filter brings; `None` if none is open.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<Option<Step>> {
        let mut all_closed = true;
        for filter in Filter::ALL {
            if let Some(subscription) = self.open(filter) {
                match subscription.poll_decoded(context) {
                    Poll::Ready(Ok(())) => return Poll::Ready(Some(Step::Decoded(filter))),
                    Poll::Ready(Err(lost)) => return Poll::Ready(Some(Step::Lost(filter, lost))),
                    Poll::Pending => all_closed = false,
                }
            }
        }
        if all_closed { Poll::Ready(None) } else { Poll::Pending }
    }

    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Step> {
        let flow = self.may_flow();
        self.turn = (self.turn + 1) % Filter::ALL.len();
        for offset in 0..Filter::ALL.len() {
            let filter = Filter::ALL[(self.turn + offset) % Filter::ALL.len()];
            match &mut self.slots[filter as usize] {
                Slot::Opening(opening) => {
                    if let Poll::Ready(result) = opening.as_mut().poll(context) {
                        return Poll::Ready(Step::Opened(filter, result));
                    }
                }
                Slot::Open(subscription) if flow => match subscription.poll_decoded(context) {
                    Poll::Ready(Ok(())) => return Poll::Ready(Step::Decoded(filter)),
                    Poll::Ready(Err(lost)) => return Poll::Ready(Step::Lost(filter, lost)),
                    Poll::Pending => {}
                },
                Slot::Open(_) => {}
                Slot::Waiting(until) => {
                    if until.as_mut().poll(context).is_ready() {
                        return Poll::Ready(Step::Due(filter));
                    }
                }
            }
        }
        if self.look.poll_tick(context).is_ready() {
            return Poll::Ready(Step::Look);
        }
        if self.silence.poll_tick(context).is_ready() {
            return Poll::Ready(Step::CheckSilence);
        }
        Poll::Pending
    }
}

fn ticks(period: Duration) -> Interval {
    let period = period.max(Duration::from_millis(1));
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// An error and its causes in one line.
fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
