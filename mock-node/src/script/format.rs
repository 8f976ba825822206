//! The script format as it is written. The doc comments below are the reference: they become the JSON Schema's
//! descriptions.

use std::{collections::BTreeMap, time::Duration};

use schemars::{JsonSchema, Schema, generate::SchemaSettings, json_schema};
use serde::Deserialize;
use toml::Spanned;

use crate::{
    event::Filter,
    node::{Builder, Laggards, Spelling},
};

/// A script for mock-node: nodes, and the steps that they go through.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawScript {
    /// Where templates and generated blocks come from: same seed, same events. 1 if absent.
    #[serde(default = "one")]
    pub(super) seed: u64,
    /// What generated blocks and templates are like.
    #[serde(default)]
    pub(super) chain: ChainSettings,
    /// The nodes; a single one called `node` if absent.
    #[serde(default)]
    #[schemars(with = "Vec<NodeSettings>")]
    pub(super) nodes: Vec<Spanned<NodeSettings>>,
    /// What happens, in order.
    #[schemars(with = "Vec<RawStep>")]
    pub(super) steps: Vec<Spanned<RawStep>>,
}

fn one() -> u64 {
    1
}

/// What generated blocks and templates are like.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChainSettings {
    /// Validators that sign each block.
    pub(super) validators: Option<usize>,
    /// Deploys accepted per block.
    pub(super) deploys_per_block: Option<u32>,
    /// Blocks per era.
    pub(super) era_length: Option<u64>,
    /// Name of the chain.
    pub(super) name: Option<String>,
    /// Protocol version in each block's header.
    pub(super) protocol_version: Option<String>,
}

/// One node.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeSettings {
    /// What steps call it.
    pub(super) name: String,
    /// Port of the event stream; any free one if absent.
    pub(super) sse_port: Option<u16>,
    /// Port of `/status`; any free one if absent.
    pub(super) rest_port: Option<u16>,
    /// `build_version` of `/status`; 1.5.8 if absent.
    pub(super) build_version: Option<String>,
    /// Protocol version, in `ApiVersion` and `/status`; 1.5.8 if absent.
    pub(super) api_version: Option<String>,
    /// Events kept for `start_from`; 5000 if absent.
    pub(super) ring: Option<usize>,
    /// Seats over all filters; 100 if absent.
    pub(super) max_subscribers: Option<usize>,
    /// Silence before a keep-alive; `15s` if absent.
    #[serde(default, deserialize_with = "duration")]
    #[schemars(schema_with = "duration_schema")]
    pub(super) keep_alive: Option<Duration>,
    /// The first id; 0 if absent.
    pub(super) first_id: Option<u32>,
    /// What happens to subscribers that do not keep up; `cut` if absent.
    pub(super) laggards: Option<Laggards>,
}

impl NodeSettings {
    pub(super) fn apply(&self, mut builder: Builder) -> Builder {
        let settings = self.clone();
        macro_rules! set {
            ($($field:ident),*) => {$(
                if let Some(value) = settings.$field {
                    builder = builder.$field(value);
                }
            )*};
        }
        set!(sse_port, rest_port, build_version, api_version, ring, max_subscribers);
        set!(keep_alive, first_id, laggards);
        builder
    }
}

/// One step: exactly one of the actions, and what goes with it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = exactly_one_action)]
pub(super) struct RawStep {
    /// Which node does it; all of them if absent.
    pub(super) node: Option<String>,

    /// Action: emit an event of this kind, made from the seed, another one each time.
    pub(super) emit: Option<Kind>,
    /// Action: emit this JSON.
    pub(super) json: Option<String>,
    /// Action: emit this text as `data`, whatever it is: malformed JSON, for instance.
    pub(super) text: Option<String>,
    /// Action: emit the content of this file, named relative to the script.
    pub(super) file: Option<String>,
    /// With `emit`: fields to change, by their path below the kind, such as `"block.header.height" = 7`.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    pub(super) set: Option<BTreeMap<String, toml::Value>>,
    /// With `emit`: fields to add, by their path below the kind: what a later version might bring.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    pub(super) add: Option<BTreeMap<String, toml::Value>>,
    /// With an event or `write`: on which filter. An event goes to that of its kind if absent, an unknown kind to `main`.
    pub(super) filter: Option<Filter>,
    /// With an event: blanks are added to its JSON up to this size in bytes.
    pub(super) size: Option<usize>,
    /// With an event: this id instead of the next one; the counter does not move.
    pub(super) id: Option<u32>,
    /// With an event: no id.
    pub(super) no_id: Option<bool>,
    /// With an event: only so many bytes of it are sent, then the connections break off.
    pub(super) cut_after: Option<usize>,
    /// With an event: it is sent in pieces.
    pub(super) slow: Option<Slow>,
    /// With an event: another legal way to write it.
    pub(super) spelling: Option<Spelling>,

    /// Action: write these bytes to the subscribers of `filter` as they are.
    pub(super) write: Option<String>,
    /// Action: emit all events of so many blocks of the chain.
    pub(super) generate: Option<u64>,
    /// Action: let time pass, such as `1500ms`, `2s` or `1m`.
    #[serde(default, deserialize_with = "duration")]
    #[schemars(schema_with = "duration_schema")]
    pub(super) wait: Option<Duration>,
    /// Action: wait until so many subscribers are connected (to each node that the step is for).
    pub(super) wait_subscribers: Option<usize>,
    /// Action: wait for the control call `POST /script/continue` with this name.
    pub(super) wait_control: Option<String>,
    /// Action: what `build_version` of `/status` says from now on.
    pub(super) build_version: Option<String>,
    /// Action (together with `build_version`, if both change): what `ApiVersion` says to those who connect from now on.
    pub(super) api_version: Option<String>,
    /// Action: stop in order, with `Shutdown` on all filters; refuse connections until `restart`.
    pub(super) shutdown: Option<True>,
    /// Action: die without a word; ids fall back, connections are refused until `restart`.
    pub(super) crash: Option<True>,
    /// With `shutdown` or `crash`: wait so long, then start again.
    #[serde(default, deserialize_with = "duration")]
    #[schemars(schema_with = "duration_schema")]
    pub(super) back_after: Option<Duration>,
    /// Action: start again after `shutdown` or `crash`.
    pub(super) restart: Option<True>,
    /// Action: refuse new connections, or take them again.
    pub(super) refuse: Option<bool>,
    /// Action: accept connections and never answer, or answer again.
    pub(super) silent: Option<bool>,
    /// Action: hang (connections stay, nothing is sent), or go on.
    pub(super) pause: Option<bool>,
    /// Action: send keep-alives, or stop doing so.
    pub(super) keep_alives: Option<bool>,
    /// Action: answer `/status` with this from now on: `normal`, `garbage`, `silent`, or an HTTP status.
    pub(super) status: Option<Status>,
    /// Action: break the connections of a filter off, or of `all`. They may come back.
    pub(super) drop: Option<Dropped>,
    /// Action: break the connections of a filter off and let none come back.
    pub(super) close_filter: Option<Filter>,
    /// Action: end `close_filter`.
    pub(super) open_filter: Option<Filter>,
    /// Action: leave so many ids out.
    pub(super) skip_ids: Option<u32>,
    /// Action: the next event gets this id.
    pub(super) set_id: Option<u32>,
    /// Action: print a line.
    pub(super) say: Option<String>,
    /// Action: do `steps` so many times, or `forever`.
    pub(super) repeat: Option<Times>,
    /// With `repeat`: what is repeated.
    #[schemars(with = "Option<Vec<RawStep>>")]
    pub(super) steps: Option<Vec<Spanned<RawStep>>>,
}

/// The actions: a step has exactly one of these.
pub(super) const ACTIONS: [&str; 26] = [
    "emit",
    "json",
    "text",
    "file",
    "write",
    "generate",
    "wait",
    "wait_subscribers",
    "wait_control",
    "build_version",
    "api_version",
    "shutdown",
    "crash",
    "restart",
    "refuse",
    "silent",
    "pause",
    "keep_alives",
    "status",
    "drop",
    "close_filter",
    "open_filter",
    "skip_ids",
    "set_id",
    "say",
    "repeat",
];

fn exactly_one_action(schema: &mut Schema) {
    let required = |action: &str| match action {
        // The two versions may change in one step.
        "build_version" => serde_json::json!({ "anyOf": [
            { "required": ["build_version"] },
            { "required": ["api_version"] },
        ] }),
        action => serde_json::json!({ "required": [action] }),
    };
    let actions = ACTIONS.iter().filter(|action| **action != "api_version");
    schema.insert("oneOf".to_owned(), actions.map(|action| required(action)).collect());
}

/// The event kinds of a 1.x node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
pub(super) enum Kind {
    BlockAdded,
    DeployAccepted,
    DeployProcessed,
    DeployExpired,
    Fault,
    FinalitySignature,
    Step,
    Shutdown,
    ApiVersion,
}

/// Pieces of an event.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Slow {
    /// Bytes per piece.
    pub(super) bytes: usize,
    /// Pause after each piece.
    #[serde(deserialize_with = "needed_duration")]
    #[schemars(schema_with = "duration_schema")]
    pub(super) every: Duration,
}

/// Only `true` makes sense here.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "bool")]
pub(super) struct True;

impl TryFrom<bool> for True {
    type Error = &'static str;

    fn try_from(value: bool) -> Result<Self, Self::Error> {
        if value { Ok(Self) } else { Err("only `true` is allowed here") }
    }
}

impl JsonSchema for True {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "True".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_generator: &mut schemars::SchemaGenerator) -> Schema {
        json_schema!({ "const": true })
    }
}

/// How `/status` is answered.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected `normal`, `garbage`, `silent` or an HTTP status such as 503")]
pub(super) enum Status {
    Named(NamedStatus),
    Error(u16),
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum NamedStatus {
    Normal,
    Garbage,
    Silent,
}

/// Whose connections.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Dropped {
    All,
    Main,
    Deploys,
    Sigs,
}

/// How often.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number of times or `forever`")]
pub(super) enum Times {
    Number(u64),
    Named(Forever),
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Forever {
    Forever,
}

fn duration_schema(_generator: &mut schemars::SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "description": "A duration such as `1500ms`, `2s`, `1m 30s` or `1h`.",
        "pattern": r"^\s*[0-9]+\s*[a-zA-Z]+(\s*[0-9]+\s*[a-zA-Z]+)*\s*$",
    })
}

fn needed_duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|error| {
        serde::de::Error::custom(format!(
            "`{text}` is no duration ({error}): expected such as `1500ms`, `2s`, `1m`"
        ))
    })
}

fn duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    needed_duration(deserializer).map(Some)
}

/// The JSON Schema of the format, as committed beside the scripts.
pub fn schema() -> String {
    let generator = SchemaSettings::draft07().into_generator();
    let schema = generator.into_root_schema_for::<RawScript>();
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
    text.push('\n');
    text
}
