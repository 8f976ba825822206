//! The families of the page: names, help texts, types, labels.

use std::collections::BTreeSet;

use super::{by_label, family, scrape};
use crate::{
    check::{Check, Deviation, Finding, Need, Section, ensure},
    target::Target,
};

const ADMIN: Section = Section::Page("The Admin Server");

const NODE_STATUSES_HELP: &str = "Current status of node to which sidecar is connected. Numbers mean: 0 - preparing; \
     1 - connecting; 2 - connected; 3 - reconnecting; -1 - defunct -> used up all connection attempts ; \
     -2 - defunct -> node is in an incompatible version";

/// The six series of `internal_events` in the sample.
const DESCRIPTIONS: [&str; 6] = [
    "db_save_end",
    "db_save_start",
    "event_received_end",
    "event_received_start",
    "outbound_sse_data_send_end",
    "outbound_sse_data_send_start",
];

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "metrics.internal-events.family",
        section: ADMIN,
        says: "# HELP internal_events Count of internal events / # TYPE internal_events counter",
        needs: &[Need::Admin],
        run: |target| Box::pin(typed(target, "internal_events", "Count of internal events", "counter")),
    },
    Check {
        id: "metrics.internal-events.series",
        section: ADMIN,
        says: "internal_events{category=\"main_inbound_sse_data\",description=..}: the six series of the sample",
        needs: &[Need::Admin],
        run: |target| Box::pin(internal_events(target)),
    },
    Check {
        id: "metrics.internal-events.sum",
        section: ADMIN,
        says: "In the sample as many events were received as were saved, and at least as many as were sent on",
        needs: &[Need::Admin],
        run: |target| Box::pin(internal_events_add_up(target)),
    },
    Check {
        id: "metrics.node-statuses.family",
        section: ADMIN,
        says: "# HELP node_statuses Current status of node to which sidecar is connected. Numbers mean: .. / gauge",
        needs: &[Need::Admin],
        run: |target| Box::pin(typed(target, "node_statuses", NODE_STATUSES_HELP, "gauge")),
    },
    Check {
        id: "metrics.node-statuses.labels",
        section: ADMIN,
        says: "node_statuses{node=\"HOST:PORT\"}: one series for each node",
        needs: &[Need::Admin],
        run: |target| Box::pin(node_labels(target)),
    },
    Check {
        id: "metrics.node-statuses.values",
        section: ADMIN,
        says: "0 - preparing; 1 - connecting; 2 - connected; 3 - reconnecting; -1 and -2 - defunct: no other number",
        needs: &[Need::Admin],
        run: |target| Box::pin(node_values(target)),
    },
    Check {
        id: "metrics.received-bytes.family",
        section: ADMIN,
        says: "# HELP received_bytes Received bytes / # TYPE received_bytes histogram",
        needs: &[Need::Admin],
        run: |target| Box::pin(typed(target, "received_bytes", "Received bytes", "histogram")),
    },
    Check {
        id: "metrics.error-counts.family",
        section: Section::Sidecar("metrics"),
        says: "error_counts{category,description} is a counter; a sidecar without errors may not show it",
        needs: &[Need::Admin],
        run: |target| Box::pin(error_counts(target)),
    },
    Check {
        id: "metrics.process",
        section: Section::Sidecar("metrics"),
        says: "The process_* families: CPU, memory, file descriptors, threads, start time",
        needs: &[Need::Admin],
        run: |target| Box::pin(process(target)),
    },
    Check {
        id: "metrics.names",
        section: Section::Sidecar("metrics"),
        says: "All other families are prefixed sidecar_ and keep to Prometheus' naming rules",
        needs: &[Need::Admin],
        run: |target| Box::pin(names(target)),
    },
];

async fn typed(target: &Target, name: &str, help: &str, kind: &str) -> Finding {
    let families = scrape(target).await?;
    let family = family(&families, name)?;
    ensure(family.help == help, format!("HELP {help}"), &family.help)?;
    ensure(family.kind == kind, format!("TYPE {kind}"), &family.kind)?;
    Ok(format!("{kind}: {help}"))
}

async fn internal_events(target: &Target) -> Finding {
    let families = scrape(target).await?;
    let mut seen = BTreeSet::new();
    for sample in &family(&families, "internal_events")?.samples {
        let names: BTreeSet<_> = sample.labels.iter().map(|(name, _)| name.as_str()).collect();
        let right = names == BTreeSet::from(["category", "description"]);
        ensure(right, "the labels category and description", format!("{names:?}"))?;
        if sample.label("category") == Some("main_inbound_sse_data") {
            seen.insert(sample.label("description").unwrap_or_default());
        }
    }
    ensure(seen == BTreeSet::from(DESCRIPTIONS), format!("{DESCRIPTIONS:?}"), format!("{seen:?}"))?;
    Ok("the six series of main_inbound_sse_data".to_owned())
}

async fn internal_events_add_up(target: &Target) -> Finding {
    // A scrape may fall between the start and the end of an event: equal figures need a moment of quiet.
    let mut seen = Err(Deviation::nothing("not scraped"));
    for _ in 0..5 {
        let counts = by_label(&scrape(target).await?, "internal_events", "internal_events", "description");
        let count = |name: &str| counts.get(name).copied().unwrap_or(-1.0);
        let text = format!("{counts:?}");
        let received = count("event_received_start");
        let equal =
            ["event_received_end", "db_save_start", "db_save_end"].iter().all(|name| count(name) == received);
        let sent = (count("outbound_sse_data_send_start"), count("outbound_sse_data_send_end"));
        seen = ensure(
            equal && sent.0 == sent.1 && (0.0..=received).contains(&sent.0),
            "received = saved >= sent, each started one ended",
            &text,
        )
        .map(|()| format!("{received} received and saved, {} sent on", sent.0));
        if seen.is_ok() {
            break;
        }
        tokio::time::sleep(target.pace().settle / 5).await;
    }
    seen
}

async fn node_labels(target: &Target) -> Finding {
    let families = scrape(target).await?;
    let samples = &family(&families, "node_statuses")?.samples;
    ensure(!samples.is_empty(), "a series for each node", "none")?;
    for sample in samples {
        let node = sample.label("node").unwrap_or_default();
        let port =
            node.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then(|| port.parse::<u16>()));
        let right = sample.labels.len() == 1 && matches!(port, Some(Ok(_)));
        ensure(right, "the label node=\"HOST:PORT\" alone", format!("{:?}", sample.labels))?;
    }
    let nodes = target.nodes().len();
    ensure(samples.len() >= nodes, format!("at least the {nodes} scripted nodes"), samples.len())?;
    Ok(format!("{} nodes", samples.len()))
}

async fn node_values(target: &Target) -> Finding {
    let families = scrape(target).await?;
    family(&families, "node_statuses")?;
    let statuses = by_label(&families, "node_statuses", "node_statuses", "node");
    let seen = format!("{statuses:?}");
    let known = statuses.values().all(|value| [0.0, 1.0, 2.0, 3.0, -1.0, -2.0].contains(value));
    ensure(known, "0, 1, 2, 3, -1 or -2", &seen)?;
    Ok(seen)
}

async fn error_counts(target: &Target) -> Finding {
    let families = scrape(target).await?;
    let Some(family) = families.get("error_counts") else {
        return Err(Deviation::nothing("no error was counted yet, so the family is not shown"));
    };
    ensure(family.kind == "counter", "TYPE counter", &family.kind)?;
    for sample in &family.samples {
        let names: BTreeSet<_> = sample.labels.iter().map(|(name, _)| name.as_str()).collect();
        let right = names == BTreeSet::from(["category", "description"]);
        ensure(right, "the labels category and description", format!("{names:?}"))?;
    }
    Ok(format!("{} series", family.samples.len()))
}

async fn process(target: &Target) -> Finding {
    let families = scrape(target).await?;
    for (name, kind) in [
        ("process_cpu_seconds_total", "counter"),
        ("process_max_fds", "gauge"),
        ("process_open_fds", "gauge"),
        ("process_resident_memory_bytes", "gauge"),
        ("process_start_time_seconds", "gauge"),
        ("process_threads", "gauge"),
        ("process_virtual_memory_bytes", "gauge"),
    ] {
        let family = family(&families, name)?;
        let right = family.kind == kind && family.samples.len() == 1;
        ensure(
            right,
            format!("one {kind} {name}"),
            format!("{} samples, {}", family.samples.len(), family.kind),
        )?;
    }
    Ok("all seven".to_owned())
}

async fn names(target: &Target) -> Finding {
    const OF_THE_PAGE: [&str; 4] = ["internal_events", "node_statuses", "received_bytes", "error_counts"];
    let families = scrape(target).await?;
    let mut count = 0;
    for family in families.values().filter(|family| !OF_THE_PAGE.contains(&family.name.as_str())) {
        let name = &family.name;
        let prefixed = name.starts_with("sidecar_") || name.starts_with("process_");
        ensure(prefixed, "the prefix sidecar_ or process_", name)?;
        let total = name.ends_with("_total");
        ensure(total == (family.kind == "counter"), "_total on counters and on nothing else", name)?;
        let reserved = ["_bucket", "_count", "_sum"].iter().any(|suffix| name.ends_with(suffix));
        ensure(!reserved, "none of the reserved suffixes", name)?;
        let foreign = ["_milliseconds", "_ms", "_kilobytes", "_kb", "_mb", "_minutes"];
        ensure(!foreign.iter().any(|unit| name.contains(unit)), "base units", name)?;
        ensure(!family.help.is_empty(), format!("a help text for {name}"), "none")?;
        count += 1;
    }
    Ok(format!("{count} families beside those of the page"))
}
