//! The protocol version that a node announces as the first message of every connection.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// An `ApiVersion` message: its JSON exactly as a node sent it, and the version in it for comparing.
///
/// It is the protocol version of the chain, not of the node's software (observed on casper-node 1.5.8: 1.5.9
/// after an upgrade of the chain while `build_version` stayed).
#[derive(Debug, Clone)]
pub struct ApiVersion {
    json: Arc<str>,
    number: Number,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Number {
    triple: (u64, u64, u64),
    /// A pre-release comes before its release.
    released: bool,
}

impl ApiVersion {
    /// The version within `json`, which reads `text`; `None` if `text` is not of the form `1.5.8` or `2.0.0-rc1`.
    pub fn new(json: &str, text: &str) -> Option<Self> {
        Some(Self { json: json.into(), number: Number::parse(text)? })
    }

    /// The whole message, such as `{"ApiVersion":"1.5.8"}`.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The version `major.minor.patch` of a node's software, from a `build_version` such as `1.5.8-0a1b2c3d4`.
    pub fn triple_of(build_version: &str) -> Option<(u64, u64, u64)> {
        Number::parse(build_version).map(|number| number.triple)
    }
}

impl Number {
    fn parse(text: &str) -> Option<Self> {
        let (triple, pre_release) = match text.split_once('-') {
            Some((triple, rest)) => (triple, Some(rest)),
            None => (text, None),
        };
        let mut parts = triple.split('.').map(|part| match part.as_bytes() {
            [b'0'..=b'9', ..] => part.parse().ok(),
            _ => None,
        });
        let triple = (parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(Self { triple, released: pre_release.is_none() })
    }
}

impl PartialEq for ApiVersion {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for ApiVersion {}

impl PartialOrd for ApiVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ApiVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.number.cmp(&other.number)
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, patch) = self.number.triple;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(u64, u64, u64)>) {
        assert_eq!(ApiVersion::triple_of(text), expected, "{text}");
    }

    #[test]
    fn versions_are_three_numbers_and_perhaps_a_suffix() {
        check("1.5.8", Some((1, 5, 8)));
        check("1.5.8-0a1b2c3d4", Some((1, 5, 8)));
        check("1.5.10", Some((1, 5, 10)));
        check("1.5", None);
        check("1.5.8.1", None);
        check("1.5.x", None);
        check("1.+5.8", None);
        check("", None);
    }

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        let version = |text: &str| ApiVersion::new(text, text).expect("valid");
        assert!(version("1.5.10") > version("1.5.9"));
        assert!(version("2.0.0-rc1") < version("2.0.0"));
        assert!(version("1.6.0") < version("2.0.0-rc1"));
    }
}
