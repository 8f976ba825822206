//! `/faults/{public_key}` and `/faults/{era}`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::parameter::{FaultName, Named};
use super::{answer, document};
use crate::event::Key;
use crate::refusal::Refusal;
use crate::store::{Lookup, Store};

/// The faults of a validator, or within an era. There may be more later.
#[utoipa::path(
    get,
    path = "/faults/{name}",
    operation_id = "faults",
    tag = "eras",
    params(("name" = document::FaultName, Path, description = "Public key of the validator, or number of the era")),
    responses(
        (status = 200, description = "The faults, in the order of their arrival.", body = Vec<document::Fault>),
        document::Malformed,
        document::Missing,
        document::Always,
    )
)]
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
