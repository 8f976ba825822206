//! Events that a script names by their kind, made from its seed, with fields changed.

use std::collections::BTreeMap;

use serde_json::Value;

use super::format::Kind;
use crate::{
    chain::{ChainConfig, Samples},
    event::{Event, Payload},
};

/// Templates come from another chain than generated blocks, so that no event comes twice.
const OTHER_CHAIN: u64 = 0x7465_6d70_6c61_7465;

/// A kind and the fields to change.
#[derive(Debug)]
pub(super) struct Template {
    kind: Kind,
    changes: Vec<Change>,
}

#[derive(Debug)]
struct Change {
    path: String,
    value: Value,
    /// The field is not there yet.
    new: bool,
}

/// Makes the events.
pub(super) struct Templates {
    samples: Samples,
    protocol_version: String,
}

impl Templates {
    pub(super) fn new(config: &ChainConfig) -> Self {
        let samples = Samples::new(ChainConfig { seed: config.seed ^ OTHER_CHAIN, ..config.clone() });
        Self { samples, protocol_version: config.protocol_version.clone() }
    }

    fn payload(&mut self, kind: Kind) -> Payload {
        let samples = &mut self.samples;
        match kind {
            Kind::BlockAdded => Payload::BlockAdded(samples.block_added()),
            Kind::DeployAccepted => Payload::DeployAccepted(samples.deploy_accepted()),
            Kind::DeployProcessed => Payload::DeployProcessed(samples.deploy_processed()),
            Kind::DeployExpired => Payload::DeployExpired(samples.deploy_expired()),
            Kind::Fault => Payload::Fault(samples.fault()),
            Kind::FinalitySignature => Payload::FinalitySignature(samples.finality_signature()),
            Kind::Step => Payload::Step(samples.step()),
            Kind::Shutdown => Payload::Shutdown,
            Kind::ApiVersion => Payload::ApiVersion(self.protocol_version.clone()),
        }
    }

    /// Another event of the template. Its fields stand in a real node's order unless a changed one does not fit there.
    pub(super) fn make(&mut self, template: &Template) -> Result<Event, String> {
        let payload = self.payload(template.kind);
        if template.changes.is_empty() {
            return Ok(payload.into());
        }
        let mut value = serde_json::to_value(&payload).map_err(|error| error.to_string())?;
        let tag = payload.kind();
        let inner = value.get_mut(tag).ok_or_else(|| format!("a {tag} has no fields to `set`"))?;
        for change in &template.changes {
            set(inner, tag, change)?;
        }
        let text = value.to_string();
        let typed = serde_json::from_str::<Payload>(&text).ok();
        let typed = typed.filter(|typed| serde_json::to_value(typed).is_ok_and(|again| again == value));
        Ok(match typed {
            Some(typed) => typed.into(),
            None => Event::raw(payload.filter(), text),
        })
    }
}

impl Template {
    pub(super) fn new(
        kind: Kind,
        set: BTreeMap<String, toml::Value>,
        add: BTreeMap<String, toml::Value>,
    ) -> Self {
        let change = |new| move |(path, value)| Change { path, value: json_of(value), new };
        let changes = set.into_iter().map(change(false)).chain(add.into_iter().map(change(true)));
        Self { kind, changes: changes.collect() }
    }

    /// Tells what is wrong with the changes before the script is played.
    pub(super) fn try_out(&self, chain: &ChainConfig) -> Result<(), String> {
        if self.changes.is_empty() {
            return Ok(());
        }
        Templates::new(chain).make(self).map(|_| ())
    }
}

/// Changes the field at a dotted path, or adds it.
fn set(root: &mut Value, tag: &str, change: &Change) -> Result<(), String> {
    let path = change.path.as_str();
    let (parents, last) = path.rsplit_once('.').map_or((None, path), |(parents, last)| (Some(parents), last));
    let mut place = root;
    let mut walked = tag.to_owned();
    for name in parents.into_iter().flat_map(|parents| parents.split('.')) {
        let known = names_in(place);
        place = child(place, name)
            .ok_or_else(|| format!("there is no `{name}` in `{walked}`: expected {known}"))?;
        walked = format!("{walked}.{name}");
    }
    let known = names_in(place);
    let there = child(place, last).is_some();
    match place {
        Value::Object(fields) if there != change.new => {
            fields.insert(last.to_owned(), change.value.clone());
            Ok(())
        }
        Value::Array(items) if change.new && last.parse() == Ok(items.len()) => {
            items.push(change.value.clone());
            Ok(())
        }
        _ if there && change.new => Err(format!("there is a `{last}` in `{walked}` already: use `set`")),
        place => match child(place, last) {
            Some(item) => {
                *item = change.value.clone();
                Ok(())
            }
            None => {
                Err(format!("there is no `{last}` in `{walked}`: expected {known}, or `add` for a new field"))
            }
        },
    }
}

fn child<'a>(place: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    match place {
        Value::Object(fields) => fields.get_mut(name),
        Value::Array(items) => items.get_mut(name.parse::<usize>().ok()?),
        _ => None,
    }
}

fn names_in(place: &Value) -> String {
    match place {
        Value::Object(fields) => fields.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        Value::Array(items) => format!("a number below {}", items.len()),
        other => format!("nothing below {other}"),
    }
}

fn json_of(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(on) => Value::Bool(on),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => items.into_iter().map(json_of).collect(),
        toml::Value::Table(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name, json_of(value))).collect())
        }
    }
}
