//! `[storage]`: the folder, and which database.
//!
//! A variable wins over the field of the file. PostgreSQL is used if its section is there or, where neither database
//! has a section, if any of the variables is set.

use toml::de::DeValue;

use super::field::{COUNT, DatabaseHost, File, FileName, Kind, PORT, Secret, Ssl, Text};
use super::problem::Place;
use super::section::{Section, refusal};
use super::{Database, Postgres, Sqlite, SslMode, Storage};

type Variables<'v> = &'v dyn Fn(&str) -> Option<String>;

/// The variables, in the order of the documentation.
const VARIABLES: [&str; 8] = [
    "SIDECAR_POSTGRES_USERNAME",
    "SIDECAR_POSTGRES_PASSWORD",
    "SIDECAR_POSTGRES_DATABASE_NAME",
    "SIDECAR_POSTGRES_HOST",
    "SIDECAR_POSTGRES_MAX_CONNECTIONS",
    "SIDECAR_POSTGRES_PORT",
    "SIDECAR_POSTGRES_SSL_MODE",
    "SIDECAR_POSTGRES_SSL_ROOT_CERTIFICATE",
];

/// `[storage]`. `None` if an error was noted.
pub(super) fn storage(root: &mut Section<'_, '_>, variables: Variables<'_>) -> Option<Storage> {
    if !root.has("storage") {
        let message = "[storage] is missing: add this section with `storage_path = \"/var/lib/casper-event-sidecar\"` \
                       and a section [storage.sqlite_config]";
        root.findings.error(root.place(), message);
    }
    let mut section = root.section("storage", "[storage]")?;
    let path = section.required("storage_path", Text, "\"/var/lib/casper-event-sidecar\"");
    let database = database(&mut section, variables);
    section.finish();
    Some(Storage { path: path?.into(), database: database? })
}

fn database(section: &mut Section<'_, '_>, variables: Variables<'_>) -> Option<Database> {
    let set = VARIABLES.into_iter().find(|name| variable(variables, name).is_some());
    match (section.has("sqlite_config"), section.has("postgresql_config"), set) {
        (true, false, set) => {
            if let Some(name) = set {
                let message = "has no effect, because the file has a section [storage.sqlite_config]; \
                               remove the section to use PostgreSQL";
                section.findings.warning(Place::Variable(name), message);
            }
            section.section("sqlite_config", "[storage.sqlite_config]").and_then(sqlite).map(Database::Sqlite)
        }
        (false, true, _) => {
            let section = section.section("postgresql_config", POSTGRES)?;
            postgres(section, variables).map(Database::Postgres)
        }
        (false, false, Some(_)) => postgres(section.absent(POSTGRES), variables).map(Database::Postgres),
        (true, true, _) => {
            // Both are read, for the sake of the errors and warnings in them.
            section.section("sqlite_config", "[storage.sqlite_config]").and_then(sqlite);
            let place = section.place_of("postgresql_config");
            section.section("postgresql_config", POSTGRES).and_then(|section| postgres(section, variables));
            let message =
                format!("{POSTGRES}: there is a section [storage.sqlite_config], too; keep one of the two");
            section.findings.error(place, message);
            None
        }
        (false, false, None) => {
            let message = format!(
                "[storage] names no database: add a section [storage.sqlite_config] or {POSTGRES}, \
                 or set the variables SIDECAR_POSTGRES_*"
            );
            section.findings.error(section.place(), message);
            None
        }
    }
}

/// `[storage.sqlite_config]`
fn sqlite(mut section: Section<'_, '_>) -> Option<Sqlite> {
    let file_name = section.required("file_name", FileName, "\"sqlite_database.db3\"");
    let max_connections_in_pool = section.required("max_connections_in_pool", COUNT, "100");
    let wal_autocheckpointing_interval = section.required("wal_autocheckpointing_interval", COUNT, "1000");
    section.finish();
    Some(Sqlite {
        file_name: file_name?,
        max_connections_in_pool: max_connections_in_pool?,
        wal_autocheckpointing_interval: wal_autocheckpointing_interval?,
    })
}

const POSTGRES: &str = "[storage.postgresql_config]";

/// `[storage.postgresql_config]`
fn postgres(mut section: Section<'_, '_>, variables: Variables<'_>) -> Option<Postgres> {
    let mut fields = Overridden { section: &mut section, variables };
    let database_username = fields.read("database_username", "SIDECAR_POSTGRES_USERNAME", Text, None);
    let database_password = fields.read("database_password", "SIDECAR_POSTGRES_PASSWORD", Secret, None);
    let database_name = fields.read("database_name", "SIDECAR_POSTGRES_DATABASE_NAME", Text, None);
    let host = fields.read("host", "SIDECAR_POSTGRES_HOST", DatabaseHost, None);
    let max_connections_in_pool =
        fields.read("max_connections_in_pool", "SIDECAR_POSTGRES_MAX_CONNECTIONS", COUNT, Some(10));
    let port = fields.read("port", "SIDECAR_POSTGRES_PORT", PORT, Some(5432));
    let ssl_mode = fields.read("ssl_mode", "SIDECAR_POSTGRES_SSL_MODE", Ssl, Some(SslMode::Prefer));
    let ssl_root_certificate =
        fields.read("ssl_root_certificate", "SIDECAR_POSTGRES_SSL_ROOT_CERTIFICATE", File, Some(None));
    section.finish();
    Some(Postgres {
        host: host?,
        port: port?,
        database_name: database_name?,
        database_username: database_username?,
        database_password: database_password?,
        max_connections_in_pool: max_connections_in_pool?,
        ssl_mode: ssl_mode?,
        ssl_root_certificate: ssl_root_certificate?,
    })
}

/// Fields of a section, over each of which a variable may win.
struct Overridden<'s, 'f, 't, 'v> {
    section: &'s mut Section<'f, 't>,
    variables: Variables<'v>,
}

impl Overridden<'_, '_, '_, '_> {
    /// Reads a field; one without a default must be there. `None` if an error was noted.
    fn read<K: Kind>(
        &mut self,
        name: &'static str,
        variable_name: &'static str,
        kind: K,
        default: Option<K::Value>,
    ) -> Option<K::Value> {
        // The field is read even where the variable wins: what is wrong in it is wrong all the same.
        let is_there = self.section.has(name);
        let field = self.section.read(name, &kind);
        if let Some(text) = variable(self.variables, variable_name) {
            let read = kind.read_text(&text);
            if read.is_none() {
                let message = refusal(&kind, &DeValue::String(text.into()));
                self.section.findings.error(Place::Variable(variable_name), message);
            }
            return read;
        }
        if is_there || default.is_some() {
            return field.or(default);
        }
        let message = format!(
            "{} is missing: expected {}; add it or set the variable {variable_name}",
            self.section.subject(name),
            kind.expected(),
        );
        self.section.findings.error(self.section.place(), message);
        None
    }
}

/// A variable; one that is set to nothing is not set.
fn variable(variables: Variables<'_>, name: &str) -> Option<String> {
    variables(name).filter(|value| !value.is_empty())
}
