//! The Casper Event Sidecar: reads the event streams of Casper nodes, keeps every event once, and serves them.
//!
//! The modules, in the direction in which data flows:
//!
//! ```text
//! node -> ingest -> store -> hub -> stream (subscribers)
//!                     \-> rest
//! ```

pub mod config;
pub mod environment;
pub mod event;
pub mod metrics;
mod node;
pub mod store;
