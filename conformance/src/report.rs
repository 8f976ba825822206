//! What a run found, for people and for machines.

use std::{fmt::Write as _, time::Duration};

use serde::Serialize;

use crate::{check::Outcome, suite::Verdict};

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One line per check and a summary.
    Text,
    /// One JSON object.
    Json,
    /// JUnit XML, which continuous integration systems read.
    Junit,
}

/// How many checks came out how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// As documented.
    pub passed: usize,
    /// Not as documented.
    pub failed: usize,
    /// Not found out.
    pub skipped: usize,
}

impl Summary {
    /// Counts.
    pub fn of(verdicts: &[Verdict]) -> Self {
        let mut summary = Self::default();
        for verdict in verdicts {
            match verdict.outcome {
                Outcome::Pass { .. } => summary.passed += 1,
                Outcome::Fail { .. } => summary.failed += 1,
                Outcome::Skipped { .. } => summary.skipped += 1,
            }
        }
        summary
    }
}

/// One check on one line.
pub fn line(verdict: &Verdict) -> String {
    let check = verdict.check;
    let (result, seen) = match &verdict.outcome {
        Outcome::Pass { seen } => ("PASS", format!("seen: {seen}")),
        Outcome::Fail { expected, seen } => ("FAIL", format!("expected: {expected}; seen: {seen}")),
        Outcome::Skipped { reason } => ("SKIPPED", reason.clone()),
    };
    format!("{result:7} {} | {} [{}] | {}", check.id, check.says, check.section, seen).replace('\n', "\\n")
}

/// The last line of a text report, with how many requests the run took.
pub fn summary_line(verdicts: &[Verdict], requests: usize) -> String {
    let Summary { passed, failed, skipped } = Summary::of(verdicts);
    let seconds: Duration = verdicts.iter().map(|verdict| verdict.took).sum();
    let seconds = seconds.as_secs_f32();
    let count = verdicts.len();
    format!(
        "{count} checks: {passed} passed, {failed} failed, {skipped} skipped; {requests} requests in {seconds:.1} s"
    )
}

/// The whole report as one JSON object.
pub fn json(verdicts: &[Verdict]) -> String {
    #[derive(Serialize)]
    struct Entry<'a> {
        id: &'a str,
        section: String,
        says: &'a str,
        #[serde(flatten)]
        outcome: &'a Outcome,
        seconds: f32,
    }
    #[derive(Serialize)]
    struct Report<'a> {
        summary: Summary,
        checks: Vec<Entry<'a>>,
    }
    let entry = |verdict: &Verdict| verdict.took.as_secs_f32();
    let checks = verdicts.iter().map(|verdict| Entry {
        id: verdict.check.id,
        section: verdict.check.section.to_string(),
        says: verdict.check.says,
        outcome: &verdict.outcome,
        seconds: entry(verdict),
    });
    let report = Report { summary: Summary::of(verdicts), checks: checks.collect() };
    serde_json::to_string_pretty(&report).expect("a report is texts and numbers, which JSON has")
}

/// The whole report as JUnit XML: one suite, the area of a check as its class.
pub fn junit(verdicts: &[Verdict]) -> String {
    let Summary { failed, skipped, .. } = Summary::of(verdicts);
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let total: Duration = verdicts.iter().map(|verdict| verdict.took).sum();
    let _infallible = writeln!(
        xml,
        "<testsuite name=\"conformance\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"{skipped}\" time=\"{:.3}\">",
        verdicts.len(),
        total.as_secs_f32(),
    );
    for verdict in verdicts {
        let (class, name) = verdict.check.id.rsplit_once('.').unwrap_or(("", verdict.check.id));
        let _infallible = write!(
            xml,
            "  <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\">",
            escaped(class),
            escaped(name),
            verdict.took.as_secs_f32(),
        );
        let says = format!("{} [{}]", verdict.check.says, verdict.check.section);
        let inner = match &verdict.outcome {
            Outcome::Pass { seen } => {
                format!("<system-out>{}</system-out>", escaped(&format!("{says}\nseen: {seen}")))
            }
            Outcome::Fail { expected, seen } => {
                let text = format!("{says}\nexpected: {expected}\nseen: {seen}");
                format!("<failure message=\"{}\">{}</failure>", escaped(expected), escaped(&text))
            }
            Outcome::Skipped { reason } => format!("<skipped message=\"{}\"/>", escaped(reason)),
        };
        let _infallible = writeln!(xml, "{inner}</testcase>");
    }
    xml.push_str("</testsuite>\n");
    xml
}

/// Text that may stand in XML, in attributes too. What XML cannot have at all is left out.
fn escaped(text: &str) -> String {
    let allowed = |c: &char| !c.is_control() || ['\n', '\t'].contains(c);
    let mut escaped = String::new();
    for character in text.chars().filter(allowed) {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite;

    fn verdicts() -> Vec<Verdict> {
        let outcomes = [
            Outcome::Pass { seen: "200".to_owned() },
            Outcome::Fail {
                expected: "a <blank> line".to_owned(),
                seen: "\"none\" & more\nlines".to_owned(),
            },
            Outcome::Skipped { reason: "no --rest address was given".to_owned() },
        ];
        let checks = suite::checks();
        let one = |(n, outcome): (usize, Outcome)| Verdict {
            check: checks[n],
            outcome,
            took: Duration::from_millis(1500),
        };
        outcomes.into_iter().enumerate().map(one).collect()
    }

    #[test]
    fn a_text_report_has_one_line_for_each_check_and_a_summary() {
        let verdicts = verdicts();
        let text: Vec<String> = verdicts.iter().map(line).chain([summary_line(&verdicts, 7)]).collect();
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn a_json_report_has_the_same() {
        insta::assert_snapshot!(json(&verdicts()));
    }

    #[test]
    fn a_junit_report_has_the_same_and_is_well_formed() {
        insta::assert_snapshot!(junit(&verdicts()));
    }
}
