//! The page at `/`: how the sidecar does, at a glance.
//!
//! One HTML text that needs nothing else: no script, no file, no network. It asks for itself again.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Html;

use super::{Admin, health};
use crate::environment::{Environment, unix_milliseconds};
use crate::event::{Endpoint, Kind, NodeState};
use crate::metrics::{ByKind, MINUTES, Metrics};

const STYLE: &str = include_str!("page.css");

/// Seconds until the page asks for itself again.
const REFRESH: u32 = 5;

/// Size of a plot, in pixels: each minute is a bar of this width.
const BAR: usize = 4;
const HEIGHT: u64 = 24;

/// The page.
pub(super) async fn page<E: Environment>(State(admin): State<Arc<Admin<E>>>) -> Html<String> {
    admin.measure_store().await;
    #[expect(clippy::cast_precision_loss, reason = "times stay far below 2^53 milliseconds")]
    let now = unix_milliseconds(admin.environment.now()) as f64 / 1000.;
    let metrics = &admin.metrics;
    let mut html = String::with_capacity(16 * 1024);
    head(&mut html, &health::problems(&admin));
    figures(&mut html, metrics, now);
    nodes(&mut html, &admin, now);
    events(&mut html, metrics);
    subscribers(&mut html, metrics);
    html.push_str(
        "<p><small><a href=\"/metrics\">metrics</a> · <a href=\"/health/ready\">readiness</a></small></p>\n",
    );
    html.push_str("</body></html>\n");
    Html(html)
}

/// Appends formatted text.
macro_rules! put {
    ($html:expr, $($text:tt)*) => {
        write!($html, $($text)*).expect("a String takes everything")
    };
}

fn head(html: &mut String, problems: &[&str]) {
    put!(
        html,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"refresh\" content=\"{REFRESH}\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>Casper Event Sidecar</title><style>\n{STYLE}</style></head><body>\n\
         <h1>Casper Event Sidecar {}</h1>\n",
        env!("CARGO_PKG_VERSION")
    );
    if problems.is_empty() {
        html.push_str("<p class=\"good\">● ready</p>\n");
    } else {
        put!(html, "<p class=\"bad\">● not ready: {}</p>\n", problems.join("; "));
    }
}

fn figures(html: &mut String, metrics: &Metrics, now: f64) {
    let block = metrics.newest_block.get();
    let (behind, on_arrival) = if block > 0. {
        (duration(now - block), format!("{} on arrival", duration(metrics.block_lag.get())))
    } else {
        ("–".to_owned(), "no block since the start".to_owned())
    };
    let commits = metrics.commit_seconds.get_sample_count();
    let (commit, entries) = if commits == 0 {
        ("–".to_owned(), "none since the start".to_owned())
    } else {
        let count = metrics.commit_seconds.get_sample_count().max(1);
        #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
        let mean = |sum: f64| sum / count as f64;
        (
            duration(mean(metrics.commit_seconds.get_sample_sum())),
            format!(
                "mean of {}, {:.1} entries each",
                grouped(commits),
                mean(metrics.commit_entries.get_sample_sum())
            ),
        )
    };
    html.push_str("<dl>");
    for (name, value, note) in [
        ("newest entry", grouped(metrics.head.get()), "id of the head of the log".to_owned()),
        ("behind the chain", behind, on_arrival),
        ("database", bytes(metrics.store_bytes.get()), "on disk".to_owned()),
        ("commit", commit, entries),
    ] {
        put!(html, "<div><dt>{name}</dt><dd>{value}</dd><small>{note}</small></div>");
    }
    html.push_str("</dl>\n");
}

fn nodes<E: Environment>(html: &mut String, admin: &Admin<E>, now: f64) {
    html.push_str("<h2>Nodes</h2>\n<table><tr><th>node</th><th>state</th><th>last event</th></tr>\n");
    for (node, state) in &admin.nodes {
        let state = *state.borrow();
        let class = match state {
            NodeState::Connected => "good",
            NodeState::Exhausted | NodeState::Incompatible => "bad",
            NodeState::Preparing | NodeState::Connecting | NodeState::Reconnecting => "",
        };
        let last = admin.metrics.last_event(node);
        let last = last.map_or_else(
            || "none since the start".to_owned(),
            |last| format!("{} ago", duration(now - last)),
        );
        put!(
            html,
            "<tr><td>{}</td><td class=\"{class}\">{}</td><td>{last}</td></tr>\n",
            escaped(node),
            state.name()
        );
    }
    html.push_str("</table>\n");
}

fn events(html: &mut String, metrics: &Metrics) {
    put!(
        html,
        "<h2>Events per minute</h2>\n<table><tr><th>kind</th><th class=\"number\">since the start</th>\
         <th class=\"number\">last full minute</th><th class=\"number\">most</th><th>last {MINUTES} minutes</th></tr>\n"
    );
    let minutes = metrics.last_minutes();
    for kind in Kind::ALL {
        let total = metrics.entries(kind);
        if kind == Kind::Unknown && total == 0 {
            continue;
        }
        let counts: Vec<u64> =
            minutes.iter().map(|minute: &ByKind| minute[usize::from(kind.code())]).collect();
        put!(
            html,
            "<tr><td>{kind}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td><td>{}</td></tr>\n",
            grouped(total),
            grouped(counts[MINUTES - 2]),
            grouped(counts.iter().copied().max().unwrap_or(0)),
            plot(&counts)
        );
    }
    html.push_str("</table>\n");
}

/// A bar for each minute, the last one on the right; the highest has the full height.
fn plot(counts: &[u64]) -> String {
    let width = counts.len() * BAR;
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let mut svg = format!(
        "<svg width=\"{width}\" height=\"{}\" role=\"img\"><line x1=\"0\" x2=\"{width}\" y1=\"{HEIGHT}.5\" y2=\"{HEIGHT}.5\"/>",
        HEIGHT + 1
    );
    for (index, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        // What came at all is seen, however little it is.
        let height = (u128::from(*count) * u128::from(HEIGHT) / u128::from(most)).max(1);
        put!(
            svg,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{height}\"/>",
            index * BAR,
            u128::from(HEIGHT) - height,
            BAR - 1
        );
    }
    svg.push_str("</svg>");
    svg
}

fn subscribers(html: &mut String, metrics: &Metrics) {
    html.push_str(
        "<h2>Subscribers</h2>\n<table><tr><th>endpoint</th><th class=\"number\">connected</th>\
         <th class=\"number\">sent since the start</th></tr>\n",
    );
    for endpoint in Endpoint::ALL {
        let (connected, sent) = metrics.endpoint(endpoint);
        put!(
            html,
            "<tr><td>/{endpoint}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>\n",
            connected.get(),
            bytes(sent.get())
        );
    }
    html.push_str("</table>\n");
}

/// A number with a space between groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

fn bytes(number: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let mut value = number as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000. {
            return if unit == "B" { format!("{value} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.;
    }
    format!("{value:.1} TB")
}

fn duration(seconds: f64) -> String {
    match seconds.max(0.) {
        short if short < 0.1 => format!("{:.1} ms", short * 1000.),
        short if short < 10. => format!("{short:.1} s"),
        short if short < 120. => format!("{short:.0} s"),
        long if long < 7200. => format!("{:.0} min", long / 60.),
        long if long < 172_800. => format!("{:.0} h", long / 3600.),
        long => format!("{:.0} d", long / 86_400.),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
