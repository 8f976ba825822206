//! `CHECKS.md` and the code say the same.

use std::collections::BTreeSet;

use conformance::{check::Check, suite};

const DOCUMENT: &str = include_str!("../CHECKS.md");

/// A check as the document tells it: one row of a table.
fn row(check: &Check) -> String {
    let says = check.says.replace('|', "\\|");
    format!("| `{}` | {} | {says} |", check.id, check.section)
}

/// The rows of the tables of checks.
fn rows() -> impl Iterator<Item = &'static str> {
    let (_, tables) = DOCUMENT.split_once("\n## The checks\n").expect("a chapter of this name");
    let (tables, _) = tables.split_once("\n## ").expect("a chapter behind it");
    tables.lines().filter(|line| line.starts_with("| `"))
}

#[test]
fn every_check_has_its_row_and_every_row_its_check() {
    let expected: Vec<String> = suite::checks().into_iter().map(row).collect();
    let told: Vec<&str> = rows().collect();
    let missing: Vec<_> = expected.iter().filter(|row| !told.contains(&row.as_str())).collect();
    assert!(missing.is_empty(), "rows that CHECKS.md must have:\n{missing:#?}");
    let unknown: Vec<_> = told.iter().filter(|row| !expected.iter().any(|other| other == **row)).collect();
    assert!(unknown.is_empty(), "rows of CHECKS.md without a check:\n{unknown:#?}");
    assert_eq!(told, expected, "the order of the rows is that of a run");
}

/// Dotted words in backquotes anywhere in the text that begin with an area of checks.
#[test]
fn no_part_of_the_text_speaks_of_a_check_that_does_not_exist() {
    let ids: BTreeSet<&str> = suite::checks().into_iter().map(|check| check.id).collect();
    let areas: BTreeSet<&str> = ids.iter().filter_map(|id| id.split('.').next()).collect();
    for word in DOCUMENT.split('`').skip(1).step_by(2) {
        let is_id = word
            .split_once('.')
            .is_some_and(|(area, rest)| areas.contains(area) && !rest.contains([' ', '/']));
        assert!(!is_id || ids.contains(word), "CHECKS.md speaks of `{word}`, which is no check");
    }
}
