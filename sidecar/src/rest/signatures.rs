//! `/signatures/{block_hash}`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::parameter::{Hash, Named};
use super::{answer, document};
use crate::event::Key;
use crate::refusal::Refusal;
use crate::store::{Lookup, Store};

/// The finality signatures of a block. There may be more later.
#[utoipa::path(
    get,
    path = "/signatures/{hash}",
    operation_id = "signatures",
    tag = "blocks",
    params(("hash" = document::Hash, Path, description = "Hash of the block")),
    responses(
        (status = 200, description = "The signatures, in the order of their arrival.", body = Vec<document::FinalitySignature>),
        document::Malformed,
        document::Missing,
        document::Always,
    )
)]
pub(super) async fn of_block<S: Store>(
    State(store): State<Arc<S>>,
    Named(Hash(hash)): Named<Hash>,
) -> Result<Response, Refusal> {
    answer::array(&store, store.find(Lookup::Key(Key::signed_block(&hash))).await?).await
}
