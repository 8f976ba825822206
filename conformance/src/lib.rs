//! Black-box checks of any running sidecar against the documented formats.
//!
//! The crate knows HTTP and the public documentation, and nothing of the sidecar's inside: no code is shared, so an
//! error there cannot hide from a check here. `CHECKS.md` lists every check beside the sentence that it comes from.
//!
//! How a run goes: a [`target::Target`] is where the sidecar is and what was already seen of it; [`suite::checks`] are
//! all checks, in order; [`suite::run`] runs them; [`report`] tells what they found. The areas are modules: `stream`,
//! `cors`, `rest`, `openapi`, `metrics` only look; `limits` and `lifecycle` press the sidecar and need a scripted node,
//! which is driven over its HTTP control server.
//!
//! What is deliberately absent: a check that knows which sidecar it looks at, a setting that makes a check lenient, and
//! any way to a sidecar but its ports.

mod chain;
pub mod check;
mod cors;
mod lifecycle;
mod limits;
mod metrics;
mod node_control;
mod openapi;
mod prometheus;
pub mod report;
mod rest;
pub mod shape;
mod sse;
mod stream;
mod subscription;
pub mod suite;
pub mod target;
pub mod wire;
