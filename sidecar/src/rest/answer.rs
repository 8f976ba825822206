//! The body of an answer: stored bytes, and the little that goes around and between them.
//!
//! Small things are collected in one buffer, larger ones are shared, and what is large in the store stays there:
//! it is read in slices while it is sent, so that an answer holds a bounded amount of memory.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::unfold;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tracing::error;

use super::payload;
use crate::event::EntryId;
use crate::refusal::Refusal;
use crate::store::{self, Entry, LARGE, Store, StoreError};

/// Bytes up to this number are copied together; more are shared.
const SMALL: usize = 4096;

/// Bytes of a large entry that are read at a time: what the store keeps together.
const SLICE: usize = LARGE;

/// A body that is being put together.
pub(super) struct Answer<S> {
    store: Arc<S>,
    ready: VecDeque<Part>,
    buffer: BytesMut,
    length: u64,
}

enum Part {
    Bytes(Bytes),
    Stored(Stretch),
}

/// A part of the JSON of a large entry.
struct Stretch {
    id: EntryId,
    offset: u64,
    end: u64,
    on_one_line: bool,
}

/// How the JSON of an entry is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    /// As it is stored.
    AsStored,
    /// With spaces for line breaks, which JSON has only where it may have any space.
    One,
}

impl<S: Store> Answer<S> {
    pub(super) fn new(store: &Arc<S>) -> Self {
        Self { store: store.clone(), ready: VecDeque::new(), buffer: BytesMut::new(), length: 0 }
    }

    /// Text around and between stored bytes.
    pub(super) fn text(&mut self, text: &str) {
        self.bytes(Bytes::copy_from_slice(text.as_bytes()));
    }

    /// What the entry says of its kind: `{"block_hash":..}` of `{"BlockAdded":{"block_hash":..}}`.
    pub(super) async fn payload(&mut self, entry: Entry) -> Result<(), StoreError> {
        let id = entry.id;
        let no_payload = || StoreError::Corrupt { id, source: "it is no object with one key".into() };
        match entry.body {
            store::Body::Whole(json) => {
                let json = json.into_json();
                let begin = payload::begin(&json).ok_or_else(no_payload)?;
                let end = json.len() - payload::end(&json).ok_or_else(no_payload)?;
                self.bytes(json.slice(begin..end.max(begin)));
            }
            store::Body::Large { len } => {
                let head = self.store.slice(id, 0, SLICE).await?;
                let begin = payload::begin(&head).ok_or_else(no_payload)? as u64;
                let tail = self.store.slice(id, len.saturating_sub(SMALL as u64), SMALL).await?;
                let end = len - payload::end(&tail).ok_or_else(no_payload)? as u64;
                self.stored(Stretch { id, offset: begin, end: end.max(begin), on_one_line: false });
            }
        }
        Ok(())
    }

    /// The whole JSON of an entry.
    pub(super) fn json(&mut self, entry: Entry, lines: Lines) {
        match entry.body {
            store::Body::Whole(json) => {
                let json = json.into_json();
                self.bytes(if lines == Lines::One { on_one_line(json) } else { json });
            }
            store::Body::Large { len } => {
                let on_one_line = lines == Lines::One;
                self.stored(Stretch { id: entry.id, offset: 0, end: len, on_one_line });
            }
        }
    }

    fn bytes(&mut self, bytes: Bytes) {
        self.length += bytes.len() as u64;
        if bytes.len() <= SMALL {
            self.buffer.extend_from_slice(&bytes);
        } else {
            self.flush();
            self.ready.push_back(Part::Bytes(bytes));
        }
    }

    fn stored(&mut self, stretch: Stretch) {
        self.length += stretch.end - stretch.offset;
        self.flush();
        self.ready.push_back(Part::Stored(stretch));
    }

    fn flush(&mut self) {
        if !self.buffer.is_empty() {
            self.ready.push_back(Part::Bytes(self.buffer.split().freeze()));
        }
    }

    /// The response, of this content type.
    pub(super) fn respond(mut self, content_type: &'static str) -> Response {
        self.flush();
        let length = self.length;
        let body = if let [Part::Bytes(_)] = self.ready.make_contiguous()
            && let Some(Part::Bytes(bytes)) = self.ready.pop_front()
        {
            Body::from(bytes)
        } else {
            // Fused, since compression asks once more after the end.
            Body::from_stream(unfold(self, async |mut answer| Some((answer.chunk().await?, answer))).fuse())
        };
        let mut response = body.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::CONTENT_LENGTH, length.into());
        response
    }

    /// The next bytes to send; after an error the connection ends, which shows the client that something is missing.
    async fn chunk(&mut self) -> Option<io::Result<Bytes>> {
        match self.ready.front_mut()? {
            Part::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                self.ready.pop_front();
                Some(Ok(bytes))
            }
            Part::Stored(stretch) => {
                let left = stretch.end - stretch.offset;
                // Reads end where the store's own parts end.
                let to_border = SLICE - usize::try_from(stretch.offset % SLICE as u64).unwrap_or_default();
                let length = to_border.min(usize::try_from(left).unwrap_or(usize::MAX));
                let read = self.store.slice(stretch.id, stretch.offset, length).await;
                let slice = match read {
                    Ok(slice) if slice.len() == length => slice,
                    Ok(_) => return Some(Err(cut(stretch.id, "it is shorter than it was"))),
                    Err(error) => return Some(Err(cut(stretch.id, error))),
                };
                stretch.offset += length as u64;
                let slice = if stretch.on_one_line { on_one_line(slice) } else { slice };
                if length as u64 == left {
                    self.ready.pop_front();
                }
                Some(Ok(slice))
            }
        }
    }
}

fn cut(id: EntryId, reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    let reason = reason.into();
    error!(id, "an answer breaks off, since an entry cannot be read: {reason}");
    io::Error::other(reason)
}

fn on_one_line(json: Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', &json).is_none() {
        return json;
    }
    json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect()
}

/// The content type of JSON.
pub(super) const JSON: &str = "application/json";

/// The payload of the one entry that was looked for, which never changes.
pub(super) async fn unchanging<S: Store>(
    store: &Arc<S>,
    entry: Option<Entry>,
    request: &HeaderMap,
) -> Result<Response, Refusal> {
    let entry = entry.ok_or(Refusal::NotFound)?;
    let tag = tag(&entry);
    if is_known(&tag, request) {
        return Ok(not_modified(tag));
    }
    let mut response = one(store, Some(entry)).await?;
    response.headers_mut().insert(header::ETAG, tag);
    Ok(response)
}

/// The payload of the one entry that was looked for.
pub(super) async fn one<S: Store>(store: &Arc<S>, entry: Option<Entry>) -> Result<Response, Refusal> {
    let mut answer = Answer::new(store);
    answer.payload(entry.ok_or(Refusal::NotFound)?).await?;
    Ok(answer.respond(JSON))
}

/// The payloads of all entries that were looked for.
pub(super) async fn array<S: Store>(store: &Arc<S>, entries: Vec<Entry>) -> Result<Response, Refusal> {
    if entries.is_empty() {
        return Err(Refusal::NotFound);
    }
    let mut answer = Answer::new(store);
    for (number, entry) in entries.into_iter().enumerate() {
        answer.text(if number == 0 { "[" } else { "," });
        answer.payload(entry).await?;
    }
    answer.text("]");
    Ok(answer.respond(JSON))
}

/// The tag of an entry. It is a weak one, since the same bytes may be sent compressed or not.
///
/// An entry never changes. The time of its receipt tells it from one of another database with the same id.
pub(super) fn tag(entry: &Entry) -> HeaderValue {
    HeaderValue::try_from(format!("W/\"{:x}-{:x}\"", entry.id, entry.received_at))
        .expect("ASCII without breaks")
}

/// Whether the client has what this tag names.
pub(super) fn is_known(tag: &HeaderValue, request: &HeaderMap) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let Ok(tag) = tag.to_str().map(opaque) else { return false };
    let asked = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    asked.flat_map(|value| value.split(',')).any(|value| value.trim() == "*" || opaque(value) == tag)
}

/// The answer to a client that has it already.
pub(super) fn not_modified(tag: HeaderValue) -> Response {
    (StatusCode::NOT_MODIFIED, HeaderMap::from_iter([(header::ETAG, tag)])).into_response()
}
