//! The toy's REST server.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{Html, IntoResponse as _, Response},
};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::{
    Fault, Shared, description,
    log::{Entry, Log},
};

/// Requests for one path in one second.
const RATE: usize = 100;

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new().fallback(answer)
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let mut response = respond(&shared, &request);
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

fn json(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn refusal(status: u16, message: &str) -> Response {
    json(status, json!({ "code": status, "message": message }).to_string())
}

fn over_the_rate(log: &mut Log, path: &str) -> bool {
    let now = Instant::now();
    let window = log.requests.entry(path.to_owned()).or_insert((now, 0));
    if now - window.0 > Duration::from_secs(1) {
        *window = (now, 0);
    }
    window.1 += 1;
    window.1 > RATE
}

fn respond(shared: &Shared, request: &Request) -> Response {
    if over_the_rate(&mut shared.log(), request.uri().path()) {
        if shared.has(Fault::DropsRequests) {
            // A body that breaks off before its first byte closes the connection.
            let nothing = futures_util::stream::iter([Err::<String, _>(std::io::Error::other("dropped"))]);
            return Response::new(axum::body::Body::from_stream(nothing));
        }
        let mut response = refusal(429, "Too many requests");
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    }
    let path = request.uri().path();
    match path {
        "/swagger-ui" => {
            return (StatusCode::SEE_OTHER, [(header::LOCATION, "/swagger-ui/")]).into_response();
        }
        "/swagger-ui/" => return Html(description::PAGE).into_response(),
        "/swagger-ui/bundle.js" => return "function SwaggerUIBundle() {}".into_response(),
        "/swagger-ui/swagger-initializer.js" => return description::INITIALIZER.into_response(),
        _ => {}
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let known = match parts.as_slice() {
        ["block" | "api-doc.json"] => true,
        ["block" | "faults" | "signatures" | "step", _] => true,
        ["deploy", name] => !["accepted", "processed", "expired"].contains(name),
        ["deploy", "accepted" | "processed" | "expired", _] => true,
        _ => false,
    };
    if request.method() == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    if !known {
        return refusal(400, "Invalid request path provided");
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut response = refusal(405, "Method not allowed");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let log = shared.log();
    let found = match parts.as_slice() {
        ["api-doc.json"] => Ok(Some(description::document().to_string())),
        ["block"] => Ok(latest(&log, shared.has(Fault::LatestArrival))),
        parts => look_up(&log, parts, shared.has(Fault::CaseSensitive), shared.has(Fault::OneSignature)),
    };
    match found {
        Ok(Some(body)) => json(200, body),
        Ok(None) => refusal(404, "Query returned no results"),
        Err(()) => refusal(400, "Invalid parameter in query: not a hash, a key or a number"),
    }
}

fn part(entry: &Entry, pointer: &str) -> Option<Value> {
    serde_json::from_str::<Value>(entry.payload()).ok()?.pointer(pointer).cloned()
}

fn latest(log: &Log, by_arrival: bool) -> Option<String> {
    let mut blocks = log.entries().filter(|entry| entry.kind() == "BlockAdded");
    let latest = match by_arrival {
        true => blocks.next_back(),
        false => {
            blocks.max_by_key(|entry| part(entry, "/block/header/height").and_then(|height| height.as_u64()))
        }
    };
    latest.map(|entry| entry.payload().to_owned())
}

/// All payloads of a kind whose part at `pointer` is `name`.
fn all(log: &Log, kind: &str, pointer: &str, name: &str) -> Vec<String> {
    let named = |entry: &&Entry| match part(entry, pointer) {
        Some(Value::String(text)) => text == name,
        Some(Value::Number(number)) => number.as_u64() == name.parse().ok(),
        _ => false,
    };
    let entries = log.entries().filter(|entry| entry.kind() == kind).filter(named);
    entries.map(|entry| entry.payload().to_owned()).collect()
}

fn look_up(log: &Log, parts: &[&str], exact: bool, one: bool) -> Result<Option<String>, ()> {
    let (area, name) = match parts {
        [area, name] => (*area, *name),
        [_, area, name] => (*area, *name),
        _ => return Err(()),
    };
    let name = if exact { name.to_owned() } else { name.to_lowercase() };
    let hex = name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = name.parse::<u64>().is_ok();
    let well_formed = match area {
        "block" => number || (hex && name.len() == 64),
        "faults" => number || (hex && [66, 68].contains(&name.len())),
        "step" => number,
        _ => hex && name.len() == 64,
    };
    if !well_formed {
        return Err(());
    }
    let first = |kind: &str, pointer: &str| all(log, kind, pointer, &name).into_iter().next();
    let array = |mut items: Vec<String>| {
        items.truncate(if one { 1 } else { items.len() });
        (!items.is_empty()).then(|| format!("[{}]", items.join(",")))
    };
    Ok(match area {
        "block" => first("BlockAdded", if number { "/block/header/height" } else { "/block_hash" }),
        "accepted" => first("DeployAccepted", "/hash"),
        "processed" => first("DeployProcessed", "/deploy_hash"),
        "expired" => first("DeployExpired", "/deploy_hash"),
        "faults" => array(all(log, "Fault", if number { "/era_id" } else { "/public_key" }, &name)),
        "signatures" => array(all(log, "FinalitySignature", "/block_hash", &name)),
        "step" => first("Step", "/era_id"),
        _ => {
            let accepted = first("DeployAccepted", "/hash");
            let processed = first("DeployProcessed", "/deploy_hash");
            let expired = first("DeployExpired", "/deploy_hash").is_some();
            let known = accepted.is_some() || processed.is_some() || expired;
            let or_null = |part: Option<String>| part.unwrap_or_else(|| "null".to_owned());
            known.then(|| {
                format!(
                    "{{\"deploy_hash\":\"{name}\",\"deploy_accepted\":{},\"deploy_processed\":{},\"deploy_expired\":{expired}}}",
                    or_null(accepted),
                    or_null(processed)
                )
            })
        }
    })
}
