//! The log of the process: filtered by `RUST_LOG`, plain or JSON, on standard error, and without floods.
//!
//! Set up once, by the binary. The library only writes `tracing` events, and tests may collect them otherwise.

mod floods;

use std::io::{self, IsTerminal as _};

use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

pub use floods::Floods;

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people, in colour on a terminal
    Plain,
    /// One JSON object a line, for machines
    Json,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// `RUST_LOG` cannot be read.
    #[error(
        "RUST_LOG: {directives:?} is no filter; write a level, as in RUST_LOG=info, or levels of modules, as in RUST_LOG=info,sqlx=warn"
    )]
    Unreadable {
        /// What it says.
        directives: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// `RUST_LOG` has a word where a level was meant. Taken at its word, it would switch off nearly all of the log.
    #[error("RUST_LOG: {word:?} is no level; did you mean {level}?")]
    NoLevel {
        /// What it says.
        word: String,
        /// The nearest level.
        level: &'static str,
    },
    /// The process has a log already.
    #[error("the log cannot be set up")]
    Taken(#[from] TryInitError),
}

/// Sets up the log of the process. `variables` gives the value of a variable of the environment, if it is set.
///
/// The caller drives [`Floods::tell`] while it runs.
///
/// # Errors
/// If `RUST_LOG` is wrong, or if the process has a log already.
pub fn start(format: LogFormat, variables: impl Fn(&str) -> Option<String>) -> Result<Floods, LoggingError> {
    let floods = Floods::default();
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match format {
        LogFormat::Plain => lines.with_ansi(is_coloured(io::stderr().is_terminal(), &variables)).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let filter = filter(variables("RUST_LOG").as_deref())?;
    tracing_subscriber::registry().with(filter).with(floods.clone()).with(lines).try_init()?;
    Ok(floods)
}

/// Writes why the process ends, to standard error: as a line of a JSON log that is there, else for people.
pub fn tell_end(error: &anyhow::Error, format: LogFormat, variables: impl Fn(&str) -> Option<String>) {
    if format == LogFormat::Json && tracing::dispatcher::has_been_set() {
        tracing::error!("{error:#}");
    } else if is_coloured(io::stderr().is_terminal(), &variables) {
        eprintln!("\u{1b}[1;31mError:\u{1b}[0m {error:#}");
    } else {
        eprintln!("Error: {error:#}");
    }
}

/// Whether colours are for the eyes of a person who wants them. <https://no-color.org>: any value that is not empty.
fn is_coloured(is_terminal: bool, variables: impl Fn(&str) -> Option<String>) -> bool {
    is_terminal && variables("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The filter that `RUST_LOG` asks for; `info` if it is not set or empty.
fn filter(directives: Option<&str>) -> Result<EnvFilter, LoggingError> {
    let directives = match directives.map(str::trim) {
        None | Some("") => "info",
        Some(directives) => directives,
    };
    for word in directives.split(',').map(str::trim) {
        if let Some(level) = meant(word) {
            return Err(LoggingError::NoLevel { word: word.to_owned(), level });
        }
    }
    EnvFilter::builder()
        .parse(directives)
        .map_err(|source| LoggingError::Unreadable { directives: directives.to_owned(), source })
}

/// The level that `word` was probably meant to be, if it is none.
///
/// A word alone that is no level is the name of a module, whose events alone would then be logged.
fn meant(word: &str) -> Option<&'static str> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let word = word.to_lowercase();
    if LEVELS.contains(&word.as_str()) {
        return None;
    }
    LEVELS
        .into_iter()
        .find(|level| word.starts_with(level) || strsim::osa_distance(&word, level) <= 2)
        .filter(|_| word.len() > 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(directives: Option<&str>, expected: Result<&str, &str>) {
        let filter = filter(directives).map(|filter| filter.to_string()).map_err(|error| error.to_string());
        assert_eq!(filter, expected.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn colours_are_for_a_terminal_whose_owner_wants_them() {
        let is_coloured = |is_terminal, no_color: Option<&str>| {
            is_coloured(is_terminal, |name| no_color.filter(|_| name == "NO_COLOR").map(str::to_owned))
        };
        assert!(is_coloured(true, None));
        assert!(is_coloured(true, Some("")));
        assert!(!is_coloured(true, Some("1")));
        assert!(!is_coloured(false, None));
    }

    #[test]
    fn rust_log_filters_and_its_absence_means_info() {
        check(None, Ok("info"));
        check(Some(""), Ok("info"));
        check(Some(" "), Ok("info"));
        check(Some("debug"), Ok("debug"));
        check(Some("WARN"), Ok("warn"));
        check(Some("off"), Ok("off"));
        check(Some("info,sqlx=warn"), Ok("sqlx=warn,info"));
        check(Some("casper_event_sidecar::node"), Ok("casper_event_sidecar::node=trace"));
        check(Some("h2"), Ok("h2=trace"));
    }

    #[test]
    fn a_misspelt_level_is_told_rather_than_taken_for_a_module() {
        check(Some("inof"), Err("RUST_LOG: \"inof\" is no level; did you mean info?"));
        check(Some("warning"), Err("RUST_LOG: \"warning\" is no level; did you mean warn?"));
        check(Some("sqlx=warn,Err"), Err("RUST_LOG: \"Err\" is no level; did you mean error?"));
    }

    #[test]
    fn what_is_no_filter_is_told() {
        let refused = |directives: &str| {
            format!(
                "RUST_LOG: {directives:?} is no filter; write a level, as in RUST_LOG=info, or levels of modules, \
                 as in RUST_LOG=info,sqlx=warn"
            )
        };
        for directives in ["sqlx=loud", "a=b=c", "info,sqlx=inof", "[unclosed"] {
            check(Some(directives), Err(&refused(directives)));
        }
    }
}
