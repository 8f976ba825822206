//! The service manager's side of a run: that the ports are open, that it is ending, that it is alive.
//!
//! Spoken is systemd's protocol (`Type=notify`, `WatchdogSec=`). Where no service manager asks, nothing is said.
//!
//! What the watchdog proves is that every server accepts a connection and lets go of it again: so the runtime, its
//! timers and its sockets work, and the servers' tasks are there. A task that ends by itself needs no watchdog: it ends
//! the run. A database that cannot be written is no reason to be restarted: `/health/ready` tells it.

use std::future::pending;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{error, warn};

use crate::environment::Environment;

/// Tells that all ports are open.
pub fn tell_ready(ports: &[(&'static str, SocketAddr)]) {
    let listening: Vec<_> = ports.iter().map(|(server, address)| format!("{server} {address}")).collect();
    tell(&[NotifyState::Ready, NotifyState::Status(&format!("listening: {}", listening.join(", ")))]);
}

/// Tells that the run is coming to its end.
pub fn tell_stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("shutting down")]);
}

/// How often the service manager wants to hear that all is well, halved so that a late word is still in time.
/// `None` if it does not want to hear it from this process.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2).filter(|interval| !interval.is_zero())
}

/// Calls `tell_alive` once every `interval` while every port lets itself be knocked at; never ends. Without an interval
/// there is nothing to do.
///
/// A proof is given half of the interval, so that the word comes before one and a half of them have passed.
pub async fn watch<E: Environment>(
    environment: E,
    ports: Vec<(&'static str, SocketAddr)>,
    interval: Option<Duration>,
    mut tell_alive: impl FnMut(),
) {
    let Some(interval) = interval else { return pending().await };
    loop {
        let began = Instant::now();
        let deadline = began + interval / 2;
        let mut all_well = true;
        for &(server, address) in &ports {
            let why = match timeout_at(deadline, knock(&environment, address)).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("it does not answer within {:?}", interval / 2),
            };
            all_well = false;
            error!(server, %address, "the watchdog finds no life, and will end the sidecar if that lasts: {why}");
        }
        if all_well {
            tell_alive();
        }
        sleep_until(began + interval).await;
    }
}

/// Tells the service manager that all is well.
pub fn tell_alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Comes and goes without a word: the other side must accept, see the end, and let go. No request is counted, and a
/// server whose places are all taken lets go at once.
async fn knock<E: Environment>(environment: &E, address: SocketAddr) -> io::Result<()> {
    let host = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let mut io = environment.connect(&host.to_string(), address.port()).await?;
    // Either may find that the other side has let go already.
    let _ = io.shutdown().await;
    let _ = io.read(&mut [0; 1]).await;
    Ok(())
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("the service manager cannot be told ({}): {error}", states[0]);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::net::TcpListener;
    use tokio::time::sleep;

    use super::*;
    use crate::environment::RealEnvironment;

    /// Whether a watch over a bound port hears of life twice, while `serve` does with the port what it does.
    async fn is_alive<F: Future<Output = ()>>(serve: impl FnOnce(TcpListener) -> F) -> bool {
        let environment = RealEnvironment::default();
        let listener = environment.bind(Ipv4Addr::LOCALHOST.into(), 0).await.expect("a free port");
        let ports = vec![("server", listener.local_addr().expect("bound"))];
        let words = Arc::new(AtomicUsize::new(0));
        let counted = words.clone();
        let watch = watch(environment, ports, Some(Duration::from_millis(200)), move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let heard = async {
            while words.load(Ordering::Relaxed) < 2 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = watch => unreachable!("it never ends"),
            () = serve(listener) => unreachable!("it never ends"),
            () = heard => true,
            () = sleep(Duration::from_secs(2)) => words.load(Ordering::Relaxed) > 0,
        }
    }

    #[tokio::test]
    async fn a_port_that_is_served_is_alive_and_one_that_is_only_bound_is_not() {
        let served = is_alive(async |listener| {
            loop {
                drop(listener.accept().await.expect("accepted"));
            }
        });
        assert!(served.await);
        // The operating system accepts on its behalf, but nobody lets go.
        let bound = is_alive(async |listener| {
            pending::<()>().await;
            drop(listener);
        });
        assert!(!bound.await);
    }
}
