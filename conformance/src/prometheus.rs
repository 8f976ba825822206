//! The strict reader of the Prometheus text format, version 0.0.4.
//!
//! Strict means: every family has `# HELP` and `# TYPE`, in that order, once, before its samples; its samples stand
//! together; names and labels are well-formed; no series twice; counters do not fall below zero; a histogram has its
//! `+Inf` bucket, its buckets rise, `_count` equals `+Inf`, and `_sum` is there.

use std::collections::{BTreeMap, BTreeSet};

/// One family of metrics.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) kind: String,
    pub(crate) samples: Vec<Sample>,
}

/// One line with a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    /// In the order of the line.
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
}

impl Sample {
    /// The value of a label.
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    fn series(&self) -> String {
        let mut labels = self.labels.clone();
        labels.sort();
        format!("{}{labels:?}", self.name)
    }

    fn without(&self, name: &str) -> Vec<(String, String)> {
        self.labels.iter().filter(|(other, _)| other != name).cloned().collect()
    }
}

/// All families of an exposition, by name.
///
/// # Errors
///
/// Names the line, its number and the rule that it breaks.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, Family>, String> {
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("the last line does not end with a line feed".to_owned());
    }
    let mut families: Vec<Family> = Vec::new();
    let mut names = BTreeSet::new();
    let mut series = BTreeSet::new();
    for (index, line) in text.split_terminator('\n').enumerate() {
        let at = |rule: &str| format!("line {}: {rule}: {line}", index + 1);
        if line.contains('\r') {
            return Err(at("a carriage return"));
        } else if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').ok_or_else(|| at("HELP without a text"))?;
            if !is_name(name, true) || !names.insert(name.to_owned()) {
                return Err(at("bad or second name of a family"));
            }
            families.push(Family { name: name.to_owned(), help: unescape(help), ..Family::default() });
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').ok_or_else(|| at("TYPE without a type"))?;
            let family = families.last_mut().filter(|family| family.name == name && family.kind.is_empty());
            let family = family.ok_or_else(|| at("TYPE does not follow the HELP of its family"))?;
            if !["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind) {
                return Err(at("unknown type"));
            }
            family.kind = kind.to_owned();
        } else if line.is_empty() || line.starts_with('#') {
            return Err(at("neither HELP, TYPE nor a sample"));
        } else {
            let sample = sample(line).ok_or_else(|| at("not a sample"))?;
            if !series.insert(sample.series()) {
                return Err(at("the same series twice"));
            }
            let family = families.last_mut().filter(|family| belongs(&sample.name, family));
            family.ok_or_else(|| at("a sample apart from its family"))?.samples.push(sample);
        }
    }
    families.iter().try_for_each(consistent)?;
    Ok(families.into_iter().map(|family| (family.name.clone(), family)).collect())
}

fn belongs(sample: &str, family: &Family) -> bool {
    let Some(suffix) = sample.strip_prefix(family.name.as_str()) else { return false };
    match family.kind.as_str() {
        "" => false,
        "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix),
        "summary" => ["", "_sum", "_count"].contains(&suffix),
        _ => suffix.is_empty(),
    }
}

fn consistent(family: &Family) -> Result<(), String> {
    let name = &family.name;
    if family.kind.is_empty() {
        return Err(format!("{name} has no TYPE"));
    }
    if family.kind == "counter"
        && family.samples.iter().any(|sample| sample.value.is_nan() || sample.value < 0.0)
    {
        return Err(format!("{name} is a counter below zero"));
    }
    if family.kind == "histogram" {
        let mut groups: BTreeMap<Vec<(String, String)>, Vec<&Sample>> = BTreeMap::new();
        for sample in &family.samples {
            groups.entry(sample.without("le")).or_default().push(sample);
        }
        for (labels, samples) in groups {
            histogram(name, &samples).map_err(|rule| format!("{name}{labels:?}: {rule}"))?;
        }
    }
    Ok(())
}

fn histogram(name: &str, samples: &[&Sample]) -> Result<(), &'static str> {
    let of = |suffix: &str| {
        samples.iter().filter(|sample| sample.name == format!("{name}{suffix}")).collect::<Vec<_>>()
    };
    let (mut bound, mut count) = (f64::NEG_INFINITY, 0.0);
    for bucket in of("_bucket") {
        let le = bucket.label("le").and_then(number).ok_or("a bucket without a bound")?;
        if le <= bound {
            return Err("the bounds of the buckets do not rise");
        }
        if bucket.value < count {
            return Err("the buckets are not cumulative");
        }
        (bound, count) = (le, bucket.value);
    }
    if bound != f64::INFINITY {
        return Err("no +Inf bucket at the end");
    }
    match (of("_count").as_slice(), of("_sum").as_slice()) {
        ([total], [_]) if total.value == count => Ok(()),
        ([_], [_]) => Err("_count differs from the +Inf bucket"),
        _ => Err("no _count or no _sum"),
    }
}

fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let name = &line[..end];
    if !is_name(name, true) {
        return None;
    }
    let (labels, value) = match line[end..].strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), &line[end..]),
    };
    // A time of measurement may follow the value by the format; a server that answers for now has none to give.
    let value = number(value.strip_prefix(' ')?)?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// Reads `name="value",..}` and gives what follows.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels: Vec<(String, String)> = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        if !is_name(name, false) || labels.iter().any(|(other, _)| other == name) {
            return None;
        }
        let mut escaped = false;
        let end = quoted.char_indices().find_map(|(at, character)| {
            let ends = character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            ends.then_some(at)
        })?;
        labels.push((name.to_owned(), unescape(&quoted[..end])));
        rest = &quoted[end + 1..];
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.starts_with('}') => {}
            None => return None,
        }
    }
}

fn is_name(name: &str, metric: bool) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || (metric && c == ':');
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        digits if digits.starts_with(|c: char| c.is_ascii_digit() || c == '-') => digits.parse().ok(),
        _ => None,
    }
}

fn unescape(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\\"", "\"").replace("\\\\", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
# HELP received_bytes Received bytes
# TYPE received_bytes histogram
received_bytes_bucket{filter=\"events/main\",le=\"500\"} 1
received_bytes_bucket{filter=\"events/main\",le=\"+Inf\"} 2
received_bytes_sum{filter=\"events/main\"} 700
received_bytes_count{filter=\"events/main\"} 2
# HELP node_statuses Current \\\\ status
# TYPE node_statuses gauge
node_statuses{node=\"127.0.0.1:9999\"} -1
";

    #[test]
    fn families_labels_and_values_are_read() {
        let families = parse(GOOD).expect("the text is well-formed");
        assert_eq!(families["received_bytes"].samples.len(), 4);
        assert_eq!(families["node_statuses"].help, "Current \\ status");
        assert_eq!(families["node_statuses"].samples[0].label("node"), Some("127.0.0.1:9999"));
        assert_eq!(families["node_statuses"].samples[0].value, -1.0);
    }

    #[track_caller]
    fn check(from: &str, to: &str, rule: &str) {
        assert!(GOOD.contains(from));
        let error = parse(&GOOD.replacen(from, to, 1)).expect_err("a broken text must be refused");
        assert!(error.contains(rule), "{error}");
    }

    #[test]
    fn each_broken_rule_is_named() {
        check("# HELP received_bytes Received bytes\n", "", "TYPE does not follow");
        check("# TYPE node_statuses gauge\n", "", "a sample apart from its family");
        check("# TYPE node_statuses gauge", "# TYPE node_statuses gouge", "unknown type");
        check("le=\"500\"} 1", "le=\"500\"} 3", "not cumulative");
        check("le=\"+Inf\"} 2", "le=\"+Inf\"} 3", "_count differs");
        check("le=\"+Inf\"", "le=\"100\"", "do not rise");
        check("le=\"+Inf\"", "le=\"600\"", "no +Inf bucket");
        check("received_bytes_sum{filter=\"events/main\"} 700\n", "", "no _count or no _sum");
        check("node=\"127.0.0.1:9999\"", "node=127.0.0.1:9999", "not a sample");
        check("node=\"127.0.0.1:9999\"", "9node=\"127.0.0.1:9999\"", "not a sample");
        check("} -1\n", "} -1", "does not end with a line feed");
        check("} -1\n", "} x\n", "not a sample");
        check("} -1\n", "} -1\n\n", "neither HELP, TYPE nor a sample");
        check("} -1\n", "} -1\nnode_statuses{node=\"127.0.0.1:9999\"} 2\n", "the same series twice");
        check("} -1\n", "} -1\r\n", "a carriage return");
        check("# TYPE received_bytes histogram", "# TYPE received_bytes counter", "apart from its family");
    }
}
