//! The command line: what the operator wants done.
//!
//! [`Command::parse`] decides, the binary does it. Only [`check_config`] acts here, and it does no more than read one file.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, ValueEnum as _};

use crate::config::{Config, ConfigError, Loaded};
use crate::logging::LogFormat;

/// What is to be done, and how the log is to be written meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What is to be done.
    pub action: Action,
    /// How the log is written.
    pub log_format: LogFormat,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Run with the configuration in this file.
    Run(PathBuf),
    /// Say what the configuration in this file comes to, see [`check_config`].
    CheckConfig(PathBuf),
    /// Run three mock nodes and the sidecar in one process.
    #[cfg(feature = "demo")]
    Demo(Demo),
}

/// Options of `demo`.
#[cfg(feature = "demo")]
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Demo {
    /// Folder for the database and the chain of the mock nodes; a later demo goes on with what is in it
    #[arg(long, value_name = "DIR", default_value = "demo-data")]
    pub data: PathBuf,
    /// Add N to every port, for when a default port is taken
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=MAX_PORT_OFFSET))]
    pub port_offset: u16,
}

/// With more the highest default port, 19999, would be no port any longer.
#[cfg(feature = "demo")]
const MAX_PORT_OFFSET: i64 = u16::MAX as i64 - 19999;

impl Command {
    /// Reads the arguments, the first of which is the name of the program. `variables` gives the value of a variable
    /// of the environment, if it is set; `SIDECAR_LOG_FORMAT` stands in for `--log-format`.
    ///
    /// # Errors
    /// If they make no sense, or if they ask for the help or the version: the error's `print` shows the text in the
    /// right place, and its `use_stderr` tells the two apart.
    pub fn parse(
        arguments: impl IntoIterator<Item = OsString>,
        variables: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, clap::Error> {
        let arguments = Arguments::try_parse_from(arguments)?;
        let log_format = match (arguments.log_format, variables("SIDECAR_LOG_FORMAT")) {
            (Some(format), _) => format,
            (None, Some(name)) if !name.is_empty() => LogFormat::from_str(&name, false).map_err(|_| {
                let message = format!("variable SIDECAR_LOG_FORMAT: expected plain or json, found {name:?}");
                Arguments::command().error(ErrorKind::InvalidValue, message)
            })?,
            (None, _) => LogFormat::Plain,
        };
        #[cfg(feature = "demo")]
        if let Some(Subcommand::Demo(demo)) = arguments.subcommand {
            return Ok(Self { action: Action::Demo(demo), log_format });
        }
        let Some(file) = arguments.path_to_config.or(arguments.file) else {
            return Err(Arguments::command().error(ErrorKind::MissingRequiredArgument, NO_FILE));
        };
        let action = if arguments.check_config { Action::CheckConfig(file) } else { Action::Run(file) };
        Ok(Self { action, log_format })
    }
}

/// The description of the arguments, from which the man page and the completions are made.
pub fn arguments() -> clap::Command {
    Arguments::command()
}

/// Reads the configuration at `path` and writes what it comes to, as TOML, to `output` and what is wrong to `problems`.
///
/// `true` if nothing is wrong. Nothing is opened or bound.
///
/// # Errors
/// If it cannot be written.
pub fn check_config(
    path: &Path,
    variables: impl Fn(&str) -> Option<String>,
    output: &mut dyn Write,
    problems: &mut dyn Write,
) -> io::Result<bool> {
    match Config::load(path, variables) {
        Ok(Loaded { config, warnings }) => {
            for warning in &warnings {
                writeln!(problems, "warning: {warning}")?;
            }
            let verdict = if warnings.is_empty() { "is right" } else { "can be used, but see the warnings" };
            writeln!(output, "# {} {verdict}. With every default it says:", path.display())?;
            write!(output, "{config}")?;
            Ok(warnings.is_empty())
        }
        Err(error) => {
            writeln!(problems, "{error}")?;
            if let ConfigError::Unreadable { source, .. } = &error {
                writeln!(problems, "  {source}")?;
            }
            Ok(false)
        }
    }
}

/// The version, with the commit if the build knew it (see `build.rs`).
fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| match option_env!("SIDECAR_COMMIT") {
        Some(commit) if !commit.is_empty() => format!("{} ({commit})", env!("CARGO_PKG_VERSION")),
        _ => env!("CARGO_PKG_VERSION").to_owned(),
    });
    &VERSION
}

const NO_FILE: &str = "no configuration file was named; name one, for example:

  casper-event-sidecar --path-to-config /etc/casper-event-sidecar/config.toml";

const ABOUT: &str = "Serves the event streams of Casper nodes: every event once, durable, with replay";

const LONG_ABOUT: &str = "Serves the event streams of Casper nodes: every event once, durable, with replay.

The sidecar connects to one or more Casper nodes, keeps every event they send exactly once, in order, in a database, \
and serves the events on: live and replayed to any number of subscribers, by REST, and with metrics for the operator.";

const AFTER_HELP: &str = "\
Examples:
  casper-event-sidecar --path-to-config /etc/casper-event-sidecar/config.toml
  casper-event-sidecar config.toml --check-config
  curl -sN http://127.0.0.1:19999/events/main
  curl -sN 'http://127.0.0.1:19999/events/main?start_from=0'

Exit status:
  0  stopped by SIGTERM or SIGINT; or the checked configuration is right
  1  everything else: all nodes given up, a port taken, a wrong configuration or command line, ...

Environment:
  RUST_LOG            what is logged: error, warn, info (default), debug, trace, or by module, as in
                      info,casper_event_sidecar::node=debug
  SIDECAR_LOG_FORMAT  plain or json, where --log-format is not given
  NO_COLOR            no colour on a terminal either
  SIDECAR_POSTGRES_USERNAME, _PASSWORD, _DATABASE_NAME, _HOST, _MAX_CONNECTIONS, _PORT
                      each wins over its field of [storage.postgresql_config]";

/// Arguments as clap sees them.
#[derive(Debug, Parser)]
#[command(
    name = "casper-event-sidecar",
    version = version(),
    about = ABOUT,
    long_about = LONG_ABOUT,
    after_help = AFTER_HELP,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    /// The configuration file
    #[arg(value_name = "FILE", conflicts_with = "path_to_config")]
    file: Option<PathBuf>,
    /// The configuration file, by name
    #[arg(short, long, value_name = "FILE")]
    path_to_config: Option<PathBuf>,
    /// Say what the configuration comes to, defaults included, and what is wrong with it, then end; open nothing
    #[arg(long)]
    check_config: bool,
    /// How the log is written [default: plain]
    #[arg(long, value_name = "FORMAT", value_enum, global = true)]
    log_format: Option<LogFormat>,
    #[cfg(feature = "demo")]
    #[command(subcommand)]
    subcommand: Option<Subcommand>,
}

#[cfg(feature = "demo")]
#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    /// Try it without a node: three mock nodes and the sidecar in one process, until Ctrl-C
    Demo(Demo),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        format!("casper-event-sidecar {line}").split_whitespace().map(OsString::from).collect()
    }

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Command::parse(words(line), |_| None)
    }

    #[track_caller]
    fn check(line: &str, expected: Action) {
        assert_eq!(
            parse(line).map(|command| command.action).map_err(|error| error.to_string()),
            Ok(expected)
        );
    }

    #[track_caller]
    fn refused(line: &str, expected: &str) {
        let error = parse(line).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn the_configuration_is_named_by_option_or_by_position() {
        let run = Action::Run("config.toml".into());
        check("--path-to-config config.toml", run.clone());
        check("--path-to-config=config.toml", run.clone());
        check("-p config.toml", run.clone());
        check("config.toml", run.clone());
        check("--log-format json config.toml", run);
        refused("", "no configuration file was named");
        refused("--check-config", "no configuration file was named");
        refused("-p one.toml two.toml", "cannot be used with");
        refused("one.toml two.toml", "cannot be used with '[FILE]'");
    }

    #[test]
    fn check_config_may_stand_on_either_side_of_the_file() {
        check("--check-config config.toml", Action::CheckConfig("config.toml".into()));
        check("config.toml --check-config", Action::CheckConfig("config.toml".into()));
        check("-p config.toml --check-config", Action::CheckConfig("config.toml".into()));
    }

    #[test]
    fn the_log_is_plain_unless_json_is_asked_for() {
        let log_format = |line: &str, variable: Option<&str>| {
            Command::parse(words(line), |name| {
                variable.filter(|_| name == "SIDECAR_LOG_FORMAT").map(str::to_owned)
            })
            .map(|command| command.log_format)
            .map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())
        };
        assert_eq!(log_format("config.toml", None), Ok(LogFormat::Plain));
        assert_eq!(log_format("config.toml", Some("")), Ok(LogFormat::Plain));
        assert_eq!(log_format("config.toml", Some("json")), Ok(LogFormat::Json));
        assert_eq!(log_format("config.toml --log-format json", None), Ok(LogFormat::Json));
        assert_eq!(log_format("config.toml --log-format plain", Some("json")), Ok(LogFormat::Plain));
        let error = "error: variable SIDECAR_LOG_FORMAT: expected plain or json, found \"xml\"";
        assert_eq!(log_format("config.toml", Some("xml")), Err(error.to_owned()));
        refused("config.toml --log-format xml", "[possible values: plain, json]");
    }

    #[cfg(feature = "demo")]
    #[test]
    fn a_demo_has_a_folder_and_may_move_its_ports() {
        check("demo", Action::Demo(Demo { data: "demo-data".into(), port_offset: 0 }));
        check(
            "demo --data elsewhere --port-offset 45536",
            Action::Demo(Demo { data: "elsewhere".into(), port_offset: 45536 }),
        );
        check("demo --log-format json", Action::Demo(Demo { data: "demo-data".into(), port_offset: 0 }));
        check("./demo", Action::Run("./demo".into()));
        refused("demo --port-offset 45537", "45537 is not in 0..=45536");
        refused("demo --port-offset -1", "unexpected argument '-1'");
        refused("config.toml demo", "cannot be used");
    }

    #[test]
    fn help_and_version_are_no_errors() {
        for line in ["--help", "-h", "--version", "-V"] {
            assert!(!parse(line).expect_err("a text to show").use_stderr(), "{line}");
        }
        assert!(parse("--nonsense").expect_err("refused").use_stderr());
        let version = parse("--version").expect_err("a text to show").to_string();
        assert!(version.starts_with("casper-event-sidecar 1."), "{version}");
    }

    #[cfg(feature = "demo")]
    #[test]
    fn the_help_says_what_a_person_needs() {
        Arguments::command().debug_assert();
        insta::assert_snapshot!(Arguments::command().term_width(100).render_long_help());
    }
}
