//! A node comes, sends, goes and comes back: what the sidecar tells its clients of it. Needs scripted nodes.

mod end;
mod events;
mod middleware;
mod shutdown;
mod story;
mod version;

pub(crate) use self::{end::Ending, story::Story};
use crate::check::Check;

/// All checks of this area, in the order of their run.
pub(crate) fn checks() -> impl Iterator<Item = &'static Check> {
    [events::CHECKS, shutdown::CHECKS, version::CHECKS, middleware::CHECKS].into_iter().flatten()
}

/// The checks that end the sidecar: the last of a run.
pub(crate) fn last_checks() -> impl Iterator<Item = &'static Check> {
    end::CHECKS.iter()
}
