//! The admin server itself.

use reqwest::Method;

use crate::{
    check::{Check, Finding, Need, Section, ensure},
    target::{Server, Target},
};

const ADMIN: Section = Section::Page("The Admin Server");
const HEALTH: Section = Section::Sidecar("admin server");

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "metrics.served",
        section: ADMIN,
        says: "curl http://127.0.0.1:18887/metrics/",
        needs: &[Need::Admin],
        run: |target| Box::pin(served(target)),
    },
    Check {
        id: "metrics.no-slash",
        section: Section::Page("Configuring the Sidecar Service"),
        says: "An administrative REST server that exposes a metrics endpoint: /metrics answers without a slash too",
        needs: &[Need::Admin],
        run: |target| Box::pin(without_slash(target)),
    },
    Check {
        id: "metrics.content-type",
        section: Section::Standard("Prometheus text format"),
        says: "Content-Type is text/plain, in UTF-8, version 0.0.4 where a version is given",
        needs: &[Need::Admin],
        run: |target| Box::pin(content_type(target)),
    },
    Check {
        id: "metrics.strict",
        section: Section::Standard("Prometheus text format"),
        says: "The text parses strictly: HELP and TYPE of each family, no series twice, whole histograms",
        needs: &[Need::Admin],
        run: |target| Box::pin(strict(target)),
    },
    Check {
        id: "admin.refusals",
        section: HEALTH,
        says: "Unknown paths and wrong methods are refused with 4xx",
        needs: &[Need::Admin],
        run: |target| Box::pin(refusals(target)),
    },
    Check {
        id: "admin.health.live",
        section: HEALTH,
        says: "/health/live answers 200",
        needs: &[Need::Admin],
        run: |target| Box::pin(live(target)),
    },
    Check {
        id: "admin.health.ready",
        section: HEALTH,
        says: "/health/ready answers 200 when the store is writable and a node is connected, else 503 with JSON saying why",
        needs: &[Need::Admin],
        run: |target| Box::pin(ready(target)),
    },
];

async fn served(target: &Target) -> Finding {
    let answer = target.get(Server::Admin, "/metrics/").await?;
    ensure(answer.status == 200 && answer.body.starts_with("# HELP "), "200 and metrics", &answer)?;
    Ok(format!("200, {} bytes", answer.body.len()))
}

async fn without_slash(target: &Target) -> Finding {
    let answer = target.get(Server::Admin, "/metrics").await?;
    ensure(answer.status == 200 && answer.body.starts_with("# HELP "), "200 and metrics", &answer)?;
    Ok("200".to_owned())
}

async fn content_type(target: &Target) -> Finding {
    let answer = target.get(Server::Admin, "/metrics/").await?;
    let kind = answer.header("content-type").to_ascii_lowercase();
    let mut parts = kind.split(';').map(str::trim);
    let right = parts.next() == Some("text/plain")
        && parts
            .all(|part| ["charset=utf-8", "version=0.0.4"].contains(&part) || part.starts_with("escaping="));
    ensure(right, "text/plain; version=0.0.4; charset=utf-8", &kind)?;
    Ok(kind)
}

async fn strict(target: &Target) -> Finding {
    let families = super::scrape(target).await?;
    let samples: usize = families.values().map(|family| family.samples.len()).sum();
    Ok(format!("{} families, {samples} samples", families.len()))
}

async fn refusals(target: &Target) -> Finding {
    // What is at the root is the server's own affair, but it must not fail.
    let root = target.get(Server::Admin, "/").await?;
    ensure(root.status < 500, "no failure for /", &root)?;
    let mut seen = vec![format!("GET /: {}", root.status)];
    for (method, path) in [(Method::GET, "/no-such-path"), (Method::GET, "//"), (Method::POST, "/metrics")] {
        let answer = target.ask(Server::Admin, method.clone(), path, &[]).await?;
        ensure((400..500).contains(&answer.status), format!("4xx for {method} {path}"), &answer)?;
        seen.push(format!("{method} {path}: {}", answer.status));
    }
    Ok(seen.join(", "))
}

async fn live(target: &Target) -> Finding {
    let answer = target.get(Server::Admin, "/health/live").await?;
    ensure(answer.status == 200, "200", &answer)?;
    Ok("200".to_owned())
}

async fn ready(target: &Target) -> Finding {
    let answer = target.get(Server::Admin, "/health/ready").await?;
    let json = answer.json()?;
    let seen = format!("{} {}", answer.status, answer.body);
    ensure(json.is_object() && [200, 503].contains(&answer.status), "200 or 503 with a JSON object", &seen)?;
    let families = super::scrape(target).await?;
    let statuses = super::by_label(&families, "node_statuses", "node_statuses", "node");
    let connected = statuses.values().any(|status| *status == 2.0);
    ensure(connected || answer.status == 503, "503 while no node is connected", &seen)?;
    Ok(seen)
}
