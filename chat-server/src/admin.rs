//! What a running server does when it is asked through the control socket.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use chat_core::names::Username;
use chat_core::noise::Fingerprint;
use tokio::time::Instant;

use crate::accounts::{self, Accounts, AccountsError, MAX_PASSWORD_BYTES};
use crate::control::{Reply, Request, UserEntry};
use crate::hub::Hub;
use crate::metrics::Moment;
use crate::status::{Census, Status};

/// Accounts in one answer, which has to stay below what a program takes for one.
const USERS_AT_A_TIME: usize = 1000;

/// The longest that a server may wait for its last clients.
const MAX_DRAIN_SECONDS: u64 = 24 * 60 * 60;

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
            Request::Metrics {} => Reply::Metrics(self.metrics().await),
            Request::Users { after } => self
                .with_accounts(move |accounts| accounts.list(&after, USERS_AT_A_TIME))
                .await
                .map_or_else(Reply::Refused, |users| {
                    let last = users.len() < USERS_AT_A_TIME;
                    Reply::Users { users: users.into_iter().map(|user| self.entry(user)).collect(), last }
                }),
            Request::User { name } => {
                self.on_user(&name, Accounts::registered).await.map_or_else(Reply::Refused, |registered| {
                    match registered {
                        Some(registered) => Reply::User(self.entry((name.clone(), registered))),
                        None => no_such_user(&name),
                    }
                })
            }
            Request::ResetPassword { name, password } => {
                let password = password.0;
                if !accounts::is_acceptable(&password) {
                    return Reply::Refused(format!("a password has 1 to {MAX_PASSWORD_BYTES} bytes"));
                }
                let reset =
                    move |accounts: &Accounts, name: &Username| accounts.reset_password(name, &password);
                done_to(&name, self.on_user(&name, reset).await)
            }
            Request::RemoveUser { name } => {
                let removed = self.on_user(&name, Accounts::remove).await;
                if removed == Ok(true) {
                    self.hub.kick(&name);
                }
                done_to(&name, removed)
            }
            Request::Kick { who } => match self.hub.kick(&who) {
                Some(_) => Reply::Done {},
                None => Reply::Refused(format!("nobody here is called {who:?}")),
            },
            Request::Drain { seconds } => {
                let seconds = Duration::from_secs(seconds.min(MAX_DRAIN_SECONDS));
                self.hub.drain_until(std::time::Instant::now() + seconds);
                Reply::Done {}
            }
        }
    }

    /// Writes what the server counts about itself.
    pub(crate) async fn metrics(&self) -> String {
        let users = self.with_accounts(Accounts::count).await.ok();
        let Census { joined, logged_in, .. } = self.hub.census();
        self.hub.metrics.text(&Moment {
            connections: self.hub.encryptions(),
            joined,
            logged_in,
            queues: self.hub.queues(),
            users,
            uptime: self.started.elapsed(),
        })
    }

    fn entry(&self, (name, registered): (String, Option<String>)) -> UserEntry {
        let client = self.hub.find(&name).map(|client| client.to_string());
        UserEntry { name, registered, client }
    }

    /// Does something to one account, beside the event loop; the error is for the one who asked.
    async fn on_user<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(&Accounts, &Username) -> Result<T, AccountsError> + Send + 'static,
    ) -> Result<T, String> {
        let name = Username::parse(name).map_err(|error| format!("{name:?} is no name: {error}"))?;
        self.with_accounts(move |accounts| work(accounts, &name)).await
    }

    /// Does something with the accounts, beside the event loop: the database may be busy.
    async fn with_accounts<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Accounts) -> Result<T, AccountsError> + Send + 'static,
    ) -> Result<T, String> {
        let accounts = self.hub.accounts.clone();
        match tokio::task::spawn_blocking(move || work(&accounts)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the accounts cannot be used");
                Err(error.to_string())
            }
            Err(_) => Err("the server is stopping".to_owned()),
        }
    }

    async fn status(&self) -> Status {
        let users = self.with_accounts(Accounts::count).await.ok();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            drained_in_seconds: self.hub.drained_in(Instant::now().into()).map(|left| left.as_secs()),
            address: self.address,
            identity: self.fingerprint.to_string(),
            census: self.hub.census(),
            users,
        }
    }
}

fn no_such_user(name: &str) -> Reply {
    Reply::Refused(format!("there is no account {name:?}"))
}

fn done_to(name: &str, done: Result<bool, String>) -> Reply {
    match done {
        Ok(true) => Reply::Done {},
        Ok(false) => no_such_user(name),
        Err(why) => Reply::Refused(why),
    }
}
