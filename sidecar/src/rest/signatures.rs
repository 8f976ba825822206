//! `/signatures/{block_hash}`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::answer;
use super::parameter::{Hash, Named};
use crate::event::Key;
use crate::refusal::Refusal;
use crate::store::{Lookup, Store};

/// The finality signatures of a block. There may be more later.
pub(super) async fn of_block<S: Store>(
    State(store): State<Arc<S>>,
    Named(Hash(hash)): Named<Hash>,
) -> Result<Response, Refusal> {
    answer::array(&store, store.find(Lookup::Key(Key::signed_block(&hash))).await?).await
}
