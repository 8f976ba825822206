//! Every metric family, defined once, in a struct that is given to the parts.
//!
//! `internal_events`, `node_statuses`, `received_bytes`, `error_counts` and `process_*` are those of the public
//! documentation, with its names, labels, buckets and help texts. What is ours is prefixed `sidecar_`. A registry
//! belongs to a run, not to the process.

mod activity;

use prometheus::core::{AtomicU64, GenericCounter, GenericCounterVec, GenericGauge};
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::event::{Endpoint, Filter, Kind, NodeState};
use activity::Activity;
pub use activity::{ByKind, MINUTES};

type Counter = GenericCounter<AtomicU64>;
type CounterVec = GenericCounterVec<AtomicU64>;
type UnsignedGauge = GenericGauge<AtomicU64>;

/// The metrics of one run.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    error_counts: CounterVec,
    internal: InternalEvents,
    node_statuses: IntGaugeVec,
    received_bytes: [Histogram; 3],
    entries: [Counter; Kind::ALL.len()],
    activity: Activity,
    /// Entries that one transaction appended.
    pub commit_entries: Histogram,
    /// Seconds that one transaction took, tries that failed included.
    pub commit_seconds: Histogram,
    /// Events that the log had already.
    pub duplicates: Counter,
    /// Id of the newest entry.
    pub head: UnsignedGauge,
    /// Seconds between the timestamp of the newest block and its receipt.
    pub block_lag: Gauge,
    /// The timestamp of the newest block, in seconds since the Unix epoch.
    pub newest_block: Gauge,
    /// Bytes that the log takes on disk.
    pub store_bytes: UnsignedGauge,
    last_event: GaugeVec,
    /// Transactions that failed and were tried again.
    pub store_retries: Counter,
    /// 1 while the last transaction failed.
    pub store_failing: IntGauge,
    missed_ids: CounterVec,
    skipped_messages: CounterVec,
    subscribers: IntGaugeVec,
    sent_bytes: CounterVec,
    closed_connections: CounterVec,
    http_responses: CounterVec,
}

/// The six series of `internal_events`.
#[derive(Debug)]
struct InternalEvents {
    received: [Counter; 2],
    saved: [Counter; 2],
    sent: [Counter; 2],
}

impl Metrics {
    /// All families, at zero.
    ///
    /// # Errors
    /// If two families had one name, which the tests rule out.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let internal =
            counters(&registry, "internal_events", "Count of internal events", &["category", "description"])?;
        let series = |description| internal.with_label_values(&["main_inbound_sse_data", description]);
        let received_bytes = received_bytes(&registry)?;
        let entries = counters(
            &registry,
            "sidecar_entries_total",
            "Entries appended to the log, by kind of event",
            &["kind"],
        )?;
        process_metrics(&registry)?;
        build_info(&registry)?;
        Ok(Self {
            error_counts: counters(&registry, "error_counts", "Error counts", &["category", "description"])?,
            internal: InternalEvents {
                received: [series("event_received_start"), series("event_received_end")],
                saved: [series("db_save_start"), series("db_save_end")],
                sent: [series("outbound_sse_data_send_start"), series("outbound_sse_data_send_end")],
            },
            node_statuses: register(
                &registry,
                IntGaugeVec::new(Opts::new("node_statuses", NODE_STATUSES_HELP), &["node"])?,
            )?,
            received_bytes: Filter::ALL.map(|filter| received_bytes.with_label_values(&[filter.path()])),
            activity: Activity::new(),
            entries: Kind::ALL.map(|kind| entries.with_label_values(&[kind.name()])),
            commit_entries: histogram(
                &registry,
                "sidecar_commit_entries",
                "Entries that one transaction appended",
                vec![1., 2., 5., 10., 50., 100., 500., 1000., 5000.],
            )?,
            commit_seconds: histogram(
                &registry,
                "sidecar_commit_duration_seconds",
                "Time that one transaction took",
                vec![0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1., 10.],
            )?,
            duplicates: counter(
                &registry,
                "sidecar_duplicate_events_total",
                "Events that the log had already",
            )?,
            head: register(
                &registry,
                UnsignedGauge::new("sidecar_log_head_id", "Id of the newest entry of the log")?,
            )?,
            block_lag: register(
                &registry,
                Gauge::new(
                    "sidecar_block_lag_seconds",
                    "Time from the newest block's own timestamp to its receipt",
                )?,
            )?,
            newest_block: register(
                &registry,
                Gauge::new(
                    "sidecar_newest_block_timestamp_seconds",
                    "The newest block's own timestamp, since the Unix epoch",
                )?,
            )?,
            store_bytes: register(
                &registry,
                UnsignedGauge::new("sidecar_store_size_bytes", "Bytes that the log takes on disk")?,
            )?,
            last_event: register(
                &registry,
                GaugeVec::new(
                    Opts::new(
                        "sidecar_node_last_event_timestamp_seconds",
                        "When the last event of a node was received, since the Unix epoch",
                    ),
                    &["node"],
                )?,
            )?,
            store_retries: counter(
                &registry,
                "sidecar_store_retries_total",
                "Transactions that failed and were tried again",
            )?,
            store_failing: register(
                &registry,
                IntGauge::new("sidecar_store_failing", "1 while the last transaction failed, otherwise 0")?,
            )?,
            missed_ids: counters(
                &registry,
                "sidecar_missed_node_ids_total",
                "Ids of a node whose events it no longer had when asked again",
                &["node"],
            )?,
            skipped_messages: counters(
                &registry,
                "sidecar_skipped_messages_total",
                "Messages of a node that are no valid event, by filter and reason",
                &["filter", "reason"],
            )?,
            subscribers: register(
                &registry,
                IntGaugeVec::new(
                    Opts::new("sidecar_subscribers", "Connected subscribers, by endpoint"),
                    &["endpoint"],
                )?,
            )?,
            sent_bytes: counters(
                &registry,
                "sidecar_sent_bytes_total",
                "Bytes handed to subscribers' connections, by endpoint",
                &["endpoint"],
            )?,
            closed_connections: counters(
                &registry,
                "sidecar_closed_connections_total",
                "Connections that this side refused or dropped, by server and reason",
                &["server", "reason"],
            )?,
            http_responses: counters(
                &registry,
                "sidecar_http_responses_total",
                "Responses of the REST and the admin server, by status",
                &["server", "status"],
            )?,
            registry,
        })
    }

    /// Everything in the text format of Prometheus.
    ///
    /// # Errors
    /// If a value cannot be read from the system.
    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// An error of this category was met.
    pub fn error(&self, category: &str, description: &str) {
        self.error_counts.with_label_values(&[category, description]).inc();
    }

    /// A node sent a message of this many bytes of JSON.
    pub fn received(&self, filter: Filter, bytes: usize) {
        #[expect(clippy::cast_precision_loss, reason = "sizes stay far below 2^53")]
        self.received_bytes[filter as usize].observe(bytes as f64);
    }

    /// This many events were received of a node, in milliseconds since the Unix epoch.
    pub fn events_received(&self, count: usize, node: &str, received_at: u64) {
        add(&self.internal.received, count);
        self.last_event.with_label_values(&[node]).set(seconds(received_at));
    }

    /// Saving of this many events began.
    pub fn events_saving(&self, count: usize) {
        self.internal.saved[0].inc_by(count as u64);
    }

    /// Saving of this many events ended.
    pub fn events_saved(&self, count: usize) {
        self.internal.saved[1].inc_by(count as u64);
    }

    /// These kinds of events were handed to the subscribers.
    pub fn events_sent(&self, kinds: impl Iterator<Item = Kind>) {
        let mut events = ByKind::default();
        for kind in kinds {
            events[usize::from(kind.code())] += 1;
        }
        for (entries, count) in self.entries.iter().zip(events) {
            entries.inc_by(count);
        }
        self.activity.record(&events);
        let count: u64 = events.iter().sum();
        add(&self.internal.sent, usize::try_from(count).unwrap_or(usize::MAX));
    }

    /// Entries of this kind since the start.
    pub fn entries(&self, kind: Kind) -> u64 {
        self.entries[usize::from(kind.code())].get()
    }

    /// Events of each of the last [`MINUTES`] minutes, oldest first; the last one is not over yet.
    pub fn last_minutes(&self) -> Vec<ByKind> {
        self.activity.last_minutes()
    }

    /// When the last event of a node was received, in seconds since the Unix epoch, if one was.
    pub fn last_event(&self, node: &str) -> Option<f64> {
        Some(self.last_event.with_label_values(&[node]).get()).filter(|time| *time > 0.)
    }

    /// The timestamp of the newest block and the time of its receipt, in milliseconds since the Unix epoch.
    pub fn newest_block(&self, timestamp: u64, received_at: u64) {
        self.newest_block.set(seconds(timestamp));
        self.block_lag.set(seconds(received_at.saturating_sub(timestamp)));
    }

    /// A node's state changed.
    pub fn node_state(&self, node: &str, state: NodeState) {
        self.node_statuses.with_label_values(&[node]).set(state.code());
        // There from the start, so that an alert can tell "never" from "no such node".
        self.last_event.with_label_values(&[node]);
    }

    /// Ids of a node were given up.
    pub fn missed(&self, node: &str, count: u64) {
        self.missed_ids.with_label_values(&[node]).inc_by(count);
    }

    /// A message of a node was skipped.
    pub fn skipped(&self, filter: Filter, reason: &str) {
        self.skipped_messages.with_label_values(&[filter.path(), reason]).inc();
    }

    /// The gauge of subscribers and the counter of bytes of one endpoint.
    pub fn endpoint(&self, endpoint: Endpoint) -> (IntGauge, Counter) {
        let label = [endpoint.path()];
        (self.subscribers.with_label_values(&label), self.sent_bytes.with_label_values(&label))
    }

    /// A request to `server` was answered with this status.
    pub fn responded(&self, server: &str, status: u16) {
        let mut digits = [0; 3];
        for (digit, power) in digits.iter_mut().zip([100, 10, 1]) {
            *digit = b'0' + u8::try_from(status / power % 10).unwrap_or(0);
        }
        let status = str::from_utf8(&digits).unwrap_or("000");
        self.http_responses.with_label_values(&[server, status]).inc();
    }

    /// A connection to `server` was refused or dropped by this side.
    pub fn closed(&self, server: &str, reason: &str) {
        self.closed_connections.with_label_values(&[server, reason]).inc();
    }
}

const NODE_STATUSES_HELP: &str = "Current status of node to which sidecar is connected. Numbers mean: 0 - preparing; \
     1 - connecting; 2 - connected; 3 - reconnecting; -1 - defunct -> used up all connection attempts ; \
     -2 - defunct -> node is in an incompatible version";

#[expect(clippy::cast_precision_loss, reason = "times stay far below 2^53 milliseconds")]
fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.
}

fn add(pair: &[Counter; 2], count: usize) {
    for counter in pair {
        counter.inc_by(count as u64);
    }
}

fn register<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn counter(registry: &Registry, name: &str, help: &str) -> prometheus::Result<Counter> {
    register(registry, Counter::new(name, help)?)
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<CounterVec> {
    register(registry, CounterVec::new(Opts::new(name, help), labels)?)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    buckets: Vec<f64>,
) -> prometheus::Result<Histogram> {
    register(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?)
}

fn received_bytes(registry: &Registry) -> prometheus::Result<HistogramVec> {
    let buckets = vec![500., 1_000., 2_000., 5_000., 50_000., 500_000., 5_000_000., 50_000_000.];
    let options = HistogramOpts::new("received_bytes", "Received bytes").buckets(buckets);
    register(registry, HistogramVec::new(options, &["filter"])?)
}

/// CPU time, memory, descriptors and threads of this process, where the operating system tells them.
fn process_metrics(registry: &Registry) -> prometheus::Result<()> {
    #[cfg(target_os = "linux")]
    registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
    Ok(())
}

fn build_info(registry: &Registry) -> prometheus::Result<()> {
    let options = Opts::new("sidecar_build_info", "Always 1; the labels tell what is running");
    let info = register(registry, IntGaugeVec::new(options, &["version"])?)?;
    info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_families_are_there_with_their_labels() {
        let metrics = Metrics::new().expect("no family is defined twice");
        metrics.error("node", "test");
        metrics.node_state("127.0.0.1:9999", NodeState::Connected);
        metrics.received(Filter::Main, 501);
        let text = String::from_utf8(metrics.text().expect("readable")).expect("UTF-8");
        for line in [
            "# HELP internal_events Count of internal events",
            "# TYPE internal_events counter",
            "internal_events{category=\"main_inbound_sse_data\",description=\"db_save_end\"} 0",
            "internal_events{category=\"main_inbound_sse_data\",description=\"outbound_sse_data_send_start\"} 0",
            "node_statuses{node=\"127.0.0.1:9999\"} 2",
            "received_bytes_bucket{filter=\"events/main\",le=\"500\"} 0",
            "received_bytes_bucket{filter=\"events/main\",le=\"1000\"} 1",
            "received_bytes_bucket{filter=\"events/main\",le=\"50000000\"} 1",
            "received_bytes_sum{filter=\"events/main\"} 501",
            "error_counts{category=\"node\",description=\"test\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
