//! Several nodes at once. All of these checks run after the story, in which the first node has got the greater version.

use std::time::Duration;

use tokio::time::Instant;

use super::story::{Act, Audience, next_version, scrape, version_in};
use crate::{
    check::{Check, Deviation, Finding, Need, Section, ensure},
    metrics,
    node_control::NodeControl,
    subscription::Endpoint,
    target::Target,
};

const MIDDLEWARE: Section = Section::Page("Middleware Mode");
const TWO: &[Need] = &[Need::Events, Need::TwoNodes];

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "middleware.both",
        section: MIDDLEWARE,
        says: "The Sidecar can connect simultaneously to nodes: the events of each come out",
        needs: TWO,
        run: |target| Box::pin(both(target)),
    },
    Check {
        id: "middleware.once",
        section: Section::Sidecar("promises"),
        says: "An event that several nodes send is delivered once",
        needs: TWO,
        run: |target| Box::pin(once(target)),
    },
    Check {
        id: "middleware.different-versions",
        section: MIDDLEWARE,
        says: "Nodes with different build versions send messages with different API versions: all are passed on",
        needs: TWO,
        run: |target| Box::pin(different_versions(target)),
    },
    Check {
        id: "middleware.older-not-announced",
        section: Section::Sidecar("promises"),
        says: "The version in force is the highest seen: an older one of another node is not announced",
        needs: TWO,
        run: |target| Box::pin(older_not_announced(target)),
    },
    Check {
        id: "middleware.out-of-sync",
        section: MIDDLEWARE,
        says: "Nodes may change API versions and not be in sync with others: a higher one is announced once",
        needs: TWO,
        run: |target| Box::pin(out_of_sync(target)),
    },
    Check {
        id: "metrics.node-statuses.incompatible",
        section: Section::Page("The Admin Server"),
        says: "-2 - defunct -> node is in an incompatible version",
        needs: &[Need::Events, Need::Admin, Need::TwoNodes],
        run: |target| Box::pin(incompatible(target)),
    },
    Check {
        id: "middleware.compatible-again",
        section: Section::Sidecar("connection life"),
        says: "An incompatible node is looked at again while other nodes keep the process alive",
        needs: &[Need::Events, Need::Admin, Need::TwoNodes],
        run: |target| Box::pin(compatible_again(target)),
    },
];

/// The two nodes, after the story was told.
async fn nodes(target: &Target) -> Result<(&NodeControl, &NodeControl), Deviation> {
    target.story().await?;
    match target.nodes() {
        [first, second, ..] => Ok((first, second)),
        _ => Err(Deviation::nothing("needs two scripted nodes")),
    }
}

/// Exactly these events once each on `/events`.
fn exactly(act: &Act, events: &[&String]) -> Result<(), Deviation> {
    for data in events {
        let seen = act.entries(Endpoint::Root).filter(|message| message.data == **data).count();
        ensure(seen == 1, format!("once on /events: {data}"), format!("{seen} x"))?;
    }
    Ok(())
}

async fn both(target: &Target) -> Finding {
    let (first, second) = nodes(target).await?;
    let mut audience = Audience::gather(target).await?;
    let (one, other) = (target.chain().event("FinalitySignature"), target.chain().event("FinalitySignature"));
    first.emit(&one).await?;
    second.emit(&other).await?;
    let act = audience.hear(&[one.clone(), other.clone()], target.pace().event).await?;
    exactly(&act, &[&one, &other])?;
    Ok("an event of each node".to_owned())
}

async fn once(target: &Target) -> Finding {
    let (first, second) = nodes(target).await?;
    let mut audience = Audience::gather(target).await?;
    let events = target.chain().events();
    for event in &events {
        second.emit(event).await?;
        first.emit(event).await?;
    }
    let act = audience.hear(&events, target.pace().event).await?;
    exactly(&act, &events.iter().collect::<Vec<_>>())?;
    Ok(format!("{} events of both nodes, each delivered once", events.len()))
}

/// The second node starts again with these versions and sends an event; what is heard of it.
async fn returns(
    target: &Target,
    audience: &mut Audience,
    node: &NodeControl,
    build: Option<&str>,
    api: Option<&str>,
) -> Result<Act, Deviation> {
    node.shutdown().await?;
    if let Some(build) = build {
        node.set_build_version(build).await?;
    }
    if let Some(api) = api {
        node.set_api_version(api).await?;
    }
    node.restart().await?;
    let event = target.chain().event("DeployAccepted");
    node.emit(&event).await?;
    let act = audience.hear(std::slice::from_ref(&event), target.pace().reconnect).await?;
    exactly(&act, &[&event])?;
    Ok(act)
}

async fn different_versions(target: &Target) -> Finding {
    let (first, second) = nodes(target).await?;
    let mut audience = Audience::gather(target).await?;
    returns(target, &mut audience, second, Some("1.5.6"), Some("1.5.6")).await?;
    let event = target.chain().event("DeployAccepted");
    first.emit(&event).await?;
    let act = audience.hear(std::slice::from_ref(&event), target.pace().event).await?;
    exactly(&act, &[&event])?;
    Ok("events of a node at 1.5.6 beside those of the first".to_owned())
}

async fn older_not_announced(target: &Target) -> Finding {
    let (_, second) = nodes(target).await?;
    let mut audience = Audience::gather(target).await?;
    let act = returns(target, &mut audience, second, None, Some("1.5.5")).await?;
    for endpoint in Endpoint::ALL {
        let seen = act.versions(endpoint);
        ensure(seen.is_empty(), format!("no version on {}", endpoint.path()), format!("{seen:?}"))?;
    }
    Ok("an event of a node at 1.5.5, and no announcement".to_owned())
}

async fn out_of_sync(target: &Target) -> Finding {
    let (first, second) = nodes(target).await?;
    let mut opening = target.subscribe(Endpoint::Main).await?;
    let higher = next_version(version_in(&opening.message(target.pace().reply).await?.data))?;
    let expected = format!("{{\"ApiVersion\":\"{higher}\"}}");
    let mut audience = Audience::gather(target).await?;
    let act = returns(target, &mut audience, second, None, Some(&higher)).await?;
    let event = target.chain().event("DeployAccepted");
    first.emit(&event).await?;
    let more = audience.hear(std::slice::from_ref(&event), target.pace().event).await?;
    exactly(&more, &[&event])?;
    for endpoint in [Endpoint::Main, Endpoint::Deploys, Endpoint::Sigs, Endpoint::Root] {
        let seen: Vec<_> = act.versions(endpoint).into_iter().chain(more.versions(endpoint)).collect();
        ensure(
            seen == [expected.as_str()],
            format!("{expected} once on {}", endpoint.path()),
            format!("{seen:?}"),
        )?;
    }
    Ok(format!("{expected} once, though the first node still has the version before"))
}

/// Makes the second node incompatible, unless it is still taken for that.
async fn becomes_incompatible(target: &Target, node: &NodeControl) -> Finding {
    let has = |all: &[f64]| all.contains(&-2.0);
    if let Ok(already) = wait_for_statuses(target, "-2 of a node", Duration::ZERO, has).await {
        return Ok(already);
    }
    node.shutdown().await?;
    node.set_build_version("1.4.15").await?;
    node.restart().await?;
    let seen = wait_for_statuses(target, "-2 of a node", target.pace().reconnect, has).await;
    // In any case the node is left as it was: checks to come need it.
    node.set_build_version("1.5.8").await?;
    seen
}

async fn incompatible(target: &Target) -> Finding {
    let (first, second) = nodes(target).await?;
    let statuses = becomes_incompatible(target, second).await?;
    let mut audience = Audience::gather(target).await?;
    let event = target.chain().event("FinalitySignature");
    first.emit(&event).await?;
    let act = audience.hear(std::slice::from_ref(&event), target.pace().event).await?;
    exactly(&act, &[&event])?;
    Ok(format!("{statuses}, while the events of the other node go on"))
}

async fn compatible_again(target: &Target) -> Finding {
    let (_, second) = nodes(target).await?;
    becomes_incompatible(target, second).await?;
    // How long it takes until an incompatible node is looked at again is the sidecar's own affair.
    let patience = target.pace().exhaustion;
    wait_for_statuses(target, "2 of all nodes", patience, |all| all.iter().all(|status| *status == 2.0)).await
}

/// Waits until the statuses of the nodes are as `wanted`; tells them.
pub(super) async fn wait_for_statuses(
    target: &Target,
    expected: &str,
    patience: Duration,
    wanted: impl Fn(&[f64]) -> bool,
) -> Finding {
    let deadline = Instant::now() + patience;
    loop {
        let statuses = metrics::by_label(&scrape(target).await, "node_statuses", "node_statuses", "node");
        if wanted(&statuses.values().copied().collect::<Vec<_>>()) {
            return Ok(format!("{statuses:?}"));
        }
        ensure(Instant::now() < deadline, expected, format!("{statuses:?}"))?;
        tokio::time::sleep(target.pace().settle / 10).await;
    }
}
