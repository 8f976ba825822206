//! One section of a file while it is read: its fields are asked for by name, and what was not asked for is unknown.

use std::path::Path;
use std::sync::LazyLock;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::field::Kind;
use super::problem::{ConfigWarning, Place, Problem};

/// Everything that was found wrong so far, and the text it was found in.
pub(super) struct Findings<'t> {
    file: &'t Path,
    text: &'t str,
    pub(super) errors: Vec<Problem>,
    pub(super) warnings: Vec<ConfigWarning>,
}

impl<'t> Findings<'t> {
    pub(super) fn new(file: &'t Path, text: &'t str) -> Self {
        Self { file, text, errors: Vec::new(), warnings: Vec::new() }
    }

    /// The place of the byte at `offset`.
    pub(super) fn place(&self, offset: usize) -> Place {
        Place::at(self.file, self.text, offset)
    }

    /// The file as a whole.
    pub(super) fn file(&self) -> Place {
        Place::File(self.file.to_owned())
    }

    pub(super) fn error(&mut self, place: Place, message: impl Into<String>) {
        self.errors.push(Problem { place, message: message.into() });
    }

    pub(super) fn warning(&mut self, place: Place, message: impl Into<String>) {
        self.warnings.push(ConfigWarning(Problem { place, message: message.into() }));
    }
}

/// A section, whose known fields are exactly those that were asked for before [`Section::finish`].
pub(super) struct Section<'f, 't> {
    /// As it is shown, brackets included; empty for the top level.
    title: String,
    table: &'t DeTable<'t>,
    place: Place,
    known: Vec<&'static str>,
    pub(super) findings: &'f mut Findings<'t>,
}

impl<'f, 't> Section<'f, 't> {
    /// The top level of a file.
    pub(super) fn root(table: &'t DeTable<'t>, findings: &'f mut Findings<'t>) -> Self {
        let place = findings.file();
        Self { title: String::new(), table, place, known: Vec::new(), findings }
    }

    /// A section that the file does not have, all of whose fields are absent.
    pub(super) fn absent<'s>(&'s mut self, title: &str) -> Section<'s, 't> {
        static EMPTY: LazyLock<DeTable<'static>> = LazyLock::new(DeTable::new);
        let place = self.findings.file();
        Section { title: title.to_owned(), table: &EMPTY, place, known: Vec::new(), findings: self.findings }
    }

    /// The section `name` within this one, shown as `title`. `None` if it is absent, or if an error was noted.
    pub(super) fn section<'s>(&'s mut self, name: &'static str, title: &str) -> Option<Section<'s, 't>> {
        let value = self.value(name)?;
        self.open(title, value)
    }

    /// The repeated section `[[name]]`: a value for [`Section::open`] for each. `None` as above.
    pub(super) fn repeated(&mut self, name: &'static str) -> Option<&'t [Spanned<DeValue<'t>>]> {
        let value = self.value(name)?;
        let message = match value.get_ref() {
            DeValue::Array(items) => return Some(items),
            DeValue::Table(_) => format!("[{name}]: expected [[{name}]], with two brackets on either side"),
            other => format!("{name}: expected sections [[{name}]], found {}", found(other)),
        };
        self.findings.error(self.findings.place(value.span().start), message);
        None
    }

    /// A value as a section that is shown as `title`. `None` if an error was noted.
    pub(super) fn open<'s>(
        &'s mut self,
        title: &str,
        value: &'t Spanned<DeValue<'t>>,
    ) -> Option<Section<'s, 't>> {
        let place = self.findings.place(value.span().start);
        let DeValue::Table(table) = value.get_ref() else {
            let message = format!("{title}: expected a section, found {}", found(value.get_ref()));
            self.findings.error(place, message);
            return None;
        };
        Some(Section { title: title.to_owned(), table, place, known: Vec::new(), findings: self.findings })
    }

    /// A field that must be there; `example` is a value it could have, as TOML.
    ///
    /// `None` if an error was noted.
    pub(super) fn required<K: Kind>(
        &mut self,
        name: &'static str,
        kind: K,
        example: &str,
    ) -> Option<K::Value> {
        if self.has(name) {
            return self.read(name, &kind);
        }
        let message = format!(
            "{} is missing: expected {}; add `{name} = {example}`",
            self.subject(name),
            kind.expected()
        );
        self.findings.error(self.place.clone(), message);
        None
    }

    /// A field that need not be there. `None` if an error was noted.
    pub(super) fn optional<K: Kind>(
        &mut self,
        name: &'static str,
        kind: K,
        default: K::Value,
    ) -> Option<K::Value> {
        if self.has(name) { self.read(name, &kind) } else { Some(default) }
    }

    /// Whether the field or section is there. Either way it is known from now on.
    pub(super) fn has(&mut self, name: &'static str) -> bool {
        self.known.push(name);
        self.table.contains_key(name)
    }

    /// Reads a field. `None` if it is absent, or if an error was noted.
    pub(super) fn read<K: Kind>(&mut self, name: &'static str, kind: &K) -> Option<K::Value> {
        let value = self.value(name)?;
        let read = kind.read_toml(value.get_ref());
        if read.is_none() {
            let message = format!("{}: {}", self.subject(name), refusal(kind, value.get_ref()));
            self.findings.error(self.findings.place(value.span().start), message);
        }
        read
    }

    /// The field as it is called in a message.
    pub(super) fn subject(&self, name: &str) -> String {
        if self.title.is_empty() { name.to_owned() } else { format!("{name} in {}", self.title) }
    }

    /// Where the section begins.
    pub(super) fn place(&self) -> Place {
        self.place.clone()
    }

    /// Where the value of a field is, the section's own place if it is absent.
    pub(super) fn place_of(&self, name: &str) -> Place {
        self.table.get(name).map_or_else(|| self.place(), |value| self.findings.place(value.span().start))
    }

    /// A field of a section within this one, and where it is, if there is a right value; notes nothing.
    pub(super) fn peek<K: Kind>(&self, section: &str, name: &str, kind: &K) -> Option<(K::Value, Place)> {
        let value = self.table.get(section)?.get_ref().get(name)?;
        Some((kind.read_toml(value.get_ref())?, self.findings.place(value.span().start)))
    }

    /// Whether the file has something under this path, seen from this section.
    pub(super) fn has_path(&self, path: &[&str]) -> bool {
        let Some((first, rest)) = path.split_first() else { return false };
        let mut value = self.table.get(*first).map(Spanned::get_ref);
        for name in rest {
            value = value.and_then(|value| value.get(*name)).map(Spanned::get_ref);
        }
        value.is_some()
    }

    /// Warns of everything that was not asked for.
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let sort = match self.table[name].get_ref() {
                DeValue::Table(_) => "section",
                DeValue::Array(items)
                    if !items.is_empty() && items.iter().all(|item| item.get_ref().is_table()) =>
                {
                    "section"
                }
                _ => "field",
            };
            let advice = advice(name, &self.known);
            let message = format!("unknown {sort} {}: {advice}", self.subject(&shortened(name)));
            self.findings.warning(self.findings.place(key.span().start), message);
        }
    }

    /// The value of a field, which from now on is known.
    fn value(&mut self, name: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.known.push(name);
        self.table.get(name)
    }
}

/// Why `value` was refused.
pub(super) fn refusal<K: Kind>(kind: &K, value: &DeValue<'_>) -> String {
    if let Some(complaint) = kind.complaint(value) {
        return complaint.to_owned();
    }
    let found = if kind.is_secret() { "something else".to_owned() } else { found(value) };
    let hint = kind.hint(value).map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("expected {}, found {found}{hint}", kind.expected())
}

/// A value as it is shown.
fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {:?}", shortened(text)),
        DeValue::Integer(number) => shortened(&number.to_string()),
        DeValue::Float(number) => shortened(&number.to_string()),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(date) => format!("the date {date}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a section".to_owned(),
    }
}

/// Text of a file in a message: not without end, and nothing in it that a terminal would obey.
fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    let mut shown: String =
        text.chars().take(MOST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push_str("...");
    }
    shown
}

/// Names that other releases of the sidecar have for something of ours, or have and we have not.
const ELSEWHERE: [(&str, &str); 11] = [
    ("max_retries", "it is called max_attempts"),
    ("delay_between_retries_secs", "it is called delay_between_retries_in_seconds"),
    ("enable_event_logging", "it is called enable_logging"),
    ("storage_folder", "it is called storage_path"),
    ("connection", "it is called [[connections]], one section for each node"),
    ("rest_api_server", "it is called [rest_server]"),
    ("admin_api_server", "it is called [admin_server]"),
    (
        "sse_server",
        "it belongs to a 2.x sidecar; what is in it is called [[connections]] and [event_stream_server] here",
    ),
    ("rpc_server", "it belongs to a 2.x sidecar; the JSON-RPC of a node is not served here"),
    ("network_name", "it belongs to a 2.x sidecar; the network is learnt from the nodes here"),
    ("force_reconnect_in_hours", "it belongs to an early sidecar and has no effect"),
];

/// What to do about an unknown name.
fn advice(name: &str, known: &[&'static str]) -> String {
    /// Below this two names have nothing to do with one another.
    const NEAR: f64 = 0.8;
    if let Some((_, advice)) = ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == name) {
        return (*advice).to_owned();
    }
    let nearest = known
        .iter()
        .map(|known| (strsim::jaro_winkler(&name.to_lowercase(), known), known))
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .filter(|(likeness, _)| *likeness >= NEAR);
    match nearest {
        Some((_, known)) => format!("did you mean {known}?"),
        None => "it has no effect".to_owned(),
    }
}
