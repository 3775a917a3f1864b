//! The chat protocol, without input or output: bytes in, values out.
//!
//! Sockets, clocks, files and threads live in `chat-server`, `chat-client` and `chat-deploy`; randomness for keys comes
//! from the operating system. The protocol itself is described in `docs/protocol.md`.
//!
//! - [`frame`], [`packet`], [`text`]: packets, what they ask for, and the server's wording;
//! - [`january`]: the original's January 2026 revision, which numbers and encrypts differently;
//! - [`hello`], [`notice`], [`ping`]: what we add to the original protocol;
//! - [`noise`]: encryption worth the name; [`rsa`]: the original's cipher, a toy kept for its clients;
//! - [`names`], [`secret`], [`known_servers`]: validated names, values that never print, pinned identities;
//! - [`hexdump`], [`packet_log`]: the original's debugging log.

pub mod frame;
pub mod hello;
pub mod hexdump;
pub mod january;
pub mod known_servers;
pub mod names;
pub mod noise;
pub mod notice;
pub mod packet;
pub mod packet_log;
pub mod ping;
pub mod roster;
pub mod rsa;
pub mod secret;
pub mod text;
