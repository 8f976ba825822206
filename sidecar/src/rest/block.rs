//! `/block`, `/block/{hash}` and `/block/{height}`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use super::parameter::{BlockName, Hash, Named};
use super::{answer, document};
use crate::event::{Identity, Key, Kind};
use crate::refusal::Refusal;
use crate::store::{Lookup, Store};

/// The block of the greatest height, which is not always the one that arrived last.
#[utoipa::path(
    get,
    path = "/block",
    operation_id = "latest_block",
    tag = "blocks",
    responses(
        (status = 200, description = "The block.", body = document::BlockAdded),
        document::Missing,
        document::Always,
    )
)]
pub(super) async fn latest<S: Store>(State(store): State<Arc<S>>) -> Result<Response, Refusal> {
    let found = store.find(Lookup::GreatestBlock).await?;
    answer::one(&store, found.into_iter().next()).await
}

/// The block with this hash, or of this height.
#[utoipa::path(
    get,
    path = "/block/{name}",
    operation_id = "block",
    tag = "blocks",
    params(("name" = document::BlockName, Path, description = "Hash or height of the block")),
    responses(
        (status = 200, description = "The block.", body = document::BlockAdded),
        (status = 304, description = "The client has it already, as its `If-None-Match` says."),
        document::Malformed,
        document::Missing,
        document::Always,
    )
)]
pub(super) async fn named<S: Store>(
    State(store): State<Arc<S>>,
    Named(name): Named<BlockName>,
    request: HeaderMap,
) -> Result<Response, Refusal> {
    let lookup = match name {
        BlockName::Hash(Hash(hash)) => Lookup::Identity(Identity::of(Kind::BlockAdded, &[&hash])),
        BlockName::Height(height) => Lookup::Key(Key::block_height(height)),
    };
    let found = store.find(lookup).await?;
    answer::unchanging(&store, found.into_iter().next(), &request).await
}
