//! Controlling nodes.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Controlled,
    reply::{Body, Name, Refusal},
};
use crate::{
    event::Filter,
    node::{Node, StatusBehaviour},
};

pub(super) fn routes() -> Router<Controlled> {
    Router::new()
        .route("/nodes", get(list))
        .route("/nodes/{node}/shutdown", post(shutdown))
        .route("/nodes/{node}/crash", post(crash))
        .route("/nodes/{node}/restart", post(restart))
        .route("/nodes/{node}/versions", post(versions))
        .route("/nodes/{node}/pause", post(pause))
        .route("/nodes/{node}/refuse", post(refuse))
        .route("/nodes/{node}/silent", post(silent))
        .route("/nodes/{node}/keep-alives", post(keep_alives))
        .route("/nodes/{node}/status", post(status))
        .route("/nodes/{node}/drop", post(drop_connections))
        .route("/nodes/{node}/counter", post(counter))
}

pub(super) fn find(controlled: &Controlled, name: &str) -> Result<Node, Refusal> {
    let found = controlled.nodes.iter().find(|(other, _)| other == name);
    found.map(|(_, node)| node.clone()).ok_or_else(|| {
        let names: Vec<_> = controlled.nodes.iter().map(|(name, _)| format!("`{name}`")).collect();
        Refusal::not_found(format!("there is no node `{name}`: expected one of {}", names.join(", ")))
    })
}

pub(super) fn up(node: &Node) -> Result<(), Refusal> {
    if node.is_up() { Ok(()) } else { Err(Refusal::conflict("the node is down: restart it first")) }
}

/// A node as it is now.
#[derive(Serialize, ToSchema)]
pub(super) struct Snapshot {
    name: String,
    /// Its process runs.
    up: bool,
    /// How often it was started again.
    run: u32,
    /// Id of the next event.
    next_id: u32,
    build_version: String,
    api_version: String,
    /// Where the event stream is served.
    sse_addr: Option<String>,
    /// Where `/status` is served.
    rest_addr: Option<String>,
    /// How many are connected.
    subscribers: usize,
}

fn state_of(name: &str, node: &Node) -> Snapshot {
    let (build_version, api_version) = node.versions();
    Snapshot {
        name: name.to_owned(),
        up: node.is_up(),
        run: node.run(),
        next_id: node.next_id(),
        build_version,
        api_version,
        sse_addr: node.bound_sse_addr().map(|addr| addr.to_string()),
        rest_addr: node.bound_rest_addr().map(|addr| addr.to_string()),
        subscribers: node.subscribers().len(),
    }
}

type Answer = Result<Json<Snapshot>, Refusal>;

fn act(controlled: &Controlled, name: &str, act: impl FnOnce(&Node) -> Result<(), Refusal>) -> Answer {
    let node = find(controlled, name)?;
    act(&node)?;
    Ok(Json(state_of(name, &node)))
}

/// All nodes.
#[utoipa::path(get, path = "/nodes", responses((status = 200, body = [Snapshot])))]
pub(super) async fn list(State(controlled): State<Controlled>) -> Json<Vec<Snapshot>> {
    Json(controlled.nodes.iter().map(|(name, node)| state_of(name, node)).collect())
}

macro_rules! node_call {
    ($(#[$doc:meta])* $name:ident, $path:literal, $run:expr) => {
        $(#[$doc])*
        #[utoipa::path(post, path = $path, params(("node" = String, Path)), responses(
            (status = 200, body = Snapshot), (status = 404, body = Refusal),
            (status = 409, body = Refusal, description = "The node is not in a state for this"),
        ))]
        pub(super) async fn $name(State(controlled): State<Controlled>, Name(name): Name) -> Answer {
            act(&controlled, &name, $run)
        }
    };
}

node_call!(
    /// Stop in order: `Shutdown` on all filters, then connections are refused.
    shutdown,
    "/nodes/{node}/shutdown",
    |node| {
        up(node)?;
        node.shutdown();
        Ok(())
    }
);
node_call!(
    /// Die without a word; ids fall back.
    crash,
    "/nodes/{node}/crash",
    |node| {
        up(node)?;
        node.crash();
        Ok(())
    }
);
node_call!(
    /// Start again.
    restart,
    "/nodes/{node}/restart",
    |node| {
        if node.is_up() {
            return Err(Refusal::conflict("the node is up: shut it down or let it crash first"));
        }
        node.restart();
        Ok(())
    }
);

/// On or off.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Switch {
    on: bool,
}

macro_rules! node_switch {
    ($(#[$doc:meta])* $name:ident, $path:literal, $run:expr) => {
        $(#[$doc])*
        #[utoipa::path(post, path = $path, params(("node" = String, Path)), request_body = Switch, responses(
            (status = 200, body = Snapshot), (status = 400, body = Refusal), (status = 404, body = Refusal),
        ))]
        pub(super) async fn $name(
            State(controlled): State<Controlled>,
            Name(name): Name,
            Body(Switch { on }): Body<Switch>,
        ) -> Answer {
            act(&controlled, &name, |node| {
                ($run)(node, on);
                Ok(())
            })
        }
    };
}

node_switch!(
    /// Hang: connections stay, nothing is sent. Off: go on.
    pause,
    "/nodes/{node}/pause",
    Node::pause
);
node_switch!(
    /// Refuse new connections.
    refuse,
    "/nodes/{node}/refuse",
    Node::refuse_connections
);
node_switch!(
    /// Accept connections to the event stream and never answer.
    silent,
    "/nodes/{node}/silent",
    Node::accept_silently
);
node_switch!(
    /// Send keep-alives; off: stop.
    keep_alives,
    "/nodes/{node}/keep-alives",
    |node: &Node, on: bool| node.stop_keep_alives(!on)
);

/// New versions.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Versions {
    /// What `/status` calls the software.
    build_version: Option<String>,
    /// The protocol: told to those who connect from now on.
    api_version: Option<String>,
}

/// Change versions.
#[utoipa::path(post, path = "/nodes/{node}/versions", params(("node" = String, Path)), request_body = Versions, responses(
    (status = 200, body = Snapshot), (status = 400, body = Refusal), (status = 404, body = Refusal),
))]
pub(super) async fn versions(
    State(controlled): State<Controlled>,
    Name(name): Name,
    Body(versions): Body<Versions>,
) -> Answer {
    act(&controlled, &name, |node| {
        if versions.build_version.is_none() && versions.api_version.is_none() {
            return Err(Refusal::bad("expected `build_version`, `api_version` or both"));
        }
        versions.build_version.iter().for_each(|version| node.set_build_version(version));
        versions.api_version.iter().for_each(|version| node.set_api_version(version));
        Ok(())
    })
}

/// How `/status` is to answer.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Behaviour {
    Normal,
    Garbage,
    Silent,
    /// With this HTTP status.
    Error(u16),
}

/// Change how `/status` answers: `"normal"`, `"garbage"`, `"silent"` or `{"error":503}`.
#[utoipa::path(post, path = "/nodes/{node}/status", params(("node" = String, Path)), request_body = Behaviour, responses(
    (status = 200, body = Snapshot), (status = 400, body = Refusal), (status = 404, body = Refusal),
))]
pub(super) async fn status(
    State(controlled): State<Controlled>,
    Name(name): Name,
    Body(behaviour): Body<Behaviour>,
) -> Answer {
    act(&controlled, &name, |node| {
        node.status(match behaviour {
            Behaviour::Normal => StatusBehaviour::Normal,
            Behaviour::Garbage => StatusBehaviour::Garbage,
            Behaviour::Silent => StatusBehaviour::Silent,
            Behaviour::Error(code @ 400..=599) => StatusBehaviour::Error(code),
            Behaviour::Error(code) => {
                return Err(Refusal::bad(format!("{code} is no HTTP error: expected 400 to 599")));
            }
        });
        Ok(())
    })
}

/// Whose connections.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    /// Those of this filter; all if absent.
    filter: Option<Filter>,
}

/// How many connections there were.
#[derive(Serialize, ToSchema)]
pub(super) struct Dropped {
    dropped: usize,
}

/// Break connections off. They may come back.
#[utoipa::path(post, path = "/nodes/{node}/drop", params(("node" = String, Path)), request_body = Whose, responses(
    (status = 200, body = Dropped), (status = 400, body = Refusal), (status = 404, body = Refusal),
))]
pub(super) async fn drop_connections(
    State(controlled): State<Controlled>,
    Name(name): Name,
    Body(whose): Body<Whose>,
) -> Result<Json<Dropped>, Refusal> {
    let node = find(&controlled, &name)?;
    let dropped = whose.filter.map_or_else(|| node.drop_connections(), |filter| node.drop_filter(filter));
    Ok(Json(Dropped { dropped }))
}

/// What to do to the id counter: exactly one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Counter {
    /// Leave so many ids out.
    skip: Option<u32>,
    /// The next event gets this id.
    set: Option<u32>,
}

/// Move the id counter.
#[utoipa::path(post, path = "/nodes/{node}/counter", params(("node" = String, Path)), request_body = Counter, responses(
    (status = 200, body = Snapshot), (status = 400, body = Refusal), (status = 404, body = Refusal),
))]
pub(super) async fn counter(
    State(controlled): State<Controlled>,
    Name(name): Name,
    Body(counter): Body<Counter>,
) -> Answer {
    act(&controlled, &name, |node| match (counter.skip, counter.set) {
        (Some(count), None) => {
            node.skip_ids(count);
            Ok(())
        }
        (None, Some(id)) => {
            node.set_id(id);
            Ok(())
        }
        _ => Err(Refusal::bad("expected exactly one of `skip` and `set`")),
    })
}
