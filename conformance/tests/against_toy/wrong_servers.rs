//! Every check passes on a right server and fails on one that is wrong in just what the check is about.

use std::collections::BTreeSet;

use conformance::{check::Outcome, suite};
use futures_util::StreamExt as _;

use crate::{
    mutation::{Mutation, Server::*},
    toy::{Fault, Toy, Wrong},
};

/// One wrong server: the checks that must fail on it, how many scripted nodes it needs, what is wrong.
struct Case(&'static str, usize, Wrong);

fn case(id: &'static str, nodes: usize, wrong: impl Into<Wrong>) -> Case {
    Case(id, nodes, wrong.into())
}

const VERSION: &str = "data:{\"ApiVersion\":\"1.5.8\"}\n\n";
const SIDECAR_VERSION: &str = "data:{\"SidecarVersion\":\"1.1.0\"}\n\n";
const NO_PATH: &str = "{\"code\":400,\"message\":\"Invalid request path provided\"}";

fn cases() -> Vec<Case> {
    let mut cases = stream_cases();
    cases.extend(rest_cases());
    cases.extend(document_cases());
    cases.extend(metrics_cases());
    cases.extend(lifecycle_cases());
    cases
}

fn stream_cases() -> Vec<Case> {
    use Mutation::{Answer, Header, Text};
    let fault = |id, fault| case(id, 0, Wrong::Fault(fault));
    vec![
        case("stream.endpoint.deploys", 0, Answer(Events, "/events/deploys", 404, "")),
        case("stream.endpoint.sigs", 0, Answer(Events, "/events/sigs", 404, "")),
        case("stream.endpoint.main", 0, Answer(Events, "/events/main", 404, "")),
        case("stream.endpoint.sidecar", 0, Answer(Events, "/events/sidecar", 404, "")),
        fault("stream.endpoint.root", Fault::RootLacksDeploys),
        case("stream.endpoint.trailing-slash", 0, Answer(Events, "/events/sigs/", 404, "")),
        case(
            "stream.channel.main",
            0,
            Text(Events, "/events/main", "{\"DeployExpired\"", "{\"DeployAccepted\""),
        ),
        case(
            "stream.channel.deploys",
            0,
            Text(Events, "/events/deploys", "{\"DeployAccepted\"", "{\"Step\""),
        ),
        case("stream.channel.sigs", 0, Text(Events, "/events/sigs", "{\"FinalitySignature\"", "{\"Step\"")),
        case("stream.channel.sidecar", 0, Text(Events, "/events/sidecar", "SidecarVersion", "ApiVersion")),
        case(
            "stream.shape.deploy-accepted",
            0,
            Text(Events, "/events/deploys", "\"gas_price\":", "\"price\":"),
        ),
        case("stream.shape.block-added", 0, Text(Events, "/events/main", "\"proposer\":", "\"validator\":")),
        case("stream.api-version.first", 0, Text(Events, "/events/sigs", VERSION, "")),
        case(
            "stream.api-version.form",
            0,
            Text(Events, "/events*", "\"ApiVersion\":\"", "\"ApiVersion\": \""),
        ),
        case("stream.api-version.form", 0, Text(Events, "/events/main", "\"1.5.8\"", "\"1.5.8-abc\"")),
        case(
            "stream.api-version.no-id",
            0,
            Text(Events, "/events/main", VERSION, "data:{\"ApiVersion\":\"1.5.8\"}\nid:0\n\n"),
        ),
        case(
            "stream.api-version.not-repeated",
            0,
            Text(
                Events,
                "/events/deploys",
                VERSION,
                "data:{\"ApiVersion\":\"1.5.8\"}\n\ndata:{\"ApiVersion\":\"1.5.8\"}\n\n",
            ),
        ),
        case("stream.sidecar-version.first", 0, Text(Events, "/events/sidecar", SIDECAR_VERSION, "")),
        case("stream.sidecar-version.form", 0, Text(Events, "/events/sidecar", "1.1.0", "v1.1.0")),
        case(
            "stream.sidecar-version.no-id",
            0,
            Text(Events, "/events/sidecar", SIDECAR_VERSION, "data:{\"SidecarVersion\":\"1.1.0\"}\nid:0\n\n"),
        ),
        case(
            "stream.sidecar-version.apart",
            0,
            Text(
                Events,
                "/events/main",
                VERSION,
                "data:{\"ApiVersion\":\"1.5.8\"}\n\ndata:{\"SidecarVersion\":\"1.1.0\"}\n\n",
            ),
        ),
        case(
            "stream.header.content-type",
            0,
            Header(Events, "/events/main", "content-type", Some("text/plain")),
        ),
        case("stream.header.cache-control", 0, Header(Events, "/events/sidecar", "cache-control", None)),
        case("stream.header.accel-buffering", 0, Header(Events, "/events/sigs", "x-accel-buffering", None)),
        case(
            "stream.header.no-encoding",
            0,
            Header(Events, "/events/main", "content-encoding", Some("gzip")),
        ),
        case("stream.layout.message", 0, Text(Events, "/events/main", "\n\n", "\n")),
        case("stream.layout.message", 0, Text(Events, "/events/main", "\n", "\r\n")),
        case("stream.layout.message", 0, Text(Events, "/events/deploys", "data:", "data: ")),
        case("stream.layout.message", 0, Text(Events, "/events/sigs", "\nid:", "\nid: ")),
        case("stream.layout.message", 0, Text(Events, "/events/sigs", "data:", "event:message\ndata:")),
        case("stream.layout.message", 0, Text(Events, "/events", "\nid:", "\nid:0")),
        case("stream.layout.json", 0, Text(Events, "/events/main", "{\"Fault\":", "{\"Extra\":1,\"Fault\":")),
        case("stream.layout.json", 0, Text(Events, "/events/sigs", "}}\n", "}\n")),
        case(
            "stream.layout.browser",
            0,
            Text(Events, "/events/main", "data:{\"Fault\"", "event:fault\ndata:{\"Fault\""),
        ),
        case(
            "stream.layout.browser",
            0,
            Text(Events, "/events/main", "data:{\"ApiV", "retry:1000\ndata:{\"ApiV"),
        ),
        case("stream.ids.present", 0, Text(Events, "/events*", "\nid:5\n", "\n")),
        case("stream.ids.rising", 0, Text(Events, "/events*", "\nid:9\n", "\nid:1\n")),
        case("stream.ids.one-event", 0, Text(Events, "/events", "\nid:9\n", "\nid:8\n")),
        case("stream.ids.range", 0, Text(Events, "/events*", "\nid:1\n", "\nid:0\n")),
        fault("stream.ids.dense", Fault::SkipsAnId),
        fault("stream.start-from.inclusive", Fault::StartFromExclusive),
        case("stream.start-from.same-bytes", 0, Text(Events, "/events/main/", "\"era_id\":", "\"era_id\": ")),
        case("stream.start-from.zero", 1, Wrong::Fault(Fault::ZeroIsLive)),
        fault("stream.start-from.future", Fault::FutureReplaysAll),
        fault("stream.start-from.version-first", Fault::NoVersionBeforeReplay),
        fault("stream.no-start-from.live", Fault::AlwaysReplays),
        fault("stream.last-event-id.exclusive", Fault::LastEventIdInclusive),
        fault("stream.last-event-id.not-a-number", Fault::BadLastEventIdReplays),
        fault("stream.start-from.wins", Fault::LastEventIdWins),
        case("stream.error.path", 0, Answer(Events, "/events/MAIN", 200, "")),
        case("stream.error.path", 0, Text(Events, "/other", "/events/sigs", "")),
        fault("stream.error.query", Fault::BadQueryIgnored),
        case("stream.error.query", 0, Text(Events, "/events/main", "start_from=", "")),
        case("stream.error.path-before-query", 0, Answer(Events, "/events/other", 422, "")),
        case("stream.error.method", 0, Answer(Events, "POST /events/main", 500, "")),
        case(
            "stream.error.plain-text",
            0,
            Header(Events, "/events/other", "content-type", Some("application/json")),
        ),
        case("stream.head", 0, Answer(Events, "HEAD /events/sidecar", 404, "")),
        fault("stream.bare-question-mark", Fault::EmptyQueryRefused),
        fault("stream.keep-alive.sent", Fault::NoKeepAlive),
        fault("stream.keep-alive.interval", Fault::KeepAliveEarly),
        case("stream.keep-alive.interval", 0, Text(Events, "/events/main", ":\n\n", ":keep-alive\n\n")),
        fault("stream.keep-alive.stays-open", Fault::IdleIsClosed),
        case("cors.stream.origin", 0, Header(Events, "/events/sidecar", "access-control-allow-origin", None)),
        case(
            "cors.stream.preflight",
            0,
            Header(Events, "OPTIONS /events*", "access-control-allow-headers", None),
        ),
        case("cors.stream.preflight", 0, Answer(Events, "OPTIONS /events*", 404, "")),
    ]
}

fn rest_cases() -> Vec<Case> {
    use Mutation::{Answer, Header, Text};
    let fault = |id, fault| case(id, 0, Wrong::Fault(fault));
    vec![
        case(
            "cors.rest.origin",
            0,
            Header(Rest, "/block", "access-control-allow-origin", Some("http://localhost")),
        ),
        case("cors.rest.preflight", 0, Answer(Rest, "OPTIONS /block", 403, "")),
        case("cors.rest.errors", 0, Header(Rest, "/block/xyz", "access-control-allow-origin", None)),
        fault("rest.block.latest", Fault::LatestArrival),
        case("rest.block.hash", 0, Text(Rest, "/block/*", "\"random_bit\":", "\"random\":")),
        case("rest.block.height", 0, Answer(Rest, "/block/30", 404, "")),
        case("rest.deploy.accepted", 0, Text(Rest, "/deploy/accepted/*", "\"approvals\":", "\"approval\":")),
        case("rest.deploy.processed", 0, Answer(Rest, "/deploy/processed/*", 400, NO_PATH)),
        case("rest.deploy.expired", 0, Answer(Rest, "/deploy/expired/*", 200, "{}")),
        case("rest.deploy.whole", 0, Text(Rest, "/deploy/*", "\"deploy_expired\":", "\"expired\":")),
        case(
            "rest.deploy.whole",
            0,
            Text(Rest, "/deploy/*", "\"deploy_expired\":true", "\"deploy_expired\":false"),
        ),
        case("rest.faults.public-key", 0, Text(Rest, "/faults/01*", "[", "[{},")),
        case("rest.faults.era", 0, Answer(Rest, "/faults/4", 404, "")),
        fault("rest.signatures", Fault::OneSignature),
        case("rest.step", 0, Text(Rest, "/step/4", "\"era_id\":4", "\"era_id\":5")),
        case("rest.same-bytes", 0, Text(Rest, "/step/4", "{\"era_id\":4", "{ \"era_id\":4")),
        fault("rest.hex-case", Fault::CaseSensitive),
        case("rest.trailing-slash", 0, Answer(Rest, "/block/", 400, NO_PATH)),
        case("rest.content-type", 0, Header(Rest, "/faults/*", "content-type", Some("text/plain"))),
        case("rest.head", 0, Answer(Rest, "HEAD /block/*", 405, "")),
        case("rest.error.path", 0, Text(Rest, "/other", "Invalid request path provided", "Not found")),
        case("rest.error.malformed", 0, Answer(Rest, "/signatures/xyz", 400, NO_PATH)),
        case("rest.error.not-found", 0, Answer(Rest, "/step/*", 404, "{\"code\":404,\"message\":\"none\"}")),
        case("rest.error.method", 0, Header(Rest, "POST /block", "allow", None)),
        case("rest.error.shape", 0, Text(Rest, "/block/xyz", "\"code\":", "\"status\":")),
        case("rest.error.never-5xx", 0, Answer(Rest, "//block", 500, "")),
        case("rest.no-shutdown", 0, Answer(Rest, "/shutdown", 200, "[\"Shutdown\"]")),
    ]
}

fn document_cases() -> Vec<Case> {
    use Mutation::{Answer, Header, Text};
    let document = |id, from, to| case(id, 0, Text(Rest, "/api-doc.json", from, to));
    vec![
        case("openapi.document", 0, Answer(Rest, "/api-doc.json", 200, "{\"swagger\":\"2.0\"}")),
        document("openapi.structure", "\"required\":true", "\"required\":false"),
        document("openapi.structure", "\"description\":\"nothing found\"", "\"text\":\"nothing found\""),
        document("openapi.references", "\"#/components/schemas/Step\"", "\"#/components/schemas/Steps\""),
        document("openapi.complete", "\"/faults/{of}\":", "\"/failures/{of}\":"),
        document("openapi.served", "\"/faults/{of}\":", "\"/failures/{of}\":"),
        document("openapi.examples", "\"examples\":[4]", "\"examples\":[\"four\"]"),
        document("openapi.statuses", "\"400\":", "\"402\":"),
        document("openapi.answers", "\"execution_effect\"", "\"effect\""),
        case("swagger.page", 0, Answer(Rest, "/swagger-ui/", 404, "")),
        case("swagger.no-slash", 0, Answer(Rest, "/swagger-ui", 400, NO_PATH)),
        case(
            "swagger.offline",
            0,
            Text(Rest, "/swagger-ui/", "./bundle.js", "https://cdn.example/bundle.js"),
        ),
        case("swagger.offline", 0, Answer(Rest, "/swagger-ui/bundle.js", 404, "")),
        case("swagger.document", 0, Text(Rest, "/swagger-ui/*", "/api-doc.json", "/petstore.json")),
        case("swagger.page", 0, Header(Rest, "/swagger-ui/", "content-type", Some("text/plain"))),
    ]
}

fn metrics_cases() -> Vec<Case> {
    use Mutation::{Answer, Header, Text};
    let metrics = |id, from, to| case(id, 0, Text(Admin, "/metrics*", from, to));
    vec![
        case("metrics.served", 0, Answer(Admin, "/metrics/", 404, "")),
        case("metrics.no-slash", 0, Answer(Admin, "/metrics", 404, "")),
        case("metrics.content-type", 0, Header(Admin, "/metrics/", "content-type", Some("text/html"))),
        metrics("metrics.strict", "# TYPE node_statuses gauge\n", ""),
        metrics("metrics.strict", "le=\"+Inf\"", "le=\"60000000\""),
        case("admin.refusals", 0, Answer(Admin, "//", 500, "")),
        case("admin.health.live", 0, Answer(Admin, "/health/live", 404, "")),
        case("admin.health.ready", 0, Answer(Admin, "/health/ready", 200, "ready")),
        metrics("metrics.internal-events.family", "Count of internal events", "Internal events"),
        metrics("metrics.internal-events.series", "db_save_end", "db_saved"),
        metrics("metrics.internal-events.sum", "\"event_received_end\"} 1", "\"event_received_end\"} 2"),
        metrics("metrics.node-statuses.family", "; 3 - reconnecting", ""),
        metrics("metrics.node-statuses.labels", "node=\"127.0.0.1:9999\"", "node=\"127.0.0.1\""),
        metrics("metrics.node-statuses.values", ":9999\"} 2", ":9999\"} 4"),
        metrics("metrics.received-bytes.family", "received_bytes Received bytes", "received_bytes Bytes"),
        metrics("metrics.error-counts.family", "# TYPE error_counts counter", "# TYPE error_counts gauge"),
        metrics("metrics.process", "process_open_fds", "process_fds"),
        metrics("metrics.names", "sidecar_subscribers", "subscribers"),
        metrics("metrics.names", "sidecar_subscribers", "sidecar_subscribers_total"),
        metrics("metrics.received-bytes.filters", "filter=\"events/main\"", "filter=\"main\""),
        metrics("metrics.received-bytes.buckets", "le=\"2000\"", "le=\"2500\""),
        metrics("metrics.received-bytes.sum", "\"event_received_start\"} 1", "\"event_received_start\"} 91"),
        case("metrics.received-bytes.counts", 1, Wrong::Fault(Fault::CountsTwice)),
    ]
}

fn lifecycle_cases() -> Vec<Case> {
    use Mutation::{Answer, Header, Text};
    let one = |id, fault| case(id, 1, Wrong::Fault(fault));
    let two = |id, fault| case(id, 2, Wrong::Fault(fault));
    vec![
        one("limits.subscribers", Fault::LimitAnswers500),
        one("limits.subscribers.room-again", Fault::SeatsNeverFreed),
        case("limits.rest.refusal", 1, Header(Rest, "/step/*", "retry-after", None)),
        case("limits.rest.refusal", 1, Header(Rest, "/step/*", "retry-after", Some("soon"))),
        one("limits.rest.answered", Fault::DropsRequests),
        one("lifecycle.events.passed-on", Fault::DropsExpired),
        one("lifecycle.events.root", Fault::RootLacksDeploys),
        one("lifecycle.events.nothing-invented", Fault::Invents),
        one("lifecycle.events.once", Fault::DeliversAgain),
        one("lifecycle.events.order", Fault::SwapsProcessed),
        one("lifecycle.start-from.seam", Fault::SeamRepeats),
        one("lifecycle.shutdown.deploys", Fault::ShutdownNotOn("deploys")),
        one("lifecycle.shutdown.main", Fault::ShutdownNotOn("main")),
        one("lifecycle.shutdown.sigs", Fault::ShutdownNotOn("sigs")),
        one("lifecycle.shutdown.root", Fault::RootShowsAllShutdowns),
        case(
            "lifecycle.shutdown.form",
            1,
            Text(Events, "/events*", "data:\"Shutdown\"", "data:{\"Shutdown\":null}"),
        ),
        one("lifecycle.shutdown.not-sidecar", Fault::NodeShutdownOnSidecar),
        one("lifecycle.shutdown.streams-stay", Fault::EndsWithNode),
        one("lifecycle.reconnect", Fault::NeverReconnects),
        one("metrics.node-statuses.life", Fault::StatusStuck),
        case("admin.health.not-ready", 1, Answer(Admin, "/health/ready", 200, "{\"ready\":true}")),
        one("lifecycle.version.not-repeated", Fault::RepeatsVersion),
        one("lifecycle.version.change", Fault::KeepsOldVersion),
        one("lifecycle.version.before-events", Fault::VersionLate),
        one("lifecycle.version.not-build", Fault::KeepsOldVersion),
        one("lifecycle.version.new-client", Fault::OpensWithFirstVersion),
        one("lifecycle.version.replay", Fault::ReplayWithCurrentVersion),
        two("middleware.both", Fault::SecondNodeIgnored),
        two("middleware.once", Fault::DeliversAgain),
        two("middleware.different-versions", Fault::SecondNodeIgnored),
        two("middleware.older-not-announced", Fault::AnnouncesEveryVersion),
        two("middleware.out-of-sync", Fault::KeepsOldVersion),
        two("metrics.node-statuses.incompatible", Fault::StatusStuck),
        two("middleware.compatible-again", Fault::NeverLooksAgain),
        two("metrics.node-statuses.defunct", Fault::StatusStuck),
        two("sidecar-shutdown.not-first", Fault::EndsWithFirst),
        one("sidecar-shutdown.emitted", Fault::NoOwnShutdown),
        one("sidecar-shutdown.form", Fault::OwnShutdownWithoutId),
        one("sidecar-shutdown.nowhere-else", Fault::OwnShutdownEverywhere),
        one("sidecar-shutdown.controlled", Fault::BreaksOff),
    ]
}

/// Runs one check against a toy.
async fn outcome(id: &str, nodes: usize, wrong: Wrong) -> Outcome {
    let toy = Toy::start(wrong, nodes).await;
    let check = suite::checks().into_iter().find(|check| check.id == id).expect("a check of this id");
    check.outcome(&toy.target(true).await).await
}

/// So many at a time: more would slow each other down.
const AT_ONCE: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn every_check_fails_on_a_server_that_is_wrong_in_what_it_is_about() {
    let outcomes = futures_util::stream::iter(cases())
        .map(async |Case(id, nodes, wrong)| (id, wrong, outcome(id, nodes, wrong).await))
        .buffer_unordered(AT_ONCE);
    let not_caught: Vec<String> = outcomes
        .filter_map(async |(id, wrong, outcome)| {
            if std::env::var_os("SHOW_OUTCOMES").is_some() {
                eprintln!("{id}: {wrong:?}: {outcome:?}\n");
            }
            (!matches!(outcome, Outcome::Fail { .. })).then(|| format!("{id}: {wrong:?}: {outcome:?}"))
        })
        .collect()
        .await;
    assert!(not_caught.is_empty(), "not caught:\n{}", not_caught.join("\n"));
}

#[test]
fn every_check_has_a_wrong_server() {
    let tried: BTreeSet<&str> = cases().iter().map(|Case(id, _, _)| *id).collect();
    let all: BTreeSet<&str> = suite::checks().iter().map(|check| check.id).collect();
    let untried: Vec<_> = all.difference(&tried).collect();
    assert!(untried.is_empty(), "without a negative test: {untried:?}");
    assert_eq!(all, tried);
}

/// Runs all checks against a right toy: those in `skipped` cannot be run so, all others must pass. Gives the number of
/// requests that it took.
async fn all_pass(nodes: usize, may_end: bool, skipped: impl Fn(&str) -> bool) -> usize {
    let toy = Toy::start(Wrong::Nothing, nodes).await;
    let target = toy.target(may_end).await;
    let verdicts = suite::run(&suite::checks(), &target, |_| {}).await;
    let wrong: Vec<String> = verdicts
        .iter()
        .filter(|verdict| match verdict.outcome {
            Outcome::Pass { .. } => skipped(verdict.check.id),
            Outcome::Fail { .. } => true,
            Outcome::Skipped { .. } => !skipped(verdict.check.id),
        })
        .map(|verdict| format!("{}: {:?}", verdict.check.id, verdict.outcome))
        .collect();
    assert!(wrong.is_empty(), "on a right server:\n{}", wrong.join("\n"));
    target.requests()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_checks_pass_on_a_right_server_with_two_scripted_nodes() {
    all_pass(2, true, |_| false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_checks_but_those_of_several_nodes_and_of_the_end_pass_on_a_right_server_with_one_node() {
    let several =
        |id: &str| id.starts_with("middleware.") || id.ends_with(".incompatible") || id.ends_with(".defunct");
    all_pass(1, false, |id| several(id) || id.starts_with("sidecar-shutdown.")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_without_a_scripted_node_is_only_looked_at() {
    let needs_node = |id: &str| {
        ["lifecycle.", "limits.", "middleware.", "sidecar-shutdown."].iter().any(|area| id.starts_with(area))
            || ["life", "counts", "not-ready", "incompatible", "defunct"].iter().any(|end| id.ends_with(end))
    };
    let requests = all_pass(0, true, needs_node).await;
    // CHECKS.md promises it to operators.
    assert!(requests < 600, "{requests} requests");
}
