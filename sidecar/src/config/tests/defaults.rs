use std::num::NonZeroU32;
use std::time::Duration;

use super::*;
use crate::config::{ANY_ADDRESS, Connection, Database, EventStreamServer};

#[test]
fn what_is_left_out_has_the_documented_default() {
    let text = [CONNECTION, STORAGE, SQLITE, EVENT_STREAM_SERVER, REST_SERVER].concat();
    let config = parse(&text).expect("a right file").config;
    let connection = &config.connections[0];
    assert_eq!(connection.connection_timeout, Duration::from_secs(5));
    assert_eq!(connection.no_message_timeout, Duration::from_secs(120));
    assert_eq!(connection.sleep_between_keep_alive_checks, Duration::from_secs(60));
    let event_stream_server = EventStreamServer {
        address: ANY_ADDRESS,
        port: 19999,
        max_concurrent_subscribers: 100,
        buffer_length: 5000,
    };
    assert_eq!(config.event_stream_server, event_stream_server);
    let rest_server = config.rest_server.expect("a REST server");
    assert_eq!(rest_server.limits.address, ANY_ADDRESS);
    assert_eq!(rest_server.request_timeout, Duration::from_secs(10));
    assert_eq!(config.admin_server, None);
    assert_eq!(config.inbound_channel_size, 1000);
    assert_eq!(config.outbound_channel_size, 1000);
    assert_eq!(config.max_event_size, 64 * 1024 * 1024);

    let text = [CONNECTION, STORAGE, POSTGRES, EVENT_STREAM_SERVER].concat();
    let config = parse(&text).expect("a right file").config;
    let Database::Postgres(postgres) = config.storage.database else { panic!("expected PostgreSQL") };
    assert_eq!((postgres.port, postgres.max_connections_in_pool), (5432, 10));
    assert_eq!(config.rest_server, None);
}

#[test]
fn a_connection_made_in_code_has_the_defaults_of_one_in_a_file() {
    let config = parse(&whole()).expect("a right file").config;
    assert_eq!(config.connections, [Connection::new("127.0.0.1", 9999, 8888)]);
}

#[test]
fn what_a_file_says_is_taken() {
    let text = r#"
        inbound_channel_size = 1
        outbound_channel_size = 2
        max_event_size_in_bytes = 3
        connections = [{ ip_address = "node", sse_port = 4, rest_port = 5, max_attempts = 6,
            delay_between_retries_in_seconds = 7, allow_partial_connection = true, enable_logging = false,
            connection_timeout_in_seconds = 8, no_message_timeout_in_seconds = 9,
            sleep_between_keep_alive_checks_in_seconds = 10 }]
        [storage]
        storage_path = "/data"
        [storage.sqlite_config]
        file_name = "events"
        max_connections_in_pool = 11
        wal_autocheckpointing_interval = 12
        [event_stream_server]
        address = "::1"
        port = 13
        max_concurrent_subscribers = 14
        event_stream_buffer_length = 15
        [rest_server]
        address = "::"
        port = 16
        max_concurrent_requests = 17
        max_requests_per_second = 18
        request_timeout_in_seconds = 19
        [admin_server]
        address = "127.0.0.1"
        port = 20
        max_concurrent_requests = 21
        max_requests_per_second = 22
    "#;
    let Loaded { config, warnings } = parse(text).expect("a right file");
    assert_eq!(warnings, []);
    assert_eq!(config.connections[0].max_attempts, NonZeroU32::new(6).expect("not 0"));
    insta::assert_debug_snapshot!(config);
}
