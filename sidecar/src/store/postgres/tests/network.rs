//! A network that is slow, or lets nothing through any more.

#![allow(clippy::disallowed_methods, reason = "the proxy stands for the real network")]

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::super::Postgres;
use super::{IMPATIENT, append_at_last, check_holds, numbered};
use crate::store::contract::Database;
use crate::store::{Store, StoreError};

/// How bytes get through.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Open,
    Slow,
    /// Nothing comes through, and no connection is closed.
    Hung,
}

/// A proxy before the server. It ends when `tasks` is dropped.
async fn proxy(port: u16, tasks: &mut JoinSet<()>) -> (u16, watch::Sender<Way>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let own = listener.local_addr().expect("bound").port();
    let (sender, way) = watch::channel(Way::Open);
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
            let (client, server) = (client.into_split(), server.into_split());
            connections.spawn(carry(client.0, server.1, way.clone()));
            connections.spawn(carry(server.0, client.1, way.clone()));
        }
    });
    (own, sender)
}

async fn carry(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut way: watch::Receiver<Way>,
) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if way.wait_for(|way| *way != Way::Hung).await.is_err() {
            return;
        }
        if *way.borrow() == Way::Slow {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_network_that_hangs_is_unavailable_and_not_waited_for_without_end() {
    let Some(mut place) = Database::new().await else { return };
    let mut tasks = JoinSet::new();
    let (port, way) = proxy(place.config.port, &mut tasks).await;
    place.config.port = port;
    let store = Postgres::open_with(&place.config, IMPATIENT).await.expect("opens");
    append_at_last(&store, &numbered(0)).await;
    store.page(None, 1).await.expect("reads");

    way.send_replace(Way::Hung);
    for _ in 0..2 {
        let batch = numbered(1);
        let (append, page) = tokio::join!(store.append(&batch), store.page(None, 1));
        assert!(matches!(append, Err(StoreError::Unavailable(_))), "{append:?}");
        assert!(matches!(page, Err(StoreError::Unavailable(_))));
    }
    way.send_replace(Way::Slow);
    append_at_last(&store, &numbered(1)).await;
    way.send_replace(Way::Open);
    append_at_last(&store, &numbered(2)).await;
    check_holds(&store, 0..3).await;

    way.send_replace(Way::Hung);
    timeout(Duration::from_secs(10), store.close()).await.expect("the end is not held up either");
}
