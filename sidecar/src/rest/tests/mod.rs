//! The REST server over the model of the store, asked as a client asks it.

mod looking_up;
mod server;
