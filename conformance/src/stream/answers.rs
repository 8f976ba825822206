//! What the event stream server answers to requests that are not for a stream.

use crate::{
    check::{Check, Deviation, Finding, Need, Section, ensure},
    subscription::Endpoint,
    target::Target,
};

const STREAM: Section = Section::Sidecar("event stream server");

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "stream.error.path",
        section: STREAM,
        says: "An unknown path is answered by 404 and a text that names the valid ones",
        needs: &[Need::Events],
        run: |target| Box::pin(unknown_paths(target)),
    },
    Check {
        id: "stream.error.query",
        section: STREAM,
        says: "A bad query is answered by 422 and a text that names the one expected",
        needs: &[Need::Events],
        run: |target| Box::pin(bad_queries(target)),
    },
    Check {
        id: "stream.error.path-before-query",
        section: STREAM,
        says: "A bad query on an unknown path is answered by 404",
        needs: &[Need::Events],
        run: |target| Box::pin(path_before_query(target)),
    },
    Check {
        id: "stream.error.method",
        section: STREAM,
        says: "A method other than GET, HEAD and OPTIONS is refused (4xx)",
        needs: &[Need::Events],
        run: |target| Box::pin(wrong_method(target)),
    },
    Check {
        id: "stream.error.plain-text",
        section: STREAM,
        says: "Refusals of the event stream server are plain text",
        needs: &[Need::Events],
        run: |target| Box::pin(plain_text(target)),
    },
    Check {
        id: "stream.head",
        section: STREAM,
        says: "HEAD is answered like GET, without a body",
        needs: &[Need::Events],
        run: |target| Box::pin(head(target)),
    },
    Check {
        id: "stream.bare-question-mark",
        section: STREAM,
        says: "An empty query is no query",
        needs: &[Need::Events],
        run: |target| Box::pin(empty_query(target)),
    },
];

/// Status and body of a refusal.
async fn refusal(target: &Target, method: &str, path: &str) -> Result<(u16, String), Deviation> {
    let reply = target.stream(method, path, &[]).await?;
    let status = reply.status;
    if status == 200 {
        return Err(Deviation::new(format!("a refusal of {method} {path}"), "200"));
    }
    Ok((status, reply.text(target.pace().reply).await?))
}

async fn unknown_paths(target: &Target) -> Finding {
    let mut seen = String::new();
    for path in ["/", "/other", "/events/other", "/events/MAIN", "/events/main/x", "/events//main"] {
        let (status, body) = refusal(target, "GET", path).await?;
        seen = format!("{status} {body}");
        ensure(status == 404, format!("404 for {path}"), &seen)?;
        for endpoint in Endpoint::NODE {
            ensure(body.contains(endpoint.path()), format!("{} named in the text", endpoint.path()), &seen)?;
        }
    }
    Ok(seen.trim_end().to_owned())
}

async fn bad_queries(target: &Target) -> Finding {
    let mut seen = String::new();
    for query in [
        "start_from=abc",
        "start_from=-1",
        "start_from=",
        "start_from",
        "x=1",
        "start_from=1&x=1",
        "Start_From=1",
    ] {
        for endpoint in [Endpoint::Main, Endpoint::Sidecar, Endpoint::Root] {
            let (status, body) = refusal(target, "GET", &format!("{}?{query}", endpoint.path())).await?;
            seen = format!("{status} {body}");
            ensure(status == 422, format!("422 for {}?{query}", endpoint.path()), &seen)?;
            ensure(body.contains("start_from="), "start_from=<EVENT ID> named in the text", &seen)?;
        }
    }
    Ok(seen.trim_end().to_owned())
}

async fn path_before_query(target: &Target) -> Finding {
    let (status, body) = refusal(target, "GET", "/events/other?start_from=abc").await?;
    ensure(status == 404, "404", format!("{status} {body}"))?;
    Ok("404".to_owned())
}

async fn wrong_method(target: &Target) -> Finding {
    let mut seen = Vec::new();
    for method in ["POST", "PUT", "DELETE"] {
        let (status, body) = refusal(target, method, "/events/main").await?;
        ensure((400..500).contains(&status), format!("4xx for {method}"), format!("{status} {body}"))?;
        seen.push(format!("{method}: {status}"));
    }
    Ok(seen.join(", "))
}

async fn plain_text(target: &Target) -> Finding {
    for path in ["/events/other", "/events/main?start_from=abc"] {
        let reply = target.stream("GET", path, &[]).await?;
        // The original gives no type at all, which browsers and curl take as text too.
        let kind = reply.header("content-type").unwrap_or("text/plain").to_owned();
        ensure(kind.starts_with("text/plain"), format!("text/plain for {path}"), &kind)?;
        let body = reply.text(target.pace().reply).await?;
        ensure(!body.is_empty() && !body.starts_with('{'), "a text for people", &body)?;
    }
    Ok("text/plain".to_owned())
}

async fn head(target: &Target) -> Finding {
    for endpoint in Endpoint::ALL {
        let reply = target.stream("HEAD", endpoint.path(), &[]).await?;
        let kind = reply.header("content-type").unwrap_or_default().to_owned();
        let seen = format!("{} {kind}", reply.status);
        let right = reply.status == 200 && kind == "text/event-stream";
        ensure(right, format!("200 text/event-stream for HEAD {}", endpoint.path()), seen)?;
    }
    Ok("200 text/event-stream on all five endpoints".to_owned())
}

async fn empty_query(target: &Target) -> Finding {
    let reply = target.stream("GET", "/events/main?", &[]).await?;
    ensure(reply.status == 200, "200 for /events/main?", reply.status)?;
    Ok("200".to_owned())
}
