//! Stopping, starting and misbehaving.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;

use super::{
    Node, StatusBehaviour,
    emit::encode,
    process::{Delivery, Entry, Process},
};
use crate::event::Filter;

/// Stopping, starting and misbehaving.
impl Node {
    /// Whether the node's process runs.
    pub fn is_up(&self) -> bool {
        self.inner.state().up
    }

    /// Stops in order: `Shutdown` on all three filters with one id, the streams end cleanly, the counter is saved,
    /// and connections are refused until [`Node::restart`]. Does nothing on a node that is down.
    pub fn shutdown(&self) {
        let mut state = self.inner.state();
        if !state.up {
            return;
        }
        let id = state.take_id();
        let data = Bytes::from_static(b"\"Shutdown\"");
        for filter in Filter::ALL {
            state.remember(&self.inner.config, Some(id), filter, data.clone());
        }
        let wire = encode(&data, Some(id));
        state.process.append([Entry { id: Some(id), filter: None, wire, delivery: Delivery::Whole }]);
        state.saved_id = state.next_id;
        state.up = false;
        state.process.end();
        self.inner.publish(&state);
    }

    /// Dies at once, as by SIGKILL: connections break off, the ring is lost, and the id counter falls back to where
    /// the last orderly stop left it. Connections are refused until [`Node::restart`].
    pub fn crash(&self) {
        let mut state = self.inner.state();
        if !state.up {
            return;
        }
        state.next_id = state.saved_id;
        state.up = false;
        state.process.kill();
        self.inner.publish(&state);
    }

    /// Starts a node that was shut down or has crashed: with an empty ring, and with the saved id counter unless
    /// [`Node::set_id`] changed it meanwhile. Does nothing on a node that is up.
    pub fn restart(&self) {
        let mut state = self.inner.state();
        if state.up {
            return;
        }
        let config = &self.inner.config;
        state.process = Arc::new(Process::new(config.ring, config.laggards, state.paused));
        state.up = true;
        state.run += 1;
        state.started = None;
        self.inner.seats.send_replace(0);
        self.inner.publish(&state);
    }

    /// What `build_version` of `/status` says from now on.
    pub fn set_build_version(&self, version: impl Into<String>) {
        self.inner.state().build_version = version.into();
    }

    /// What `ApiVersion` says to those who connect from now on, and `/status`.
    pub fn set_api_version(&self, version: impl Into<String>) {
        self.inner.state().api_version = version.into();
    }

    /// Breaks off the connections of one filter. They may come back. Returns how many there were.
    pub fn drop_filter(&self, filter: Filter) -> usize {
        let process = self.inner.state().process.clone();
        process.cut(|subscriber| subscriber.filter == filter)
    }

    /// Breaks off all event streams. They may come back. Returns how many there were.
    pub fn drop_connections(&self) -> usize {
        let process = self.inner.state().process.clone();
        process.cut(|_| true)
    }

    /// Closes one filter: its connections are broken off and new requests to it are broken off unanswered, while
    /// the other two go on. `false` opens it again.
    pub fn close_filter(&self, filter: Filter, closed: bool) {
        {
            let mut state = self.inner.state();
            state.closed_filters.retain(|other| *other != filter);
            if closed {
                state.closed_filters.push(filter);
            }
        }
        if closed {
            self.drop_filter(filter);
        }
    }

    /// Refuses new connections to both ports; those that are there go on.
    pub fn refuse_connections(&self, refuse: bool) {
        let mut state = self.inner.state();
        state.refuse = refuse;
        self.inner.publish(&state);
    }

    /// Accepts connections to the event stream and never answers them. Those that are there go on.
    pub fn accept_silently(&self, silent: bool) {
        let mut state = self.inner.state();
        state.silent = silent;
        self.inner.publish(&state);
    }

    /// How `/status` answers from now on.
    pub fn status(&self, behaviour: StatusBehaviour) {
        self.inner.state().status = behaviour;
    }

    /// No `:` comments any more, on present and future connections.
    pub fn stop_keep_alives(&self, stop: bool) {
        self.inner.keep_alives.store(!stop, Ordering::Relaxed);
    }

    /// Hangs: connections stay, nothing is sent on them, no keep-alive either. `false` goes on where it stood.
    pub fn pause(&self, paused: bool) {
        let mut state = self.inner.state();
        state.paused = paused;
        state.process.pause(paused);
    }
}
