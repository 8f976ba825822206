//! Events that a script names by their kind, made from its seed, with fields changed.

use std::collections::BTreeMap;

use serde_json::Value;

use super::format::Kind;
use crate::{
    chain::{Chain, ChainConfig},
    event::{Event, Payload},
};

/// Templates come from another chain than generated blocks, so that no event comes twice.
const OTHER_CHAIN: u64 = 0x7465_6d70_6c61_7465;

/// A kind and the fields to change.
#[derive(Debug)]
pub(super) struct Template {
    kind: Kind,
    set: BTreeMap<String, Value>,
}

/// Makes the events: for each kind where it has got to in the chain.
pub(super) struct Templates {
    config: ChainConfig,
    next: BTreeMap<Kind, (Chain, std::vec::IntoIter<Payload>)>,
}

impl Templates {
    pub(super) fn new(config: &ChainConfig) -> Self {
        let config = ChainConfig {
            seed: config.seed ^ OTHER_CHAIN,
            // There must be some of each kind.
            deploys_per_block: config.deploys_per_block.max(1),
            fault_every: 1,
            ..config.clone()
        };
        Self { config, next: BTreeMap::new() }
    }

    fn payload(&mut self, kind: Kind) -> Payload {
        match kind {
            Kind::Shutdown => return Payload::Shutdown,
            Kind::ApiVersion => return Payload::ApiVersion(self.config.protocol_version.clone()),
            _ => {}
        }
        let (chain, pending) = self.next.entry(kind).or_insert_with(|| {
            // The first block is like no other: templates are of ordinary ones.
            (Chain::at(self.config.clone(), 1), Vec::new().into_iter())
        });
        loop {
            match pending.next() {
                Some(payload) if kind_of(&payload) == kind => return payload,
                Some(_) => {}
                None => *pending = chain.next_block().into_iter(),
            }
        }
    }

    /// Another event of the template. Its fields stand in a real node's order unless a changed one does not fit there.
    pub(super) fn make(&mut self, template: &Template) -> Result<Event, String> {
        let payload = self.payload(template.kind);
        if template.set.is_empty() {
            return Ok(payload.into());
        }
        let mut value = serde_json::to_value(&payload).map_err(|error| error.to_string())?;
        let tag = payload.kind();
        let inner = value.get_mut(tag).ok_or_else(|| format!("a {tag} has no fields to `set`"))?;
        for (path, change) in &template.set {
            set(inner, tag, path, change.clone())?;
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
    pub(super) fn new(kind: Kind, set: BTreeMap<String, toml::Value>) -> Self {
        let set = set.into_iter().map(|(path, value)| (path, json_of(value))).collect();
        Self { kind, set }
    }

    /// Tells what is wrong with the changes before the script is played.
    pub(super) fn try_out(&self, chain: &ChainConfig) -> Result<(), String> {
        if self.set.is_empty() {
            return Ok(());
        }
        Templates::new(chain).make(self).map(|_| ())
    }
}

fn kind_of(payload: &Payload) -> Kind {
    match payload {
        Payload::ApiVersion(_) => Kind::ApiVersion,
        Payload::BlockAdded(_) => Kind::BlockAdded,
        Payload::DeployAccepted(_) => Kind::DeployAccepted,
        Payload::DeployProcessed(_) => Kind::DeployProcessed,
        Payload::DeployExpired(_) => Kind::DeployExpired,
        Payload::Fault(_) => Kind::Fault,
        Payload::FinalitySignature(_) => Kind::FinalitySignature,
        Payload::Step(_) => Kind::Step,
        Payload::Shutdown => Kind::Shutdown,
    }
}

/// Changes the field at a dotted path. Only the last name may be new.
fn set(root: &mut Value, tag: &str, path: &str, change: Value) -> Result<(), String> {
    let (parents, last) = path.rsplit_once('.').map_or((None, path), |(parents, last)| (Some(parents), last));
    let mut place = root;
    let mut walked = tag.to_owned();
    for name in parents.into_iter().flat_map(|parents| parents.split('.')) {
        let known = names_in(place);
        place = child(place, name)
            .ok_or_else(|| format!("there is no `{name}` in `{walked}` to `set`: expected {known}"))?;
        walked = format!("{walked}.{name}");
    }
    let known = names_in(place);
    match place {
        Value::Object(fields) => {
            fields.insert(last.to_owned(), change);
        }
        Value::Array(_) => {
            *child(place, last)
                .ok_or_else(|| format!("there is no `{last}` in `{walked}` to `set`: expected {known}"))? =
                change;
        }
        other => return Err(format!("`{walked}` is {other}: it has no `{last}` to `set`")),
    }
    Ok(())
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
