//! Scripts: what nodes do, step by step, in a small TOML format.
//!
//! `format` is the format as it is written, which also gives the JSON Schema; `check` turns it into a [`Script`] or says
//! in which line what is wrong; [`Player`] plays it on nodes. The README and `scripts/` show what can be written.

mod check;
mod format;
mod play;
mod template;

use std::{fmt, path::PathBuf, time::Duration};

use crate::{
    chain::ChainConfig,
    event::{Event, Filter},
    node::{Builder, Node, Spelling, StatusBehaviour},
};

use self::template::Template;
pub use self::{
    format::schema,
    play::{Player, Progress},
};

/// A checked script.
#[derive(Debug)]
pub struct Script {
    nodes: Vec<NodePlan>,
    chain: ChainConfig,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct NodePlan {
    name: String,
    settings: format::NodeSettings,
}

/// What is wrong with a script, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ScriptError {
    /// The script's file.
    pub file: String,
    /// Counted from 1; `None` if the file could not be read.
    pub line: Option<usize>,
    /// What is wrong, and what is allowed there.
    pub message: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}: {}", self.file, self.message),
            None => write!(formatter, "{}: {}", self.file, self.message),
        }
    }
}

/// One step, checked.
#[derive(Debug)]
struct Step {
    line: usize,
    /// Which nodes do it.
    nodes: Vec<usize>,
    action: Action,
}

#[derive(Debug)]
enum Action {
    Emit(Emission),
    Write { filter: Filter, bytes: String },
    Generate { blocks: u64 },
    Wait(Duration),
    WaitSubscribers(usize),
    WaitControl(String),
    Versions { build: Option<String>, api: Option<String> },
    Shutdown { back_after: Option<Duration> },
    Crash { back_after: Option<Duration> },
    Restart,
    Refuse(bool),
    Silent(bool),
    Pause(bool),
    KeepAlives(bool),
    Status(StatusBehaviour),
    Drop(Option<Filter>),
    CloseFilter(Filter, bool),
    SkipIds(u32),
    SetId(u32),
    Say(String),
    Repeat { times: Option<u64>, steps: Vec<Step> },
}

#[derive(Debug)]
struct Emission {
    content: Content,
    filter: Option<Filter>,
    size: Option<usize>,
    id: Id,
    way: Way,
}

#[derive(Debug)]
enum Content {
    Fixed(Event),
    Template(Template),
}

#[derive(Debug, Clone, Copy)]
enum Id {
    Next,
    None,
    Given(u32),
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Whole,
    Cut(usize),
    Slow(usize, Duration),
    Spelled(Spelling),
}

impl Script {
    /// Reads and checks a script. Files that it names are looked for beside it.
    ///
    /// # Errors
    /// Names the line of the first thing that is wrong, and what is allowed there.
    pub fn load(path: impl Into<PathBuf>) -> Result<Self, ScriptError> {
        let path = path.into();
        let text = std::fs::read_to_string(&path).map_err(|error| ScriptError {
            file: path.display().to_string(),
            line: None,
            message: format!("cannot be read: {error}"),
        })?;
        check::script(&path, &text)
    }

    /// Checks a script that is given as text; files that it names are looked for in the current folder.
    ///
    /// ```
    /// let wrong = mock_node::script::Script::parse("steps = [\n  { emitt = 'Step' },\n]").unwrap_err();
    /// assert!(wrong.to_string().starts_with("script:2: unknown field `emitt`"), "{wrong}");
    /// ```
    ///
    /// # Errors
    /// As [`Script::load`].
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        check::script(std::path::Path::new("script"), text)
    }

    /// Names of the nodes, in the order of [`Script::builders`].
    pub fn node_names(&self) -> Vec<&str> {
        self.nodes.iter().map(|plan| plan.name.as_str()).collect()
    }

    /// A builder for each node, with what the script says of it: the caller may change ports or clocks.
    pub fn builders(&self) -> Vec<Builder> {
        self.nodes
            .iter()
            .map(|plan| {
                let builder = plan.settings.apply(Node::builder());
                builder.chain_name(self.chain.chain_name.clone())
            })
            .collect()
    }

    /// The line of a step that waits for a control call: without a control API the script would not get past it.
    pub fn needs_control(&self) -> Option<usize> {
        fn first(steps: &[Step]) -> Option<usize> {
            steps.iter().find_map(|step| match &step.action {
                Action::WaitControl(_) => Some(step.line),
                Action::Repeat { steps, .. } => first(steps),
                _ => None,
            })
        }
        first(&self.steps)
    }

    /// How many steps there are, those inside of repetitions counted once.
    pub fn step_count(&self) -> usize {
        fn count(steps: &[Step]) -> usize {
            steps
                .iter()
                .map(|step| match &step.action {
                    Action::Repeat { steps, .. } => 1 + count(steps),
                    _ => 1,
                })
                .sum()
        }
        count(&self.steps)
    }
}
