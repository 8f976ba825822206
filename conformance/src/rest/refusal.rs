//! What the REST server says no to, and how.

use reqwest::Method;
use serde_json::json;

use crate::{
    check::{Check, Finding, Need, Section, ensure},
    target::{Answer, Server, Target},
};

const REST: Section = Section::Sidecar("REST server");
const NOWHERE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "rest.error.path",
        section: REST,
        says: "Unknown path: 400 {\"code\":400,\"message\":\"Invalid request path provided\"}",
        needs: &[Need::Rest],
        run: |target| Box::pin(unknown_paths(target)),
    },
    Check {
        id: "rest.error.malformed",
        section: REST,
        says: "Malformed hash or key: 400 {\"code\":400,\"message\":\"Invalid parameter in query: ..\"}",
        needs: &[Need::Rest],
        run: |target| Box::pin(malformed(target)),
    },
    Check {
        id: "rest.error.not-found",
        section: REST,
        says: "Nothing found: 404 {\"code\":404,\"message\":\"Query returned no results\"}",
        needs: &[Need::Rest],
        run: |target| Box::pin(not_found(target)),
    },
    Check {
        id: "rest.error.method",
        section: REST,
        says: "A wrong method on a right path: 405 with Allow",
        needs: &[Need::Rest],
        run: |target| Box::pin(wrong_method(target)),
    },
    Check {
        id: "rest.error.shape",
        section: REST,
        says: "Refusals are {\"code\":<status>,\"message\":\"..\"}",
        needs: &[Need::Rest],
        run: |target| Box::pin(shape(target)),
    },
    Check {
        id: "rest.error.never-5xx",
        section: REST,
        says: "No path, however odd, makes the server fail",
        needs: &[Need::Rest],
        run: |target| Box::pin(odd_paths(target)),
    },
    Check {
        id: "rest.no-shutdown",
        section: Section::Page("The Node Shutdown Event"),
        says: "The Sidecar does not expose Shutdown events via its REST API",
        needs: &[Need::Rest],
        run: |target| Box::pin(no_shutdown(target)),
    },
];

/// Whether the answer is exactly this refusal.
fn is(answer: &Answer, status: u16, message: &str) -> bool {
    let body = serde_json::from_str::<serde_json::Value>(&answer.body);
    answer.status == status && body.is_ok_and(|body| body == json!({ "code": status, "message": message }))
}

async fn unknown_paths(target: &Target) -> Finding {
    for path in ["/other", "/other/path", "/deploy", "/faults", "/signatures", "/step", "/deploy/other/x/y"] {
        let answer = target.get(Server::Rest, path).await?;
        let right = is(&answer, 400, "Invalid request path provided");
        ensure(right, format!("400 Invalid request path provided for {path}"), &answer)?;
    }
    Ok("400 Invalid request path provided".to_owned())
}

async fn malformed(target: &Target) -> Finding {
    let mut seen = String::new();
    for path in
        ["/block/xyz", "/deploy/xyz", "/deploy/accepted/xyz", "/signatures/xyz", "/faults/01abc", "/step/abc"]
    {
        let answer = target.get(Server::Rest, path).await?;
        let body = answer.json()?;
        let message = body["message"].as_str().unwrap_or_default();
        let right = answer.status == 400 && message.starts_with("Invalid parameter in query: ");
        ensure(right, format!("400 Invalid parameter in query: .. for {path}"), &answer)?;
        seen = format!("400 {message}");
    }
    Ok(seen)
}

async fn not_found(target: &Target) -> Finding {
    let key = format!("01{NOWHERE}");
    for path in [
        format!("/block/{NOWHERE}"),
        "/block/9007199254740990".to_owned(),
        format!("/deploy/{NOWHERE}"),
        format!("/deploy/accepted/{NOWHERE}"),
        format!("/deploy/processed/{NOWHERE}"),
        format!("/deploy/expired/{NOWHERE}"),
        format!("/faults/{key}"),
        "/faults/9007199254740990".to_owned(),
        format!("/signatures/{NOWHERE}"),
        "/step/9007199254740990".to_owned(),
    ] {
        let answer = target.get(Server::Rest, &path).await?;
        let right = is(&answer, 404, "Query returned no results");
        ensure(right, format!("404 Query returned no results for {path}"), &answer)?;
    }
    Ok("404 Query returned no results, on each path".to_owned())
}

async fn wrong_method(target: &Target) -> Finding {
    let mut seen = String::new();
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let answer = target.ask(Server::Rest, method.clone(), "/block", &[]).await?;
        let allow = answer.header("allow").to_owned();
        seen = format!("{} Allow: {allow}", answer.status);
        let right = answer.status == 405 && allow.split(',').any(|method| method.trim() == "GET");
        ensure(right, format!("405 with Allow: GET,.. for {method} /block"), &seen)?;
    }
    Ok(seen)
}

async fn shape(target: &Target) -> Finding {
    for (method, path) in [
        (Method::GET, "/other"),
        (Method::GET, "/block/xyz"),
        (Method::GET, "/step/9007199254740990"),
        (Method::POST, "/block"),
    ] {
        let answer = target.ask(Server::Rest, method.clone(), path, &[]).await?;
        let body = answer.json()?;
        let fields = body.as_object().map(serde_json::Map::len);
        let right = fields == Some(2) && body["code"] == answer.status && body["message"].is_string();
        ensure(
            right,
            format!("{{\"code\":{},\"message\":\"..\"}} for {method} {path}", answer.status),
            &answer,
        )?;
    }
    Ok("code and message in each".to_owned())
}

async fn odd_paths(target: &Target) -> Finding {
    let long = format!("/block/{}", "a".repeat(2000));
    let mut statuses = std::collections::BTreeSet::new();
    for path in [
        "/",
        "//",
        "//block",
        "/block//",
        "/block/%00",
        "/block/%ff%fe",
        "/block/-1",
        "/block/18446744073709551615",
        "/block/18446744073709551616",
        "/block?x=1",
        "/deploy/../block",
        "/faults/0",
        "/step/%2e%2e",
        "/swagger-ui/no-such-file.js",
        long.as_str(),
    ] {
        let answer = target.get(Server::Rest, path).await?;
        ensure(answer.status < 500, format!("no failure for {path}"), &answer)?;
        statuses.insert(answer.status);
    }
    Ok(format!("{statuses:?}"))
}

async fn no_shutdown(target: &Target) -> Finding {
    // Something must have been shut down for this to mean anything; the story of a scripted node sees to it.
    if !target.nodes().is_empty() && target.has_events() {
        target.story().await?;
    }
    for path in [
        "/shutdown",
        "/shutdowns",
        "/Shutdown",
        "/events/shutdown",
        "/events?kind=Shutdown",
        "/events?limit=1000",
    ] {
        let answer = target.get(Server::Rest, path).await?;
        let shown = answer.status == 200 && answer.body.contains("Shutdown");
        ensure(!shown, format!("no Shutdown at {path}"), &answer)?;
    }
    let document = target.get(Server::Rest, "/api-doc.json").await?;
    let paths = document.json()?["paths"].to_string();
    ensure(!paths.contains("/shutdown"), "no path for Shutdown in /api-doc.json", paths)?;
    Ok("no path shows any".to_owned())
}
