//! `/step/{era}`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use super::parameter::{Named, Number};
use super::{answer, document};
use crate::event::{Identity, Kind};
use crate::refusal::Refusal;
use crate::store::{Lookup, Store};

/// What the end of an era changed.
#[utoipa::path(
    get,
    path = "/step/{era}",
    operation_id = "step",
    tag = "eras",
    params(("era" = u64, Path, description = "Number of the era")),
    responses(
        (status = 200, description = "What its end changed.", body = document::Step),
        (status = 304, description = "The client has it already, as its `If-None-Match` says."),
        document::Malformed,
        document::Missing,
        document::Always,
    )
)]
pub(super) async fn of_era<S: Store>(
    State(store): State<Arc<S>>,
    Named(Number(era)): Named<Number>,
    request: HeaderMap,
) -> Result<Response, Refusal> {
    let identity = Identity::of(Kind::Step, &[&era.to_string()]);
    let found = store.find(Lookup::Identity(identity)).await?;
    answer::unchanging(&store, found.into_iter().next(), &request).await
}
