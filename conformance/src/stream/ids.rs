//! The ids of entries.

use std::collections::BTreeMap;

use crate::{
    check::{Check, Deviation, Finding, Need, Section, ensure},
    subscription::Endpoint,
    target::Target,
};

const IDS: Section = Section::Sidecar("ids");

/// Above this a JavaScript client cannot tell two ids apart.
const LARGEST_EXACT: u64 = 1 << 53;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "stream.ids.present",
        section: Section::Page("The API Version of Node Events"),
        says: "Sample: every event but the version has an id",
        needs: &[Need::Events],
        run: |target| Box::pin(present(target)),
    },
    Check {
        id: "stream.ids.rising",
        section: IDS,
        says: "Ids rise strictly on every endpoint",
        needs: &[Need::Events],
        run: |target| Box::pin(rising(target)),
    },
    Check {
        id: "stream.ids.one-event",
        section: IDS,
        says: "An id never names two events: it is the same event on every endpoint and on every connection",
        needs: &[Need::Events],
        run: |target| Box::pin(one_event(target)),
    },
    Check {
        id: "stream.ids.range",
        section: IDS,
        says: "The first id is 1, and all stay below 2^53, where a JavaScript number is exact",
        needs: &[Need::Events],
        run: |target| Box::pin(range(target)),
    },
    Check {
        id: "stream.ids.dense",
        section: IDS,
        says: "Ids are dense over all endpoints together",
        needs: &[Need::Events],
        run: |target| Box::pin(dense(target)),
    },
];

async fn present(target: &Target) -> Finding {
    let mut count = 0;
    for endpoint in Endpoint::ALL {
        for message in target.replay(endpoint).await?.messages().filter(|message| !message.is_version()) {
            ensure(message.id.is_some(), "an id", format!("none on {}", message.data))?;
            count += 1;
        }
    }
    if count == 0 {
        return Err(Deviation::nothing("the sidecar replays no events"));
    }
    Ok(format!("{count} events have an id"))
}

async fn rising(target: &Target) -> Finding {
    let mut count = 0;
    for endpoint in Endpoint::ALL {
        let mut last = None;
        for (id, _) in target.replay(endpoint).await?.entries() {
            let expected = format!("an id above {last:?} on {}", endpoint.path());
            ensure(Some(id) > last, expected, id)?;
            last = Some(id);
            count += 1;
        }
    }
    if count == 0 {
        return Err(Deviation::nothing("the sidecar replays no events"));
    }
    Ok(format!("{count} ids, each above the one before"))
}

async fn one_event(target: &Target) -> Finding {
    let mut named: BTreeMap<u64, String> = BTreeMap::new();
    let query = format!("?start_from={}", target.seeded().await?);
    let again = target.subscribe_with(Endpoint::Main, &query, &[]).await?;
    let again = again.capture(target.pace().quiet, target.pace().reply).await?;
    let mut twice = 0;
    let mut captures = vec![&again];
    for endpoint in Endpoint::ALL {
        captures.push(target.replay(endpoint).await?);
    }
    for (id, message) in captures.into_iter().flat_map(|capture| capture.entries()) {
        match named.get(&id) {
            Some(data) => {
                ensure(*data == message.data, format!("id {id} to name one event: {data}"), &message.data)?;
                twice += 1;
            }
            None => drop(named.insert(id, message.data.clone())),
        }
    }
    if twice == 0 {
        return Err(Deviation::nothing("no event was seen twice"));
    }
    Ok(format!("{} ids, {twice} seen again with the same bytes", named.len()))
}

async fn range(target: &Target) -> Finding {
    let (mut least, mut greatest) = (u64::MAX, 0);
    for endpoint in Endpoint::ALL {
        for (id, _) in target.replay(endpoint).await?.entries() {
            (least, greatest) = (least.min(id), greatest.max(id));
        }
    }
    if greatest == 0 && least == u64::MAX {
        return Err(Deviation::nothing("the sidecar replays no events"));
    }
    ensure(
        (1..LARGEST_EXACT).contains(&least) && greatest < LARGEST_EXACT,
        "ids from 1 to 2^53",
        format!("{least} to {greatest}"),
    )?;
    Ok(format!("{least} to {greatest}"))
}

async fn dense(target: &Target) -> Finding {
    let mut ids = std::collections::BTreeSet::new();
    // A replay that was cut short shows another stretch on each endpoint: only what all have shown can be dense.
    let mut through = u64::MAX;
    for endpoint in Endpoint::ALL {
        let capture = target.replay(endpoint).await?;
        if capture.blocks.len() >= 100 {
            through = through.min(capture.entries().map(|(id, _)| id).max().unwrap_or(u64::MAX));
        }
        ids.extend(capture.entries().map(|(id, _)| id));
    }
    ids.retain(|id| *id <= through);
    let (Some(first), Some(last)) = (ids.first().copied(), ids.last().copied()) else {
        return Err(Deviation::nothing("the sidecar replays no events"));
    };
    let missing = (first..=last).find(|id| !ids.contains(id));
    ensure(
        missing.is_none(),
        format!("every id from {first} to {last} on some endpoint"),
        format!("{missing:?} is on none"),
    )?;
    Ok(format!("{first} to {last} without a gap"))
}
