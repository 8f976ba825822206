//! The Casper Event Sidecar: reads the event streams of Casper nodes, keeps every event once, and serves them.
//!
//! The modules, in the direction in which data flows:
//!
//! ```text
//! node -> ingest -> store -> hub -> stream (subscribers)
//!                     \-> rest
//! ```

mod admin;
pub mod command;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod environment;
pub mod event;
mod hub;
mod ingest;
mod limits;
pub mod logging;
pub mod metrics;
mod node;
mod refusal;
mod rest;
pub mod run;
mod serve;
pub mod service;
pub mod store;
mod stream;

pub use run::{Outcome, run};
