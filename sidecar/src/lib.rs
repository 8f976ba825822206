//! The Casper Event Sidecar: reads the event streams of Casper nodes, keeps every event once, and serves them.
//!
//! The modules, in the direction in which data flows:
//!
//! ```text
//! node -> ingest -> store -> hub -> stream (subscribers)
//!                     \-> rest
//! ```

pub mod command;
pub mod config;
pub mod environment;
pub mod event;
pub mod logging;
pub mod store;
