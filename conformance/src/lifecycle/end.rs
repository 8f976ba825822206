//! The end of the sidecar: all its nodes stay away until its attempts are used up.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::{
    middleware::wait_for_statuses,
    story::{Act, Audience},
};
use crate::{
    check::{Check, Deviation, Finding, Need, Section, ensure},
    subscription::Endpoint,
    target::{Server, Target},
    wire::End,
};

const SHUTDOWN: Section = Section::Page("The Sidecar Shutdown Event");
const ENDING: &[Need] = &[Need::Events, Need::Node, Need::End];

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "admin.health.not-ready",
        section: Section::Sidecar("admin server"),
        says: "/health/ready answers 503 while no node is connected",
        needs: &[Need::Events, Need::Admin, Need::Node],
        run: |target| Box::pin(not_ready(target)),
    },
    Check {
        id: "metrics.node-statuses.defunct",
        section: Section::Page("The Admin Server"),
        says: "-1 - defunct -> used up all connection attempts",
        needs: &[Need::Events, Need::Admin, Need::TwoNodes, Need::End],
        run: |target| Box::pin(defunct(target)),
    },
    Check {
        id: "sidecar-shutdown.not-first",
        section: Section::Sidecar("promises"),
        says: "The controlled shutdown starts when all nodes are exhausted, not the first: the events of the others go on",
        needs: &[Need::Events, Need::Admin, Need::TwoNodes, Need::End],
        run: |target| Box::pin(not_first(target)),
    },
    Check {
        id: "sidecar-shutdown.emitted",
        section: SHUTDOWN,
        says: "If a node does not come back within max_attempts, the Sidecar emits a Shutdown event on events/sidecar",
        needs: ENDING,
        run: |target| Box::pin(emitted(target)),
    },
    Check {
        id: "sidecar-shutdown.form",
        section: SHUTDOWN,
        says: "Its structure is that of the node shutdown event: data:\"Shutdown\" with an id",
        needs: ENDING,
        run: |target| Box::pin(form(target)),
    },
    Check {
        id: "sidecar-shutdown.nowhere-else",
        section: SHUTDOWN,
        says: "The other event streams do not get this message because they only emit messages from the node",
        needs: ENDING,
        run: |target| Box::pin(nowhere_else(target)),
    },
    Check {
        id: "sidecar-shutdown.controlled",
        section: SHUTDOWN,
        says: "The Sidecar will start a controlled shutdown process: all streams end, none breaks off, the ports close",
        needs: ENDING,
        run: |target| Box::pin(controlled(target)),
    },
];

/// What was seen of the end.
pub(crate) struct Ending {
    /// The statuses when the second node was given up, if there is one.
    defunct: Option<Result<String, Deviation>>,
    /// What was seen of an event that the first node sent after that.
    others_go_on: Option<Act>,
    /// The status of `/health/ready` when the last node had gone.
    ready: Option<u16>,
    /// From the last node's shutdown on.
    last: Act,
    ends: BTreeMap<Endpoint, Option<End>>,
    port_closed: bool,
}

impl Ending {
    /// Sends all nodes away and waits for the sidecar to give up.
    pub(crate) async fn bring(target: &Target) -> Result<Self, Deviation> {
        target.story().await?;
        let pace = target.pace();
        if target.nodes().len() > 1 && target.has_admin() {
            // A check before may have left a node that was incompatible and is not looked at all the time.
            wait_for_statuses(target, "2 of all nodes", pace.exhaustion, |all| {
                all.iter().all(|status| *status == 2.0)
            })
            .await?;
        }
        let mut audience = Audience::gather(target).await?;
        let (mut defunct, mut others_go_on) = (None, None);
        for (index, node) in target.nodes().iter().enumerate().skip(1) {
            node.shutdown().await?;
            if target.has_admin() && index == 1 {
                defunct = Some(
                    wait_for_statuses(target, "-1 of a node", pace.exhaustion, |all| all.contains(&-1.0))
                        .await,
                );
                let event = target.chain().event("FinalitySignature");
                target.nodes()[0].emit(&event).await?;
                others_go_on = Some(audience.hear(std::slice::from_ref(&event), pace.event).await?);
            }
        }
        target.nodes()[0].shutdown().await?;
        let mut ready = None;
        if target.has_admin() {
            // What is wrong with the statuses is for their own checks to say.
            let _statuses = wait_for_statuses(target, "no 2", pace.event, |all| !all.contains(&2.0)).await;
            ready = Some(target.get(Server::Admin, "/health/ready").await?.status);
        }
        let last = audience.hear_out(pace.exhaustion).await?;
        let ends = audience.ends();
        let deadline = Instant::now() + pace.reply;
        let mut port_closed = false;
        while !port_closed && Instant::now() < deadline {
            port_closed = target.stream("GET", Endpoint::Sidecar.path(), &[]).await.is_err();
            tokio::time::sleep(pace.settle / 10).await;
        }
        Ok(Self { defunct, others_go_on, ready, last, ends, port_closed })
    }
}

async fn not_ready(target: &Target) -> Finding {
    let mut ready = target.story().await?.down.ready;
    if target.nodes().len() > 1 {
        // One node's shutdown left others connected; all are gone only at the end.
        if !target.may_end() {
            return Err(Deviation::nothing("another node stays connected (--end-sidecar sends all away)"));
        }
        ready = target.ending().await?.ready;
    }
    let seen = ready.map_or("no answer".to_owned(), |status| status.to_string());
    ensure(ready == Some(503), "503", &seen)?;
    Ok(seen)
}

async fn defunct(target: &Target) -> Finding {
    let ending = target.ending().await?;
    ending.defunct.clone().unwrap_or_else(|| Err(Deviation::nothing("needs two nodes and the admin server")))
}

async fn not_first(target: &Target) -> Finding {
    let ending = target.ending().await?;
    let Some(act) = &ending.others_go_on else {
        return Err(Deviation::nothing("needs two nodes and the admin server"));
    };
    let seen = act.entries(Endpoint::Sigs).filter(|message| act.emitted.contains(&message.data)).count();
    ensure(seen == 1, "the event of the other node", format!("{seen} x, ended: {:?}", act.ended))?;
    let early = act.entries(Endpoint::Sidecar).next();
    ensure(early.is_none(), "nothing on events/sidecar yet", format!("{early:?}"))?;
    Ok("the events of the other node go on".to_owned())
}

async fn emitted(target: &Target) -> Finding {
    let ending = target.ending().await?;
    let seen: Vec<_> = ending.last.entries(Endpoint::Sidecar).map(|message| message.kind()).collect();
    ensure(seen == ["Shutdown"], "Shutdown once on events/sidecar", format!("{seen:?}"))?;
    Ok(format!("{seen:?}"))
}

async fn form(target: &Target) -> Finding {
    let ending = target.ending().await?;
    let last = ending.last.entries(Endpoint::Sidecar).last();
    let seen = last.map_or("nothing".to_owned(), |message| format!("{} id:{:?}", message.data, message.id));
    let right = last.is_some_and(|message| message.data == "\"Shutdown\"" && message.id.is_some());
    ensure(right, "data:\"Shutdown\" and an id", &seen)?;
    // Ids are of one order over all endpoints: this one is the last.
    let before =
        Endpoint::NODE.into_iter().flat_map(|endpoint| ending.last.entries(endpoint)).map(|it| it.id).max();
    ensure(last.map(|message| message.id) > before, format!("an id above {before:?}"), &seen)?;
    Ok(seen)
}

async fn nowhere_else(target: &Target) -> Finding {
    let ending = target.ending().await?;
    let own = ending.last.entries(Endpoint::Sidecar).next().and_then(|message| message.id);
    for endpoint in [Endpoint::Main, Endpoint::Deploys, Endpoint::Sigs, Endpoint::Root] {
        // The node's own Shutdown comes there once; the sidecar's must not.
        let seen: Vec<_> =
            ending.last.entries(endpoint).map(|message| (message.kind(), message.id)).collect();
        let right = seen.len() <= 1 && seen.iter().all(|(_, id)| *id != own);
        ensure(right, format!("the node's Shutdown alone on {}", endpoint.path()), format!("{seen:?}"))?;
    }
    Ok("the other streams have the node's Shutdown alone".to_owned())
}

async fn controlled(target: &Target) -> Finding {
    let ending = target.ending().await?;
    for (endpoint, end) in &ending.ends {
        let expected = format!("{} to end as a whole", endpoint.path());
        ensure(*end == Some(End::Whole), expected, format!("{end:?}"))?;
    }
    ensure(ending.port_closed, "the port closed", "still answering")?;
    Ok("all streams ended as a whole, the port is closed".to_owned())
}
