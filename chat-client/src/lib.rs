//! A client of the chat: the connection, whom it trusts, and the program around them.
//!
//! - [`link`]: one connection to one server, encrypted and verified;
//! - [`pins`]: the identities this user expects at which address;
//! - [`probe()`]: whether a healthy server of ours answers at an address;
//! - `app`: what the client does, as a pure state machine (feature `terminal`, like all that follows);
//! - `cli`, `settings`: the command line, and what it means together with environment and file; `manual`: its manual page;
//! - `password`: where one comes from when nobody is asked; `keyring`: where one is kept;
//! - `driver`: what runs it; `lines`, `terminal` and `window` (feature `window`): who uses it; `screen`: what is on a
//!   terminal or in a window, `desk`: what else belongs to it; `display`: what they may see; `json`, `transcript`: the same
//!   for programs and as a log; `private_file`: the files that keep any of it; `job`: how a shell stops it.
//!
//! Without the `terminal` feature there is only what a program needs that checks servers: `chat-deploy` does.

#[cfg(feature = "terminal")]
pub mod app;
#[cfg(feature = "terminal")]
pub mod cli;
#[cfg(feature = "terminal")]
mod desk;
#[cfg(feature = "terminal")]
pub mod display;
#[cfg(feature = "terminal")]
pub mod driver;
#[cfg(feature = "terminal")]
mod job;
#[cfg(feature = "terminal")]
pub mod json;
#[cfg(feature = "terminal")]
pub mod keyring;
#[cfg(feature = "terminal")]
pub mod lines;
pub mod link;
#[cfg(feature = "terminal")]
pub mod manual;
#[cfg(feature = "terminal")]
pub mod password;
pub mod pins;
#[cfg(feature = "terminal")]
mod private_file;
mod probe;
mod replies;
#[cfg(feature = "terminal")]
pub mod screen;
#[cfg(feature = "terminal")]
pub mod settings;
#[cfg(feature = "terminal")]
pub mod terminal;
#[cfg(feature = "terminal")]
pub mod transcript;
#[cfg(feature = "window")]
pub mod window;

pub use probe::{Probe, ProbeError, probe};

/// The port of the original.
pub const DEFAULT_PORT: u16 = 12345;

/// What the client says of itself in HELLO.
#[cfg(feature = "terminal")]
const AGENT: &str = concat!("chat-client/", env!("CARGO_PKG_VERSION"));
