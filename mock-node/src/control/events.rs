#![allow(unused_qualifications, reason = "utoipa's macro writes full paths")]
//! Events over the control API: emitting, and reading back what was sent and who got it.

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{
    Controlled,
    nodes::{find, up},
    reply::{Body, Fields, Name, Refusal},
};
use crate::{
    event::{Event, Filter},
    node::{Emitted, Spelling, Subscriber},
};

/// A Step can have 30 MB and more.
const LARGEST_BODY: usize = 64 * 1024 * 1024;

pub(super) fn routes() -> Router<Controlled> {
    Router::new()
        .route("/nodes/{node}/emit", post(emit))
        .route("/nodes/{node}/subscribers", get(subscribers))
        .route("/nodes/{node}/emitted", get(emitted))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
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
    let truth = |sent: Emitted| Truth {
        run: sent.run,
        id: sent.id,
        filter: sent.filter,
        data: String::from_utf8_lossy(&sent.data).into_owned(),
    };
    Ok(Json(all.into_iter().skip(skipped).map(truth).collect()))
}
