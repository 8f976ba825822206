//! From where a client wants to read.

use http::HeaderMap;

use crate::event::EntryId;

/// From where a client wants to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// From the next entry on.
    Live,
    /// From this id on, this one included.
    From(EntryId),
}

impl Start {
    /// What a query and the headers ask for; `None` if the query is not one of ours.
    ///
    /// `start_from` is inclusive and wins over `Last-Event-ID`, which names the last entry that the client has.
    pub(super) fn of(query: Option<&str>, headers: &HeaderMap) -> Option<Self> {
        let mut start = None;
        for field in query.unwrap_or_default().split('&').filter(|field| !field.is_empty()) {
            start = Some(Self::From(number(field.strip_prefix("start_from=")?)?));
        }
        Some(start.unwrap_or_else(|| Self::after_last(headers)))
    }

    /// A `Last-Event-ID` that is no number counts as absent.
    fn after_last(headers: &HeaderMap) -> Self {
        let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
        last.and_then(|last| number(last.trim()))
            .map_or(Self::Live, |last| Self::From(last.saturating_add(1)))
    }
}

/// A number of 64 bits in decimal digits; a plus sign before it may be there, as nodes allow it.
fn number(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("%2B").or_else(|| text.strip_prefix("%2b")).unwrap_or(text);
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(query: Option<&str>, last: Option<&str>, expected: Option<Start>) {
        let mut headers = HeaderMap::new();
        if let Some(last) = last {
            headers.insert("last-event-id", HeaderValue::from_str(last).expect("a header"));
        }
        assert_eq!(Start::of(query, &headers), expected, "{query:?} {last:?}");
    }

    #[test]
    fn start_from_is_the_only_field() {
        check(None, None, Some(Start::Live));
        check(Some(""), None, Some(Start::Live));
        check(Some("start_from=0"), None, Some(Start::From(0)));
        check(Some("start_from=18446744073709551615"), None, Some(Start::From(u64::MAX)));
        check(Some("start_from=4294967296"), None, Some(Start::From(4_294_967_296)));
        check(Some("start_from=395&start_from=396"), None, Some(Start::From(396)));
        check(Some("start_from=%2B1"), None, Some(Start::From(1)));
        for wrong in ["start_from", "start_from=", "start_from=abc", "start_from=-1", "start_from=+1", "x=1"]
        {
            check(Some(wrong), None, None);
        }
        check(Some("start_from=1&x=1"), None, None);
        check(Some("Start_From=1"), None, None);
        check(Some("start_from=18446744073709551616"), None, None);
    }

    #[test]
    fn the_last_event_id_is_exclusive_and_start_from_wins() {
        check(None, Some("7"), Some(Start::From(8)));
        check(None, Some(" 7 "), Some(Start::From(8)));
        check(None, Some("abc"), Some(Start::Live));
        check(None, Some(""), Some(Start::Live));
        check(None, Some("18446744073709551615"), Some(Start::From(u64::MAX)));
        check(Some("start_from=3"), Some("7"), Some(Start::From(3)));
    }
}
