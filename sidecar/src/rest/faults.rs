//! `/faults/{public_key}` and `/faults/{era}`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::answer;
use super::parameter::{FaultName, Named};
use crate::event::Key;
use crate::refusal::Refusal;
use crate::store::{Lookup, Store};

/// The faults of a validator, or within an era. There may be more later.
pub(super) async fn named<S: Store>(
    State(store): State<Arc<S>>,
    Named(name): Named<FaultName>,
) -> Result<Response, Refusal> {
    let key = match name {
        FaultName::PublicKey(key) => Key::faulty_validator(&key),
        FaultName::Era(era) => Key::faulty_era(era),
    };
    answer::array(&store, store.find(Lookup::Key(key)).await?).await
}
