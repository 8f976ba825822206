use super::*;

/// Checks what is told of the right file in which `from` is replaced by `to`.
#[track_caller]
fn check(from: &str, to: &str, expected: &str) {
    let text = whole();
    assert_eq!(text.matches(from).count(), 1, "{from:?} must occur once");
    assert_eq!(told(&text.replacen(from, to, 1)), expected);
}

/// Checks what is told of a whole file.
#[track_caller]
fn check_file(text: &str, expected: &str) {
    assert_eq!(told(text), expected);
}

#[test]
fn a_right_file_is_told_nothing_of() {
    check_file(&whole(), "");
    check_file(&whole().replace('\n', "\r\n"), "");
    check_file(&format!("\u{feff}{}", whole()), "");
    check_file(&[CONNECTION, STORAGE, POSTGRES, EVENT_STREAM_SERVER].concat(), "");
}

#[test]
fn a_missing_section_is_named_with_what_to_add() {
    check_file(
        "",
        "error: config.toml: [[connections]] is missing: add such a section for each node to listen to\n\
         error: config.toml: [storage] is missing: add this section with `storage_path = \"/var/lib/casper-event-sidecar\"` and a section [storage.sqlite_config]\n\
         error: config.toml: [event_stream_server] is missing: add this section with `port = 19999`",
    );
    check_file(
        &[CONNECTION, STORAGE, EVENT_STREAM_SERVER].concat(),
        "error: config.toml:11:1: [storage] names no database: add a section [storage.sqlite_config] or [storage.postgresql_config], or set the variables SIDECAR_POSTGRES_*",
    );
    check_file(
        &["connections = []", STORAGE, SQLITE, EVENT_STREAM_SERVER].concat(),
        "error: config.toml:1:15: [[connections]] is missing: add such a section for each node to listen to",
    );
}

#[test]
fn every_missing_field_is_named_with_what_to_add() {
    let sections = "[[connections]]\n[storage]\n[storage.sqlite_config]\n[event_stream_server]\n[rest_server]\n[admin_server]";
    insta::assert_snapshot!(told(sections));
    let postgres = "[[connections]]\n[storage]\n[storage.postgresql_config]\n[event_stream_server]";
    insta::assert_snapshot!(told(postgres));
}

#[test]
fn a_port_is_a_number_from_1_to_65535() {
    let refused = |found: &str| {
        format!(
            "error: config.toml:4:12: sse_port in [[connections]] #1: expected a port from 1 to 65535, found {found}"
        )
    };
    for found in ["0", "65536", "-1", "99999999999999999999", "0x10000", "9999.0", "true", "nan"] {
        check("9999\nrest", &format!("{found}\nrest"), &refused(found));
    }
    check("9999\nrest", "\"9999\"\nrest", &refused("the text \"9999\" (remove the quotes)"));
    check("9999\nrest", "\"http\"\nrest", &refused("the text \"http\""));
    check("9999\nrest", "[9999]\nrest", &refused("a list"));
    check("9999\nrest", "{ port = 1 }\nrest", &refused("a section"));
    check("9999\nrest", "2024-01-01\nrest", &refused("the date 2024-01-01"));
    check("9999\nrest", "0x270F\nrest", "");
    check("9999\nrest", "65_535\nrest", "");
    check(
        "port = 18887",
        "port = 0",
        "error: config.toml:28:8: port in [admin_server]: expected a port from 1 to 65535, found 0",
    );
}

#[test]
fn sizes_and_times_are_above_0() {
    let times = "expected a whole number of seconds from 1 to 4294967295";
    check(
        "delay_between_retries_in_seconds = 5",
        "delay_between_retries_in_seconds = 0",
        &format!(
            "error: config.toml:7:36: delay_between_retries_in_seconds in [[connections]] #1: {times}, found 0"
        ),
    );
    for field in [
        "connection_timeout_in_seconds",
        "no_message_timeout_in_seconds",
        "sleep_between_keep_alive_checks_in_seconds",
    ] {
        let message = format!(
            "error: config.toml:10:{}: {field} in [[connections]] #1: {times}, found 0.5",
            field.len() + 4
        );
        check("enable_logging = true", &format!("enable_logging = true\n{field} = 0.5"), &message);
    }
    check(
        "port = 18888",
        "port = 18888\nrequest_timeout_in_seconds = \"10\"",
        &format!(
            "error: config.toml:24:30: request_timeout_in_seconds in [rest_server]: {times}, found the text \"10\" (remove the quotes)"
        ),
    );
    let count = "expected a whole number from 1 to 4294967295";
    check(
        "max_connections_in_pool = 4",
        "max_connections_in_pool = 0",
        &format!(
            "error: config.toml:16:27: max_connections_in_pool in [storage.sqlite_config]: {count}, found 0"
        ),
    );
    check(
        "wal_autocheckpointing_interval = 1000",
        "wal_autocheckpointing_interval = -1",
        &format!(
            "error: config.toml:17:34: wal_autocheckpointing_interval in [storage.sqlite_config]: {count}, found -1"
        ),
    );
    check(
        "port = 19999",
        "port = 19999\nmax_concurrent_subscribers = 0\nevent_stream_buffer_length = 0",
        &format!(
            "error: config.toml:21:30: max_concurrent_subscribers in [event_stream_server]: {count}, found 0\n\
             error: config.toml:22:30: event_stream_buffer_length in [event_stream_server]: expected a whole number from 1 to 100000000, found 0"
        ),
    );
    check(
        "max_concurrent_requests = 50\nmax_requests_per_second = 50",
        "max_concurrent_requests = 0\nmax_requests_per_second = 0",
        &format!(
            "error: config.toml:24:27: max_concurrent_requests in [rest_server]: {count}, found 0\n\
             error: config.toml:25:27: max_requests_per_second in [rest_server]: {count}, found 0"
        ),
    );
    check_file(
        &format!(
            "inbound_channel_size = 0\noutbound_channel_size = 0\nmax_event_size_in_bytes = 0\n{}",
            whole()
        ),
        "error: config.toml:1:24: inbound_channel_size: expected a whole number from 1 to 100000000, found 0\n\
         error: config.toml:2:25: outbound_channel_size: expected a whole number from 1 to 100000000, found 0\n\
         error: config.toml:3:27: max_event_size_in_bytes: expected a number of bytes from 1 to 1000000000, found 0",
    );
}

#[test]
fn no_attempts_at_all_are_refused_in_the_documented_words() {
    check(
        "max_attempts = 10",
        "max_attempts = 0",
        "error: config.toml:6:16: max_attempts in [[connections]] #1: \
         Unable to run: max_attempts setting must be above 0 for the sidecar to attempt connection",
    );
    check(
        "max_attempts = 10",
        "max_attempts = -1",
        "error: config.toml:6:16: max_attempts in [[connections]] #1: expected a whole number from 1 to 4294967295, found -1",
    );
}

#[test]
fn a_flag_is_true_or_false() {
    let refused =
        "error: config.toml:9:18: enable_logging in [[connections]] #1: expected true or false, found";
    check("enable_logging = true", "enable_logging = 1", &format!("{refused} 1"));
    check(
        "enable_logging = true",
        "enable_logging = \"true\"",
        &format!("{refused} the text \"true\" (remove the quotes)"),
    );
}

#[test]
fn a_node_has_an_ip_address_or_a_host_name() {
    let node = "\"127.0.0.1\"";
    for host in [
        "::1",
        "2001:db8::7",
        "node",
        "node-1.example.com",
        "node_1",
        "example.com.",
        "3.example",
        "xn--bcher-kva.example",
    ] {
        check(node, &format!("{host:?}"), "");
    }
    let refused = |found: &str| {
        format!(
            "error: config.toml:3:14: ip_address in [[connections]] #1: expected an IP address or a host name, found {found}"
        )
    };
    for host in
        ["", " ", "160.23.111.980", "1.2.3", "-node", "node-", "a..b", "no de", "n\u{f6}de", "fe80::1%eth0"]
    {
        check(node, &format!("{host:?}"), &refused(&format!("the text {host:?}")));
    }
    for (host, hint) in [
        ("http://127.0.0.1", "leave out the scheme"),
        ("[::1]", "leave out the brackets"),
        ("node:9999", "leave out the port: it has a field of its own"),
    ] {
        check(node, &format!("{host:?}"), &refused(&format!("the text {host:?} ({hint})")));
    }
    check(node, "127", &refused("127 (put it in quotes)"));
    let long = "n".repeat(300);
    check(node, &format!("{long:?}"), &refused(&format!("the text \"{}...\"", "n".repeat(60))));
}

#[test]
fn a_server_listens_on_an_ip_address() {
    for address in ["127.0.0.1", "::", "::1", "0.0.0.0"] {
        check("port = 18888", &format!("port = 18888\naddress = {address:?}"), "");
    }
    let refused = "error: config.toml:24:11: address in [rest_server]: \
                   expected an IP address to listen on, such as \"0.0.0.0\", found";
    check(
        "port = 18888",
        "port = 18888\naddress = \"localhost\"",
        &format!("{refused} the text \"localhost\" (write \"127.0.0.1\")"),
    );
    check("port = 18888", "port = 18888\naddress = \"*\"", &format!("{refused} the text \"*\""));
}

#[test]
fn paths_and_names_have_something_in_them() {
    check(
        "storage_path = \"data\"",
        "storage_path = \"\"",
        "error: config.toml:12:16: storage_path in [storage]: expected a text that is not empty, found the text \"\"",
    );
    for name in ["", "a/b", "..", "a\\b", "a\0b"] {
        let shown = name.replace('\0', "\u{fffd}");
        check(
            "file_name = \"events.db3\"",
            &format!("file_name = {}", toml::Value::from(name)),
            &format!(
                "error: config.toml:15:13: file_name in [storage.sqlite_config]: expected the name of a file, without a folder, found the text {shown:?}"
            ),
        );
    }
}

#[test]
fn a_node_is_named_once() {
    let twice = |one: &str, other: &str| {
        let second = CONNECTION.replace("127.0.0.1", other).replace("rest_port = 8888", "rest_port = 8889");
        [CONNECTION.replace("127.0.0.1", one), second, whole().replace(CONNECTION, "")].concat()
    };
    let refused = "error: config.toml:11:1: [[connections]] #2: the same ip_address and sse_port as in [[connections]] #1; name each node once";
    check_file(&twice("127.0.0.1", "127.0.0.1"), refused);
    check_file(&twice("node", "Node."), refused);
    check_file(&twice("::1", "0:0::1"), refused);
    check_file(&twice("127.0.0.1", "::ffff:127.0.0.1"), refused);
    check_file(&twice("127.0.0.1", "127.0.0.2"), "");
}

#[test]
fn each_server_has_a_port_of_its_own() {
    check(
        "port = 18888",
        "port = 19999",
        "error: config.toml:23:8: port in [rest_server]: [event_stream_server] has 19999 as well; give each server its own",
    );
    check(
        "port = 18887",
        "port = 18888",
        "error: config.toml:28:8: port in [admin_server]: [rest_server] has 18888 as well; give each server its own",
    );
}

#[test]
fn a_section_is_no_value_and_has_its_brackets() {
    check_file(
        &["[connections]\nip_address = \"127.0.0.1\"", STORAGE, SQLITE, EVENT_STREAM_SERVER].concat(),
        "error: config.toml:1:1: [connections]: expected [[connections]], with two brackets on either side",
    );
    check_file(
        &["connections = 3\nadmin_server = true", STORAGE, SQLITE, EVENT_STREAM_SERVER].concat(),
        "error: config.toml:1:15: connections: expected sections [[connections]], found 3\n\
         error: config.toml:2:16: [admin_server]: expected a section, found true",
    );
    check_file(
        &["connections = [3]", STORAGE, SQLITE, EVENT_STREAM_SERVER].concat(),
        "error: config.toml:1:16: [[connections]] #1: expected a section, found 3",
    );
}

#[test]
fn only_one_database_is_used() {
    check_file(
        &[CONNECTION, STORAGE, SQLITE, POSTGRES, EVENT_STREAM_SERVER].concat(),
        "error: config.toml:19:1: [storage.postgresql_config]: there is a section [storage.sqlite_config], too; keep one of the two",
    );
}

#[test]
fn a_password_is_not_shown_even_when_it_is_refused() {
    for (password, hint) in [("1234567", " (put it in quotes)"), ("[\"s3cret\"]", "")] {
        let told = told(
            &[CONNECTION, STORAGE, &POSTGRES.replace("\"s3cret\"", password), EVENT_STREAM_SERVER].concat(),
        );
        let expected = format!(
            "error: config.toml:18:21: database_password in [storage.postgresql_config]: expected a text, found something else{hint}"
        );
        assert_eq!(told, expected);
    }
    for broken in ["s3cret", "\"s3cret", "'s3cret", "\"\"\"s3cret", "s3cret = s3cret"] {
        let told = told(
            &[CONNECTION, STORAGE, &POSTGRES.replace("\"s3cret\"", broken), EVENT_STREAM_SERVER].concat(),
        );
        assert!(told.contains("not valid TOML"), "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }
}

#[test]
fn what_is_not_toml_is_told_with_its_place() {
    insta::assert_snapshot!(told(
        "[[connections]]\nip_address = 127.0.0.1\nsse_port 9999\nrest_port = \nrest_port = 1\n[storage\n"
    ));
    insta::assert_snapshot!(told(
        "[storage]\nstorage_path = /var/lib\n[rest_server]\nport =\nport = 1\nport = 2\n[storage]\n"
    ));
    let many = told(&"?\n".repeat(100));
    assert_eq!(many.lines().count(), 21);
    assert!(many.ends_with(" errors more"), "{many}");
}

#[test]
fn an_unknown_name_is_warned_of_with_the_nearest_known_one() {
    insta::assert_snapshot!(told(&format!(
        "inbound_chanel_size = 5\nMax_Event_Size = 5\nwhatever = 1\n{}\n[network]\n[admin]\n[event_stream_server.cors]\n[[connection]]\n",
        whole()
            .replace("sse_port", "address = \"x\"\nallow_partial_connections = true\nsse_port")
            .replace("storage_path", "storage_folder = \"x\"\nstorage_path")
            .replace("port = 18888", "port = 18888\nmax_concurent_requests = 7\n\"\\u001b[31m\\n\" = 1"),
    )));
}

#[test]
fn a_file_of_a_2x_sidecar_is_told_what_the_names_are_here() {
    insta::assert_snapshot!(told(
        r#"
network_name = "casper"

[rpc_server.main_server]
enable_server = true

[sse_server]
enable_server = true
[[sse_server.connections]]
ip_address = "127.0.0.1"
[sse_server.event_stream_server]
port = 19999

[storage]
storage_folder = "/var/lib/casper-event-sidecar"
[storage.sqlite_config]
enabled = true
file_name = "sqlite_database.db3"
max_connections_in_pool = 100
wal_autocheckpointing_interval = 1000

[rest_api_server]
enable_server = true
port = 18888

[admin_api_server]
port = 18887
"#
    ));
}

#[test]
fn sections_of_other_sidecars_beside_ours_are_warned_of() {
    check_file(
        &format!("{}\n[rpc_server.main_server]\nport = 7777\n[network]\n[sse_server]\n", whole()),
        "warning: config.toml:32:2: unknown section rpc_server: it belongs to a 2.x sidecar; the JSON-RPC of a node is not served here\n\
         warning: config.toml:34:2: unknown section network: it has no effect\n\
         warning: config.toml:35:2: unknown section sse_server: it belongs to a 2.x sidecar; what is in it is called [[connections]] and [event_stream_server] here",
    );
}
