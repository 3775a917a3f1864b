//! A Linux host reached by SSH: systemd runs the server there, and a script of ours does what has to be done as root.

mod host;
pub mod keys;
pub mod known_hosts;
pub mod prompt;
pub mod remote;
pub mod rotation;
pub mod session;
mod store;
mod tail;
pub mod trust;

pub use host::{SshHost, Surroundings};
