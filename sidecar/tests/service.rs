//! What a service manager hears: a datagram socket in the place of systemd's.

#![allow(clippy::disallowed_methods, reason = "these tests are about the real process")]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::{PATIENCE, Place, Sidecar, command, free_port};
use tokio::net::UnixDatagram;
use tokio::time::timeout;

/// The next message.
async fn heard(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    let length = timeout(PATIENCE, socket.recv(&mut buffer)).await.expect("it speaks").expect("readable");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// A sidecar whose node is not there, as a service.
async fn service(place: &Place, socket: &Path) -> Command {
    let mut command = command(&place.configure(&[(free_port().await, free_port().await)], 1000));
    command.env("NOTIFY_SOCKET", socket).env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_hears_of_open_ports_of_life_and_of_the_end() {
    let place = Place::new().await;
    let socket = place.folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).expect("bound");
    let mut command = service(&place, &socket).await;
    command.env("WATCHDOG_USEC", Duration::from_secs(1).as_micros().to_string());
    let sidecar = Sidecar::spawn(&mut command);

    let ready = heard(&manager).await;
    assert!(ready.starts_with("READY=1\n"), "{ready}");
    for port in [place.events, place.rest, place.admin] {
        assert!(ready.contains(&format!(":{port}")), "{ready}");
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("the ports are open by then");
    }
    for _ in 0..3 {
        assert_eq!(heard(&manager).await.trim_end(), "WATCHDOG=1");
    }
    assert!(sidecar.terminate().await.success());
    let mut last = heard(&manager).await;
    while last.trim_end() == "WATCHDOG=1" {
        last = heard(&manager).await;
    }
    assert!(last.starts_with("STOPPING=1\n"), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_watchdog_only_the_begin_and_the_end_are_told() {
    let place = Place::new().await;
    let socket = place.folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).expect("bound");
    let sidecar = Sidecar::spawn(&mut service(&place, &socket).await);
    assert!(heard(&manager).await.starts_with("READY=1\n"));
    assert!(sidecar.terminate().await.success());
    assert!(heard(&manager).await.starts_with("STOPPING=1\n"));
}
