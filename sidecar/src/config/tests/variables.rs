use super::*;
use crate::config::{Database, Password, Postgres, SslMode};

const ALL: [(&str, &str); 8] = [
    ("SIDECAR_POSTGRES_USERNAME", "v-user"),
    ("SIDECAR_POSTGRES_PASSWORD", "v-s3cret"),
    ("SIDECAR_POSTGRES_DATABASE_NAME", "v-events"),
    ("SIDECAR_POSTGRES_HOST", "v-host"),
    ("SIDECAR_POSTGRES_MAX_CONNECTIONS", "77"),
    ("SIDECAR_POSTGRES_PORT", "6543"),
    ("SIDECAR_POSTGRES_SSL_MODE", "verify-full"),
    ("SIDECAR_POSTGRES_SSL_ROOT_CERTIFICATE", "/v/ca.pem"),
];

fn parse_with(storage: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let text = [CONNECTION, STORAGE, storage, EVENT_STREAM_SERVER].concat();
    let variables: Vec<(String, String)> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::parse(Path::new("config.toml"), &text, &|name| {
        variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    })
}

#[track_caller]
fn check(storage: &str, variables: &[(&str, &str)], expected: Postgres) {
    let Loaded { config, warnings } = parse_with(storage, variables).expect("a right configuration");
    assert_eq!(config.storage.database, Database::Postgres(expected));
    assert_eq!(warnings, []);
}

#[track_caller]
fn refused(storage: &str, variables: &[(&str, &str)], expected: &str) {
    let error = parse_with(storage, variables).expect_err("a wrong configuration").to_string();
    assert_eq!(error.split_once('\n').map(|(_, errors)| errors), Some(expected));
}

fn of_the_file() -> Postgres {
    Postgres {
        host: "localhost".to_owned(),
        port: 5432,
        database_name: "events".to_owned(),
        database_username: "sidecar".to_owned(),
        database_password: Password::new("s3cret"),
        max_connections_in_pool: 10,
        ssl_mode: SslMode::Prefer,
        ssl_root_certificate: None,
    }
}

fn of_the_variables() -> Postgres {
    Postgres {
        host: "v-host".to_owned(),
        port: 6543,
        database_name: "v-events".to_owned(),
        database_username: "v-user".to_owned(),
        database_password: Password::new("v-s3cret"),
        max_connections_in_pool: 77,
        ssl_mode: SslMode::VerifyFull,
        ssl_root_certificate: Some("/v/ca.pem".into()),
    }
}

#[test]
fn each_variable_wins_over_its_field() {
    let with_all_fields = format!("{POSTGRES}port = 1\nmax_connections_in_pool = 2\n");
    check(POSTGRES, &[], of_the_file());
    check(&with_all_fields, &[], Postgres { port: 1, max_connections_in_pool: 2, ..of_the_file() });
    check(&with_all_fields, &ALL, of_the_variables());
    check(POSTGRES, &ALL[..1], Postgres { database_username: "v-user".to_owned(), ..of_the_file() });
    check(POSTGRES, &ALL[1..2], Postgres { database_password: Password::new("v-s3cret"), ..of_the_file() });
    check(POSTGRES, &ALL[2..3], Postgres { database_name: "v-events".to_owned(), ..of_the_file() });
    check(POSTGRES, &ALL[3..4], Postgres { host: "v-host".to_owned(), ..of_the_file() });
    check(POSTGRES, &ALL[4..5], Postgres { max_connections_in_pool: 77, ..of_the_file() });
    check(POSTGRES, &ALL[5..6], Postgres { port: 6543, ..of_the_file() });
    check(POSTGRES, &ALL[6..7], Postgres { ssl_mode: SslMode::VerifyFull, ..of_the_file() });
    let certificate = Some("/v/ca.pem".into());
    check(POSTGRES, &ALL[7..], Postgres { ssl_root_certificate: certificate, ..of_the_file() });
    let with_ssl = format!("{POSTGRES}ssl_mode = \"require\"\nssl_root_certificate = \"ca.pem\"\n");
    let certificate = Some("ca.pem".into());
    let of_the_section =
        Postgres { ssl_mode: SslMode::Require, ssl_root_certificate: certificate, ..of_the_file() };
    check(&with_ssl, &[], of_the_section);
}

#[test]
fn the_variables_alone_are_enough() {
    check("", &ALL, of_the_variables());
    let with_defaults =
        Postgres { port: 5432, max_connections_in_pool: 10, ssl_mode: SslMode::Prefer, ..of_the_variables() };
    check("", &ALL[..4], Postgres { ssl_root_certificate: None, ..with_defaults });
    check("[storage.postgresql_config]", &ALL, of_the_variables());
}

#[test]
fn variables_that_are_not_enough_are_told() {
    refused(
        "",
        &ALL[..2],
        "error: config.toml: database_name in [storage.postgresql_config] is missing: \
         expected a text that is not empty; add it or set the variable SIDECAR_POSTGRES_DATABASE_NAME\n\
         error: config.toml: host in [storage.postgresql_config] is missing: \
         expected an IP address, a host name or the folder of a socket; add it or set the variable SIDECAR_POSTGRES_HOST",
    );
}

#[test]
fn a_variable_that_is_set_to_nothing_is_not_set() {
    let empty = ALL.map(|(name, _)| (name, ""));
    check(POSTGRES, &empty, of_the_file());
    refused(
        "",
        &empty,
        "error: config.toml:11:1: [storage] names no database: add a section [storage.sqlite_config] \
         or [storage.postgresql_config], or set the variables SIDECAR_POSTGRES_*",
    );
}

#[test]
fn a_wrong_variable_is_named() {
    refused(
        POSTGRES,
        &[
            ("SIDECAR_POSTGRES_PORT", "0"),
            ("SIDECAR_POSTGRES_HOST", "db:5432"),
            ("SIDECAR_POSTGRES_MAX_CONNECTIONS", "many"),
            ("SIDECAR_POSTGRES_SSL_MODE", "yes"),
        ],
        "error: variable SIDECAR_POSTGRES_HOST: expected an IP address, a host name or the folder of a socket, \
         found the text \"db:5432\" (leave out the port: it has a field of its own)\n\
         error: variable SIDECAR_POSTGRES_MAX_CONNECTIONS: expected a whole number from 1 to 4294967295, found the text \"many\"\n\
         error: variable SIDECAR_POSTGRES_PORT: expected a port from 1 to 65535, found the text \"0\"\n\
         error: variable SIDECAR_POSTGRES_SSL_MODE: expected one of \"disable\", \"prefer\", \"require\", \"verify-ca\", \
         \"verify-full\", found the text \"yes\"",
    );
}

#[test]
fn variables_that_sqlite_makes_useless_are_warned_of() {
    let Loaded { config, warnings } = parse_with(SQLITE, &ALL).expect("a right configuration");
    assert!(matches!(config.storage.database, Database::Sqlite(_)));
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "variable SIDECAR_POSTGRES_USERNAME: has no effect, because the file has a section [storage.sqlite_config]; \
          remove the section to use PostgreSQL"
        ]
    );
}

#[test]
fn no_text_made_of_a_configuration_shows_the_password() {
    let config = parse_with(POSTGRES, &[]).expect("a right configuration").config;
    for text in [format!("{config}"), format!("{config:?}"), format!("{config:#?}")] {
        assert!(text.contains("hidden"), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
}
