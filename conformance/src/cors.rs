//! Cross-origin use from a browser's page: any origin, preflights answered.

use reqwest::Method;

use crate::{
    check::{Check, Finding, Need, Section, ensure},
    target::{Server, Target},
};

const FETCH: Section = Section::Standard("Fetch, CORS protocol");
const ORIGIN: &str = "http://explorer.example";

pub(crate) const CHECKS: &[Check] = &[
    Check {
        id: "cors.stream.origin",
        section: FETCH,
        says: "A page of any origin may read the event stream",
        needs: &[Need::Events],
        run: |target| Box::pin(stream_origin(target)),
    },
    Check {
        id: "cors.stream.preflight",
        section: FETCH,
        says: "The preflight of a fetch-based client, which sends Last-Event-ID, is answered",
        needs: &[Need::Events],
        run: |target| Box::pin(stream_preflight(target)),
    },
    Check {
        id: "cors.rest.origin",
        section: FETCH,
        says: "A page of any origin may read the REST answers",
        needs: &[Need::Rest],
        run: |target| Box::pin(rest_origin(target)),
    },
    Check {
        id: "cors.rest.preflight",
        section: FETCH,
        says: "A preflight at the REST server is answered",
        needs: &[Need::Rest],
        run: |target| Box::pin(rest_preflight(target)),
    },
    Check {
        id: "cors.rest.errors",
        section: FETCH,
        says: "Refusals of the REST server can be read by a page of any origin too",
        needs: &[Need::Rest],
        run: |target| Box::pin(rest_errors(target)),
    },
];

/// Whether the header lets the page in: any origin, or this one.
fn lets_in(allowed: &str) -> bool {
    allowed == "*" || allowed == ORIGIN
}

/// Whether a list in a header has the item, in either case, or stands for all.
fn lists(header: &str, item: &str) -> bool {
    header.split(',').map(str::trim).any(|other| other == "*" || other.eq_ignore_ascii_case(item))
}

fn preflight(asked: &str) -> [(&str, &str); 3] {
    [("Origin", ORIGIN), ("Access-Control-Request-Method", "GET"), ("Access-Control-Request-Headers", asked)]
}

async fn stream_origin(target: &Target) -> Finding {
    let mut seen = String::new();
    for path in ["/events/main", "/events/sidecar", "/events", "/events/other"] {
        let reply = target.stream("GET", path, &[("Origin", ORIGIN)]).await?;
        seen = reply.header("access-control-allow-origin").unwrap_or("no such header").to_owned();
        ensure(lets_in(&seen), format!("Access-Control-Allow-Origin: * for {path}"), &seen)?;
    }
    Ok(format!("Access-Control-Allow-Origin: {seen}"))
}

async fn stream_preflight(target: &Target) -> Finding {
    let reply = target.stream("OPTIONS", "/events/main", &preflight("last-event-id")).await?;
    let header = |name: &str| reply.header(name).unwrap_or_default().to_owned();
    let (origin, methods, headers) = (
        header("access-control-allow-origin"),
        header("access-control-allow-methods"),
        header("access-control-allow-headers"),
    );
    let seen = format!("{}, origin '{origin}', methods '{methods}', headers '{headers}'", reply.status);
    ensure((200..300).contains(&reply.status), "2xx", &seen)?;
    ensure(lets_in(&origin), "any origin", &seen)?;
    ensure(lists(&headers, "last-event-id"), "Last-Event-ID among the allowed headers", &seen)?;
    Ok(seen)
}

async fn rest_origin(target: &Target) -> Finding {
    let mut seen = String::new();
    for path in ["/block", "/api-doc.json"] {
        let answer = target.ask(Server::Rest, Method::GET, path, &[("Origin", ORIGIN)]).await?;
        seen = answer.header("access-control-allow-origin").to_owned();
        ensure(lets_in(&seen), format!("Access-Control-Allow-Origin: * for {path}"), &seen)?;
    }
    Ok(format!("Access-Control-Allow-Origin: {seen}"))
}

async fn rest_preflight(target: &Target) -> Finding {
    let answer = target.ask(Server::Rest, Method::OPTIONS, "/block", &preflight("accept")).await?;
    let origin = answer.header("access-control-allow-origin");
    let seen = format!("{}, origin '{origin}'", answer.status);
    ensure((200..300).contains(&answer.status) && lets_in(origin), "2xx, any origin", &seen)?;
    Ok(seen)
}

async fn rest_errors(target: &Target) -> Finding {
    for path in ["/no-such-path", "/block/xyz", "/step/18446744073709551614"] {
        let answer = target.ask(Server::Rest, Method::GET, path, &[("Origin", ORIGIN)]).await?;
        let origin = answer.header("access-control-allow-origin");
        let seen = format!("'{origin}' on a {}", answer.status);
        ensure(lets_in(origin), format!("Access-Control-Allow-Origin: * for {path}"), seen)?;
    }
    Ok("refusals can be read too".to_owned())
}
