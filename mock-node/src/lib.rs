//! A scriptable Casper node: people test consumers of a node's event stream against it, without a chain.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use mock_node::{Node, RealNetwork, chain::{Chain, ChainConfig}};
//!
//! let node = Node::builder().build().start(RealNetwork::loopback()).await?;
//! node.emit_all(Chain::new(ChainConfig::default()).take(100));
//! println!("curl -sN http://{}/events/main?start_from=0", node.sse_addr());
//! # assert_eq!(node.emitted().len(), 100);
//! # node.stop().await;
//! # std::io::Result::Ok(())
//! # }).unwrap();
//! ```
//!
//! In reading order: [`event`] is what a node sends, [`chain`] makes up a believable chain of it, [`network`] is where
//! listeners come from, [`Node`] is the node itself with everything a test may do to it, and [`script`] plays what is
//! written in a file.
//!
//! The crate never looks at a clock, a socket or a random number that was not handed to it: timers are tokio's, the
//! network is a [`Network`], the wall clock is [`Builder::wall_clock`]. So it runs the same in a simulation.

pub mod arguments;
pub mod chain;
pub mod control;
pub mod event;
pub mod network;
mod node;
pub mod recording;
pub mod script;

pub use crate::{
    event::{Event, Filter},
    network::{Listener, Network, RealNetwork},
    node::{Builder, Emitted, Laggards, Node, Running, Spelling, StatusBehaviour, Subscriber},
};

/// The README's examples are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
