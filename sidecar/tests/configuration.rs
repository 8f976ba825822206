//! The example files, and what a person sees of a configuration.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use casper_event_sidecar::command::check_config;
use casper_event_sidecar::config::{Config, ConfigError, Database, Loaded, SslMode};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

/// Loads a file that is right, and of which nothing is warned.
#[track_caller]
fn load(path: &Path) -> Config {
    match Config::load(path, |_| None) {
        Ok(Loaded { config, warnings }) => {
            assert_eq!(warnings, []);
            config
        }
        Err(error) => panic!("{error}"),
    }
}

/// What `--check-config` writes for a file named `config.toml`, and whether it is content.
fn check(text: &str) -> (String, String, bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    fs::write(&path, text).expect("written");
    let (mut output, mut problems) = (Vec::new(), Vec::new());
    let sound = check_config(&path, |_| None, &mut output, &mut problems).expect("written");
    let shown = |bytes: Vec<u8>| {
        String::from_utf8(bytes).expect("text").replace(&path.display().to_string(), "config.toml")
    };
    (shown(output), shown(problems), sound)
}

/// The lines of `text` with the fields that are commented out put in.
fn uncomment(text: &str) -> String {
    let is_field = |line: &str| line.starts_with('#') && !line.starts_with("# ") && line.contains(" = ");
    let line = |line: &str| if is_field(line) { line[1..].to_owned() } else { line.to_owned() };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_default_file_listens_to_a_node_on_the_same_machine_on_the_documented_ports() {
    let config = load(&file("default.toml"));
    let nodes: Vec<_> = config.connections.iter().map(|node| (node.name(), node.rest_port)).collect();
    assert_eq!(nodes, [("127.0.0.1:9999".to_owned(), 8888)]);
    assert_eq!(config.event_stream_server.port, 19999);
    assert_eq!(config.rest_server.expect("a REST server").limits.port, 18888);
    let admin = config.admin_server.expect("an admin server").limits;
    assert_eq!((admin.address.is_loopback(), admin.port), (true, 18887));
}

#[test]
fn what_the_default_file_has_commented_out_is_the_default() {
    let text = fs::read_to_string(file("default.toml")).expect("readable");
    let (above, postgres) = text.split_once("#[storage.postgresql_config]").expect("both databases");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");

    let written_out = uncomment(above);
    fs::write(&path, &written_out).expect("written");
    let config = load(&path);
    assert_eq!(config, load(&file("default.toml")));
    let fields = |text: &str| {
        let names =
            text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = "));
        names.map(|(name, _)| name.to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(fields(&written_out), fields(&config.to_string()), "every field is explained");

    let (above_sqlite, rest) = above.split_once("[storage.sqlite_config]").expect("SQLite");
    let (_, below_sqlite) = rest.split_once("[rest_server]").expect("a REST server");
    let postgres = uncomment(postgres);
    let with_postgres =
        format!("{above_sqlite}[rest_server]{below_sqlite}[storage.postgresql_config]{postgres}");
    fs::write(&path, with_postgres).expect("written");
    let Database::Postgres(postgres) = load(&path).storage.database else { panic!("expected PostgreSQL") };
    assert_eq!((postgres.port, postgres.max_connections_in_pool), (5432, 10));
    assert_eq!(postgres.ssl_mode, SslMode::Prefer);
}

#[test]
fn the_shapes_of_the_original_sidecars_examples_load_without_a_warning() {
    let node = load(&file("examples/node.toml"));
    assert_eq!(node.connections.len(), 1);
    assert!(matches!(node.storage.database, Database::Sqlite(_)));

    let nctl = load(&file("examples/nctl.toml"));
    let ports: Vec<_> = nctl.connections.iter().map(|node| (node.sse_port, node.rest_port)).collect();
    assert_eq!(ports, [(18101, 14101), (18102, 14102), (18103, 14103)]);

    let postgres = load(&file("examples/nctl-postgresql.toml"));
    assert_eq!(postgres.connections, nctl.connections);
    assert!(matches!(postgres.storage.database, Database::Postgres(_)));
}

#[test]
fn a_checked_file_is_shown_with_every_default_and_without_its_password() {
    let text = fs::read_to_string(file("examples/nctl-postgresql.toml")).expect("readable");
    let (output, problems, sound) = check(&text);
    assert_eq!((problems.as_str(), sound), ("", true));
    assert!(!output.contains("change me"), "{output}");
    insta::assert_snapshot!(output);
}

#[test]
fn a_checked_file_with_warnings_is_shown_but_not_called_right() {
    let text = fs::read_to_string(file("examples/node.toml")).expect("readable");
    let (output, problems, sound) =
        check(&text.replace("rest_port = 8888", "rest_port = 8888\nrest_prot = 8889"));
    assert!(!sound);
    assert_eq!(
        problems,
        "warning: config.toml:7:1: unknown field rest_prot in [[connections]] #1: did you mean rest_port?\n"
    );
    insta::assert_snapshot!(output);
}

#[test]
fn a_checked_file_with_errors_is_told_all_of_them() {
    let text = fs::read_to_string(file("examples/node.toml")).expect("readable");
    let wrong = text.replace("port = 18888", "prot = 18888").replace("max_attempts = 10", "max_attempts = 0");
    let (output, problems, sound) = check(&wrong);
    assert_eq!((output.as_str(), sound), ("", false));
    insta::assert_snapshot!(problems);
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let absent = folder.path().join("absent.toml");
    let error = Config::load(&absent, |_| None).expect_err("no such file");
    assert!(matches!(error, ConfigError::Unreadable { .. }));
    let expected = format!(
        "cannot read the configuration {} (name an existing file; \
         a packaged sidecar has /etc/casper-event-sidecar/config.toml)",
        absent.display()
    );
    assert_eq!(error.to_string(), expected);

    let error = Config::load(folder.path(), |_| None).expect_err("a folder");
    assert!(matches!(error, ConfigError::Unreadable { .. }));

    let huge = folder.path().join("huge.toml");
    fs::write(&huge, "#".repeat(1024 * 1024 + 1)).expect("written");
    let error = Config::load(&huge, |_| None).expect_err("too long");
    assert!(matches!(error, ConfigError::Unreadable { .. }));

    let binary = folder.path().join("binary.toml");
    fs::write(&binary, b"# \xc3\xbcber\nport = \"\xff\"\n").expect("written");
    let error = Config::load(&binary, |_| None).expect_err("no text").to_string();
    assert!(error.ends_with("binary.toml:2:9: expected text in UTF-8"), "{error}");
}
