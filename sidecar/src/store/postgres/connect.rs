//! From a configuration to connections, and from an error of one to what it means.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection};
use tokio::time::timeout;

use super::super::OpenError;
use super::unavailable;
use crate::config::{self, SslMode};

/// What connections are called in `pg_stat_activity`.
const APPLICATION: &str = "casper-event-sidecar";

/// How long what may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// To connect and log in.
    pub(super) connect: Duration,
    /// For the server to do one statement.
    pub(super) statement: Duration,
    /// For its answer to come. Longer than `statement`: where the server still answers, it says what was slow.
    pub(super) answer: Duration,
    /// For another session to let go of the lock.
    pub(super) lock: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            statement: Duration::from_secs(10),
            answer: Duration::from_secs(12),
            lock: Duration::from_secs(5),
        }
    }
}

/// A database on a server, and how to get there.
#[derive(Clone)]
pub(super) struct Server {
    // Its own `Debug` shows the password.
    options: PgConnectOptions,
    /// As messages name it.
    pub(super) name: String,
    pub(super) limits: Limits,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("name", &self.name)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Server {
    pub(super) fn new(config: &config::Postgres, limits: Limits) -> Result<Self, OpenError> {
        let statement = format!("{}ms", limits.statement.as_millis());
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(&config.host)
            .port(config.port)
            .database(&config.database_name)
            .username(&config.database_username)
            .password(config.database_password.expose())
            .application_name(APPLICATION)
            .ssl_mode(match config.ssl_mode {
                SslMode::Disable => PgSslMode::Disable,
                SslMode::Prefer => PgSslMode::Prefer,
                SslMode::Require => PgSslMode::Require,
                SslMode::VerifyCa => PgSslMode::VerifyCa,
                SslMode::VerifyFull => PgSslMode::VerifyFull,
            })
            .options([
                ("statement_timeout", &*statement),
                ("lock_timeout", &*statement),
                ("idle_in_transaction_session_timeout", "60s"),
                // A machine that is gone must not hold the lock for hours.
                ("tcp_keepalives_idle", "10"),
                ("tcp_keepalives_interval", "5"),
                ("tcp_keepalives_count", "3"),
                // Each statement has an index to go by, and one plan, whatever the statistics say at the moment.
                ("plan_cache_mode", "force_generic_plan"),
                ("enable_seqscan", "off"),
                ("enable_bitmapscan", "off"),
                ("enable_sort", "off"),
                ("enable_hashjoin", "off"),
                ("enable_mergejoin", "off"),
                ("jit", "off"),
                // Else each start logs that a table of the migrations is there already.
                ("client_min_messages", "warning"),
            ])
            .disable_statement_logging();
        if let Some(path) = &config.ssl_root_certificate {
            options = options.ssl_root_cert_from_pem(certificate(path)?);
        }
        let name = format!("{:?} at {}:{}", config.database_name, config.host, config.port);
        Ok(Self { options, name, limits })
    }

    /// A new connection.
    pub(super) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        match timeout(self.limits.connect, self.options.connect()).await {
            Ok(connected) => connected,
            Err(_) => Err(timed_out("no connection", self.limits.connect)),
        }
    }

    /// What `answer` brings, if it comes in time. After an error the connection is of no use any more.
    pub(super) async fn answer<T>(
        &self,
        answer: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        match timeout(self.limits.answer, answer).await {
            Ok(answered) => answered,
            Err(_) => Err(timed_out("no answer of the server", self.limits.answer)),
        }
    }

    /// Ends a connection in good order, unless that takes long.
    pub(super) async fn end(connection: PgConnection) {
        let _ = timeout(Duration::from_secs(1), connection.close()).await;
    }

    /// What an error means for who opens the log.
    pub(super) fn open_error(&self, error: sqlx::Error) -> OpenError {
        let advice = match &error {
            sqlx::Error::Database(error) => match error.code().as_deref() {
                Some("28P01" | "28000") => {
                    "correct database_username and database_password, or let the server admit them"
                }
                Some("3D000") => "make the database (createdb), or correct database_name",
                Some("42501" | "3F000") => {
                    "let the user make a schema there (GRANT CREATE ON DATABASE), or make the schema casper_sidecar \
                     for this user (CREATE SCHEMA casper_sidecar AUTHORIZATION user)"
                }
                // No connection, no room, an operator's act, an object in use, a transaction of the wrong kind, the
                // server's own trouble: may pass.
                Some(code) if ["08", "25", "40", "53", "55", "57", "58", "XX"].contains(&&code[..2]) => {
                    return OpenError::Unavailable(unavailable(error.to_string()));
                }
                _ => "see the server's log",
            },
            sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => TLS_ADVICE,
            sqlx::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => TLS_ADVICE,
            _ => return OpenError::Unavailable(unavailable(error)),
        };
        OpenError::Refused(format!("cannot use the database {}: {error}; {advice}", self.name))
    }
}

const TLS_ADVICE: &str = "correct ssl_mode and ssl_root_certificate, or the server's certificate";

/// Reads a certificate now, so that a wrong path is told at once and not taken for a server that is away.
fn certificate(path: &Path) -> Result<Vec<u8>, OpenError> {
    let pem = std::fs::read(path).map_err(|error| {
        OpenError::Refused(format!(
            "cannot read {}: {error}; set ssl_root_certificate to a file that the sidecar's user may read",
            path.display()
        ))
    })?;
    if memchr::memmem::find(&pem, b"-----BEGIN CERTIFICATE-----").is_none() {
        return Err(OpenError::Refused(format!(
            "{} holds no certificate: set ssl_root_certificate to a file in PEM form",
            path.display()
        )));
    }
    Ok(pem)
}

fn timed_out(what: &str, limit: Duration) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, format!("{what} within {limit:?}")))
}

/// Whether it is the connection that failed, and not what was asked.
pub(super) fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() != io::ErrorKind::TimedOut,
        // The server was told to end the session (57P01 to 57P05), or gave it up (class 08).
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P"))
        }
        sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}
