//! Server-Sent Events, decoded as the WHATWG rules say (HTML standard, "Server-sent events", 9.2.6).
//!
//! LF, CR and CRLF end a line, wherever the chunks are cut; a byte order mark at the start is skipped; lines that
//! begin with a colon are comments; several `data` lines are joined by a line feed; one space after the colon is
//! not part of the value. What the end of the stream cuts off is never a message.
//!
//! One departure: the rules let a message without `id` inherit the last one. Here an id belongs to the message
//! it came with, since it says where a node's counter stands.

use crate::event::Payload;

/// One message of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// A message.
    Message {
        /// The data, in a buffer that [`Payload::buffer`] began.
        data: Vec<u8>,
        /// The id that came with it, if that is a number of 32 bits.
        id: Option<u32>,
    },
    /// A message with more data than the limit, which was not kept.
    Oversized {
        /// How many bytes it had.
        len: usize,
        /// The id that came with it, if that is a number of 32 bits.
        id: Option<u32>,
    },
}

/// Turns chunks of bytes into messages. It keeps at most one message, of limited size.
#[derive(Debug)]
pub(super) struct Decoder {
    limit: usize,
    place: Place,
    /// How many bytes of the byte order mark were seen; past it, [`BOM`]'s length.
    bom: usize,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    name: Vec<u8>,
    id: Vec<u8>,
    id_seen: bool,
    data: Vec<u8>,
    data_seen: bool,
    /// Bytes of data that were seen, kept or not.
    data_len: usize,
}

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Longer than any field name that means something, and than the digits of any id.
const SHORT: usize = 24;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Name,
    /// Right after the colon, where one space may stand.
    Colon(Field),
    Value(Field),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Data,
    Id,
    /// Comments, `event`, `retry`, and what nobody knows.
    Other,
}

impl Decoder {
    /// A decoder at the start of a stream whose messages may have up to `limit` bytes of data.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            place: Place::Name,
            bom: 0,
            after_cr: false,
            name: Vec::new(),
            id: Vec::new(),
            id_seen: false,
            data: Vec::new(),
            data_seen: false,
            data_len: 0,
        }
    }

    /// Takes the next bytes and appends the messages that they complete.
    pub(super) fn feed(&mut self, mut bytes: &[u8], messages: &mut Vec<Decoded>) {
        while self.bom < BOM.len() {
            match bytes.first() {
                Some(byte) if *byte == BOM[self.bom] => {
                    self.bom += 1;
                    bytes = &bytes[1..];
                }
                Some(_) => {
                    // A part of the mark that is not followed by the rest is the beginning of an unknown field.
                    self.name.extend_from_slice(&BOM[..self.bom]);
                    self.bom = BOM.len();
                }
                None => return,
            }
        }
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = memchr::memchr2(b'\n', b'\r', bytes);
            let line = &bytes[..end.unwrap_or(bytes.len())];
            self.part(line, end.is_some());
            let Some(end) = end else { return };
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            self.line_end(messages);
        }
    }

    /// Takes a part of a line, without its end; `last` if its end follows.
    fn part(&mut self, mut part: &[u8], last: bool) {
        if self.place == Place::Name && !part.is_empty() {
            let colon = memchr::memchr(b':', part);
            let name = &part[..colon.unwrap_or(part.len())];
            self.name.extend_from_slice(&name[..name.len().min(SHORT - self.name.len().min(SHORT))]);
            let Some(colon) = colon else { return };
            part = &part[colon + 1..];
            self.place = Place::Colon(self.field());
        }
        if let Place::Colon(field) = self.place
            && !part.is_empty()
        {
            part = part.strip_prefix(b" ").unwrap_or(part);
            self.begin(field, if last { part.len() } else { part.len().saturating_mul(2) });
            self.place = Place::Value(field);
        }
        match self.place {
            Place::Value(Field::Data) => {
                self.data_len = self.data_len.saturating_add(part.len());
                if self.data_len <= self.limit {
                    self.data.extend_from_slice(part);
                } else {
                    self.data = Vec::new();
                }
            }
            Place::Value(Field::Id) => {
                self.id.extend_from_slice(&part[..part.len().min(SHORT - self.id.len().min(SHORT))]);
            }
            Place::Value(Field::Other) | Place::Colon(_) | Place::Name => {}
        }
    }

    fn field(&self) -> Field {
        match &*self.name {
            b"data" => Field::Data,
            b"id" => Field::Id,
            _ => Field::Other,
        }
    }

    /// A value of this field begins; `room` is what it may need.
    fn begin(&mut self, field: Field, room: usize) {
        match field {
            Field::Data => {
                if !self.data_seen {
                    self.data_seen = true;
                    self.data = Payload::buffer(room.min(self.limit));
                    self.data_len = 0;
                } else {
                    self.data_len = self.data_len.saturating_add(1);
                    if self.data_len <= self.limit {
                        self.data.push(b'\n');
                    }
                }
            }
            Field::Id => {
                self.id_seen = true;
                self.id.clear();
            }
            Field::Other => {}
        }
    }

    fn line_end(&mut self, messages: &mut Vec<Decoded>) {
        match self.place {
            Place::Name if self.name.is_empty() => self.dispatch(messages),
            // A line without a colon is a field with an empty value, as is one that ends after its colon.
            Place::Name => self.begin(self.field(), 0),
            Place::Colon(field) => self.begin(field, 0),
            Place::Value(_) => {}
        }
        self.name.clear();
        self.place = Place::Name;
    }

    fn dispatch(&mut self, messages: &mut Vec<Decoded>) {
        let id = if std::mem::take(&mut self.id_seen) { number(&self.id) } else { None };
        if !std::mem::take(&mut self.data_seen) {
            return;
        }
        let data = std::mem::take(&mut self.data);
        messages.push(if self.data_len > self.limit {
            Decoded::Oversized { len: self.data_len, id }
        } else {
            Decoded::Message { data, id }
        });
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    let all_digits = digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| str::from_utf8(digits).ok()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a stream says: data and id of each message.
    fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, limit: usize) -> Vec<(String, Option<u32>)> {
        let mut decoder = Decoder::new(limit);
        let mut messages = Vec::new();
        for chunk in chunks {
            decoder.feed(chunk, &mut messages);
        }
        let told = |message| match message {
            Decoded::Message { data, id } => {
                (Payload::checked(data).expect("UTF-8 in these tests").json().to_owned(), id)
            }
            Decoded::Oversized { len, id } => (format!("oversized {len}"), id),
        };
        messages.into_iter().map(told).collect()
    }

    #[track_caller]
    fn check(stream: &str, expected: &[(&str, Option<u32>)]) {
        let decoded = decode([stream.as_bytes()], 64);
        let decoded: Vec<_> = decoded.iter().map(|(data, id)| (&**data, *id)).collect();
        assert_eq!(decoded, expected, "{stream:?}");
    }

    #[test]
    fn a_node_s_messages_are_decoded() {
        check("data:{\"ApiVersion\":\"1.5.8\"}\n\n", &[("{\"ApiVersion\":\"1.5.8\"}", None)]);
        check("data:a\nid:1\n\n:\n\ndata:b\nid:2\n\n", &[("a", Some(1)), ("b", Some(2))]);
        check("id:4294967295\ndata:a\n\n", &[("a", Some(u32::MAX))]);
    }

    #[test]
    fn all_legal_spellings_are_accepted() {
        check("data:a\r\nid:1\r\n\r\ndata:b\r\rdata:c\n\n", &[("a", Some(1)), ("b", None), ("c", None)]);
        check("\u{feff}data: a\n\n", &[("a", None)]);
        check("data:  a\n\n", &[(" a", None)]);
        check("data:a\ndata:b\ndata\ndata:\ndata:c\n\n", &[("a\nb\n\n\nc", None)]);
        check("event:x\nretry:10\n: comment\nunknown:y\ndata:a\n\n", &[("a", None)]);
        check("data:a\nid:1\nid:2\n\n", &[("a", Some(2))]);
        check("data\n\n", &[("", None)]);
        check(&format!("{}:x\ndata:a\n\n", "n".repeat(1000)), &[("a", None)]);
    }

    #[test]
    fn what_the_end_of_the_stream_cuts_off_is_no_message() {
        check("data:a\nid:1\n", &[]);
        check("data:a\nid:1", &[]);
        check("data:a", &[]);
    }

    #[test]
    fn an_id_belongs_to_its_message() {
        check("data:a\nid:1\n\ndata:b\n\nid:3\n\ndata:c\n\n", &[("a", Some(1)), ("b", None), ("c", None)]);
        check(
            "data:a\nid:x\n\ndata:b\nid:4294967296\n\ndata:c\nid:+1\n\ndata:d\nid\n\n",
            &[("a", None), ("b", None), ("c", None), ("d", None)],
        );
    }

    #[test]
    fn a_message_beyond_the_limit_is_skipped_and_told() {
        let stream = format!("data:{}\nid:7\n\ndata:a\nid:8\n\n", "x".repeat(65));
        check(&stream, &[("oversized 65", Some(7)), ("a", Some(8))]);
        let exactly = "x".repeat(64);
        check(&format!("data:{exactly}\n\n"), &[(&exactly, None)]);
    }

    proptest! {
        /// However the bytes are cut, the messages are the same.
        #[test]
        fn the_cuts_between_chunks_do_not_show(
            lines in prop::collection::vec(
                prop::sample::select(vec!["data:a", "data: b", "id:1", "id:22", ":", "", "", "data", "\u{feff}data:ü", "x:y"]),
                0..30,
            ),
            ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r", "\r\n"]), 30),
            bom in any::<bool>(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut stream = String::from(if bom { "\u{feff}" } else { "" });
            for (line, end) in lines.iter().zip(&ends) {
                stream.push_str(line);
                stream.push_str(end);
            }
            let bytes = stream.as_bytes();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            prop_assert_eq!(decode(chunks, 64), decode([bytes], 64));
        }
    }
}
