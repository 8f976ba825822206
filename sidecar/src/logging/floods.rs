//! A place in the code that has something to say ten thousand times says it ten times, and then how often it was.
//!
//! Lines are counted by their place in the code and by the node they are about, so that a noisy node does not silence
//! another one. What is asked for by `debug` or `trace` is never left out.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines of one place that are written within [`INTERVAL`]. A start and a restart of a node stay well below.
pub(super) const MOST: u32 = 10;

/// How long the lines of a place are counted together.
pub(super) const INTERVAL: Duration = Duration::from_secs(30);

/// Most characters of a message that are repeated where it is said how often it was left out.
const EXCERPT: usize = 200;

/// The layer that leaves lines out, and what tells of them.
#[derive(Clone, Default)]
pub struct Floods {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Bounded: there are as many places as the code has, times the configured nodes.
    places: Mutex<BTreeMap<Place, Count>>,
    left_out: Notify,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    file: &'static str,
    line: u32,
    node: String,
}

struct Count {
    since: Instant,
    written: u32,
    left_out: u64,
    /// The first message that was left out.
    example: String,
}

impl Floods {
    /// Tells now and then what was left out. Never ends; to be dropped when the process has no more to say.
    ///
    /// Sleeps until something is left out, so that it wakes no idle process.
    pub async fn tell(&self) {
        loop {
            self.shared.left_out.notified().await;
            sleep(INTERVAL).await;
            self.tell_now();
        }
    }

    /// Tells what was left out and not yet told.
    pub fn tell_now(&self) {
        let told: Vec<_> = self
            .places()
            .iter_mut()
            .filter(|(_, count)| count.left_out > 0)
            .map(|(place, count)| {
                (place.node.clone(), std::mem::take(&mut count.left_out), std::mem::take(&mut count.example))
            })
            .collect();
        // Not under the lock, which the lines themselves need.
        for (node, lines, example) in told {
            if node.is_empty() {
                warn!(lines, "left out of the log: lines like: {example}");
            } else {
                warn!(%node, lines, "left out of the log: lines like: {example}");
            }
        }
    }

    /// Whether a line may be written.
    fn admits(&self, event: &Event<'_>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO || metadata.target() == module_path!() {
            return true;
        }
        let mut node = Text::of("node");
        event.record(&mut node);
        let place = Place {
            file: metadata.file().unwrap_or_default(),
            line: metadata.line().unwrap_or_default(),
            node: node.text,
        };
        let now = Instant::now();
        let mut places = self.places();
        let count = places.entry(place).or_insert_with(|| Count {
            since: now,
            written: 0,
            left_out: 0,
            example: String::new(),
        });
        if now.duration_since(count.since) >= INTERVAL {
            (count.since, count.written) = (now, 0);
        }
        if count.written < MOST {
            count.written += 1;
            return true;
        }
        if count.left_out == 0 {
            let mut message = Text::of("message");
            event.record(&mut message);
            count.example = message.text;
        }
        count.left_out += 1;
        self.shared.left_out.notify_one();
        false
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<Place, Count>> {
        self.shared.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for Floods {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.admits(event)
    }
}

/// The begin of one field of a line.
struct Text {
    field: &'static str,
    text: String,
}

impl Text {
    fn of(field: &'static str) -> Self {
        Self { field, text: String::new() }
    }
}

impl Text {
    fn take(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if field.name() == self.field {
            // Writing to a string cannot fail, but the value itself may refuse: then there is less to show.
            let _ = self.text.write_fmt(value);
            if let Some((end, _)) = self.text.char_indices().nth(EXCERPT) {
                self.text.truncate(end);
            }
        }
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;
    use tracing::{debug, error, info};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// Collects what is written.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Written {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut text = [Text::of("node"), Text::of("lines"), Text::of("message")];
            text.iter_mut().for_each(|text| event.record(text));
            let words: Vec<_> =
                text.into_iter().map(|text| text.text).filter(|text| !text.is_empty()).collect();
            self.0.lock().expect("not poisoned").push(words.join(" "));
        }
    }

    impl Written {
        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().expect("not poisoned"))
        }
    }

    /// A log of this thread, for as long as the guard lives.
    fn log() -> (Floods, Written, tracing::subscriber::DefaultGuard) {
        let (floods, written) = (Floods::default(), Written::default());
        let log = tracing_subscriber::registry().with(floods.clone()).with(written.clone());
        (floods, written, tracing::subscriber::set_default(log))
    }

    fn flood(node: &str, times: usize) {
        for number in 0..times {
            error!(%node, "trouble {number}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_written_ten_times_and_then_counted() {
        let (floods, written, _guard) = log();
        flood("one", 1000);
        assert_eq!(written.take().len(), 10);
        tokio::select! {
            biased;
            () = floods.tell() => {}
            () = sleep(INTERVAL + Duration::from_secs(1)) => {}
        }
        assert_eq!(written.take(), ["one 990 left out of the log: lines like: trouble 10"]);
        flood("one", 1);
        assert_eq!(written.take(), ["one trouble 0"], "the next interval begins anew");
        floods.tell_now();
        assert_eq!(written.take().len(), 0, "nothing is told twice");
    }

    #[tokio::test(start_paused = true)]
    async fn one_node_does_not_silence_another_nor_one_place_another() {
        let (floods, written, _guard) = log();
        flood("one", 11);
        flood("two", 3);
        info!("something else");
        let lines = written.take();
        assert_eq!(lines[10..], ["two trouble 0", "two trouble 1", "two trouble 2", "something else"]);
        floods.tell_now();
        assert_eq!(written.take(), ["one 1 left out of the log: lines like: trouble 10"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_seldom_is_never_left_out() {
        let (floods, written, _guard) = log();
        for _ in 0..100 {
            flood("one", 1);
            advance(INTERVAL / 10).await;
        }
        floods.tell_now();
        assert_eq!(written.take().len(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_asked_for_is_never_left_out() {
        let (_, written, _guard) = log();
        for number in 0..100 {
            debug!(number, "a detail");
        }
        assert_eq!(written.take().len(), 100);
    }
}
