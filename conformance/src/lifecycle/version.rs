//! The node's API version over its restarts.

use super::story::version_in;
use crate::{
    check::{Check, Finding, Need, Section, ensure},
    subscription::Endpoint,
    target::Target,
};

const VERSION: Section = Section::Page("The API Version of Node Events");
const NODE: &[Need] = &[Need::Events, Need::Node];

/// The endpoints that tell the version.
const VERSIONED: [Endpoint; 4] = [Endpoint::Main, Endpoint::Deploys, Endpoint::Sigs, Endpoint::Root];

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "lifecycle.version.not-repeated",
        section: VERSION,
        says: "If the node's ApiVersion has not changed, the Sidecar will not report the version again",
        needs: NODE,
        run: |target| Box::pin(not_repeated(target)),
    },
    Check {
        id: "lifecycle.version.change",
        section: VERSION,
        says: "The ApiVersion may differ when it restarts. In this case, the Sidecar will report the new ApiVersion",
        needs: NODE,
        run: |target| Box::pin(change(target)),
    },
    Check {
        id: "lifecycle.version.before-events",
        section: Section::Sidecar("promises"),
        says: "A new version is announced before the first event after it",
        needs: NODE,
        run: |target| Box::pin(before_events(target)),
    },
    Check {
        id: "lifecycle.version.not-build",
        section: VERSION,
        says: "The ApiVersion may differ from the node's build version: it is what the node's stream said",
        needs: NODE,
        run: |target| Box::pin(not_build(target)),
    },
    Check {
        id: "lifecycle.version.new-client",
        section: VERSION,
        says: "When a client connects, the Sidecar displays the node's ApiVersion: the new one after a change",
        needs: NODE,
        run: |target| Box::pin(new_client(target)),
    },
    Check {
        id: "lifecycle.version.replay",
        section: Section::Sidecar("promises"),
        says: "A replay shows a change of version at the place where it was",
        needs: NODE,
        run: |target| Box::pin(replay(target)),
    },
];

async fn not_repeated(target: &Target) -> Finding {
    let story = target.story().await?;
    for act in [&story.live, &story.down, &story.back] {
        for endpoint in VERSIONED {
            let seen = act.versions(endpoint);
            ensure(seen.is_empty(), format!("no version again on {}", endpoint.path()), format!("{seen:?}"))?;
        }
    }
    Ok("no version after the restart with the same one".to_owned())
}

async fn change(target: &Target) -> Finding {
    let story = target.story().await?;
    let expected = format!("{{\"ApiVersion\":\"{}\"}}", story.versions.1);
    for endpoint in VERSIONED {
        let seen = story.upgrade.versions(endpoint);
        ensure(
            seen == [expected.as_str()],
            format!("{expected} once on {}", endpoint.path()),
            format!("{seen:?}"),
        )?;
    }
    Ok(format!("{expected} once on each endpoint"))
}

async fn before_events(target: &Target) -> Finding {
    let story = target.story().await?;
    for endpoint in VERSIONED {
        let messages = story.upgrade.seen.get(&endpoint).map_or(&[][..], Vec::as_slice);
        let version = messages.iter().position(|message| message.is_version());
        let event = messages.iter().position(|message| story.upgrade.emitted.contains(&message.data));
        let seen = format!("version at {version:?}, first event at {event:?}");
        let right = version.is_some() && event.is_some() && version < event;
        ensure(right, format!("the version before the first event on {}", endpoint.path()), seen)?;
    }
    Ok("the version first".to_owned())
}

async fn not_build(target: &Target) -> Finding {
    let story = target.story().await?;
    // The upgrade of the story leaves the build version as it was.
    let announced = story.upgrade.versions(Endpoint::Main);
    let seen = announced.first().map_or("nothing", |data| version_in(data));
    ensure(seen == story.versions.1, format!("{}, the API version", story.versions.1), seen)?;
    Ok(format!("{seen}, with the build version unchanged"))
}

async fn new_client(target: &Target) -> Finding {
    target.story().await?;
    let mut live = target.subscribe(Endpoint::Main).await?;
    let first = live.message(target.pace().reply).await?;
    // The version in force is what the sidecar told last; other checks may have raised it since.
    let mut other = target.subscribe(Endpoint::Sigs).await?;
    let same = other.message(target.pace().reply).await?;
    let story = target.story().await?;
    let old = format!("{{\"ApiVersion\":\"{}\"}}", story.versions.0);
    let right = first.kind() == "ApiVersion" && first.data != old && first == same;
    ensure(right, "the new version first, on each endpoint", format!("{} and {}", first.data, same.data))?;
    Ok(first.data)
}

async fn replay(target: &Target) -> Finding {
    let story = target.story().await?;
    let of = |version: &str| format!("{{\"ApiVersion\":\"{version}\"}}");
    let (old, new) = (of(&story.versions.0), of(&story.versions.1));
    for endpoint in VERSIONED {
        let messages = &story.replay[&endpoint];
        let versions: Vec<_> = messages.iter().filter(|it| it.is_version()).map(|it| &it.data).collect();
        let expected = format!("{old}, later {new} on {}", endpoint.path());
        ensure(versions == [&old, &new], expected, format!("{versions:?}"))?;
        let change = messages.iter().position(|message| message.data == new).unwrap_or(0);
        let early = messages[..change].iter().find(|message| story.upgrade.emitted.contains(&message.data));
        let late = messages[change..].iter().find(|message| story.back.emitted.contains(&message.data));
        ensure(early.is_none() && late.is_none(), "the change at its place", format!("{early:?} {late:?}"))?;
    }
    Ok(format!("{old}, later {new}"))
}
