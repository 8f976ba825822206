//! `received_bytes`: filters, buckets, and that it counts what a node sends.

use std::collections::{BTreeMap, BTreeSet};

use super::{by_label, family, scrape};
use crate::{
    check::{Check, Finding, Need, Section, ensure},
    target::Target,
};

const ADMIN: Section = Section::Page("The Admin Server");

const BOUNDS: [&str; 9] = ["500", "1000", "2000", "5000", "50000", "500000", "5000000", "50000000", "+Inf"];
const FILTERS: [&str; 3] = ["events/deploys", "events/main", "events/sigs"];

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "metrics.received-bytes.filters",
        section: ADMIN,
        says: "received_bytes{filter=..} for events/deploys, events/main and events/sigs",
        needs: &[Need::Admin],
        run: |target| Box::pin(filters(target)),
    },
    Check {
        id: "metrics.received-bytes.buckets",
        section: ADMIN,
        says: "The buckets 500, 1000, 2000, 5000, 50000, 500000, 5000000, 50000000, +Inf",
        needs: &[Need::Admin],
        run: |target| Box::pin(buckets(target)),
    },
    Check {
        id: "metrics.received-bytes.sum",
        section: ADMIN,
        says: "In the sample more messages came in than events: received_bytes counts ApiVersion too, internal_events does not",
        needs: &[Need::Admin],
        run: |target| Box::pin(sum(target)),
    },
    Check {
        id: "metrics.received-bytes.counts",
        section: ADMIN,
        says: "Received bytes: each event of a node is counted once, with the bytes of its data, on its filter",
        needs: &[Need::Admin, Need::Events, Need::Node],
        run: |target| Box::pin(counts(target)),
    },
];

async fn filters(target: &Target) -> Finding {
    let families = scrape(target).await?;
    let samples = &family(&families, "received_bytes")?.samples;
    let seen: BTreeSet<_> = samples.iter().filter_map(|sample| sample.label("filter")).collect();
    // A 2.x node has the one filter `events`.
    let known = seen.iter().all(|filter| FILTERS.contains(filter) || *filter == "events");
    let text = format!("{seen:?}");
    ensure(known && !seen.is_empty(), format!("{FILTERS:?}"), &text)?;
    ensure(
        target.nodes().is_empty() || FILTERS.iter().all(|filter| seen.contains(filter)),
        "all three",
        &text,
    )?;
    Ok(text)
}

async fn buckets(target: &Target) -> Finding {
    let families = scrape(target).await?;
    let samples = &family(&families, "received_bytes")?.samples;
    let mut bounds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.name == "received_bytes_bucket") {
        let filter = sample.label("filter").unwrap_or_default();
        bounds.entry(filter).or_default().push(sample.label("le").unwrap_or_default());
    }
    ensure(!bounds.is_empty(), "some buckets", "none")?;
    for (filter, seen) in &bounds {
        ensure(*seen == BOUNDS, format!("{BOUNDS:?} for {filter}"), format!("{seen:?}"))?;
    }
    Ok(format!("{BOUNDS:?} for {} filters", bounds.len()))
}

async fn sum(target: &Target) -> Finding {
    let families = scrape(target).await?;
    let received: f64 =
        by_label(&families, "received_bytes", "received_bytes_count", "filter").values().sum();
    let events = by_label(&families, "internal_events", "internal_events", "description");
    let events = events.get("event_received_start").copied().unwrap_or_default();
    let seen = format!("{received} messages, {events} events");
    ensure(received >= events, "at least as many messages as events", &seen)?;
    ensure(target.nodes().is_empty() || received > events, "ApiVersion among the messages alone", &seen)?;
    Ok(seen)
}

async fn counts(target: &Target) -> Finding {
    let story = target.story().await?;
    for filter in FILTERS {
        let grown = |sample: &str| {
            let of = |families| by_label(families, "received_bytes", sample, "filter").get(filter).copied();
            of(&story.live.after).unwrap_or_default() - of(&story.live.before).unwrap_or_default()
        };
        let of_filter = |data: &&String| {
            crate::subscription::Endpoint::NODE
                .into_iter()
                .any(|endpoint| endpoint.path() == format!("/{filter}") && endpoint.carries(data))
        };
        let sent: Vec<_> = story.live.emitted.iter().filter(of_filter).collect();
        let bytes: usize = sent.iter().map(|data| data.len()).sum();
        let seen = format!("{} and {} bytes", grown("received_bytes_count"), grown("received_bytes_sum"));
        let expected = format!("{} more on {filter}, {bytes} bytes", sent.len());
        let right =
            grown("received_bytes_count") == sent.len() as f64 && grown("received_bytes_sum") == bytes as f64;
        ensure(right, expected, seen)?;
    }
    let grown = |name: &str| {
        let of = |families| {
            by_label(families, "internal_events", "internal_events", "description").get(name).copied()
        };
        of(&story.live.after).unwrap_or_default() - of(&story.live.before).unwrap_or_default()
    };
    for name in ["event_received_end", "db_save_end", "outbound_sse_data_send_end"] {
        let expected = format!("{} more of {name}", story.live.emitted.len());
        ensure(grown(name) == story.live.emitted.len() as f64, expected, grown(name))?;
    }
    Ok(format!("{} events, each counted once with its bytes", story.live.emitted.len()))
}
