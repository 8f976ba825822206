//! Driving a script.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Controlled,
    reply::{Body, Refusal},
};
use crate::script::{Player, Progress};

pub(super) fn routes() -> Router<Controlled> {
    Router::new()
        .route("/script", get(progress))
        .route("/script/step", post(step))
        .route("/script/continue", post(call))
}

fn player(controlled: &Controlled) -> Result<&Player, Refusal> {
    controlled
        .player
        .as_ref()
        .ok_or_else(|| Refusal::not_found("no script is played: start with `mock-node run`"))
}

/// How far the script has got.
#[utoipa::path(get, path = "/script", responses((status = 200, body = Progress), (status = 404, body = Refusal)))]
pub(super) async fn progress(State(controlled): State<Controlled>) -> Result<Json<Progress>, Refusal> {
    Ok(Json(player(&controlled)?.progress()))
}

/// How many steps to do.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Steps {
    /// Each pass of a repeated step counts.
    count: u32,
}

/// Do so many steps of a script that was started with `--step`, and wait until they are done.
#[utoipa::path(post, path = "/script/step", request_body = Steps, responses(
    (status = 200, body = Progress), (status = 400, body = Refusal),
    (status = 404, body = Refusal), (status = 409, body = Refusal),
))]
pub(super) async fn step(
    State(controlled): State<Controlled>,
    Body(steps): Body<Steps>,
) -> Result<Json<Progress>, Refusal> {
    let player = player(&controlled)?;
    let before = player.progress();
    if !before.stepped {
        return Err(Refusal::conflict("the script runs by itself: start it with `--step` to drive it"));
    }
    if before.finished {
        return Err(Refusal::conflict("the script is through"));
    }
    if steps.count > 1_000_000 {
        return Err(Refusal::bad("`count` is more than 1000000"));
    }
    player.step(steps.count);
    Ok(Json(player.wait_for_steps(before.steps_done + u64::from(steps.count)).await))
}

/// Which step may go on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    /// What the script's `wait_control` says.
    name: String,
}

/// Let a `wait_control` step of this name go on, now or when it is reached.
#[utoipa::path(post, path = "/script/continue", request_body = Call, responses(
    (status = 200, body = Progress), (status = 400, body = Refusal), (status = 404, body = Refusal),
))]
pub(super) async fn call(
    State(controlled): State<Controlled>,
    Body(call): Body<Call>,
) -> Result<Json<Progress>, Refusal> {
    let player = player(&controlled)?;
    if !player.waits_for(&call.name) {
        return Err(Refusal::bad(format!("no step of the script has `wait_control = \"{}\"`", call.name)));
    }
    player.call(&call.name);
    Ok(Json(player.progress()))
}
