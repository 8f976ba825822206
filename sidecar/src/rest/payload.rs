//! Where the payload is within the JSON of an event: `{"BlockAdded":<payload>}`.
//!
//! The JSON was checked when it was received: it is one object with one key, the event's kind. So the borders are
//! found by a look at both ends, and what is between them is never parsed, however long it is.

/// Bytes before the payload, from the begin of an event's JSON.
///
/// `None` if it is not the begin of an object whose first key ends within `head`.
pub(super) fn begin(head: &[u8]) -> Option<usize> {
    let mut at = skip_space(head, 0);
    at = expect(head, at, b'{')?;
    at = expect(head, skip_space(head, at), b'"')?;
    loop {
        match head.get(at)? {
            b'"' => break,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at = expect(head, skip_space(head, at + 1), b':')?;
    Some(skip_space(head, at))
}

/// Bytes after the payload, from the end of an event's JSON.
///
/// `None` if it is not the end of an object whose last value ends within `tail`.
pub(super) fn end(tail: &[u8]) -> Option<usize> {
    let (closing, rest) = tail.trim_ascii_end().split_last()?;
    let payload = rest.trim_ascii_end();
    (*closing == b'}' && !payload.is_empty()).then(|| tail.len() - payload.len())
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

fn expect(bytes: &[u8], at: usize, byte: u8) -> Option<usize> {
    (*bytes.get(at)? == byte).then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn payload(json: &str) -> Option<&str> {
        json.get(begin(json.as_bytes())?..json.len() - end(json.as_bytes())?)
    }

    #[track_caller]
    fn check(json: &str, expected: Option<&str>) {
        assert_eq!(payload(json), expected, "{json}");
    }

    #[test]
    fn the_payload_is_what_is_within_the_one_key() {
        check(r#"{"Step":{"era_id":1}}"#, Some(r#"{"era_id":1}"#));
        check(" {\n\"St\\\"ep\" : [1, {}] \t}\n", Some("[1, {}]"));
        check(r#"{"Step":1}"#, Some("1"));
        check("\"Shutdown\"", None);
        check("{\"Step\"", None);
        check("", None);
    }

    proptest! {
        #[test]
        fn it_is_what_a_parser_finds(
            key in ".*", value in "[a-z{}\\[\\]\" \\\\]*", space in "[ \n\r\t]{0,3}", more in "[ \n]{0,3}",
        ) {
            let (key, value) =
                (serde_json::to_string(&key).expect("text"), serde_json::to_string(&value).expect("text"));
            let json = format!("{space}{{{more}{key}{space}:{more}{value}{space}}}{more}");
            let parsed: BTreeMap<String, &RawValue> = serde_json::from_str(&json).expect("valid");
            prop_assert_eq!(payload(&json), parsed.values().next().map(|value| value.get()));
        }
    }
}
