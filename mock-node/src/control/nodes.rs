#![allow(unused_qualifications, reason = "utoipa's macro writes full paths")]
//! Controlling nodes.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{
    Controlled,
    reply::{Body, Fields, Name, Refusal},
};
use crate::{
    event::{Event, Filter},
    node::{Node, Spelling, StatusBehaviour, Subscriber},
};

pub(super) fn routes() -> Router<Controlled> {
    Router::new()
        .route("/nodes", get(list))
        .route("/nodes/{node}/emit", post(emit))
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
        .route("/nodes/{node}/subscribers", get(subscribers))
        .route("/nodes/{node}/emitted", get(emitted))
        // A Step can have 30 MB and more.
        .layer(axum::extract::DefaultBodyLimit::max(64 * 1024 * 1024))
}

fn find(controlled: &Controlled, name: &str) -> Result<Node, Refusal> {
    let found = controlled.nodes.iter().find(|(other, _)| other == name);
    found.map(|(_, node)| node.clone()).ok_or_else(|| {
        let names: Vec<_> = controlled.nodes.iter().map(|(name, _)| format!("`{name}`")).collect();
        Refusal::not_found(format!("there is no node `{name}`: expected one of {}", names.join(", ")))
    })
}

fn up(node: &Node) -> Result<(), Refusal> {
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

/// What to emit: exactly one of `event` and `text`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Emission {
    /// The event's JSON, sent with its fields in this order.
    #[schema(value_type = Option<Object>)]
    event: Option<Box<RawValue>>,
    /// Any text as `data`: malformed JSON, for instance.
    text: Option<String>,
    /// Where; that of the event's kind if absent, `main` if that is unknown.
    filter: Option<Filter>,
    /// This id instead of the next one; the counter does not move.
    id: Option<u32>,
    /// No id.
    #[serde(default)]
    no_id: bool,
    /// Another legal way to write it.
    spelling: Option<Spelling>,
}

/// What was emitted.
#[derive(Serialize, ToSchema)]
pub(super) struct Sent {
    /// Under which id.
    id: Option<u32>,
    /// Where.
    filter: Filter,
}

/// Emit an event.
#[utoipa::path(post, path = "/nodes/{node}/emit", params(("node" = String, Path)), request_body = Emission, responses(
    (status = 200, body = Sent), (status = 400, body = Refusal), (status = 404, body = Refusal),
    (status = 409, body = Refusal, description = "The node is down"),
))]
pub(super) async fn emit(
    State(controlled): State<Controlled>,
    Name(name): Name,
    Body(emission): Body<Emission>,
) -> Result<Json<Sent>, Refusal> {
    let node = find(&controlled, &name)?;
    up(&node)?;
    let one_line = |text: &str| text.replace(['\n', '\r'], " ");
    let event = match (emission.event, emission.text) {
        // Line breaks within JSON stand between its parts, where a blank says the same.
        (Some(json), None) => {
            Event::json(one_line(json.get())).map_err(|error| Refusal::bad(error.to_string()))?
        }
        (None, Some(text)) if text.contains(['\n', '\r']) => {
            return Err(Refusal::bad("`text` is to be one line"));
        }
        (None, Some(text)) => Event::raw(Filter::Main, text),
        _ => return Err(Refusal::bad("expected exactly one of `event` and `text`")),
    };
    let filter = emission.filter.unwrap_or(event.filter());
    let event = Event::raw(filter, event.data().clone());
    let id = match (emission.id, emission.no_id, emission.spelling) {
        (None, false, None) => Some(node.emit(event)),
        (None, false, Some(spelling)) => Some(node.emit_spelled(event, spelling)),
        (Some(id), false, None) => {
            node.emit_with_id(event, id);
            Some(id)
        }
        (None, true, None) => {
            node.emit_without_id(event);
            None
        }
        _ => return Err(Refusal::bad("only one of `id`, `no_id` and `spelling` can be given")),
    };
    Ok(Json(Sent { id, filter }))
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

/// Who is connected, or was, and what each received.
#[utoipa::path(get, path = "/nodes/{node}/subscribers", params(("node" = String, Path)), responses(
    (status = 200, body = [Subscriber]), (status = 404, body = Refusal),
))]
pub(super) async fn subscribers(
    State(controlled): State<Controlled>,
    Name(name): Name,
) -> Result<Json<Vec<Subscriber>>, Refusal> {
    Ok(Json(find(&controlled, &name)?.all_subscribers()))
}

/// Which part of the truth.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// What went to this filter.
    filter: Option<Filter>,
    /// What was sent in this run of the node.
    run: Option<u32>,
    /// Only the last so many.
    last: Option<usize>,
}

/// One event as it was sent.
#[derive(Serialize, ToSchema)]
pub(super) struct Truth {
    run: u32,
    id: Option<u32>,
    filter: Filter,
    /// The data, byte for byte.
    data: String,
}

/// Everything that the node sent, oldest first: the truth against which a test compares.
#[utoipa::path(get, path = "/nodes/{node}/emitted", params(("node" = String, Path), Part), responses(
    (status = 200, body = [Truth]), (status = 400, body = Refusal), (status = 404, body = Refusal),
))]
pub(super) async fn emitted(
    State(controlled): State<Controlled>,
    Name(name): Name,
    Fields(part): Fields<Part>,
) -> Result<Json<Vec<Truth>>, Refusal> {
    let mut all = find(&controlled, &name)?.emitted();
    all.retain(|sent| {
        part.filter.is_none_or(|filter| sent.filter == filter) && part.run.is_none_or(|run| sent.run == run)
    });
    let skipped = part.last.map_or(0, |last| all.len().saturating_sub(last));
    let truth = |sent: crate::node::Emitted| Truth {
        run: sent.run,
        id: sent.id,
        filter: sent.filter,
        data: String::from_utf8_lossy(&sent.data).into_owned(),
    };
    Ok(Json(all.into_iter().skip(skipped).map(truth).collect()))
}
