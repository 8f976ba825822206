//! From the format as written to a script that can be played, or the line and the reason why not.

use std::path::{Path, PathBuf};

use toml::Spanned;

use super::{
    Action, Content, Emission, Id, NodePlan, Script, ScriptError, Step, Way,
    format::{ACTIONS, Dropped, Kind, NamedStatus, NodeSettings, RawScript, RawStep, Status, Times},
    template::Template,
};
use crate::{
    chain::ChainConfig,
    event::{Event, Filter},
    node::StatusBehaviour,
};

pub(super) fn script(path: &Path, text: &str) -> Result<Script, ScriptError> {
    let file = path.display().to_string();
    let line = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
    let raw: RawScript = toml::from_str(text).map_err(|error| ScriptError {
        file: file.clone(),
        line: error.span().map(|span| line(span.start)),
        message: error.message().to_owned(),
    })?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut nodes: Vec<NodePlan> = Vec::new();
    for settings in raw.nodes {
        let at = line(settings.span().start);
        let settings = settings.into_inner();
        if nodes.iter().any(|plan| plan.name == settings.name) {
            let message = format!("there are two nodes called `{}`", settings.name);
            return Err(ScriptError { file, line: Some(at), message });
        }
        nodes.push(NodePlan { name: settings.name.clone(), settings });
    }
    if nodes.is_empty() {
        let settings = NodeSettings { name: "node".to_owned(), ..NodeSettings::default() };
        nodes.push(NodePlan { name: "node".to_owned(), settings });
    }
    let default = ChainConfig::default();
    let chain = ChainConfig {
        seed: raw.seed,
        validators: raw.chain.validators.unwrap_or(default.validators),
        deploys_per_block: raw.chain.deploys_per_block.unwrap_or(default.deploys_per_block),
        era_length: raw.chain.era_length.unwrap_or(default.era_length),
        chain_name: raw.chain.name.unwrap_or(default.chain_name.clone()),
        protocol_version: raw.chain.protocol_version.unwrap_or(default.protocol_version.clone()),
        ..default
    };
    let steps = {
        let checker = Checker { folder, nodes: &nodes, chain: &chain, line: &line };
        checker.steps(raw.steps).map_err(|(line, message)| ScriptError { file, line: Some(line), message })?
    };
    Ok(Script { nodes, chain, steps })
}

struct Checker<'a> {
    folder: PathBuf,
    nodes: &'a [NodePlan],
    chain: &'a ChainConfig,
    line: &'a dyn Fn(usize) -> usize,
}

type Wrong = (usize, String);

impl Checker<'_> {
    fn steps(&self, steps: Vec<Spanned<RawStep>>) -> Result<Vec<Step>, Wrong> {
        steps
            .into_iter()
            .map(|step| {
                let line = (self.line)(step.span().start);
                self.step(line, step.into_inner())
            })
            .collect()
    }

    fn step(&self, line: usize, mut raw: RawStep) -> Result<Step, Wrong> {
        let wrong = |message: String| (line, message);
        let nodes = match raw.node.take() {
            None => (0..self.nodes.len()).collect(),
            Some(name) => match self.nodes.iter().position(|plan| plan.name == name) {
                Some(number) => vec![number],
                None => {
                    let names: Vec<_> = self.nodes.iter().map(|plan| plan.name.as_str()).collect();
                    return Err(wrong(format!(
                        "there is no node `{name}`: expected one of {}",
                        list(&names)
                    )));
                }
            },
        };
        let given = actions_in(&raw);
        match given.as_slice() {
            [_] | ["build_version", "api_version"] => {}
            [] => {
                return Err(wrong(format!("the step does nothing: expected one of {}", list(&ACTIONS))));
            }
            several => {
                return Err(wrong(format!(
                    "a step does one thing, this one has {}: make them steps of their own",
                    list(several)
                )));
            }
        }
        self.modifiers(&raw, given[0]).map_err(wrong)?;
        let action = self.action(line, raw)?;
        Ok(Step { line, nodes, action })
    }

    /// Keys that only make sense beside certain actions.
    fn modifiers(&self, raw: &RawStep, action: &str) -> Result<(), String> {
        const EVENTS: &[&str] = &["emit", "json", "text", "file"];
        const ON_A_FILTER: &[&str] = &["emit", "json", "text", "file", "write"];
        let table: [(&str, bool, &[&str]); 11] = [
            ("set", raw.set.is_some(), &["emit"]),
            ("add", raw.add.is_some(), &["emit"]),
            ("filter", raw.filter.is_some(), ON_A_FILTER),
            ("size", raw.size.is_some(), EVENTS),
            ("id", raw.id.is_some(), EVENTS),
            ("no_id", raw.no_id.is_some(), EVENTS),
            ("cut_after", raw.cut_after.is_some(), EVENTS),
            ("slow", raw.slow.is_some(), EVENTS),
            ("spelling", raw.spelling.is_some(), EVENTS),
            ("back_after", raw.back_after.is_some(), &["shutdown", "crash"]),
            ("steps", raw.steps.is_some(), &["repeat"]),
        ];
        for (key, given, allowed) in table {
            if given && !allowed.contains(&action) {
                return Err(format!("`{key}` does not go with `{action}`: it goes with {}", list(allowed)));
            }
        }
        let ways = [raw.cut_after.is_some(), raw.slow.is_some(), raw.spelling.is_some()];
        let odd_id = raw.id.is_some() || raw.no_id == Some(true);
        if ways.iter().filter(|way| **way).count() + usize::from(odd_id) > 1 {
            return Err(
                "only one of `id`, `no_id`, `cut_after`, `slow` and `spelling` goes with an event".into()
            );
        }
        Ok(())
    }

    fn action(&self, line: usize, mut raw: RawStep) -> Result<Action, Wrong> {
        if let Some(content) = self.content(&mut raw).map_err(|message| (line, message))? {
            return Ok(Action::Emit(emission(content, &raw)));
        }
        let back_after = raw.back_after;
        Ok(if let Some(bytes) = raw.write {
            Action::Write { filter: raw.filter.unwrap_or(Filter::Main), bytes }
        } else if let Some(blocks) = raw.generate {
            Action::Generate { blocks }
        } else if let Some(time) = raw.wait {
            Action::Wait(time)
        } else if let Some(count) = raw.wait_subscribers {
            Action::WaitSubscribers(count)
        } else if let Some(name) = raw.wait_control {
            Action::WaitControl(name)
        } else if raw.build_version.is_some() || raw.api_version.is_some() {
            Action::Versions { build: raw.build_version, api: raw.api_version }
        } else if raw.shutdown.is_some() {
            Action::Shutdown { back_after }
        } else if raw.crash.is_some() {
            Action::Crash { back_after }
        } else if raw.restart.is_some() {
            Action::Restart
        } else if let Some(on) = raw.refuse {
            Action::Refuse(on)
        } else if let Some(on) = raw.silent {
            Action::Silent(on)
        } else if let Some(on) = raw.pause {
            Action::Pause(on)
        } else if let Some(on) = raw.keep_alives {
            Action::KeepAlives(on)
        } else if let Some(status) = raw.status {
            Action::Status(behaviour(status).map_err(|message| (line, message))?)
        } else if let Some(dropped) = raw.drop {
            Action::Drop(match dropped {
                Dropped::All => None,
                Dropped::Main => Some(Filter::Main),
                Dropped::Deploys => Some(Filter::Deploys),
                Dropped::Sigs => Some(Filter::Sigs),
            })
        } else if let Some(filter) = raw.close_filter {
            Action::CloseFilter(filter, true)
        } else if let Some(filter) = raw.open_filter {
            Action::CloseFilter(filter, false)
        } else if let Some(count) = raw.skip_ids {
            Action::SkipIds(count)
        } else if let Some(id) = raw.set_id {
            Action::SetId(id)
        } else if let Some(text) = raw.say {
            Action::Say(text)
        } else {
            let Some(steps) = raw.steps else {
                return Err((line, "`repeat` needs `steps = [ .. ]`: what is to be repeated".to_owned()));
            };
            let times = match raw.repeat {
                Some(Times::Number(times)) => Some(times),
                Some(Times::Named(_)) | None => None,
            };
            Action::Repeat { times, steps: self.steps(steps)? }
        })
    }

    fn content(&self, raw: &mut RawStep) -> Result<Option<Content>, String> {
        let json = |text: String, from: &str| {
            Event::json(text).map_err(|error| {
                format!("{from} is no JSON ({error}): use `text` to send malformed JSON on purpose")
            })
        };
        let event = if let Some(kind) = raw.emit {
            let template =
                Template::new(kind, raw.set.take().unwrap_or_default(), raw.add.take().unwrap_or_default());
            template.try_out(self.chain)?;
            return Ok(Some(Content::Template(template)));
        } else if let Some(text) = raw.json.take() {
            json(text, "the text of `json`")?
        } else if let Some(text) = raw.text.take() {
            Event::raw(raw.filter.unwrap_or(Filter::Main), text)
        } else if let Some(name) = raw.file.take() {
            let path = self.folder.join(&name);
            let text = std::fs::read_to_string(&path)
                .map_err(|error| format!("the file {} cannot be read: {error}", path.display()))?;
            json(text.trim_end().to_owned(), &format!("the content of {}", path.display()))?
        } else {
            return Ok(None);
        };
        if event.data().contains(&b'\n') || event.data().contains(&b'\r') {
            return Err("`data` is one line, this has several: write it on one line, or use `write`".into());
        }
        Ok(Some(Content::Fixed(event)))
    }
}

fn emission(content: Content, raw: &RawStep) -> Emission {
    let id = match (raw.id, raw.no_id) {
        (Some(id), _) => Id::Given(id),
        (None, Some(true)) => Id::None,
        // A real node sends its version without an id.
        (None, None) if raw.emit == Some(Kind::ApiVersion) => Id::None,
        (None, _) => Id::Next,
    };
    let way = if let Some(bytes) = raw.cut_after {
        Way::Cut(bytes)
    } else if let Some(slow) = raw.slow {
        Way::Slow(slow.bytes, slow.every)
    } else if let Some(spelling) = raw.spelling {
        Way::Spelled(spelling)
    } else {
        Way::Whole
    };
    Emission { content, filter: raw.filter, size: raw.size, id, way }
}

fn behaviour(status: Status) -> Result<StatusBehaviour, String> {
    match status {
        Status::Named(NamedStatus::Normal) => Ok(StatusBehaviour::Normal),
        Status::Named(NamedStatus::Garbage) => Ok(StatusBehaviour::Garbage),
        Status::Named(NamedStatus::Silent) => Ok(StatusBehaviour::Silent),
        Status::Error(code @ 400..=599) => Ok(StatusBehaviour::Error(code)),
        Status::Error(code) => Err(format!("{code} is no HTTP error: expected 400 to 599")),
    }
}

/// Which actions a step has, in the order of [`ACTIONS`].
fn actions_in(raw: &RawStep) -> Vec<&'static str> {
    let given = [
        raw.emit.is_some(),
        raw.json.is_some(),
        raw.text.is_some(),
        raw.file.is_some(),
        raw.write.is_some(),
        raw.generate.is_some(),
        raw.wait.is_some(),
        raw.wait_subscribers.is_some(),
        raw.wait_control.is_some(),
        raw.build_version.is_some(),
        raw.api_version.is_some(),
        raw.shutdown.is_some(),
        raw.crash.is_some(),
        raw.restart.is_some(),
        raw.refuse.is_some(),
        raw.silent.is_some(),
        raw.pause.is_some(),
        raw.keep_alives.is_some(),
        raw.status.is_some(),
        raw.drop.is_some(),
        raw.close_filter.is_some(),
        raw.open_filter.is_some(),
        raw.skip_ids.is_some(),
        raw.set_id.is_some(),
        raw.say.is_some(),
        raw.repeat.is_some(),
    ];
    ACTIONS.iter().zip(given).filter(|(_, given)| *given).map(|(name, _)| *name).collect()
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
