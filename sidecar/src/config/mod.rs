//! The configuration: a TOML file and variables of the environment, checked into real types.
//!
//! [`Config::load`] takes the file of the public 1.x sidecar, field for field. It reports everything that is wrong
//! at once, each with file, line, field, what was found and what would be right; what it does not know it warns of.
//! It reads one file, opens and binds nothing, and asks the environment only through the function it is given.
//!
//! Within: [`load`](Config::load) goes through the sections in order, `storage` through the choice of a database,
//! each by a `section` whose fields are of a `field` kind; a `problem` is what they complain of.

mod display;
mod field;
mod load;
mod password;
mod problem;
mod section;
mod storage;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

pub use load::Loaded;
pub use password::Password;
pub use problem::{ConfigError, ConfigWarning, Place, Problem};

/// Everything an operator can set, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The nodes to listen to; at least one.
    pub connections: Vec<Connection>,
    /// Where the log is kept.
    pub storage: Storage,
    /// The REST server, if it is to run.
    pub rest_server: Option<RestServer>,
    /// The event stream server.
    pub event_stream_server: EventStreamServer,
    /// The admin server, if it is to run.
    pub admin_server: Option<AdminServer>,
    /// How many deliveries of nodes may wait for ingest.
    pub inbound_channel_size: usize,
    /// Accepted for the sake of older files: subscribers have no queues whose size it could be.
    pub outbound_channel_size: usize,
    /// A message with more JSON than this many bytes is counted and skipped.
    pub max_event_size: usize,
}

/// One node, `[[connections]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Connection {
    /// An IP address or a host name, `ip_address`.
    pub host: String,
    /// Port of the node's event stream server.
    pub sse_port: u16,
    /// Port of the node's REST server, which serves `/status`.
    pub rest_port: u16,
    /// How many attempts in a row may fail before the node is given up.
    pub max_attempts: NonZeroU32,
    /// From the failure of one attempt to the next attempt.
    pub delay_between_retries: Duration,
    /// Whether events are taken while a filter is missing.
    pub allow_partial_connection: bool,
    /// Whether changes of the connection's state are logged.
    pub enable_logging: bool,
    /// Longest wait for a connection, an answer, and the first message.
    pub connection_timeout: Duration,
    /// Longest silence of a connected filter.
    pub no_message_timeout: Duration,
    /// How often silence is looked for.
    pub sleep_between_keep_alive_checks: Duration,
}

impl Connection {
    /// A node at `host` with the documented defaults.
    pub fn new(host: impl Into<String>, sse_port: u16, rest_port: u16) -> Self {
        Self {
            host: host.into(),
            sse_port,
            rest_port,
            max_attempts: NonZeroU32::MIN.saturating_add(9),
            delay_between_retries: Duration::from_secs(5),
            allow_partial_connection: false,
            enable_logging: true,
            connection_timeout: Duration::from_secs(5),
            no_message_timeout: Duration::from_secs(120),
            sleep_between_keep_alive_checks: Duration::from_secs(60),
        }
    }

    /// What logs, metrics and cursors call this node: `host:sse_port`.
    pub fn name(&self) -> String {
        format!("{}:{}", self.host, self.sse_port)
    }
}

/// Where the log is kept, `[storage]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Storage {
    /// The folder for everything that is kept in files, `storage_path`.
    pub path: PathBuf,
    /// Which database.
    pub database: Database,
}

/// Which database keeps the log.
#[derive(Debug, Clone, PartialEq)]
pub enum Database {
    /// `[storage.sqlite_config]`
    Sqlite(Sqlite),
    /// `[storage.postgresql_config]`, or the variables `SIDECAR_POSTGRES_*`
    Postgres(Postgres),
}

/// `[storage.sqlite_config]`
#[derive(Debug, Clone, PartialEq)]
pub struct Sqlite {
    /// Name of the database file within the storage folder.
    pub file_name: String,
    /// Connections for reading.
    pub max_connections_in_pool: u32,
    /// Pages in the write-ahead log after which they are moved into the database file.
    pub wal_autocheckpointing_interval: u32,
}

/// `[storage.postgresql_config]`
#[derive(Debug, Clone, PartialEq)]
pub struct Postgres {
    /// An IP address, a host name, or the folder of a socket on this machine.
    pub host: String,
    /// Port of the server.
    pub port: u16,
    /// Name of the database.
    pub database_name: String,
    /// Who logs in.
    pub database_username: String,
    /// By which password.
    pub database_password: Password,
    /// Connections to the server: one writes, the others read. There are at least two.
    pub max_connections_in_pool: u32,
    /// Whether the connection is encrypted, and the server asked for a certificate.
    pub ssl_mode: SslMode,
    /// A file with the certificates, in PEM form, that the server's is to be signed by, besides those that this
    /// machine trusts anyway.
    pub ssl_root_certificate: Option<PathBuf>,
}

/// How a PostgreSQL server is connected to; the names are PostgreSQL's own for `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// `disable`: not encrypted.
    Disable,
    /// `prefer`: encrypted, if the server can. Who is in between can prevent it.
    Prefer,
    /// `require`: encrypted. Who the server is, is not checked.
    Require,
    /// `verify-ca`: encrypted, to a server with a certificate that is trusted.
    VerifyCa,
    /// `verify-full`: likewise, and the certificate is for the configured host.
    VerifyFull,
}

impl SslMode {
    /// All of them, by what the configuration calls them.
    pub(crate) const ALL: [(&str, Self); 5] = [
        ("disable", Self::Disable),
        ("prefer", Self::Prefer),
        ("require", Self::Require),
        ("verify-ca", Self::VerifyCa),
        ("verify-full", Self::VerifyFull),
    ];
}

impl std::fmt::Display for SslMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let named = Self::ALL.iter().find(|(_, mode)| mode == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

/// `[event_stream_server]`
#[derive(Debug, Clone, PartialEq)]
pub struct EventStreamServer {
    /// Address to listen on.
    pub address: IpAddr,
    /// Port to listen on.
    pub port: u16,
    /// Subscribers beyond this number are refused.
    pub max_concurrent_subscribers: u32,
    /// Newest entries that are kept in memory, encoded, `event_stream_buffer_length`.
    pub buffer_length: usize,
}

/// `[rest_server]`
#[derive(Debug, Clone, PartialEq)]
pub struct RestServer {
    /// Where it listens and what it admits.
    pub limits: HttpLimits,
    /// Longest time for one request.
    pub request_timeout: Duration,
}

/// `[admin_server]`
#[derive(Debug, Clone, PartialEq)]
pub struct AdminServer {
    /// Where it listens and what it admits.
    pub limits: HttpLimits,
}

/// What the REST and the admin server have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpLimits {
    /// Address to listen on.
    pub address: IpAddr,
    /// Port to listen on.
    pub port: u16,
    /// Requests under way at once.
    pub max_concurrent_requests: u32,
    /// Requests begun within a second.
    pub max_requests_per_second: u32,
}

/// Events of up to 64 MiB are taken: single ones of 30 MB and more occur (`Step`).
pub const DEFAULT_MAX_EVENT_SIZE: usize = 64 * 1024 * 1024;

/// All interfaces of IP version 4.
pub const ANY_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
