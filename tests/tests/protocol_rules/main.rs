//! The rules of `docs/protocol.md`, tried on a real server over sockets.
//!
//! `room` is who receives what and in which order, `stream` what any bytes can do to a connection and to others,
//! `encryption` the classic switch and its keys, `extensions` what we add, `roster` the user list in both its forms, `limits`
//! what nobody may exceed.

// Says to clippy that all of this is test code, helpers too.
#![cfg(test)]

mod encryption;
mod extensions;
mod limits;
mod room;
mod roster;
mod stream;
