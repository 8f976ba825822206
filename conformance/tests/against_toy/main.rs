//! The checks and the command against a small sidecar in test code.

mod command;
mod mutation;
mod toy;
mod wrong_servers;
