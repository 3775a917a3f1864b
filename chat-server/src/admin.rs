//! What a running server does when it is asked through the control socket.

use std::net::SocketAddr;
use std::rc::Rc;

use chat_core::noise::Fingerprint;
use tokio::time::Instant;

use crate::control::{Reply, Request};
use crate::hub::Hub;
use crate::status::Status;

/// Answers requests.
pub(crate) struct Admin {
    /// What is asked about.
    pub(crate) hub: Rc<Hub>,
    /// The address that clients connect to.
    pub(crate) address: SocketAddr,
    /// The fingerprint of the server's identity.
    pub(crate) fingerprint: Fingerprint,
    /// When the server began to serve.
    pub(crate) started: Instant,
}

impl Admin {
    /// Does what is asked.
    pub(crate) async fn answer(&self, request: Request) -> Reply {
        match request {
            Request::Status {} => Reply::Status(self.status().await),
        }
    }

    async fn status(&self) -> Status {
        let accounts = self.hub.accounts.clone();
        // The database may be busy.
        let counting = tokio::task::spawn_blocking(move || accounts.count());
        let users = match counting.await {
            Ok(Ok(users)) => Some(users),
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "users cannot be counted");
                None
            }
            // The event loop is ending.
            Err(_) => None,
        };
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            address: self.address,
            identity: self.fingerprint.to_string(),
            census: self.hub.census(),
            users,
        }
    }
}
