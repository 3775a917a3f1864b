//! A client of the chat: the connection, whom it trusts, and the program around them.
//!
//! - [`link`]: one connection to one server, encrypted and verified;
//! - [`pins`]: the identities this user expects at which address;
//! - [`probe()`]: whether a healthy server of ours answers at an address.
//!
//! Without the `terminal` feature this is all: `chat-deploy` checks and pins its servers with it.

pub mod link;
pub mod pins;
mod probe;
mod replies;

pub use probe::{Probe, ProbeError, probe};
