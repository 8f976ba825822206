//! The JSON of one event, held in the buffer that becomes its outbound message.

use std::fmt;

use bytes::Bytes;

use super::EntryId;

const FIELD: &[u8] = b"data:";

/// The JSON of one event, byte for byte as a node sent it.
///
/// The buffer starts with `data:` and has room for the id, so that the message that subscribers get is made in
/// place: a Step of 30 MB is not copied again to be framed.
#[derive(Clone)]
pub struct Payload {
    /// `data:` and the JSON, which is valid UTF-8 without carriage returns (they end a line of a stream).
    framed: Vec<u8>,
}

impl Payload {
    /// What a buffer begins with: not part of the JSON.
    pub(crate) const HEAD: usize = FIELD.len();

    /// Room for `\nid:` and the digits of any id, and the blank line that ends a message.
    const TAIL: usize = 4 + 20 + 2;

    /// The payload that reads `json`.
    pub fn new(json: &str) -> Self {
        let mut framed = Vec::with_capacity(FIELD.len() + json.len() + Self::TAIL);
        framed.extend_from_slice(FIELD);
        framed.extend_from_slice(json.as_bytes());
        Self { framed }
    }

    /// A buffer to which the bytes of a JSON text are to be appended, for [`Payload::checked`]. It has room for
    /// this many bytes of JSON.
    pub fn buffer(room: usize) -> Vec<u8> {
        let mut framed = Vec::with_capacity(FIELD.len() + room + Self::TAIL);
        framed.extend_from_slice(FIELD);
        framed
    }

    /// The payload in a buffer that [`Payload::buffer`] began; `None` if it is not UTF-8.
    pub fn checked(mut framed: Vec<u8>) -> Option<Self> {
        debug_assert!(framed.starts_with(FIELD), "the buffer was not begun by `buffer`");
        str::from_utf8(&framed).ok()?;
        if framed.capacity() - framed.len() < Self::TAIL || framed.capacity() / 2 > framed.len() {
            // Once, since a buffer that grew chunk by chunk may be twice as large as what is in it.
            framed.reserve_exact(Self::TAIL);
            framed.shrink_to(framed.len() + Self::TAIL);
        }
        Some(Self { framed })
    }

    /// The JSON.
    pub fn json(&self) -> &str {
        str::from_utf8(self.bytes()).expect("both constructors check that it is UTF-8")
    }

    /// The JSON's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.framed[FIELD.len()..]
    }

    /// Length of the JSON in bytes.
    pub fn len(&self) -> usize {
        self.framed.len() - FIELD.len()
    }

    /// Whether there is no JSON at all, which [`super::Message::parse`] never lets through.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The JSON's bytes, without a copy.
    pub fn into_json(self) -> Bytes {
        Bytes::from(self.framed).slice(Self::HEAD..)
    }

    /// The message as subscribers get it: `data:<json>`, `id:<id>`, a blank line.
    ///
    /// JSON that was spelled over several lines is sent as several `data` lines, which a client joins again.
    pub fn into_message(self, id: EntryId) -> Bytes {
        let mut message = self.framed;
        if memchr::memchr(b'\n', &message).is_some() {
            message = message.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(&b"\ndata:"[..]);
        }
        message.extend_from_slice(format!("\nid:{id}\n\n").as_bytes());
        message.into()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, message: &str) {
        let payload = Payload::new(json);
        assert_eq!(payload.json(), json);
        assert_eq!(payload.into_message(7), message);
    }

    #[test]
    fn messages_have_the_documented_layout() {
        check("{\"Step\":1}", "data:{\"Step\":1}\nid:7\n\n");
        check("\"Shutdown\"", "data:\"Shutdown\"\nid:7\n\n");
    }

    #[test]
    fn json_over_several_lines_stays_one_message() {
        check("{\n\"Step\":1\n}", "data:{\ndata:\"Step\":1\ndata:}\nid:7\n\n");
    }

    #[test]
    fn a_message_is_made_without_a_new_buffer() {
        let payload = Payload::new("{\"Step\":1}");
        let before = payload.framed.as_ptr();
        assert_eq!(payload.into_message(u64::MAX).as_ptr(), before);
    }
}
