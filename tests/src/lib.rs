//! The testkit: a server on a thread of its own, and a raw peer that speaks the protocol packet by packet.
//!
//! The tests themselves live in `tests/tests`. A failure panics with what was expected and what came: in tests that is
//! the report. What a peer does to its bytes while encryption is on lives in `cipher`, the golden data in `vectors`.

#![expect(clippy::expect_used, clippy::panic, reason = "tests may fail loudly: there a panic is the report")]

mod cipher;
mod peer;
mod server;
pub mod vectors;

pub use cipher::Cipher;
pub use peer::{Packet, Peer};
pub use server::{TestServer, write_server_key};
