//! A check: one sentence of the documentation, and the code that finds out whether a running sidecar keeps to it.

use std::{fmt, future::Future, pin::Pin};

use serde::Serialize;

use crate::target::Target;

/// One thing that the documentation says, and how to find out whether it is so.
pub struct Check {
    /// Stable name, by which `--only`, reports and `CHECKS.md` speak of it. Dotted, from area to detail.
    pub id: &'static str,
    /// Where it says so: a heading of the public page, or another document.
    pub section: Section,
    /// What it says.
    pub says: &'static str,
    /// What must be at hand, or the check is skipped.
    pub needs: &'static [Need],
    /// Finds out.
    pub run: for<'a> fn(&'a Target) -> Pin<Box<dyn Future<Output = Finding> + Send + 'a>>,
}

/// Where a sentence comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// A heading of the public page "The Casper Event Sidecar".
    Page(&'static str),
    /// What this sidecar promises beyond the page, by topic.
    Sidecar(&'static str),
    /// A standard that clients rely on.
    Standard(&'static str),
}

impl fmt::Display for Section {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page(heading) => write!(formatter, "page, {heading}"),
            Self::Sidecar(topic) => write!(formatter, "sidecar, {topic}"),
            Self::Standard(name) => write!(formatter, "{name}"),
        }
    }
}

/// What a check cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The address of the event stream server.
    Events,
    /// The address of the REST server.
    Rest,
    /// The address of the admin server.
    Admin,
    /// A mock node, to which the sidecar is connected: the check makes it send events and come and go.
    Node,
    /// Two mock nodes, to both of which the sidecar is connected.
    TwoNodes,
    /// Leave to end the sidecar under test.
    End,
}

impl Need {
    /// Why a check that needs this is skipped on `target`, if it is.
    fn missing(self, target: &Target) -> Option<&'static str> {
        let (there, reason) = match self {
            Self::Events => (target.has_events(), "no --events address was given"),
            Self::Rest => (target.has_rest(), "no --rest address was given"),
            Self::Admin => (target.has_admin(), "no --admin address was given"),
            Self::Node => (!target.nodes().is_empty(), "needs a scripted node (--node-control)"),
            Self::TwoNodes => (target.nodes().len() >= 2, "needs two scripted nodes (--node-control)"),
            Self::End => (target.may_end(), "would end the sidecar (--end-sidecar allows it)"),
        };
        (!there).then_some(reason)
    }
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// It is as the documentation says.
    Pass {
        /// What was seen.
        seen: String,
    },
    /// It is not.
    Fail {
        /// What should have been seen.
        expected: String,
        /// What was seen.
        seen: String,
    },
    /// It could not be found out.
    Skipped {
        /// Why.
        reason: String,
    },
}

/// What a check's code returns: what was seen if all is well.
pub type Finding = Result<String, Deviation>;

/// Why a check did not pass. Anything that goes wrong on the way to an answer is one too: a sidecar that does not
/// answer does not conform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deviation {
    /// The sidecar departs from the documentation.
    Fail {
        /// What should have been seen.
        expected: String,
        /// What was seen.
        seen: String,
    },
    /// There was nothing to see, such as no event of the kind in question.
    Skip(String),
}

impl Deviation {
    /// A departure from what is documented.
    pub(crate) fn new(expected: impl Into<String>, seen: impl fmt::Display) -> Self {
        Self::Fail { expected: excerpt(&expected.into()), seen: excerpt(&seen.to_string()) }
    }

    /// There is nothing to look at.
    pub(crate) fn nothing(reason: impl Into<String>) -> Self {
        Self::Skip(reason.into())
    }
}

/// Fails with what was `expected` and what was `seen` unless the condition holds.
pub(crate) fn ensure(
    holds: bool,
    expected: impl Into<String>,
    seen: impl fmt::Display,
) -> Result<(), Deviation> {
    if holds { Ok(()) } else { Err(Deviation::new(expected, seen)) }
}

/// At most some 300 bytes of a text, with the control characters visible: reports stay readable.
pub(crate) fn excerpt(text: &str) -> String {
    const LIMIT: usize = 300;
    let mut visible = String::new();
    for character in text.chars() {
        if visible.len() >= LIMIT {
            visible.push_str(&format!("... [{} bytes in all]", text.len()));
            break;
        }
        match character {
            '\n' => visible.push_str("\\n"),
            '\r' => visible.push_str("\\r"),
            other if other.is_control() => visible.extend(other.escape_unicode()),
            other => visible.push(other),
        }
    }
    visible
}

impl Check {
    /// Runs the check, or says why it cannot be run. Ends within the target's limit for one check.
    pub async fn outcome(&self, target: &Target) -> Outcome {
        if let Some(reason) = self.needs.iter().find_map(|need| need.missing(target)) {
            return Outcome::Skipped { reason: reason.to_owned() };
        }
        let limit = target.pace().check;
        match tokio::time::timeout(limit, (self.run)(target)).await {
            Ok(Ok(seen)) => Outcome::Pass { seen },
            Ok(Err(Deviation::Fail { expected, seen })) => Outcome::Fail { expected, seen },
            Ok(Err(Deviation::Skip(reason))) => Outcome::Skipped { reason },
            Err(_) => Outcome::Fail {
                expected: "an answer in time".to_owned(),
                seen: format!("no result within {} s", limit.as_secs()),
            },
        }
    }
}
