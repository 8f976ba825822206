//! The statements that read. A test looks at the plan of each.

/// Entries as `read` takes them.
macro_rules! entry {
    () => {
        "id, received_at, version, source, channel, kind, large, data"
    };
}

/// Entries, no more of which leave the server than a page may have: lengths are added up there, without a look at
/// the bodies themselves. `before` is what the entries before one have; `next` is the id of the one after it.
macro_rules! bounded {
    ($rest:literal, $order:literal, $limit:literal) => {
        concat!(
            "SELECT ",
            entry!(),
            ", next FROM (SELECT ",
            entry!(),
            ", lead(id) OVER log AS next,
                sum(coalesce(octet_length(data), 0)) OVER log - coalesce(octet_length(data), 0) AS before
            FROM casper_sidecar.entry WHERE ",
            $rest,
            " WINDOW log AS (ORDER BY ",
            $order,
            " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) ORDER BY ",
            $order,
            " LIMIT ",
            $limit,
            ") AS summed WHERE before < 262144"
        )
    };
}

/// A page beside the head, both as of one moment.
macro_rules! page {
    ($rest:literal, $order:literal) => {
        concat!(
            "SELECT log.head, page.* FROM casper_sidecar.log LEFT JOIN LATERAL (",
            bounded!($rest, $order, "512"),
            ") AS page ON true WHERE log.one"
        )
    };
}

macro_rules! entries {
    ($rest:literal) => {
        concat!("SELECT ", entry!(), " FROM casper_sidecar.entry WHERE ", $rest)
    };
}

pub(super) const PAGE_OF_LOG: &str = page!("id >= $1", "id");
/// The two conditions keep out little (see `Endpoint::shows`).
pub(super) const PAGE_OF_ALL: &str =
    page!("id >= $1 AND channel <> 3 AND NOT (kind = 7 AND channel <> 0)", "id");
/// Rows are compared as the index has them, so that no other index is thought of.
pub(super) const PAGE_OF_ONE: &str = page!("(channel, id) >= ($2, $1) AND channel <= $2", "channel, id");
pub(super) const BY_ID: &str = entries!("id = $1");
pub(super) const BY_IDENTITY: &str = entries!("identity = $1");
pub(super) const BY_IDENTITIES: &str = entries!("identity = ANY ($1)");
pub(super) const BY_KEY: &str = entries!(
    "id IN (SELECT id FROM casper_sidecar.entry WHERE key = $1
        UNION ALL SELECT entry FROM casper_sidecar.further_key WHERE key = $1)"
);
pub(super) const GREATEST_BLOCK: &str = entries!("key BETWEEN $1 AND $2 ORDER BY key DESC LIMIT 1");
pub(super) const LIST: [&str; 2] =
    [bounded!("id >= $1 AND kind <> 7", "id", "$2"), bounded!("id <= $1 AND kind <> 7", "id DESC", "$2")];
/// For the kinds that `entry_by_kind` has; the first condition is the index's own.
pub(super) const LIST_KIND: [&str; 2] = [
    bounded!("kind NOT IN (1, 5) AND kind <> 7 AND (kind, id) >= ($3, $1) AND kind <= $3", "kind, id", "$2"),
    bounded!(
        "kind NOT IN (1, 5) AND kind <> 7 AND (kind, id) <= ($3, $1) AND kind >= $3",
        "kind DESC, id DESC",
        "$2"
    ),
];
/// For those that it leaves out: each is nearly all that there is on its channel.
pub(super) const LIST_CHANNEL: [&str; 2] = [
    bounded!("kind = $3 AND (channel, id) >= ($4, $1) AND channel <= $4", "channel, id", "$2"),
    bounded!("kind = $3 AND (channel, id) <= ($4, $1) AND channel >= $4", "channel DESC, id DESC", "$2"),
];
pub(super) const SENDERS: &str = "SELECT name FROM casper_sidecar.source ORDER BY id";
pub(super) const VERSIONS: &str = "SELECT id, json FROM casper_sidecar.api_version";
pub(super) const SOURCES: &str = "SELECT id, name FROM casper_sidecar.source";
/// Parts of an entry by their numbers, or its whole body without a number; no row if there is no such entry.
pub(super) const SLICE: &str = "
    SELECT part.number, CASE WHEN part.number IS NULL THEN entry.data ELSE part.data END
    FROM casper_sidecar.entry LEFT JOIN LATERAL (
        SELECT number, data FROM casper_sidecar.entry_part
        WHERE entry_part.entry = entry.id AND number BETWEEN $2 AND $3 ORDER BY number
    ) AS part ON true
    WHERE entry.id = $1";
pub(super) const SIZE: &str = "
    SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
    WHERE relnamespace = to_regnamespace('casper_sidecar') AND relkind = 'r'";
/// All of the state as of one moment: what is of the log is the same in each row, and each cursor has a row.
pub(super) const STATE: &str = "
    SELECT log.head, (SELECT min(id) FROM casper_sidecar.entry), log.chain,
        (SELECT json FROM casper_sidecar.api_version WHERE api_version.id = log.version),
        (SELECT name FROM casper_sidecar.source WHERE source.id = log.source),
        cursor.name, cursor.filter, cursor.id, cursor.fingerprint, cursor.run, cursor.resume
    FROM casper_sidecar.log LEFT JOIN LATERAL (
        SELECT source.name, seen.* FROM casper_sidecar.cursor AS seen
        JOIN casper_sidecar.source ON source.id = seen.source
    ) AS cursor ON true
    WHERE log.one";
