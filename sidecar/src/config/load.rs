//! Reads a file into a [`Config`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use toml::de::DeTable;

use super::field::{Address, Attempts, COUNT, EVENT_SIZE, Flag, Host, LENGTH, PORT, Seconds};
use super::problem::{ConfigError, ConfigWarning, Place, Problem};
use super::section::{Findings, Section};
use super::{
    ANY_ADDRESS, AdminServer, Config, Connection, DEFAULT_MAX_EVENT_SIZE, EventStreamServer, HttpLimits,
    RestServer, storage,
};

/// A file with more than this many bytes is not a configuration, whatever it is.
const MAX_FILE_SIZE: u64 = 1024 * 1024;

/// What came out of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What has no effect although its writer may think so, in the order of the file.
    pub warnings: Vec<ConfigWarning>,
}

impl Config {
    /// Reads the file at `path`. `variables` gives the value of a variable of the environment, if it is set.
    ///
    /// # Errors
    /// If the file cannot be read, or if anything in it or in a variable is not right; then all of it is reported.
    pub fn load(path: &Path, variables: impl Fn(&str) -> Option<String>) -> Result<Loaded, ConfigError> {
        let bytes = read(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        match str::from_utf8(&bytes) {
            Ok(text) => Self::parse(path, text, &variables),
            Err(error) => {
                let text = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
                let place = Place::at(path, &text, text.len());
                Err(invalid(path, vec![Problem { place, message: "expected text in UTF-8".to_owned() }]))
            }
        }
    }

    /// Reads `text`, the contents of the file at `path`.
    pub(super) fn parse(
        path: &Path,
        text: &str,
        variables: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Loaded, ConfigError> {
        let (document, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let mut errors: Vec<Problem> = errors.iter().map(|error| not_toml(path, text, error)).collect();
            errors.sort_by(|one, other| one.place.cmp(&other.place));
            return Err(invalid(path, errors));
        }
        let mut findings = Findings::new(path, text);
        let config = config(Section::root(document.get_ref(), &mut findings), variables);
        let Findings { mut errors, mut warnings, .. } = findings;
        errors.sort_by(|one, other| one.place.cmp(&other.place));
        warnings.sort_by(|one, other| one.0.place.cmp(&other.0.place));
        match config {
            Some(config) if errors.is_empty() => Ok(Loaded { config, warnings }),
            _ => Err(ConfigError::Invalid { path: path.to_owned(), errors, warnings }),
        }
    }
}

fn invalid(path: &Path, errors: Vec<Problem>) -> ConfigError {
    ConfigError::Invalid { path: path.to_owned(), errors, warnings: Vec::new() }
}

/// What is wrong with a text that is no TOML. Of the text itself no more is shown than the name of a field: what comes
/// after it may be a password.
fn not_toml(path: &Path, text: &str, error: &toml::de::Error) -> Problem {
    let offset = error.span().map_or(0, |span| span.start);
    let line_start =
        text.get(..offset).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let line = text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let mut message = format!("not valid TOML: {}", error.message());
    if let Some((name, value)) = line.split_once('=').filter(|(name, _)| is_name(name.trim())) {
        message = format!("{}: {message}", name.trim());
        let value = value.trim_start();
        if offset <= line_start + name.len() {
            // The name itself is wrong, not its value.
        } else if value.is_empty() || value.starts_with('#') {
            message.push_str(" (the value is missing)");
        } else if value.starts_with(|c: char| c.is_alphanumeric() || c == '/' || c == '.') {
            message.push_str(" (a text needs quotes around it)");
        }
    }
    Problem { place: Place::at(path, text, offset), message }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_SIZE {
        let message = "it has more than 1 MiB, which no configuration has";
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// The whole file. Every section is read before the first is missed, so that all errors are found.
fn config(mut root: Section<'_, '_>, variables: &dyn Fn(&str) -> Option<String>) -> Option<Config> {
    let connections = connections(&mut root);
    let storage = storage::storage(&mut root, variables);
    let event_stream_server = event_stream_server(&mut root);
    let rest_server = rest_server(&mut root);
    let admin_server = admin_server(&mut root);
    one_port_each(&mut root);
    let inbound_channel_size = root.optional("inbound_channel_size", LENGTH, 1000);
    let outbound_channel_size = root.optional("outbound_channel_size", LENGTH, 1000);
    let max_event_size = root.optional("max_event_size_in_bytes", EVENT_SIZE, DEFAULT_MAX_EVENT_SIZE);
    root.finish();
    Some(Config {
        connections: connections?,
        storage: storage?,
        rest_server,
        event_stream_server: event_stream_server?,
        admin_server,
        inbound_channel_size: inbound_channel_size?,
        outbound_channel_size: outbound_channel_size?,
        max_event_size: max_event_size?,
    })
}

/// `[[connections]]`. `None` if an error was noted.
fn connections(root: &mut Section<'_, '_>) -> Option<Vec<Connection>> {
    let items = match root.repeated("connections") {
        Some(items) if !items.is_empty() => items,
        None if root.has("connections") => return None,
        _ => {
            let mut message =
                "[[connections]] is missing: add such a section for each node to listen to".to_owned();
            if root.has_path(&["sse_server", "connections"]) {
                message.push_str("; [[sse_server.connections]] is called [[connections]] here");
            }
            root.findings.error(root.place_of("connections"), message);
            return None;
        }
    };
    let mut seen: BTreeMap<(String, u16), String> = BTreeMap::new();
    let mut connections = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let title = format!("[[connections]] #{}", index + 1);
        let Some(section) = root.open(&title, item) else { continue };
        let place = section.place();
        let Some(connection) = connection(section) else { continue };
        if let Some(first) = seen.get(&endpoint(&connection)) {
            let message =
                format!("{title}: the same ip_address and sse_port as in {first}; name each node once");
            root.findings.error(place, message);
        } else {
            seen.insert(endpoint(&connection), title);
        }
        connections.push(connection);
    }
    Some(connections)
}

/// What two connections may not have in common, however it is spelt.
fn endpoint(connection: &Connection) -> (String, u16) {
    let host = &connection.host;
    let host = host.parse().map_or_else(
        |_| host.trim_end_matches('.').to_ascii_lowercase(),
        |address: IpAddr| address.to_canonical().to_string(),
    );
    (host, connection.sse_port)
}

/// One of `[[connections]]`.
fn connection(mut section: Section<'_, '_>) -> Option<Connection> {
    let host = section.required("ip_address", Host, "\"127.0.0.1\"");
    let sse_port = section.required("sse_port", PORT, "9999");
    let rest_port = section.required("rest_port", PORT, "8888");
    let max_attempts = section.required("max_attempts", Attempts, "10");
    let delay_between_retries = section.required("delay_between_retries_in_seconds", Seconds, "5");
    let allow_partial_connection = section.required("allow_partial_connection", Flag, "false");
    let enable_logging = section.required("enable_logging", Flag, "true");
    let mut seconds = |name, default| section.optional(name, Seconds, Duration::from_secs(default));
    let connection_timeout = seconds("connection_timeout_in_seconds", 5);
    let no_message_timeout = seconds("no_message_timeout_in_seconds", 120);
    let sleep_between_keep_alive_checks = seconds("sleep_between_keep_alive_checks_in_seconds", 60);
    section.finish();
    Some(Connection {
        host: host?,
        sse_port: sse_port?,
        rest_port: rest_port?,
        max_attempts: max_attempts?,
        delay_between_retries: delay_between_retries?,
        allow_partial_connection: allow_partial_connection?,
        enable_logging: enable_logging?,
        connection_timeout: connection_timeout?,
        no_message_timeout: no_message_timeout?,
        sleep_between_keep_alive_checks: sleep_between_keep_alive_checks?,
    })
}

/// `[event_stream_server]`. `None` if an error was noted.
fn event_stream_server(root: &mut Section<'_, '_>) -> Option<EventStreamServer> {
    if !root.has("event_stream_server") {
        let mut message = "[event_stream_server] is missing: add this section with `port = 19999`".to_owned();
        if root.has_path(&["sse_server", "event_stream_server"]) {
            message.push_str("; [sse_server.event_stream_server] is called [event_stream_server] here");
        }
        root.findings.error(root.place(), message);
    }
    let mut section = root.section("event_stream_server", "[event_stream_server]")?;
    let address = section.optional("address", Address, ANY_ADDRESS);
    let port = section.required("port", PORT, "19999");
    let max_concurrent_subscribers = section.optional("max_concurrent_subscribers", COUNT, 100);
    let buffer_length = section.optional("event_stream_buffer_length", LENGTH, 5000);
    section.finish();
    Some(EventStreamServer {
        address: address?,
        port: port?,
        max_concurrent_subscribers: max_concurrent_subscribers?,
        buffer_length: buffer_length?,
    })
}

/// `[rest_server]`. `None` if it is absent, or if an error was noted.
fn rest_server(root: &mut Section<'_, '_>) -> Option<RestServer> {
    let mut section = root.section("rest_server", "[rest_server]")?;
    let limits = http_limits(&mut section, "18888", "50");
    let request_timeout = section.optional("request_timeout_in_seconds", Seconds, Duration::from_secs(10));
    section.finish();
    Some(RestServer { limits: limits?, request_timeout: request_timeout? })
}

/// `[admin_server]`. `None` if it is absent, or if an error was noted.
fn admin_server(root: &mut Section<'_, '_>) -> Option<AdminServer> {
    let mut section = root.section("admin_server", "[admin_server]")?;
    let limits = http_limits(&mut section, "18887", "1");
    section.finish();
    Some(AdminServer { limits: limits? })
}

fn http_limits(section: &mut Section<'_, '_>, port: &str, requests: &str) -> Option<HttpLimits> {
    let address = section.optional("address", Address, ANY_ADDRESS);
    let port = section.required("port", PORT, port);
    let max_concurrent_requests = section.required("max_concurrent_requests", COUNT, requests);
    let max_requests_per_second = section.required("max_requests_per_second", COUNT, requests);
    Some(HttpLimits {
        address: address?,
        port: port?,
        max_concurrent_requests: max_concurrent_requests?,
        max_requests_per_second: max_requests_per_second?,
    })
}

/// Notes an error for every server whose port an earlier one has.
fn one_port_each(root: &mut Section<'_, '_>) {
    let mut taken: BTreeMap<u16, &str> = BTreeMap::new();
    for name in ["event_stream_server", "rest_server", "admin_server"] {
        let Some((port, place)) = root.peek(name, "port", &PORT) else { continue };
        if let Some(first) = taken.get(&port) {
            let message = format!("port in [{name}]: [{first}] has {port} as well; give each server its own");
            root.findings.error(place, message);
        } else {
            taken.insert(port, name);
        }
    }
}
