//! The control socket: how programs on the same machine, run by the server's own user, talk with a running server.
//!
//! A Unix socket in the data directory, mode 0600. A connection carries one request and its reply, each one line of JSON:
//!
//! ```text
//! {"command":"status"}
//! {"status":{"version":"0.1.0","pid":4711,...}}
//! ```
//!
//! The server's end is in `control/socket.rs`, the other one in `control/client.rs`; what requests do is in module `admin`.

mod client;
mod socket;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use client::{ControlError, status};
pub(crate) use socket::ControlSocket;

use crate::status::Status;

/// What can be asked of a running server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Request {
    /// How it is. In braces, since only so does serde refuse what else a request may have.
    Status {},
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reply {
    /// How it is.
    Status(Status),
    /// The request was not understood or cannot be met; says why.
    Error(String),
}

/// Where the socket of a data directory is.
fn path_in(data: &Path) -> PathBuf {
    data.join("control.sock")
}
