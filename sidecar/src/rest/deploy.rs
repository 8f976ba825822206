//! `/deploy/{hash}` and its three parts.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use super::answer::{self, Answer, JSON};
use super::document;
use super::parameter::{Hash, Named};
use crate::event::{Identity, Kind};
use crate::refusal::Refusal;
use crate::store::{Entry, Lookup, Store, StoreError};

/// Everything that is known of a deploy. It may become more, so it has no tag.
#[utoipa::path(
    get,
    path = "/deploy/{hash}",
    operation_id = "deploy",
    tag = "deploys",
    params(("hash" = document::Hash, Path, description = "Hash of the deploy")),
    responses(
        (status = 200, description = "What is known of it.", body = document::Deploy),
        document::Malformed,
        document::Missing,
        document::Always,
    )
)]
pub(super) async fn all<S: Store>(
    State(store): State<Arc<S>>,
    Named(Hash(hash)): Named<Hash>,
) -> Result<Response, Refusal> {
    let kinds = [Kind::DeployAccepted, Kind::DeployProcessed, Kind::DeployExpired];
    let found = store.find(Lookup::Identities(kinds.map(|kind| Identity::of(kind, &[&hash])))).await?;
    let [mut accepted, mut processed, mut expired] = [None, None, None];
    for entry in found {
        match entry.kind {
            Kind::DeployAccepted => accepted = Some(entry),
            Kind::DeployProcessed => processed = Some(entry),
            _ => expired = Some(entry),
        }
    }
    let expired = expired.is_some();
    if accepted.is_none() && processed.is_none() && !expired {
        return Err(Refusal::NotFound);
    }
    let mut answer = Answer::new(&store);
    answer.text("{\"deploy_hash\":\"");
    answer.text(&hash.to_ascii_lowercase());
    answer.text("\",\"deploy_accepted\":");
    part(&mut answer, accepted).await?;
    answer.text(",\"deploy_processed\":");
    part(&mut answer, processed).await?;
    answer.text(if expired { ",\"deploy_expired\":true}" } else { ",\"deploy_expired\":false}" });
    Ok(answer.respond(JSON))
}

/// That a node accepted it: the deploy itself.
#[utoipa::path(
    get,
    path = "/deploy/accepted/{hash}",
    operation_id = "deploy_accepted",
    tag = "deploys",
    params(("hash" = document::Hash, Path, description = "Hash of the deploy")),
    responses(
        (status = 200, description = "The deploy.", body = document::DeployAccepted),
        (status = 304, description = "The client has it already, as its `If-None-Match` says."),
        document::Malformed,
        document::Missing,
        document::Always,
    )
)]
pub(super) async fn accepted<S: Store>(
    State(store): State<Arc<S>>,
    Named(Hash(hash)): Named<Hash>,
    request: HeaderMap,
) -> Result<Response, Refusal> {
    one(&store, Kind::DeployAccepted, &hash, &request).await
}

/// That it was executed, and with which effects.
#[utoipa::path(
    get,
    path = "/deploy/processed/{hash}",
    operation_id = "deploy_processed",
    tag = "deploys",
    params(("hash" = document::Hash, Path, description = "Hash of the deploy")),
    responses(
        (status = 200, description = "Its execution.", body = document::DeployProcessed),
        (status = 304, description = "The client has it already, as its `If-None-Match` says."),
        document::Malformed,
        document::Missing,
        document::Always,
    )
)]
pub(super) async fn processed<S: Store>(
    State(store): State<Arc<S>>,
    Named(Hash(hash)): Named<Hash>,
    request: HeaderMap,
) -> Result<Response, Refusal> {
    one(&store, Kind::DeployProcessed, &hash, &request).await
}

/// That it was not executed in time.
#[utoipa::path(
    get,
    path = "/deploy/expired/{hash}",
    operation_id = "deploy_expired",
    tag = "deploys",
    params(("hash" = document::Hash, Path, description = "Hash of the deploy")),
    responses(
        (status = 200, description = "It expired.", body = document::DeployExpired),
        (status = 304, description = "The client has it already, as its `If-None-Match` says."),
        document::Malformed,
        document::Missing,
        document::Always,
    )
)]
pub(super) async fn expired<S: Store>(
    State(store): State<Arc<S>>,
    Named(Hash(hash)): Named<Hash>,
    request: HeaderMap,
) -> Result<Response, Refusal> {
    one(&store, Kind::DeployExpired, &hash, &request).await
}

async fn one<S: Store>(
    store: &Arc<S>,
    kind: Kind,
    hash: &str,
    request: &HeaderMap,
) -> Result<Response, Refusal> {
    answer::unchanging(store, find(store, kind, hash).await?, request).await
}

async fn find<S: Store>(store: &Arc<S>, kind: Kind, hash: &str) -> Result<Option<Entry>, StoreError> {
    let found = store.find(Lookup::Identity(Identity::of(kind, &[hash]))).await?;
    Ok(found.into_iter().next())
}

async fn part<S: Store>(answer: &mut Answer<S>, entry: Option<Entry>) -> Result<(), StoreError> {
    match entry {
        Some(entry) => answer.payload(entry).await,
        None => {
            answer.text("null");
            Ok(())
        }
    }
}
