//! All checks in one order, and running them.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    check::{Check, Outcome},
    cors, lifecycle, limits, metrics, openapi, rest, stream,
    target::Target,
};

/// All checks in the order of a run: those that only look first, those that end the sidecar last.
pub fn checks() -> Vec<&'static Check> {
    stream::checks()
        .chain(cors::CHECKS)
        .chain(rest::checks())
        .chain(openapi::checks())
        .chain(metrics::checks())
        .chain(limits::CHECKS)
        .chain(lifecycle::checks())
        .chain(lifecycle::last_checks())
        .collect()
}

/// The checks whose id is one of `only`, or begins with one of them and a dot. All if `only` is empty.
///
/// # Errors
///
/// Names the entry of `only` that fits no check.
pub fn selected(only: &[String]) -> Result<Vec<&'static Check>, String> {
    let fits = |id: &str, wanted: &str| {
        id == wanted || id.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
    };
    let all = checks();
    if let Some(unknown) = only.iter().find(|wanted| !all.iter().any(|check| fits(check.id, wanted))) {
        return Err(format!(
            "no check '{unknown}' (CHECKS.md lists them; an area such as 'stream.ids' is right too)"
        ));
    }
    Ok(all
        .into_iter()
        .filter(|check| only.is_empty() || only.iter().any(|wanted| fits(check.id, wanted)))
        .collect())
}

/// A check and what came of it.
pub struct Verdict {
    /// The check.
    pub check: &'static Check,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took, evidence that it was the first to need included.
    pub took: Duration,
}

impl Verdict {
    /// Whether the sidecar departs from the documentation here.
    pub fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Fail { .. })
    }
}

/// Runs checks one after the other; `told` hears of each as soon as it is done.
pub async fn run(checks: &[&'static Check], target: &Target, mut told: impl FnMut(&Verdict)) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for check in checks {
        let start = Instant::now();
        let outcome = check.outcome(target).await;
        let verdict = Verdict { check, outcome, took: start.elapsed() };
        told(&verdict);
        verdicts.push(verdict);
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_dotted_words() {
        let mut seen = BTreeSet::new();
        for check in checks() {
            assert!(seen.insert(check.id), "{} twice", check.id);
            let well_formed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
            assert!(check.id.contains('.') && check.id.chars().all(well_formed), "{}", check.id);
            assert!(!check.says.is_empty() && !check.needs.is_empty(), "{}", check.id);
        }
    }

    #[test]
    fn a_check_is_chosen_by_its_id_and_an_area_by_its_beginning() {
        let ids = |only: &str| -> Vec<&str> {
            selected(&[only.to_owned()]).expect("a known name").iter().map(|check| check.id).collect()
        };
        assert_eq!(ids("rest.step"), ["rest.step"]);
        assert!(ids("stream.ids").len() > 3);
        assert_eq!(ids("metrics.process"), ["metrics.process"]);
        assert!(selected(&["stream.id".to_owned()]).is_err());
        assert_eq!(selected(&[]).map(|all| all.len()), Ok(checks().len()));
    }
}
