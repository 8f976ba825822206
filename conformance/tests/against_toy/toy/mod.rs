//! A small sidecar in test code, right by default and wrong in one chosen way: what each check must fail on.
//!
//! It is a sidecar and its nodes in one: the control server, which has the paths of the mock node's, acts on the log
//! at once. It listens on loopback on free ports and ends when it is dropped.

mod admin;
mod control;
mod description;
mod events;
mod log;
mod lookup;
mod wrong;

use std::{
    future::IntoFuture as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Router, middleware};
use conformance::{
    target::{Addresses, Pace, Target},
    wire::Origin,
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet, time::interval};

use self::log::Log;
pub(crate) use self::wrong::{Fault, Wrong};
use crate::mutation::{self, Server};

/// How long a node may stay away before the toy gives it up.
const EXHAUSTION: Duration = Duration::from_secs(3);

/// The pace at which the toy is asked: that of its own keep-alive.
pub(crate) fn pace() -> Pace {
    Pace {
        reply: Duration::from_secs(5),
        quiet: Duration::from_millis(200),
        settle: Duration::from_millis(200),
        keep_alive: Duration::from_secs(1),
        slack: Duration::from_millis(600),
        event: Duration::from_secs(3),
        reconnect: Duration::from_secs(3),
        exhaustion: Duration::from_secs(8),
        check: Duration::from_secs(30),
    }
}

/// What all handlers share.
pub(crate) struct Shared {
    log: Mutex<Log>,
    wrong: Wrong,
    /// Rises whenever the log has changed.
    changes: watch::Sender<u64>,
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the log and tells the subscribers.
    fn change<T>(&self, change: impl FnOnce(&mut Log) -> T) -> T {
        let result = change(&mut self.log());
        self.changes.send_modify(|revision| *revision += 1);
        result
    }

    fn has(&self, fault: Fault) -> bool {
        matches!(self.wrong, Wrong::Fault(other) if other == fault)
    }
}

/// The toy as long as it runs.
pub(crate) struct Toy {
    addresses: Addresses,
    _servers: JoinSet<()>,
}

impl Toy {
    /// Starts the toy with so many scripted nodes. Without any it has events from the beginning.
    pub(crate) async fn start(wrong: Wrong, nodes: usize) -> Self {
        let shared = Arc::new(Shared {
            log: Mutex::new(Log::new(nodes, &wrong)),
            wrong,
            changes: watch::Sender::new(0),
        });
        let mut servers = JoinSet::new();
        let mut addresses = Addresses {
            events: Some(serve(&mut servers, events::router(), Some(Server::Events), &shared).await),
            rest: Some(serve(&mut servers, lookup::router(), Some(Server::Rest), &shared).await),
            admin: Some(serve(&mut servers, admin::router(), Some(Server::Admin), &shared).await),
            ..Addresses::default()
        };
        if nodes > 0 {
            addresses.nodes.push(serve(&mut servers, control::router(), None, &shared).await);
        }
        servers.spawn(async move {
            let mut clock = interval(Duration::from_millis(50));
            loop {
                clock.tick().await;
                shared.change(|log| log.give_up(EXHAUSTION));
            }
        });
        Self { addresses, _servers: servers }
    }

    /// The address of the event stream server.
    pub(crate) fn events(&self) -> String {
        self.addresses.events.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    /// The toy as the suite sees it.
    pub(crate) async fn target(&self, may_end: bool) -> Target {
        let addresses = Addresses { may_end, ..self.addresses.clone() };
        Target::new(addresses, pace()).await.expect("the toy lists its nodes")
    }
}

async fn serve(
    servers: &mut JoinSet<()>,
    router: Router<Arc<Shared>>,
    server: Option<Server>,
    shared: &Arc<Shared>,
) -> Origin {
    #[allow(clippy::disallowed_methods, reason = "a server of a test, on loopback and on a free port")]
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
    let address = listener.local_addr().expect("a bound listener has an address");
    let router = match (server, shared.wrong) {
        (Some(server), Wrong::Mutated(mutation)) => {
            router.layer(middleware::from_fn_with_state((server, Some(mutation)), mutation::apply))
        }
        _ => router,
    };
    let router = router.with_state(Arc::clone(shared));
    let mut changes = shared.changes.subscribe();
    let shared = Arc::clone(shared);
    servers.spawn(async move {
        // Without the listener the port is closed; the connections have an end of their own.
        tokio::select! {
            _ = axum::serve(listener, router).into_future() => {}
            _ = changes.wait_for(|_| shared.log().ended) => {}
        }
    });
    Origin::parse(&format!("http://{address}")).expect("an address of the right form")
}
