//! `/status`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{document, events};
use crate::event::EntryId;
use crate::refusal::Refusal;
use crate::store::Store;

/// What this sidecar is and what it holds.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    /// Version of the sidecar.
    version: &'static str,
    /// API version in force: that of the newest events.
    #[schema(value_type = Option<String>, required = true)]
    api_version: Option<Box<RawValue>>,
    /// Id of the oldest entry that is still held.
    #[schema(value_type = Option<u64>, required = true)]
    oldest_id: Option<EntryId>,
    /// Id of the newest entry.
    #[schema(value_type = u64)]
    head_id: EntryId,
}

/// What this sidecar is and what it holds.
#[utoipa::path(
    get,
    path = "/status",
    operation_id = "status",
    tag = "log",
    responses((status = 200, description = "The status.", body = Status), document::Always)
)]
pub(super) async fn status<S: Store>(State(store): State<Arc<S>>) -> Result<Json<Status>, Refusal> {
    let state = store.state().await?;
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        api_version: state
            .in_force
            .and_then(|in_force| RawValue::from_string(events::version(&in_force.version).to_owned()).ok()),
        oldest_id: (state.oldest <= state.head).then_some(state.oldest),
        head_id: state.head,
    }))
}
