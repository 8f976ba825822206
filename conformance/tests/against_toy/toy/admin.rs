//! The toy's admin server.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use serde_json::json;

use super::{Shared, log::Log};

const BOUNDS: [usize; 8] = [500, 1000, 2000, 5000, 50_000, 500_000, 5_000_000, 50_000_000];

const STATUSES: &str = "# HELP node_statuses Current status of node to which sidecar is connected. Numbers mean: \
0 - preparing; 1 - connecting; 2 - connected; 3 - reconnecting; -1 - defunct -> used up all connection attempts ; \
-2 - defunct -> node is in an incompatible version\n# TYPE node_statuses gauge\n";

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/metrics/", get(metrics))
        .route("/health/live", get(|| async { "live" }))
        .route("/health/ready", get(ready))
}

async fn ready(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let log = shared.log();
    let ready = (0..log.nodes.len()).any(|node| log.status(node) == 2);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready })))
}

async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text(&shared.log()))
}

fn text(log: &Log) -> String {
    let mut text = String::from("# HELP error_counts Errors\n# TYPE error_counts counter\n");
    text.push_str("error_counts{category=\"toy\",description=\"none\"} 0\n");
    text.push_str("# HELP internal_events Count of internal events\n# TYPE internal_events counter\n");
    let counts =
        [("db_save", log.saved), ("event_received", log.events), ("outbound_sse_data_send", log.sent)];
    for (name, count) in counts {
        for edge in ["end", "start"] {
            let labels = format!("category=\"main_inbound_sse_data\",description=\"{name}_{edge}\"");
            let _infallible = writeln!(text, "internal_events{{{labels}}} {count}");
        }
    }
    text.push_str(STATUSES);
    for node in 0..log.nodes.len() {
        let _infallible =
            writeln!(text, "node_statuses{{node=\"127.0.0.1:{}\"}} {}", 9999 + node, log.status(node));
    }
    text.push_str("# HELP received_bytes Received bytes\n# TYPE received_bytes histogram\n");
    for (filter, sizes) in &log.received {
        let count = sizes.len();
        for bound in BOUNDS {
            let within = sizes.iter().filter(|size| **size <= bound).count();
            let labels = format!("filter=\"events/{filter}\",le=\"{bound}\"");
            let _infallible = writeln!(text, "received_bytes_bucket{{{labels}}} {within}");
        }
        let sum: usize = sizes.iter().sum();
        let _infallible = write!(
            text,
            "received_bytes_bucket{{filter=\"events/{filter}\",le=\"+Inf\"}} {count}\n\
             received_bytes_sum{{filter=\"events/{filter}\"}} {sum}\n\
             received_bytes_count{{filter=\"events/{filter}\"}} {count}\n"
        );
    }
    for (name, kind) in [
        ("process_cpu_seconds_total", "counter"),
        ("process_max_fds", "gauge"),
        ("process_open_fds", "gauge"),
        ("process_resident_memory_bytes", "gauge"),
        ("process_start_time_seconds", "gauge"),
        ("process_threads", "gauge"),
        ("process_virtual_memory_bytes", "gauge"),
        ("sidecar_subscribers", "gauge"),
    ] {
        let _infallible = write!(text, "# HELP {name} Of the toy.\n# TYPE {name} {kind}\n{name} 1\n");
    }
    text
}
