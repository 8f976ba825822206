//! The statements that write, and their arguments.
//!
//! Each does nothing unless `$1` is the log's epoch still, and says so: that is what keeps out a writer that lost
//! its lock.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::postgres::{PgArguments, PgHasArrayType};
use sqlx::{Arguments, Encode, Postgres, Type};

use super::super::{Arrival, Cursor, LARGE};
use super::signed;

/// Appends what the log does not have, moves the cursors, and remembers version and chain, all at once.
///
/// The answer is one row: the head before it (nothing if the log has another writer), and which of the arrivals
/// are new, by their places from 1.
pub(super) const APPEND: &str = "
    WITH arrival AS MATERIALIZED (
        SELECT * FROM unnest(
            $5::bigint[], $6::integer[], $7::integer[], $8::integer[], $9::smallint[], $10::smallint[], $11::bytea[],
            $12::bytea[], $13::bytea[]
        ) WITH ORDINALITY AS arrival
            (received_at, version, source, large, channel, kind, identity, key, data, place)
    ), fresh AS MATERIALIZED (
        SELECT *, row_number() OVER (ORDER BY place) AS number FROM arrival
        WHERE NOT EXISTS (SELECT FROM casper_sidecar.entry WHERE entry.identity = arrival.identity)
    ), log AS (
        UPDATE casper_sidecar.log SET
            head = head + (SELECT count(*) FROM fresh),
            version = coalesce($2, version), source = coalesce($3, source), chain = coalesce($4, chain)
        WHERE one AND epoch = $1
        RETURNING head - (SELECT count(*) FROM fresh) AS before
    ), added AS (
        INSERT INTO casper_sidecar.entry
            (id, received_at, version, source, large, channel, kind, identity, key, data)
        SELECT before + number, received_at, version, source, large, channel, kind, identity, key, data
        FROM log, fresh
    ), moved AS (
        INSERT INTO casper_sidecar.cursor (source, filter, id, fingerprint, run, resume)
        SELECT seen.* FROM log, unnest(
            $14::integer[], $15::smallint[], $16::bigint[], $17::bytea[], $18::bigint[], $19::bigint[]
        ) AS seen (source, filter, id, fingerprint, run, resume)
        ON CONFLICT (source, filter) DO UPDATE SET id = excluded.id, fingerprint = excluded.fingerprint,
            run = excluded.run, resume = excluded.resume
    )
    SELECT (SELECT before FROM log), (SELECT array_agg(place ORDER BY place) FROM fresh)";

/// Keeps the log's row as it is until the transaction ends. No row if the log has another writer.
pub(super) const HOLD: &str = "SELECT head FROM casper_sidecar.log WHERE one AND epoch = $1 FOR UPDATE";

// These three are done while the row is held.
pub(super) const ADD_VERSION: &str = "INSERT INTO casper_sidecar.api_version (id, json) VALUES ($1, $2)";
pub(super) const ADD_SOURCE: &str = "INSERT INTO casper_sidecar.source (id, name) VALUES ($1, $2)";
pub(super) const ADD_KEYS: &str = "
    INSERT INTO casper_sidecar.further_key (key, entry) SELECT * FROM unnest($1::bytea[], $2::bigint[])
    ON CONFLICT DO NOTHING";
pub(super) const ADD_PARTS: &str = "
    INSERT INTO casper_sidecar.entry_part (entry, number, data)
    SELECT $1, part.* FROM unnest($2::integer[], $3::bytea[]) AS part (number, data)";

pub(super) const VERSIONS: &str = "SELECT json, id FROM casper_sidecar.api_version";
pub(super) const SOURCES: &str = "SELECT name, id FROM casper_sidecar.source";

/// Forgets the entries below `$2`. One row: whether the log is the writer's own, and how many there were.
pub(super) const FORGET: &str = "
    WITH log AS MATERIALIZED (SELECT FROM casper_sidecar.log WHERE one AND epoch = $1 FOR UPDATE),
    entries AS (
        DELETE FROM casper_sidecar.entry WHERE id < $2 AND EXISTS (SELECT FROM log) RETURNING 1
    ), keys AS (
        DELETE FROM casper_sidecar.further_key WHERE entry < $2 AND EXISTS (SELECT FROM log)
    ), parts AS (
        DELETE FROM casper_sidecar.entry_part WHERE entry < $2 AND EXISTS (SELECT FROM log)
    )
    SELECT EXISTS (SELECT FROM log), (SELECT count(*) FROM entries)";

/// Numbers that stand for texts.
pub(super) type Numbers = HashMap<Arc<str>, i32>;

pub(super) fn add<'q, T>(arguments: &mut PgArguments, value: T) -> Result<(), sqlx::Error>
where
    T: Encode<'q, Postgres> + Type<Postgres>,
{
    arguments.add(value).map_err(sqlx::Error::Encode)
}

/// Adds one column of all `rows`.
fn add_column<'q, R, T>(
    arguments: &mut PgArguments,
    rows: &'q [R],
    value: impl FnMut(&'q R) -> T,
) -> Result<(), sqlx::Error>
where
    T: Encode<'q, Postgres> + Type<Postgres> + PgHasArrayType,
{
    add(arguments, rows.iter().map(value).collect::<Vec<_>>())
}

pub(super) fn add_arrivals(
    arguments: &mut PgArguments,
    arrivals: &[&Arrival],
    versions: &Numbers,
    sources: &Numbers,
) -> Result<(), sqlx::Error> {
    add_column(arguments, arrivals, |arrival| signed(arrival.received_at))?;
    add_column(arguments, arrivals, |arrival| {
        arrival.version.as_ref().map(|version| versions[version.json()])
    })?;
    add_column(arguments, arrivals, |arrival| sources[&arrival.node])?;
    add_column(arguments, arrivals, |arrival| {
        let len = arrival.event.payload.len();
        (len > LARGE).then(|| i32::try_from(len).unwrap_or(i32::MAX))
    })?;
    add_column(arguments, arrivals, |arrival| i16::from(arrival.event.channel.code()))?;
    add_column(arguments, arrivals, |arrival| i16::from(arrival.event.kind.code()))?;
    add_column(arguments, arrivals, |arrival| &arrival.event.identity.0[..])?;
    add_column(arguments, arrivals, |arrival| arrival.event.keys.first().map(|key| &key.0[..]))?;
    add_column(arguments, arrivals, |arrival| {
        let payload = &arrival.event.payload;
        (payload.len() <= LARGE).then(|| payload.bytes())
    })
}

pub(super) fn add_cursors(
    arguments: &mut PgArguments,
    cursors: &[Cursor],
    sources: &Numbers,
) -> Result<(), sqlx::Error> {
    add_column(arguments, cursors, |cursor| sources[&cursor.node])?;
    add_column(arguments, cursors, |cursor| cursor.filter as i16)?;
    add_column(arguments, cursors, |cursor| i64::from(cursor.id))?;
    add_column(arguments, cursors, |cursor| &cursor.fingerprint.0[..])?;
    add_column(arguments, cursors, |cursor| i64::from(cursor.run))?;
    add_column(arguments, cursors, |cursor| i64::from(cursor.resume))
}
