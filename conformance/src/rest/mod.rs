//! Checks of the REST server: look-ups against the events that the stream shows, and refusals.

mod lookup;
mod refusal;

use crate::check::Check;

/// All checks of this area, in the order of their run.
pub(crate) fn checks() -> impl Iterator<Item = &'static Check> {
    [lookup::CHECKS, refusal::CHECKS].into_iter().flatten()
}
