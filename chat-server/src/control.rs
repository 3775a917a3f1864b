//! The control socket: how programs on the same machine, run by the server's own user, talk with a running server.
//!
//! A Unix socket in the data directory, mode 0600. A connection carries one request and its reply, each one line of JSON:
//!
//! ```text
//! {"command":"status"}
//! {"status":{"version":"0.1.0","pid":4711,...}}
//! ```
//!
//! Whatever changes something is logged with who asked for it, by the number of their user.
//!
//! The server's end is in `control/socket.rs`, the other one in `control/client.rs`; what requests do is in module `admin`.

mod client;
mod socket;

use std::fmt;
use std::path::{Path, PathBuf};

use chat_core::secret::Secret;
use serde::{Deserialize, Serialize};

pub use client::{ControlError, drain, kick, metrics, remove_user, reset_password, status, user, users};
pub(crate) use socket::ControlSocket;

use crate::status::Status;

/// What can be asked of a running server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Request {
    /// How it is. In braces, since only so does serde refuse what else a request may have.
    Status {},
    /// What it counts about itself.
    Metrics {},
    /// Its accounts, in the order of their names, from the first after `after` on.
    Users {
        /// The last name that is known already; empty for none.
        after: String,
    },
    /// One account.
    User {
        /// Its name.
        name: String,
    },
    /// To give an account another password.
    ResetPassword {
        /// Its name.
        name: String,
        /// The new password.
        password: Password,
    },
    /// To remove an account, and end its connection.
    RemoveUser {
        /// Its name.
        name: String,
    },
    /// To end a connection.
    Kick {
        /// The name it is logged in by, or `Client-<number>`.
        who: String,
    },
    /// To take nobody new, and stop when everybody has left.
    Drain {
        /// How long they may take.
        seconds: u64,
    },
}

/// A password on its way to the server; printed, it shows nothing.
#[derive(Debug)]
pub(crate) struct Password(pub(crate) Secret);

impl Serialize for Password {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

/// An account, as far as anybody is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserEntry {
    /// The name.
    pub name: String,
    /// When it was registered, in UTC with a `Z`, or in an unknown local time for imported ones.
    pub registered: Option<String>,
    /// The client that is logged in by it now, such as `Client-7`.
    pub client: Option<String>,
}

impl fmt::Display for UserEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let registered = self.registered.as_deref().unwrap_or("at an unknown time");
        write!(f, "{}  registered {registered}", self.name)?;
        self.client.as_ref().map_or(Ok(()), |client| write!(f, ", logged in as {client}"))
    }
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reply {
    /// How it is.
    Status(Status),
    /// What it counts about itself, in the text format of OpenMetrics.
    Metrics(String),
    /// Some accounts; there are more if this is not the last of them.
    Users {
        /// In the order of their names.
        users: Vec<UserEntry>,
        /// Whether these are the last.
        last: bool,
    },
    /// One account.
    User(UserEntry),
    /// It was done.
    Done {},
    /// It was understood and cannot be done; says why.
    Refused(String),
    /// The request was not understood or cannot be met; says why.
    Error(String),
}

/// Where the socket of a data directory is.
fn path_in(data: &Path) -> PathBuf {
    data.join("control.sock")
}
