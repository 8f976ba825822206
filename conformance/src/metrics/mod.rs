//! Checks of the admin server: the metrics of the page, family by family, and health.

mod admin;
mod families;
mod histogram;

use std::collections::BTreeMap;

use crate::{
    check::{Check, Deviation},
    prometheus::{self, Family},
    target::{Server, Target},
};

/// All checks of this area, in the order of their run.
pub(crate) fn checks() -> impl Iterator<Item = &'static Check> {
    [admin::CHECKS, families::CHECKS, histogram::CHECKS].into_iter().flatten()
}

/// One scrape, read strictly.
pub(crate) async fn scrape(target: &Target) -> Result<BTreeMap<String, Family>, Deviation> {
    let answer = target.get(Server::Admin, "/metrics/").await?;
    if answer.status != 200 {
        return Err(Deviation::new("200 for /metrics/", &answer));
    }
    prometheus::parse(&answer.body).map_err(|rule| Deviation::new("the Prometheus text format", rule))
}

/// A family of the scrape.
fn family<'a>(families: &'a BTreeMap<String, Family>, name: &str) -> Result<&'a Family, Deviation> {
    families.get(name).ok_or_else(|| {
        let names: Vec<_> = families.keys().collect();
        Deviation::new(format!("the family {name}"), format!("{names:?}"))
    })
}

/// The values of a family's samples of one name, by one label.
pub(crate) fn by_label(
    families: &BTreeMap<String, Family>,
    family: &str,
    sample: &str,
    label: &str,
) -> BTreeMap<String, f64> {
    let samples = families.get(family).into_iter().flat_map(|family| &family.samples);
    samples
        .filter(|other| other.name == sample)
        .filter_map(|sample| Some((sample.label(label)?.to_owned(), sample.value)))
        .collect()
}
