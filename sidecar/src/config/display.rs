//! The effective configuration as TOML: what a file with every default written out would say.
//!
//! A file that says this gives the same configuration again, but for the password, which is not shown.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::{
    AdminServer, Config, Connection, Database, EventStreamServer, HttpLimits, Postgres, RestServer, Sqlite,
    Storage,
};

impl Display for Config {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        field(f, "inbound_channel_size", self.inbound_channel_size)?;
        field(f, "outbound_channel_size", self.outbound_channel_size)?;
        field(f, "max_event_size_in_bytes", self.max_event_size)?;
        for connection in &self.connections {
            write!(f, "\n{connection}")?;
        }
        write!(f, "\n{}", self.storage)?;
        write!(f, "\n{}", self.event_stream_server)?;
        if let Some(rest_server) = &self.rest_server {
            write!(f, "\n{rest_server}")?;
        }
        if let Some(admin_server) = &self.admin_server {
            write!(f, "\n{admin_server}")?;
        }
        Ok(())
    }
}

impl Display for Connection {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "[[connections]]")?;
        field(f, "ip_address", text(&self.host))?;
        field(f, "sse_port", self.sse_port)?;
        field(f, "rest_port", self.rest_port)?;
        field(f, "max_attempts", self.max_attempts)?;
        seconds(f, "delay_between_retries_in_seconds", self.delay_between_retries)?;
        field(f, "allow_partial_connection", self.allow_partial_connection)?;
        field(f, "enable_logging", self.enable_logging)?;
        seconds(f, "connection_timeout_in_seconds", self.connection_timeout)?;
        seconds(f, "no_message_timeout_in_seconds", self.no_message_timeout)?;
        seconds(f, "sleep_between_keep_alive_checks_in_seconds", self.sleep_between_keep_alive_checks)
    }
}

impl Display for Storage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "[storage]")?;
        field(f, "storage_path", text(&self.path.to_string_lossy()))?;
        match &self.database {
            Database::Sqlite(sqlite) => write!(f, "\n{sqlite}"),
            Database::Postgres(postgres) => write!(f, "\n{postgres}"),
        }
    }
}

impl Display for Sqlite {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "[storage.sqlite_config]")?;
        field(f, "file_name", text(&self.file_name))?;
        field(f, "max_connections_in_pool", self.max_connections_in_pool)?;
        field(f, "wal_autocheckpointing_interval", self.wal_autocheckpointing_interval)
    }
}

impl Display for Postgres {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "[storage.postgresql_config]")?;
        field(f, "host", text(&self.host))?;
        field(f, "port", self.port)?;
        field(f, "database_name", text(&self.database_name))?;
        field(f, "database_username", text(&self.database_username))?;
        field(f, "database_password", text(&self.database_password.to_string()))?;
        field(f, "max_connections_in_pool", self.max_connections_in_pool)?;
        field(f, "ssl_mode", text(&self.ssl_mode.to_string()))?;
        match &self.ssl_root_certificate {
            Some(path) => field(f, "ssl_root_certificate", text(&path.to_string_lossy())),
            None => Ok(()),
        }
    }
}

impl Display for EventStreamServer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "[event_stream_server]")?;
        field(f, "address", text(&self.address.to_string()))?;
        field(f, "port", self.port)?;
        field(f, "max_concurrent_subscribers", self.max_concurrent_subscribers)?;
        field(f, "event_stream_buffer_length", self.buffer_length)
    }
}

impl Display for RestServer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "[rest_server]\n{}", self.limits)?;
        seconds(f, "request_timeout_in_seconds", self.request_timeout)
    }
}

impl Display for AdminServer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "[admin_server]\n{}", self.limits)
    }
}

impl Display for HttpLimits {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        field(f, "address", text(&self.address.to_string()))?;
        field(f, "port", self.port)?;
        field(f, "max_concurrent_requests", self.max_concurrent_requests)?;
        field(f, "max_requests_per_second", self.max_requests_per_second)
    }
}

fn field(f: &mut Formatter<'_>, name: &str, value: impl Display) -> fmt::Result {
    writeln!(f, "{name} = {value}")
}

fn seconds(f: &mut Formatter<'_>, name: &str, value: Duration) -> fmt::Result {
    field(f, name, value.as_secs())
}

/// A TOML string.
fn text(value: &str) -> toml::Value {
    toml::Value::from(value)
}
