//! What takes a connection more than a moment: accounts and cipher tables. Each piece of work is a task of its own, which
//! reports to the reactor when it is done.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chat_core::names::{ClientId, Username};
use chat_core::rsa::PublicKey;
use chat_core::rsa::hazmat::{CharacterEncryptor, Encryptor};
use chat_core::secret::Secret;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::Connection;
use crate::accounts::{AccountsError, LoginOutcome, RegisterOutcome};
use crate::room::Event;

/// Something that cannot be done at once.
pub(super) enum Work {
    Register(Username, Secret),
    LogIn(Username, Secret),
    TurnClassicOn(PublicKey),
    ExchangeKeys(PublicKey, CharacterEncryptor),
    /// Saying this to everyone when it is this client's turn, which is after so long.
    Speak(String, Duration),
}

/// What some work has come to.
pub(crate) enum Outcome {
    /// Of a registration.
    Registered(Username, Result<RegisterOutcome, AccountsError>),
    /// Of a login.
    LoggedIn(Username, Result<LoginOutcome, AccountsError>),
    /// Of working out the tables of a key; nothing if the server is stopping.
    Tables(Option<Encryptor>),
    /// Of the same for a client of January 2026.
    KeysExchanged(Option<CharacterEncryptor>),
    /// Of waiting for the turn to say this.
    Turn(String),
}

/// What a piece of work for a connection has come to.
pub(crate) struct Report {
    /// The connection's place in the reactor.
    pub(crate) index: usize,
    /// The client whose it was: there may be another in its place.
    pub(crate) client: ClientId,
    /// How it went.
    pub(crate) outcome: Outcome,
}

/// A piece of work under way; given up when dropped.
pub(super) struct Working(JoinHandle<()>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    /// Starts some work; the outcome is reported to the reactor.
    pub(super) fn start(&self, work: Work) -> Working {
        let (hub, index, client) = (Rc::clone(&self.hub), self.index, self.key.client);
        let (address, exempt) = (self.peer.ip(), self.exempt);
        Working(tokio::task::spawn_local(async move {
            let outcome = match work {
                Work::Register(name, password) => {
                    let result = hub.accounts.register(address, exempt, name.clone(), password).await;
                    Outcome::Registered(name, result)
                }
                Work::LogIn(name, password) => {
                    let result = hub.accounts.verify(address, exempt, &name, password).await;
                    Outcome::LoggedIn(name, result)
                }
                Work::TurnClassicOn(key) => Outcome::Tables(work_out(&hub.table_turns, key).await),
                Work::ExchangeKeys(key, encryptor) => {
                    let tables = work_out(&hub.table_turns, key).await;
                    Outcome::KeysExchanged(tables.map(|tables| encryptor.with_tables(tables)))
                }
                Work::Speak(message, wait) => {
                    hub.wait_for_floor(wait).await;
                    Outcome::Turn(message)
                }
            };
            // Nobody hears of it only when the server has stopped.
            let _ = hub.reports.send(Report { index, client, outcome });
        }))
    }

    /// Acts on what some work has come to.
    pub(super) fn settle(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Registered(name, outcome) => self.registered(&name, outcome),
            Outcome::LoggedIn(name, outcome) => self.logged_in(&name, outcome),
            Outcome::Tables(Some(encryptor)) => self.turn_classic_on(encryptor),
            Outcome::KeysExchanged(Some(encryptor)) => self.keys_exchanged(encryptor),
            Outcome::Turn(message) => self.apply(Event::Message(&message)),
            Outcome::Tables(None) | Outcome::KeysExchanged(None) => {}
        }
    }
}

/// Works the tables of a key out, beside the event loop, when it is its turn.
async fn work_out(turns: &Arc<Semaphore>, key: PublicKey) -> Option<Encryptor> {
    let turn = Arc::clone(turns).acquire_owned().await.ok()?;
    let made = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        Encryptor::new(&key)
    });
    made.await.ok()
}
