//! `/api-doc.json`: what each path takes and gives, in OpenAPI 3.1.
//!
//! The types here are for the document alone: they say what a client may count on, and leave open what differs
//! from one release of the node to another. The examples were sent by a node of Casper 1.5.8.

#![expect(unused_qualifications, reason = "the macros of utoipa name what they are given in full")]
#![expect(
    dead_code,
    reason = "the types describe JSON that passes through unparsed: no value of them is made"
)]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header;
use serde_json::{Value, json};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, HeaderBuilder, OpenApi, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, Modify, OpenApi as Document, PartialSchema, ToSchema};

use super::answer::JSON;
use super::{block, deploy, events, faults, payload, signatures, status, step};
use crate::limits::PATIENCE;
use crate::refusal::Refusal;

/// Where the document is.
pub(super) const PATH: &str = "/api-doc.json";

/// Made when it is first asked for: an idle sidecar does without.
static JSON_TEXT: LazyLock<Bytes> =
    LazyLock::new(|| Api::openapi().to_json().unwrap_or_else(|error| error.to_string()).into());

/// The document.
pub(super) async fn document() -> Response {
    ([(header::CONTENT_TYPE, JSON)], JSON_TEXT.clone()).into_response()
}

#[derive(Document)]
#[openapi(
    info(
        title = "Casper Event Sidecar",
        description = "Events of a Casper network: every one once, as a node sent it. Hexadecimal is taken in \
                       either case, and every path may end with a slash. Live events are streamed by another server \
                       of the sidecar (usually on port 19999, `/events/main` and others); the ids here are those \
                       of the streams.",
    ),
    paths(
        block::latest,
        block::named,
        deploy::all,
        deploy::accepted,
        deploy::processed,
        deploy::expired,
        faults::named,
        signatures::of_block,
        step::of_era,
        events::page,
        events::one,
        status::status,
    ),
    components(schemas(Problem, Hash, BlockName, FaultName, EventKind, EventOrder)),
    tags(
        (name = "blocks", description = "Blocks and who signed them."),
        (name = "deploys", description = "What became of a deploy."),
        (name = "eras", description = "Faults, and what the end of an era changed."),
        (name = "log", description = "All events in their order."),
    ),
    modifiers(&Examples),
)]
struct Api;

/// A block was added to the chain.
#[derive(ToSchema)]
pub(super) struct BlockAdded {
    /// Hash of the block.
    block_hash: String,
    /// The block: `hash`, `header`, `body`, `proofs`.
    block: Object,
}

/// A node accepted this deploy.
#[derive(ToSchema)]
pub(super) struct DeployAccepted {
    /// Hash of the deploy.
    hash: String,
    /// Account, time, time to live, chain.
    header: Object,
    /// Code or reference that pays.
    payment: Object,
    /// Code or reference that is executed.
    session: Object,
    /// Who signed it.
    approvals: Vec<Object>,
}

/// A deploy was executed, with or without success.
#[derive(ToSchema)]
pub(super) struct DeployProcessed {
    /// Hash of the deploy.
    deploy_hash: String,
    /// Public key of the account that sent it.
    account: String,
    /// When it was made.
    timestamp: String,
    /// How long it could be executed, such as `30m`.
    ttl: String,
    /// Hashes of deploys that had to come before.
    dependencies: Vec<String>,
    /// Hash of the block that has it.
    block_hash: String,
    /// `Success` or `Failure`, with effects and cost.
    execution_result: Object,
}

/// A deploy was not executed within its time to live.
#[derive(ToSchema)]
pub(super) struct DeployExpired {
    /// Hash of the deploy.
    deploy_hash: String,
}

/// Everything that is known of a deploy.
#[derive(ToSchema)]
pub(super) struct Deploy {
    /// Hash of the deploy.
    deploy_hash: String,
    /// The deploy itself, if it is known that a node accepted it.
    #[schema(required = true)]
    deploy_accepted: Option<DeployAccepted>,
    /// Its effects, if it is known to have been executed.
    #[schema(required = true)]
    deploy_processed: Option<DeployProcessed>,
    /// Whether it is known to have expired.
    deploy_expired: bool,
}

/// A validator misbehaved.
#[derive(ToSchema)]
pub(super) struct Fault {
    /// Number of the era.
    era_id: u64,
    /// Public key of the validator.
    public_key: String,
    /// When a node saw it.
    timestamp: String,
}

/// A validator signed a block.
#[derive(ToSchema)]
pub(super) struct FinalitySignature {
    /// Hash of the block.
    block_hash: String,
    /// Number of its era.
    era_id: u64,
    /// The signature.
    signature: String,
    /// Public key of the validator.
    public_key: String,
}

/// What the end of an era changed.
#[derive(ToSchema)]
pub(super) struct Step {
    /// Number of the era.
    era_id: u64,
    /// Operations and transforms. It may have many megabytes.
    execution_effect: Object,
}

/// One entry of the log.
#[derive(ToSchema)]
pub(super) struct Event {
    /// Its place in the log; the `id` of the event streams.
    id: u64,
    /// What it is.
    kind: EventKind,
    /// Which node sent it first: a label that stays the same.
    node: String,
    /// The API version that was in force.
    #[schema(required = true)]
    api_version: Option<String>,
    /// When it was received.
    #[schema(format = DateTime)]
    received_at: String,
    /// The event as the node sent it: an object whose one key is the kind.
    event: Object,
}

/// A part of the log.
#[derive(ToSchema)]
pub(super) struct EventPage {
    /// Entries in the order that was asked for. There may be fewer than asked for, if they are long.
    events: Vec<Event>,
    /// `from_id` of the next part; null if there is none now.
    #[schema(required = true)]
    next: Option<u64>,
}

/// Why a request was not answered as it was asked.
#[derive(ToSchema)]
pub(super) struct Problem {
    /// The status of the response.
    #[schema(example = 404)]
    code: u16,
    /// What is wrong.
    #[schema(example = "Query returned no results")]
    message: String,
}

/// What is passed on as it is. The name tells the derived schemas that it may have any fields.
type Object = serde_json::Map<String, Value>;

/// What an event is. `Unknown` stands for kinds that this version of the sidecar does not know.
#[derive(ToSchema)]
pub(super) enum EventKind {
    BlockAdded,
    DeployAccepted,
    DeployProcessed,
    DeployExpired,
    Fault,
    FinalitySignature,
    Step,
    Unknown,
}

/// The order of a listing.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum EventOrder {
    Asc,
    Desc,
}

/// What a block is found by.
pub(super) struct BlockName;

/// What faults are found by.
pub(super) struct FaultName;

/// A hash: 64 hexadecimal digits.
pub(super) struct Hash;

fn text(pattern: &str, description: &str) -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(pattern))
        .description(Some(description))
        .into()
}

fn number(description: &str) -> Schema {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).description(Some(description)).into()
}

const HASH_PATTERN: &str = "^[0-9A-Fa-f]{64}$";

impl PartialSchema for Hash {
    fn schema() -> RefOr<Schema> {
        text(HASH_PATTERN, "64 hexadecimal digits").into()
    }
}

impl PartialSchema for BlockName {
    fn schema() -> RefOr<Schema> {
        let either =
            OneOfBuilder::new().item(text(HASH_PATTERN, "Hash of a block")).item(number("Height of a block"));
        Schema::from(either).into()
    }
}

impl PartialSchema for FaultName {
    fn schema() -> RefOr<Schema> {
        let key = text("^([0-9A-Fa-f]{66}|[0-9A-Fa-f]{68})$", "Public key of a validator");
        Schema::from(OneOfBuilder::new().item(key).item(number("Number of an era"))).into()
    }
}

impl ToSchema for Hash {}
impl ToSchema for BlockName {}
impl ToSchema for FaultName {}

/// The refusals that can occur on every path.
pub(super) struct Always;

/// The refusal of what there is not.
pub(super) struct Missing;

/// The refusal of what is malformed.
pub(super) struct Malformed;

impl IntoResponses for Always {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        [Refusal::Rate(PATIENCE), Refusal::Internal, Refusal::Unavailable].map(response).into()
    }
}

impl IntoResponses for Missing {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        [response(Refusal::NotFound)].into()
    }
}

impl IntoResponses for Malformed {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        [response(Refusal::Parameter("expected a hash of 64 hexadecimal digits".to_owned()))].into()
    }
}

fn response(refusal: Refusal) -> (String, RefOr<utoipa::openapi::Response>) {
    let code = refusal.status().as_u16();
    let description = match refusal {
        Refusal::Parameter(_) => "A part of the path or of the query is malformed.",
        Refusal::NotFound => "Nothing is stored under this name.",
        Refusal::Rate(_) => "Too many requests within a second, though this one waited its turn.",
        Refusal::Unavailable => "Too many requests at once, or the database is slow or cannot be read.",
        _ => "A defect, or stored data that cannot be read back.",
    };
    let retry_after = refusal.retry_after();
    let body = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .example(Some(json!({"code": code, "message": refusal.to_string()})))
        .build();
    let mut response = ResponseBuilder::new().description(description).content(JSON, body);
    if retry_after.is_some() {
        let seconds = HeaderBuilder::new()
            .schema(Some(number("Seconds")))
            .description(Some("When to ask again."))
            .build();
        response = response.header("Retry-After", seconds);
    }
    (code.to_string(), response.build().into())
}

/// Puts what a node really sent beside the schemas.
struct Examples;

impl Modify for Examples {
    fn modify(&self, api: &mut OpenApi) {
        for (path, example) in examples() {
            let operation = api.paths.paths.get_mut(path).and_then(|item| item.get.as_mut());
            if let Some(operation) = operation {
                set(operation, example);
            }
        }
    }
}

fn set(operation: &mut Operation, example: Value) {
    if let Some(RefOr::T(found)) = operation.responses.responses.get_mut("200")
        && let Some(RefOr::T(content)) = found.content.get_mut(JSON)
    {
        content.example = Some(example);
    }
}

/// The body of a good answer, by path.
fn examples() -> [(&'static str, Value); 12] {
    let block = sent(include_str!("examples/BlockAdded.json"));
    let accepted = sent(include_str!("examples/DeployAccepted.json"));
    let processed = sent(include_str!("examples/DeployProcessed.json"));
    let expired = sent(include_str!("examples/DeployExpired.json"));
    let fault = sent(include_str!("examples/Fault.json"));
    let signature = sent(include_str!("examples/FinalitySignature.json"));
    let step = sent(include_str!("examples/Step.json"));
    let mut deploy_processed = processed.clone();
    deploy_processed["deploy_hash"] = accepted["hash"].clone();
    let event = json!({
        "id": 21_821_471, "kind": "DeployExpired", "node": "node-1", "api_version": "1.5.8",
        "received_at": "2026-11-23T18:52:09.504Z", "event": {"DeployExpired": expired},
    });
    [
        ("/block", block.clone()),
        ("/block/{name}", block),
        (
            "/deploy/{hash}",
            json!({
                "deploy_hash": accepted["hash"], "deploy_accepted": accepted,
                "deploy_processed": deploy_processed, "deploy_expired": false,
            }),
        ),
        ("/deploy/accepted/{hash}", accepted),
        ("/deploy/processed/{hash}", processed),
        ("/deploy/expired/{hash}", expired),
        ("/faults/{name}", json!([fault])),
        ("/signatures/{hash}", json!([signature])),
        ("/step/{era}", step),
        ("/events", json!({"events": [event], "next": 21_821_472})),
        ("/events/{id}", event),
        (
            "/status",
            json!({"version": env!("CARGO_PKG_VERSION"), "api_version": "1.5.8", "oldest_id": 1, "head_id": 21_821_471}),
        ),
    ]
}

/// The payload of an event.
fn sent(event: &str) -> Value {
    let json = event.trim_ascii_end();
    let borders = payload::begin(json.as_bytes()).zip(payload::end(json.as_bytes()));
    borders
        .and_then(|(begin, end)| serde_json::from_str(&json[begin..json.len() - end]).ok())
        .unwrap_or_default()
}
