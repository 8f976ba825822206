//! The promises of the sidecar, each checked against the history of a run.
//!
//! The checkers share nothing with the sidecar: what names an event is told from its bytes, where it is shown from
//! its JSON, and what a subscriber must see from the log and the documented rules. `planted` shows for each
//! checker that it catches what it is for.

mod bounded;
mod ends_well;
mod exactly_once;
mod no_silent_gap;
mod nothing_invented;
mod nothing_lost;
mod one_order;
mod order_of_one_filter;
#[cfg(test)]
mod planted;
mod stored_before_seen;
mod versions;

use std::fmt;

use crate::history::History;

/// A promise and what checks it.
#[derive(Debug, Clone, Copy)]
pub struct Promise {
    /// Its number and its name.
    pub name: &'static str,
    check: fn(&History) -> Result<(), String>,
}

/// All promises.
pub const ALL: [Promise; 10] = [
    Promise { name: "P1 nothing invented", check: nothing_invented::check },
    Promise { name: "P2 stored before seen", check: stored_before_seen::check },
    Promise { name: "P3 exactly once", check: exactly_once::check },
    Promise { name: "P4 one order", check: one_order::check },
    Promise { name: "P5 no silent gap", check: no_silent_gap::check },
    Promise { name: "P6 nothing lost while a node still has it", check: nothing_lost::check },
    Promise { name: "P7 order of one filter", check: order_of_one_filter::check },
    Promise { name: "P8 versions", check: versions::check },
    Promise { name: "P9 bounded", check: bounded::check },
    Promise { name: "P10 ends well", check: ends_well::check },
];

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub promise: &'static str,
    /// How.
    pub how: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is violated: {}", self.promise, self.how)
    }
}

/// Checks all promises.
pub fn violations(history: &History) -> Vec<Violation> {
    let violation = |promise: &Promise| {
        let how = (promise.check)(history).err()?;
        Some(Violation { promise: promise.name, how })
    };
    ALL.iter().filter_map(violation).collect()
}

/// The beginning of a text, for messages.
fn shortened(text: &str) -> &str {
    let end = text.char_indices().nth(80).map_or(text.len(), |(at, _)| at);
    &text[..end]
}
