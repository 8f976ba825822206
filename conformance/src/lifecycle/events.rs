//! What becomes of a node's events.

use std::collections::BTreeSet;

use crate::{
    check::{Check, Finding, Need, Section, ensure},
    subscription::Endpoint,
    target::Target,
};

const NODE: &[Need] = &[Need::Events, Need::Node];
const PROMISES: Section = Section::Sidecar("promises");

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "lifecycle.events.passed-on",
        section: Section::Page("The API Version of Node Events"),
        says: "Then, it starts streaming the events coming from the node: each kind on its endpoint, to the byte",
        needs: NODE,
        run: |target| Box::pin(passed_on(target)),
    },
    Check {
        id: "lifecycle.events.root",
        section: Section::Sidecar("event stream server"),
        says: "/events streams the events of all endpoints of the node",
        needs: NODE,
        run: |target| Box::pin(passed_on_root(target)),
    },
    Check {
        id: "lifecycle.events.nothing-invented",
        section: PROMISES,
        says: "Every data that a subscriber receives is what a node sent, to the byte",
        needs: NODE,
        run: |target| Box::pin(nothing_invented(target)),
    },
    Check {
        id: "lifecycle.events.once",
        section: PROMISES,
        says: "An event that a node sends again is delivered once",
        needs: NODE,
        run: |target| Box::pin(once(target)),
    },
    Check {
        id: "lifecycle.events.order",
        section: PROMISES,
        says: "The events of one filter keep the node's order",
        needs: NODE,
        run: |target| Box::pin(order(target)),
    },
    Check {
        id: "lifecycle.start-from.seam",
        section: Section::Sidecar("replay"),
        says: "A replay goes over to live events without a gap and without a repetition",
        needs: NODE,
        run: |target| Box::pin(seam(target)),
    },
];

async fn passed_on(target: &Target) -> Finding {
    let act = &target.story().await?.live;
    for data in &act.emitted {
        for endpoint in Endpoint::NODE {
            let seen = act.entries(endpoint).filter(|message| message.data == *data).count();
            let expected = usize::from(endpoint.carries(data));
            ensure(
                seen == expected,
                format!("{expected} x on {}: {data}", endpoint.path()),
                format!("{seen} x"),
            )?;
        }
    }
    Ok(format!("{} events, each on its endpoint", act.emitted.len()))
}

async fn passed_on_root(target: &Target) -> Finding {
    let act = &target.story().await?.live;
    for data in &act.emitted {
        let seen = act.entries(Endpoint::Root).filter(|message| message.data == *data).count();
        ensure(seen == 1, format!("once on /events: {data}"), format!("{seen} x"))?;
    }
    Ok(format!("{} events", act.emitted.len()))
}

async fn nothing_invented(target: &Target) -> Finding {
    let story = target.story().await?;
    let mut count = 0;
    for act in [&story.live, &story.back, &story.upgrade] {
        for endpoint in Endpoint::ALL {
            for message in act.entries(endpoint).filter(|message| message.kind() != "Shutdown") {
                let sent = act.emitted.contains(&message.data);
                ensure(sent, format!("only what the node sent on {}", endpoint.path()), &message.data)?;
                count += 1;
            }
        }
    }
    Ok(format!("{count} messages, all sent by the node"))
}

async fn once(target: &Target) -> Finding {
    let act = &target.story().await?.again;
    for endpoint in Endpoint::ALL {
        let repeated = act.entries(endpoint).next();
        let seen = repeated.map_or("nothing", |message| message.data.as_str());
        ensure(repeated.is_none(), format!("nothing new on {}", endpoint.path()), seen)?;
    }
    Ok(format!("{} events sent again, none delivered again", act.emitted.len()))
}

async fn order(target: &Target) -> Finding {
    let act = &target.story().await?.live;
    for endpoint in Endpoint::NODE {
        let sent: Vec<_> = act.emitted.iter().filter(|data| endpoint.carries(data)).collect();
        let seen: Vec<_> = act.entries(endpoint).map(|message| &message.data).collect();
        let place = sent.iter().zip(&seen).position(|(sent, seen)| sent != seen);
        let expected = format!("the node's order on {}", endpoint.path());
        ensure(place.is_none() && sent.len() == seen.len(), expected, format!("{place:?} differs"))?;
    }
    Ok("the order of each filter".to_owned())
}

async fn seam(target: &Target) -> Finding {
    let act = &target.story().await?.seam;
    let seen: Vec<_> = act.entries(Endpoint::Root).collect();
    let ids: Vec<_> = seen.iter().map(|message| message.id).collect();
    ensure(ids.is_sorted_by(|a, b| a < b), "rising ids over the seam", format!("{ids:?}"))?;
    let distinct: BTreeSet<_> = seen.iter().map(|message| &message.data).collect();
    let missing = act.emitted.iter().find(|data| !distinct.contains(data));
    ensure(missing.is_none(), "all that was sent meanwhile", format!("missing: {missing:?}"))?;
    Ok(format!("{} messages, {} of them sent meanwhile", seen.len(), act.emitted.len()))
}
