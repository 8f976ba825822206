//! Checks of the event stream server that only listen.

mod answers;
mod channels;
mod ids;
mod keep_alive;
mod layout;
mod opening;
mod replay;

use crate::check::Check;

/// All checks of this area, in the order of their run.
pub(crate) fn checks() -> impl Iterator<Item = &'static Check> {
    [
        channels::CHECKS,
        opening::CHECKS,
        layout::CHECKS,
        ids::CHECKS,
        replay::CHECKS,
        answers::CHECKS,
        keep_alive::CHECKS,
    ]
    .into_iter()
    .flatten()
}
