//! The strict reader of an event stream: the layout of the public page, to the byte.
//!
//! The standard allows much more (CR, several data lines, fields in any order, a space after the colon). The page
//! shows one form, clients with hand-written readers rely on it, and only it is accepted here:
//!
//! ```text
//! data:<JSON on one line>\n        data:{"ApiVersion":"1.5.8"}\n        :\n
//! id:<decimal>\n                   \n                                   \n
//! \n
//! ```

use crate::check::Deviation;

/// What the layout is, for reports.
pub(crate) const LAYOUT: &str = "blocks `data:<json>\\nid:<n>\\n\\n`, `data:<json>\\n\\n` or `:\\n\\n`";

/// One block of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Block {
    /// A message.
    Message(Message),
    /// `:` alone, which keeps the connection alive.
    KeepAlive,
}

/// One message of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// The `data` field: JSON on one line.
    pub(crate) data: String,
    /// The `id` field.
    pub(crate) id: Option<u64>,
}

impl Message {
    /// The tag of the JSON object, or the text itself of a bare JSON string such as `"Shutdown"`.
    pub(crate) fn kind(&self) -> String {
        let tag = self.data.strip_prefix("{\"").or_else(|| self.data.strip_prefix('"'));
        tag.and_then(|rest| rest.split_once('"')).map(|(tag, _)| tag.to_owned()).unwrap_or_default()
    }

    /// The bytes behind the tag: `{"Kind":PAYLOAD}`.
    pub(crate) fn payload(&self) -> &str {
        self.data
            .strip_suffix('}')
            .and_then(|rest| rest.split_once(':'))
            .map_or(self.data.as_str(), |(_, payload)| payload)
    }

    /// The payload as JSON.
    pub(crate) fn json(&self) -> Result<serde_json::Value, Deviation> {
        serde_json::from_str(self.payload()).map_err(|error| {
            Deviation::new("one JSON object with one tag as data", format!("{error} in {}", self.data))
        })
    }

    /// A message about the versions of node or sidecar, which has no id.
    pub(crate) fn is_version(&self) -> bool {
        matches!(self.kind().as_str(), "ApiVersion" | "SidecarVersion")
    }
}

/// Takes the first whole block off the front of `bytes`. `None`: it has not come in full yet.
pub(crate) fn take_block(bytes: &mut Vec<u8>) -> Result<Option<Block>, Deviation> {
    let Some(length) = crate::wire::find(bytes, b"\n\n") else {
        return Ok(None);
    };
    let block: Vec<u8> = bytes.drain(..length + 2).collect();
    let text = std::str::from_utf8(&block)
        .map_err(|_| Deviation::new("a stream in UTF-8", String::from_utf8_lossy(&block)))?;
    parse(text).map(Some).ok_or_else(|| Deviation::new(LAYOUT, text))
}

/// Reads one block, its blank line included.
fn parse(block: &str) -> Option<Block> {
    if block == ":\n\n" {
        return Some(Block::KeepAlive);
    }
    let mut lines = block.strip_suffix("\n\n")?.split('\n');
    let data = lines.next()?.strip_prefix("data:")?;
    let id = match lines.next() {
        Some(line) => Some(number(line.strip_prefix("id:")?)?),
        None => None,
    };
    let starts_well = data.starts_with(['{', '"']);
    (starts_well && !data.contains('\r') && lines.next().is_none())
        .then(|| Block::Message(Message { data: data.to_owned(), id }))
}

/// A decimal number in its one spelling: digits, no sign, no zero in front.
fn number(digits: &str) -> Option<u64> {
    let value = digits.parse::<u64>().ok()?;
    (value.to_string() == digits).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stream: &str, expected: Option<Block>) {
        let mut bytes = stream.as_bytes().to_vec();
        let seen = take_block(&mut bytes);
        match expected {
            Some(expected) => assert_eq!(seen, Ok(Some(expected))),
            None => assert!(!matches!(seen, Ok(Some(_))), "{seen:?}"),
        }
    }

    fn message(data: &str, id: Option<u64>) -> Option<Block> {
        Some(Block::Message(Message { data: data.to_owned(), id }))
    }

    #[test]
    fn only_the_layout_of_the_page_is_accepted() {
        check("data:{\"ApiVersion\":\"1.5.8\"}\n\n", message("{\"ApiVersion\":\"1.5.8\"}", None));
        check("data:\"Shutdown\"\nid:8\n\n", message("\"Shutdown\"", Some(8)));
        check(":\n\n", Some(Block::KeepAlive));
        check("data:{}\nid:0\n\n", message("{}", Some(0)));
        check("data: {}\nid:1\n\n", None);
        check("data:{}\nid: 1\n\n", None);
        check("data:{}\nid:01\n\n", None);
        check("data:{}\nid:+1\n\n", None);
        check("data:{}\nid:\n\n", None);
        check("id:1\ndata:{}\n\n", None);
        check("data:{}\r\nid:1\r\n\r\n", None);
        check("data:{}\r\n\n", None);
        check("data:{}\nid:1\n", None);
        check("event:x\ndata:{}\nid:1\n\n", None);
        check("data:{}\nid:1\nretry:5\n\n", None);
        check("data:{\ndata:}\nid:1\n\n", None);
        check(": \n\n", None);
        check(":keep-alive\n\n", None);
        check("\n\n", None);
        check("\n:\n\n", None);
        check("\u{feff}data:{}\n\n", None);
        check("data:1\n\n", None);
    }

    #[test]
    fn a_message_knows_its_kind_and_its_payload() {
        let fault = Message { data: "{\"Fault\":{\"era_id\":4}}".to_owned(), id: Some(1) };
        assert_eq!(fault.kind(), "Fault");
        assert_eq!(fault.payload(), "{\"era_id\":4}");
        let shutdown = Message { data: "\"Shutdown\"".to_owned(), id: Some(1) };
        assert_eq!(shutdown.kind(), "Shutdown");
    }
}
