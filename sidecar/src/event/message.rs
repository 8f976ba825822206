//! From the JSON of one message to what it is. The JSON is looked at once and nothing of it is copied.

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use serde::Deserialize;
use serde::de::{self, IgnoredAny, MapAccess, Visitor};

use super::{ApiVersion, Event, Filter, Identity, Key, Kind, Payload};

/// One message of a node's stream.
#[derive(Debug)]
pub enum Message {
    /// The version that the events after it keep to.
    ApiVersion(ApiVersion),
    /// Something that happened.
    Event(Event),
}

/// Why a message is no valid event.
#[derive(Debug, thiserror::Error)]
#[error("{reason}: {excerpt}")]
pub struct Malformed {
    reason: String,
    excerpt: String,
}

impl Malformed {
    /// Longest part of a message that is ever shown.
    const EXCERPT: usize = 120;

    /// A message that is wrong for this reason.
    pub fn new(reason: impl fmt::Display, data: &[u8]) -> Self {
        let head = String::from_utf8_lossy(&data[..data.len().min(Self::EXCERPT)]).into_owned();
        let excerpt = if data.len() > Self::EXCERPT {
            format!("{head:?}... ({} bytes)", data.len())
        } else {
            format!("{head:?}")
        };
        Self { reason: reason.to_string(), excerpt }
    }
}

impl Message {
    /// Looks once at the JSON that came on `filter`.
    ///
    /// # Errors
    /// [`Malformed`] if it is not valid JSON, neither an object nor the string `Shutdown`, or lacks a field that
    /// identifies an event of its kind. An object of an unknown kind is an event like any other.
    pub fn parse(payload: Payload, filter: Filter) -> Result<Self, Malformed> {
        let seen = serde_json::from_slice(payload.bytes())
            .map_err(|error| Malformed::new(error, payload.bytes()))?;
        let (kind, identity, keys, block_time) = match &seen {
            Seen::ApiVersion(text) => {
                return ApiVersion::new(payload.json(), text)
                    .map(Self::ApiVersion)
                    .ok_or_else(|| Malformed::new("not a version", payload.bytes()));
            }
            Seen::BlockAdded(block) => {
                let header = &block.block.header;
                let identity = Identity::of(Kind::BlockAdded, &[&block.block_hash]);
                (
                    Kind::BlockAdded,
                    identity,
                    vec![Key::block_height(header.height)],
                    milliseconds(&header.timestamp),
                )
            }
            Seen::DeployAccepted(deploy) => named(Kind::DeployAccepted, &deploy.hash),
            Seen::DeployProcessed(deploy) => named(Kind::DeployProcessed, &deploy.deploy_hash),
            Seen::DeployExpired(deploy) => named(Kind::DeployExpired, &deploy.deploy_hash),
            Seen::Fault(fault) => {
                // The time within it is when that node saw the fault: it does not name it.
                let identity = Identity::of(Kind::Fault, &[&fault.era_id.to_string(), &fault.public_key]);
                let keys = vec![Key::faulty_validator(&fault.public_key), Key::faulty_era(fault.era_id)];
                (Kind::Fault, identity, keys, None)
            }
            Seen::FinalitySignature(signature) => {
                let names = [&*signature.block_hash, &*signature.public_key];
                let identity = Identity::of(Kind::FinalitySignature, &names);
                (Kind::FinalitySignature, identity, vec![Key::signed_block(&signature.block_hash)], None)
            }
            Seen::Step(step) => named(Kind::Step, &step.era_id.to_string()),
            Seen::Shutdown => named(Kind::Shutdown, ""),
            Seen::Unknown => {
                let identity = Identity::of_content(Kind::Unknown, payload.bytes());
                (Kind::Unknown, identity, Vec::new(), None)
            }
        };
        drop(seen);
        let channel = kind.channel(filter);
        Ok(Self::Event(Event { kind, channel, identity, keys, block_time, payload }))
    }
}

type Classified = (Kind, Identity, Vec<Key>, Option<u64>);

fn named(kind: Kind, name: &str) -> Classified {
    (kind, Identity::of(kind, &[name]), Vec::new(), None)
}

/// The fields that identify an event or that a look-up needs, borrowed from its JSON.
///
/// Source of the shapes: recorded streams of casper-node 1.5.8. Other fields may come and go.
enum Seen<'a> {
    ApiVersion(Cow<'a, str>),
    BlockAdded(BlockAdded<'a>),
    DeployAccepted(DeployAccepted<'a>),
    DeployProcessed(DeployNamed<'a>),
    DeployExpired(DeployNamed<'a>),
    Fault(Fault<'a>),
    FinalitySignature(FinalitySignature<'a>),
    Step(Step),
    Shutdown,
    Unknown,
}

#[derive(Deserialize)]
struct BlockAdded<'a> {
    #[serde(borrow)]
    block_hash: Cow<'a, str>,
    #[serde(borrow)]
    block: Block<'a>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow)]
    header: Header<'a>,
}

#[derive(Deserialize)]
struct Header<'a> {
    height: u64,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
}

#[derive(Deserialize)]
struct DeployAccepted<'a> {
    #[serde(borrow)]
    hash: Cow<'a, str>,
}

#[derive(Deserialize)]
struct DeployNamed<'a> {
    #[serde(borrow)]
    deploy_hash: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Fault<'a> {
    era_id: u64,
    #[serde(borrow)]
    public_key: Cow<'a, str>,
}

#[derive(Deserialize)]
struct FinalitySignature<'a> {
    #[serde(borrow)]
    block_hash: Cow<'a, str>,
    #[serde(borrow)]
    public_key: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Step {
    era_id: u64,
}

impl<'de> Deserialize<'de> for Seen<'de> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SeenVisitor)
    }
}

struct SeenVisitor;

impl<'de> Visitor<'de> for SeenVisitor {
    type Value = Seen<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object whose key is the event's kind, or \"Shutdown\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        if text == Kind::Shutdown.name() {
            Ok(Seen::Shutdown)
        } else {
            Err(E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some(tag) = map.next_key::<Cow<'de, str>>()? else {
            return Err(de::Error::invalid_length(0, &self));
        };
        let seen = match &*tag {
            "ApiVersion" => Seen::ApiVersion(map.next_value()?),
            "BlockAdded" => Seen::BlockAdded(map.next_value()?),
            "DeployAccepted" => Seen::DeployAccepted(map.next_value()?),
            "DeployProcessed" => Seen::DeployProcessed(map.next_value()?),
            "DeployExpired" => Seen::DeployExpired(map.next_value()?),
            "Fault" => Seen::Fault(map.next_value()?),
            "FinalitySignature" => Seen::FinalitySignature(map.next_value()?),
            "Step" => Seen::Step(map.next_value()?),
            _ => {
                map.next_value::<IgnoredAny>()?;
                Seen::Unknown
            }
        };
        // An object with more keys than the one tag is nothing that any known node sends.
        let mut further = false;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            further = true;
        }
        Ok(if further { Seen::Unknown } else { seen })
    }
}

/// Milliseconds since the Unix epoch of a timestamp such as `2026-11-23T18:52:09.504Z`.
fn milliseconds(timestamp: &str) -> Option<u64> {
    let since = humantime::parse_rfc3339(timestamp).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    since.as_millis().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Message, Malformed> {
        Message::parse(Payload::new(json), Filter::Main)
    }

    #[track_caller]
    fn check_event(json: &str, kind: Kind, identity: Identity) {
        match parse(json) {
            Ok(Message::Event(event)) => {
                assert_eq!((event.kind, event.identity), (kind, identity), "{json}");
                assert_eq!(event.payload.json(), json);
            }
            other => panic!("{json}: {other:?}"),
        }
    }

    #[track_caller]
    fn check_malformed(json: &str, reason: &str) {
        match parse(json) {
            Err(error) => assert!(error.to_string().contains(reason), "{json}: {error}"),
            Ok(message) => panic!("{json}: {message:?}"),
        }
    }

    #[test]
    fn each_kind_is_identified_by_what_names_it() {
        let of = Identity::of;
        let block = r#"{"BlockAdded":{"block_hash":"ab","block":{"header":{"height":7,"timestamp":"2026-11-23T18:52:09.504Z","x":[1]}}}}"#;
        check_event(block, Kind::BlockAdded, of(Kind::BlockAdded, &["ab"]));
        check_event(
            r#"{"DeployAccepted":{"hash":"ab","header":{}}}"#,
            Kind::DeployAccepted,
            of(Kind::DeployAccepted, &["ab"]),
        );
        check_event(
            r#"{"DeployProcessed":{"deploy_hash":"ab"}}"#,
            Kind::DeployProcessed,
            of(Kind::DeployProcessed, &["ab"]),
        );
        check_event(
            r#"{"DeployExpired":{"deploy_hash":"ab"}}"#,
            Kind::DeployExpired,
            of(Kind::DeployExpired, &["ab"]),
        );
        check_event(
            r#"{"Fault":{"era_id":3,"public_key":"01","timestamp":"a"}}"#,
            Kind::Fault,
            of(Kind::Fault, &["3", "01"]),
        );
        let signature =
            r#"{"FinalitySignature":{"block_hash":"ab","era_id":1,"signature":"x","public_key":"01"}}"#;
        check_event(signature, Kind::FinalitySignature, of(Kind::FinalitySignature, &["ab", "01"]));
        check_event(r#"{"Step":{"era_id":9,"execution_effect":{}}}"#, Kind::Step, of(Kind::Step, &["9"]));
        check_event(r#""Shutdown""#, Kind::Shutdown, of(Kind::Shutdown, &[""]));
    }

    #[test]
    fn the_time_a_fault_was_seen_does_not_make_it_another() {
        let fault =
            |time: &str| format!(r#"{{"Fault":{{"era_id":3,"public_key":"01","timestamp":"{time}"}}}}"#);
        let identity = Identity::of(Kind::Fault, &["3", "01"]);
        check_event(&fault("2026-11-23T18:52:09.504Z"), Kind::Fault, identity);
        check_event(&fault("2026-11-23T18:52:10.504Z"), Kind::Fault, identity);
    }

    #[test]
    fn an_unknown_kind_is_an_event_identified_by_its_content() {
        for json in [
            r#"{"TransactionAccepted":{"x":1}}"#,
            r#"{"BlockAdded":{"block_hash":"a","block":{"header":{"height":1,"timestamp":""}}},"x":1}"#,
        ] {
            check_event(json, Kind::Unknown, Identity::of_content(Kind::Unknown, json.as_bytes()));
        }
    }

    #[test]
    fn what_is_no_event_is_told_with_its_reason() {
        check_malformed(r#"{"DeployExpired":{"deploy_hash":"ab""#, "EOF");
        check_malformed(r#"{"DeployExpired":{}}"#, "missing field `deploy_hash`");
        check_malformed(r#"{"ApiVersion":"one"}"#, "not a version");
        check_malformed(r#"{}"#, "invalid length 0");
        check_malformed(r#""Hello""#, "Shutdown");
        check_malformed("17", "invalid type");
        check_malformed("", "EOF");
        check_malformed(r#"{"Step":{"era_id":9}} trailing"#, "trailing");
    }

    #[test]
    fn an_excerpt_is_bounded() {
        let error = parse(&format!("[{}", "1,".repeat(1_000_000))).expect_err("not an object");
        assert!(error.to_string().len() < 400, "{error}");
    }

    #[test]
    fn the_version_keeps_its_bytes() {
        match parse(r#"{"ApiVersion": "1.5.8"}"#) {
            Ok(Message::ApiVersion(version)) => {
                assert_eq!(version.json(), r#"{"ApiVersion": "1.5.8"}"#);
                assert_eq!(version.to_string(), "1.5.8");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn timestamps_are_counted_from_the_epoch() {
        assert_eq!(milliseconds("1970-01-01T00:00:00.000Z"), Some(0));
        assert_eq!(milliseconds("2021-04-08T05:14:14.912Z"), Some(1_617_858_854_912));
        assert_eq!(milliseconds("2024-02-29T23:59:59.999Z"), Some(1_709_251_199_999));
        assert_eq!(milliseconds("2024-02-29T23:59:59Z"), Some(1_709_251_199_000));
        assert_eq!(milliseconds("yesterday"), None);
        assert_eq!(milliseconds("2024-13-45Tÿ9:59:59.999Z"), None);
    }
}
