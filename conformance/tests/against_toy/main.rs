//! The checks and the command against a small sidecar in test code.

mod command;
mod toy;
mod wrong_servers;
