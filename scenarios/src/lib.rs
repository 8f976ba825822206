//! Deterministic simulations of the sidecar: the real sidecar library and the real mock node in one process, with
//! simulated network, virtual time, an injected store and one seed.
//!
//! A [`World`](world::World) is data: nodes, a sidecar, subscribers, and a timeline of what happens to them. Running
//! it gives a [`History`](history::History), and the [`promise`]s are checked against that and nothing else. What a
//! world does is a function of its seed: a failure is a seed, and the seed replays it.
//!
//! In reading order: [`world`], [`operation`], [`history`], [`promise`], [`scenario`] (the named ones), [`swarm`].

mod broken;
pub mod history;
pub mod network;
pub mod operation;
pub mod process;
pub mod promise;
mod running;
pub mod scenario;
pub mod sse;
pub mod storage;
pub mod subscriber;
pub mod swarm;
pub mod world;
