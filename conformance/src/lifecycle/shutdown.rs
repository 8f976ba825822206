//! The node's `Shutdown`, and that the sidecar lives on.

use crate::{
    check::{Check, Finding, Need, Section, ensure},
    subscription::Endpoint,
    target::Target,
};

const SHUTDOWN: Section = Section::Page("The Node Shutdown Event");
const NODE: &[Need] = &[Need::Events, Need::Node];

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "lifecycle.shutdown.deploys",
        section: SHUTDOWN,
        says: "When the node sends a Shutdown event, the Sidecar will report it on the /events/deploys endpoint",
        needs: NODE,
        run: |target| Box::pin(reported(target, Endpoint::Deploys)),
    },
    Check {
        id: "lifecycle.shutdown.main",
        section: SHUTDOWN,
        says: "The Sidecar will report it as part of the event stream: main",
        needs: NODE,
        run: |target| Box::pin(reported(target, Endpoint::Main)),
    },
    Check {
        id: "lifecycle.shutdown.sigs",
        section: SHUTDOWN,
        says: "The Sidecar will report it as part of the event stream: sigs",
        needs: NODE,
        run: |target| Box::pin(reported(target, Endpoint::Sigs)),
    },
    Check {
        id: "lifecycle.shutdown.root",
        section: Section::Sidecar("event stream server"),
        says: "/events shows the Shutdown of main, and that alone",
        needs: NODE,
        run: |target| Box::pin(root(target)),
    },
    Check {
        id: "lifecycle.shutdown.form",
        section: SHUTDOWN,
        says: "Sample: data:\"Shutdown\" with an id",
        needs: NODE,
        run: |target| Box::pin(form(target)),
    },
    Check {
        id: "lifecycle.shutdown.not-sidecar",
        section: Section::Page("The Sidecar Shutdown Event"),
        says: "events/sidecar is for events originating solely from the Sidecar service: a node's Shutdown is not there",
        needs: NODE,
        run: |target| Box::pin(not_on_sidecar(target)),
    },
    Check {
        id: "lifecycle.shutdown.streams-stay",
        section: SHUTDOWN,
        says: "The Sidecar will continue to operate: the streams stay open",
        needs: NODE,
        run: |target| Box::pin(streams_stay(target)),
    },
    Check {
        id: "lifecycle.reconnect",
        section: SHUTDOWN,
        says: "The Sidecar will attempt to reconnect to the node: when it is back, its events go on",
        needs: NODE,
        run: |target| Box::pin(reconnects(target)),
    },
    Check {
        id: "metrics.node-statuses.life",
        section: Section::Page("The Admin Server"),
        says: "2 - connected; 3 - reconnecting (or 1 - connecting) while the node is away; 2 again when it is back",
        needs: &[Need::Events, Need::Admin, Need::Node],
        run: |target| Box::pin(statuses(target)),
    },
];

async fn reported(target: &Target, endpoint: Endpoint) -> Finding {
    let act = &target.story().await?.down;
    let seen: Vec<_> = act.entries(endpoint).map(|message| message.kind()).collect();
    ensure(seen == ["Shutdown"], format!("Shutdown once on {}", endpoint.path()), format!("{seen:?}"))?;
    Ok(format!("{seen:?}"))
}

async fn root(target: &Target) -> Finding {
    let act = &target.story().await?.down;
    let main: Vec<_> = act.entries(Endpoint::Main).map(|message| message.id).collect();
    let root: Vec<_> = act.entries(Endpoint::Root).map(|message| message.id).collect();
    ensure(root == main && root.len() == 1, format!("{main:?}, as on main"), format!("{root:?}"))?;
    Ok(format!("{root:?}"))
}

async fn form(target: &Target) -> Finding {
    let act = &target.story().await?.down;
    let mut seen = String::new();
    for endpoint in Endpoint::NODE {
        for message in act.entries(endpoint) {
            seen = format!("{} id:{:?}", message.data, message.id);
            ensure(
                message.data == "\"Shutdown\"" && message.id.is_some(),
                "data:\"Shutdown\" and an id",
                &seen,
            )?;
        }
    }
    ensure(!seen.is_empty(), "a Shutdown", "none")?;
    Ok(seen)
}

async fn not_on_sidecar(target: &Target) -> Finding {
    let story = target.story().await?;
    for act in [&story.live, &story.again, &story.down, &story.back, &story.upgrade] {
        let seen = act.seen.get(&Endpoint::Sidecar).map_or(&[][..], Vec::as_slice);
        ensure(seen.is_empty(), "nothing on events/sidecar", format!("{seen:?}"))?;
    }
    Ok("nothing on events/sidecar".to_owned())
}

async fn streams_stay(target: &Target) -> Finding {
    let story = target.story().await?;
    for act in [&story.down, &story.back, &story.upgrade] {
        ensure(act.ended.is_empty(), "all streams open", format!("ended: {:?}", act.ended))?;
    }
    Ok("all five streams open through two shutdowns of the node".to_owned())
}

async fn reconnects(target: &Target) -> Finding {
    let act = &target.story().await?.back;
    for data in &act.emitted {
        let seen = act.entries(Endpoint::Root).filter(|message| message.data == *data).count();
        ensure(seen == 1, format!("once after the node's return: {data}"), format!("{seen} x"))?;
    }
    Ok(format!("{} events after the node's return", act.emitted.len()))
}

async fn statuses(target: &Target) -> Finding {
    let story = target.story().await?;
    let (up, down, back) = (story.live.statuses(), story.down.statuses(), story.back.statuses());
    let seen = format!("{up:?}, then {down:?}, then {back:?}");
    ensure(up.values().any(|status| *status == 2.0), "2 while the node is there", &seen)?;
    let away = up.keys().any(|node| up[node] == 2.0 && [Some(&1.0), Some(&3.0)].contains(&down.get(node)));
    ensure(away, "3 or 1 while the node is away", &seen)?;
    ensure(up == back, "2 again when it is back", &seen)?;
    Ok(seen)
}
