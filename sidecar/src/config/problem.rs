//! What is wrong with a configuration, and where.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why no configuration came out of a file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read at all.
    #[error("cannot read the configuration {}{}", path.display(), advice(source))]
    Unreadable {
        /// The file, as it was named.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file, or a variable of the environment, says something that cannot be.
    #[error("{}", report(path, errors, warnings))]
    Invalid {
        /// The file, as it was named.
        path: PathBuf,
        /// Everything that has to be put right, in the order of the file; at least one.
        errors: Vec<Problem>,
        /// What would have been warned of; it often explains an error.
        warnings: Vec<ConfigWarning>,
    },
}

/// Something that has no effect although its writer may think so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigWarning(pub Problem);

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One thing that is wrong, shown as `FILE:LINE:COLUMN: FIELD in [SECTION]: MESSAGE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// What is wrong, with the field and its section, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Where something was written. The order is that of a report: first the file, then the variables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Nowhere in particular: something is missing.
    File(PathBuf),
    /// A line and a column of the file, both counted from 1, columns in characters.
    Line {
        /// The file, as it was named.
        file: PathBuf,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// A variable of the environment.
    Variable(&'static str),
}

impl Place {
    /// The place of the byte at `offset` of `text`.
    pub(super) fn at(file: &Path, text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self::Line {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Line { file, line, column } => write!(f, "{}:{line}:{column}", file.display()),
            Self::Variable(name) => write!(f, "variable {name}"),
        }
    }
}

/// What to do about a file that cannot be read.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => {
            " (name an existing file; a packaged sidecar has /etc/casper-event-sidecar/config.toml)"
        }
        io::ErrorKind::PermissionDenied => " (the user that runs the sidecar must be allowed to read it)",
        _ => "",
    }
}

/// A report of this many problems is enough to begin with: a file that is no TOML at all has thousands.
const MOST_SHOWN: usize = 20;

fn report(path: &Path, errors: &[Problem], warnings: &[ConfigWarning]) -> String {
    let mut lines = vec![format!("the configuration {} cannot be used", path.display())];
    lines.extend(errors.iter().take(MOST_SHOWN).map(|error| format!("error: {error}")));
    if errors.len() > MOST_SHOWN {
        lines.push(format!("and {} errors more", errors.len() - MOST_SHOWN));
    }
    lines.extend(warnings.iter().take(MOST_SHOWN).map(|warning| format!("warning: {warning}")));
    lines.join("\n")
}
