//! The rules of the configuration, each shown by what a file that breaks it is told.

mod defaults;
mod errors;
mod texts;
mod variables;

use std::path::Path;

use super::{Config, ConfigError, Loaded, Problem};

/// A right file, in parts that a test leaves out or replaces.
const CONNECTION: &str = r#"
[[connections]]
ip_address = "127.0.0.1"
sse_port = 9999
rest_port = 8888
max_attempts = 10
delay_between_retries_in_seconds = 5
allow_partial_connection = false
enable_logging = true
"#;
const STORAGE: &str = r#"
[storage]
storage_path = "data"
"#;
const SQLITE: &str = r#"
[storage.sqlite_config]
file_name = "events.db3"
max_connections_in_pool = 4
wal_autocheckpointing_interval = 1000
"#;
const POSTGRES: &str = r#"
[storage.postgresql_config]
database_name = "events"
host = "localhost"
database_username = "sidecar"
database_password = "s3cret"
"#;
const EVENT_STREAM_SERVER: &str = r"
[event_stream_server]
port = 19999
";
const REST_SERVER: &str = r"
[rest_server]
port = 18888
max_concurrent_requests = 50
max_requests_per_second = 50
";
const ADMIN_SERVER: &str = r"
[admin_server]
port = 18887
max_concurrent_requests = 1
max_requests_per_second = 1
";

/// All parts of a right file with SQLite.
fn whole() -> String {
    [CONNECTION, STORAGE, SQLITE, EVENT_STREAM_SERVER, REST_SERVER, ADMIN_SERVER].concat()
}

fn parse(text: &str) -> Result<Loaded, ConfigError> {
    Config::parse(Path::new("config.toml"), text, &|_| None)
}

/// What a person is told of `text`: errors, then warnings, without the heading.
fn told(text: &str) -> String {
    match parse(text) {
        Ok(Loaded { warnings, .. }) => {
            warnings.iter().map(|warning| format!("warning: {warning}")).collect::<Vec<_>>().join("\n")
        }
        Err(error) => {
            let report = error.to_string();
            let (heading, rest) = report.split_once('\n').unwrap_or((&report, ""));
            assert_eq!(heading, "the configuration config.toml cannot be used");
            rest.to_owned()
        }
    }
}
