//! The REST server over the model of the store, asked as a client asks it.

mod documented;
mod listing;
mod looking_up;
mod protocol;
mod random;
mod server;
