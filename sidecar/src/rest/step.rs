//! `/step/{era}`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use super::answer;
use super::parameter::{Named, Number};
use crate::event::{Identity, Kind};
use crate::refusal::Refusal;
use crate::store::{Lookup, Store};

/// What the end of an era changed.
pub(super) async fn of_era<S: Store>(
    State(store): State<Arc<S>>,
    Named(Number(era)): Named<Number>,
    request: HeaderMap,
) -> Result<Response, Refusal> {
    let identity = Identity::of(Kind::Step, &[&era.to_string()]);
    let found = store.find(Lookup::Identity(identity)).await?;
    answer::unchanging(&store, found.into_iter().next(), &request).await
}
