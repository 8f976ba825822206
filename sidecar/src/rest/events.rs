//! `/events`, page by page, and `/events/{id}`: the log itself, with what the sidecar knows of each entry.
//!
//! The ids are those of the event streams. A page is found by an id and not by a number of entries to pass over,
//! so it costs the same wherever in the log it is. `Shutdown` is not shown, nor where nodes are.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::{Query, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;

use super::answer::{self, Answer, JSON, Lines};
use super::document;
use super::parameter::{Named, Number};
use super::payload;
use super::senders::Senders;
use crate::event::{ApiVersion, EntryId, Kind};
use crate::refusal::Refusal;
use crate::store::{Entry, Listed, Listing, Lookup, Order, PAGE_ENTRIES, Store};

/// The content type of one JSON text a line.
const NDJSON: &str = "application/x-ndjson";

/// Names under which clients ask for it.
const NDJSON_NAMES: [&str; 4] = [NDJSON, "application/ndjson", "application/jsonl", "application/jsonlines"];

/// Entries of a page if the client does not say.
const USUAL_LIMIT: usize = 100;

/// The last moment that has a four-digit year, in milliseconds since the Unix epoch.
const LAST_MOMENT: u64 = 253_402_300_799_999;

/// The fields of the query, as they came.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    from_id: Option<String>,
    limit: Option<String>,
    kind: Option<String>,
    order: Option<String>,
}

impl Asked {
    fn listing(self) -> Result<Listing, Refusal> {
        let order = match self.order.as_deref() {
            None | Some("asc") => Order::OldestFirst,
            Some("desc") => Order::NewestFirst,
            Some(_) => return refused("order to be asc or desc"),
        };
        let kind = match self.kind.as_deref().map(Kind::named) {
            None => None,
            Some(Some(kind)) if kind != Kind::Shutdown => Some(kind),
            Some(_) => return refused(&format!("kind to be one of {}", kinds().join(", "))),
        };
        let from = match self.from_id.as_deref().map(str::parse::<Number>) {
            None if order == Order::OldestFirst => 0,
            None => EntryId::MAX,
            Some(Ok(Number(id))) => id,
            Some(Err(_)) => return refused("from_id to be the id of an entry"),
        };
        let limit = match self.limit.as_deref().map(str::parse::<Number>) {
            None => USUAL_LIMIT,
            Some(Ok(Number(limit))) if (1..=PAGE_ENTRIES as u64).contains(&limit) => {
                usize::try_from(limit).unwrap_or(PAGE_ENTRIES)
            }
            Some(_) => return refused(&format!("limit to be a number from 1 to {PAGE_ENTRIES}")),
        };
        Ok(Listing { kind, from, order, limit })
    }
}

/// Names of the kinds that are shown.
pub(super) fn kinds() -> Vec<&'static str> {
    Kind::ALL.into_iter().filter(|kind| *kind != Kind::Shutdown).map(Kind::name).collect()
}

fn refused<T>(expected: &str) -> Result<T, Refusal> {
    Err(Refusal::Parameter(format!("expected {expected}")))
}

/// A page of the log.
#[utoipa::path(
    get,
    path = "/events",
    operation_id = "events",
    tag = "log",
    params(
        ("from_id" = Option<u64>, Query, description = "The first id that may be shown; by default the oldest, or with `order=desc` the newest"),
        ("limit" = Option<u64>, Query, description = "Most entries that are shown: 1 to 512, by default 100", minimum = 1, maximum = 512),
        ("kind" = Option<document::EventKind>, Query, description = "The only kind that is shown"),
        ("order" = Option<document::EventOrder>, Query, description = "`asc`: ids rise, which is the default; `desc`: ids fall"),
    ),
    responses(
        (
            status = 200,
            description = "A part of the log. `Shutdown` events are left out. The header `Link` leads to the next part.",
            content(
                (document::EventPage = "application/json"),
                (document::Event = "application/x-ndjson"),
            ),
            headers(("Link" = String, description = "The next part, with `rel=\"next\"`, if there is one now"))
        ),
        document::Malformed,
        document::Always,
    )
)]
pub(super) async fn page<S: Store>(
    State(store): State<Arc<S>>,
    State(senders): State<Senders>,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
    request: HeaderMap,
) -> Result<Response, Refusal> {
    let Ok(Query(asked)) = asked else {
        return refused("no fields but from_id, limit, kind and order, each at most once");
    };
    let listing = asked.listing()?;
    let Listed { entries, next } = store.list(listing).await?;
    senders.know(&*store, &entries).await?;
    let mut answer = Answer::new(&store);
    let mut response = if wants_lines(&request) {
        for entry in entries {
            show(&mut answer, &senders, entry, Lines::One);
            answer.text("\n");
        }
        answer.respond(NDJSON)
    } else {
        answer.text("{\"events\":[");
        for (number, entry) in entries.into_iter().enumerate() {
            answer.text(if number == 0 { "" } else { "," });
            show(&mut answer, &senders, entry, Lines::AsStored);
        }
        match next {
            Some(id) => answer.text(&format!("],\"next\":{id}}}")),
            None => answer.text("],\"next\":null}"),
        }
        answer.respond(JSON)
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    if let Some(next) = next {
        headers.insert(header::LINK, link(Listing { from: next, ..listing }));
    }
    Ok(response)
}

/// One entry.
#[utoipa::path(
    get,
    path = "/events/{id}",
    operation_id = "event",
    tag = "log",
    params(("id" = u64, Path, description = "Id of the entry")),
    responses(
        (status = 200, description = "The entry.", body = document::Event),
        (status = 304, description = "The client has it already, as its `If-None-Match` says."),
        document::Malformed,
        document::Missing,
        document::Always,
    )
)]
pub(super) async fn one<S: Store>(
    State(store): State<Arc<S>>,
    State(senders): State<Senders>,
    Named(Number(id)): Named<Number>,
    request: HeaderMap,
) -> Result<Response, Refusal> {
    let found = store.find(Lookup::Id(id)).await?.into_iter().next();
    let entry = found.filter(|entry| entry.kind != Kind::Shutdown).ok_or(Refusal::NotFound)?;
    let tag = answer::tag(&entry);
    if answer::is_known(&tag, &request) {
        return Ok(answer::not_modified(tag));
    }
    senders.know(&*store, std::slice::from_ref(&entry)).await?;
    let mut answer = Answer::new(&store);
    show(&mut answer, &senders, entry, Lines::AsStored);
    let mut response = answer.respond(JSON);
    response.headers_mut().insert(header::ETAG, tag);
    Ok(response)
}

fn show<S: Store>(answer: &mut Answer<S>, senders: &Senders, entry: Entry, lines: Lines) {
    let received_at = SystemTime::UNIX_EPOCH + Duration::from_millis(entry.received_at.min(LAST_MOMENT));
    answer.text(&format!(
        "{{\"id\":{},\"kind\":\"{}\",\"node\":\"{}\",\"api_version\":{},\"received_at\":\"{}\",\"event\":",
        entry.id,
        entry.kind,
        senders.label(&entry.node),
        entry.version.as_ref().map_or("null", version),
        humantime::format_rfc3339_millis(received_at),
    ));
    answer.json(entry, lines);
    answer.text("}");
}

/// The text of a version, as JSON.
pub(super) fn version(version: &ApiVersion) -> &str {
    let json = version.json();
    let borders = payload::begin(json.as_bytes()).zip(payload::end(json.as_bytes()));
    borders.and_then(|(begin, end)| json.get(begin..json.len() - end)).unwrap_or("null")
}

/// Whether the client would rather have one JSON text a line: the first type that it names decides.
fn wants_lines(request: &HeaderMap) -> bool {
    let accepted = request.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut types = accepted
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let known =
        |name: &String| NDJSON_NAMES.contains(&&**name) || matches!(&**name, "*/*" | "application/*" | JSON);
    types.find(known).is_some_and(|name| NDJSON_NAMES.contains(&&*name))
}

fn link(listing: Listing) -> HeaderValue {
    let mut link = format!("</events?from_id={}&limit={}", listing.from, listing.limit);
    if let Some(kind) = listing.kind {
        write!(link, "&kind={kind}").expect("a String takes everything");
    }
    if listing.order == Order::NewestFirst {
        link.push_str("&order=desc");
    }
    link.push_str(">; rel=\"next\"");
    HeaderValue::try_from(link).expect("ASCII without breaks")
}
