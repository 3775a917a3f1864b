//! The user accounts: registering, and checking passwords.
//!
//! [`Accounts`] is the handle the server works with. It decides the order of things: limits first, then the
//! delay for names under attack, then hashing off the server's thread, then the store. The parts live in
//! `accounts/`: `store` keeps users on disk, `timed` measures how long that takes, `hashing` is argon2id, `throttle` decides
//! who waits how long, `attempt` is a login that does, and `gate` lets a bounded number of passwords be hashed at a time.
//! Reading the original's users is in `import`.

mod attempt;
mod gate;
mod hashing;
mod recent;
mod store;
mod throttle;
mod timed;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat_core::names::Username;
use chat_core::secret::Secret;

use crate::clock::Clock;
use crate::config::AccountSettings;
use crate::metrics::StoreLatencies;
use attempt::{Attempt, now};
use gate::{AddressTurns, HashGate};
use hashing::Hasher;
use store::{Added, RedbStore, User, UserStore};
use throttle::{LoginThrottle, RegistrationLimit};
use timed::TimedStore;

/// The longest password taken, in bytes; the shortest has one.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// How many names, and how many addresses, are watched at a time; the least recent is forgotten.
const MAX_WATCHED: usize = 16_384;

/// The user accounts of one server; clones share them.
#[derive(Clone)]
pub struct Accounts {
    shared: Arc<Shared>,
}

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisterOutcome {
    /// The account exists, and is on disk.
    Registered,
    /// The name belongs to somebody.
    Taken,
    /// The password is empty or longer than [`MAX_PASSWORD_BYTES`].
    BadPassword,
    /// The store holds as many users as it may.
    Full,
    /// The address has registered, or tried to register, as many names as it may for now.
    RateLimited {
        /// How long to wait before the next attempt can succeed.
        retry_after: Duration,
    },
    /// Too many passwords from the address are waiting to be hashed.
    Busy,
}

/// What became of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginOutcome {
    /// Name and password belong together.
    Accepted,
    /// They do not; whether the name exists is not told, nor does the time taken tell.
    Refused,
    /// Too many passwords from the address are waiting to be hashed, or too many logins for the name.
    Busy,
}

/// Why accounts could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// Another process has the database open.
    #[error("the accounts in {} are in use by another process", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The database is damaged, or no database at all.
    #[error("the accounts in {} are damaged: {detail}", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The database could not be read or written.
    #[error("cannot access the accounts in {}", path.display())]
    Io {
        /// The database.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database refused for another reason.
    #[error("the accounts in {} cannot be used", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// What the database said.
        source: Box<redb::Error>,
    },
    /// A password could not be hashed.
    #[error("cannot hash a password")]
    Hash {
        /// What the hash function said.
        source: argon2::password_hash::Error,
    },
    /// The accounts are closed, since the server is stopping.
    #[error("the accounts are closed")]
    Closed,
    /// The work was given up half-way, since the server is stopping or because of a bug.
    #[error("the work on an account was interrupted")]
    Interrupted,
}

impl AccountsError {
    /// What the operator can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::InUse { .. } => Some("stop the server that uses this data directory first".to_owned()),
            Self::Damaged { path, .. } => Some(format!(
                "restore {0} from a backup, or move it away to start without accounts",
                path.display()
            )),
            Self::Io { source, .. } => match source.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                    Some("free some disk space; until then nobody can register".to_owned())
                }
                std::io::ErrorKind::PermissionDenied => {
                    Some("run the server as the user who owns its data directory".to_owned())
                }
                _ => None,
            },
            Self::Database { .. } | Self::Hash { .. } | Self::Closed | Self::Interrupted => None,
        }
    }
}

struct Shared {
    store: TimedStore,
    hasher: Hasher,
    gate: HashGate,
    turns: AddressTurns,
    // Std mutexes: they are held for a look-up, never across an await.
    logins: Mutex<LoginThrottle>,
    registrations: Mutex<RegistrationLimit>,
    clock: Clock,
    max_users: AtomicU64,
}

impl Accounts {
    /// Opens the accounts in the database at `path`, which is made, readable by its owner only, if it does not
    /// exist.
    ///
    /// # Errors
    ///
    /// [`AccountsError`] if the database is in use, damaged or out of reach, or if the argon2 settings do not
    /// go together.
    pub fn open(path: &Path, settings: &AccountSettings) -> Result<Self, AccountsError> {
        Self::with_store(Box::new(RedbStore::open(path)?), settings, Clock::system())
    }

    fn with_store(
        store: Box<dyn UserStore>,
        settings: &AccountSettings,
        clock: Clock,
    ) -> Result<Self, AccountsError> {
        let logins = LoginThrottle::new(settings.free_failures, settings.max_login_delay, MAX_WATCHED);
        let registrations = RegistrationLimit::new(settings.registrations_per_hour, MAX_WATCHED);
        Ok(Self {
            shared: Arc::new(Shared {
                store: TimedStore::new(store),
                hasher: Hasher::new(settings)?,
                gate: HashGate::new(settings.parallel_hashes, settings.hash_queue),
                turns: AddressTurns::new(settings.logins_per_address, settings.hash_queue),
                logins: Mutex::new(logins),
                registrations: Mutex::new(registrations),
                clock,
                max_users: AtomicU64::new(settings.max_users),
            }),
        })
    }

    /// Puts other settings in force, as far as that goes without a restart; see `config::table`.
    pub(crate) fn set_limits(&self, settings: &AccountSettings) {
        self.shared.max_users.store(settings.max_users, Ordering::Relaxed);
        self.registrations().set_rate(settings.registrations_per_hour);
        attempt::lock(&self.shared.logins).set_pace(settings.free_failures, settings.max_login_delay);
    }

    /// Registers `name` for a client at `peer`; `exempt` clients are not counted per address. Every attempt counts but one that
    /// was told to come again: of names that were taken, or an address could ask for every account there is, and of those that
    /// failed. The answer [`RegisterOutcome::Registered`] is given when the account is on disk, and then survives anything the
    /// disk survives.
    ///
    /// # Errors
    ///
    /// [`AccountsError`] if the account could not be written. Then it is not there, unless the disk failed in the very
    /// act of writing: then it may be.
    pub async fn register(
        &self,
        peer: IpAddr,
        exempt: bool,
        name: Username,
        password: Secret,
    ) -> Result<RegisterOutcome, AccountsError> {
        if !is_acceptable(&password) {
            return Ok(RegisterOutcome::BadPassword);
        }
        if !exempt && let Err(retry_after) = self.registrations().take(peer, now()) {
            return Ok(RegisterOutcome::RateLimited { retry_after });
        }
        let outcome = self.register_unlimited(peer, name.clone(), password).await;
        // A full disk is no reason to let an address hash and write as often as it likes.
        if !exempt && matches!(outcome, Ok(RegisterOutcome::Busy)) {
            self.registrations().give_back(peer);
        }
        if matches!(outcome, Ok(RegisterOutcome::Registered)) {
            attempt::lock(&self.shared.logins).note_home(name.as_str(), peer, now());
        }
        outcome
    }

    async fn register_unlimited(
        &self,
        peer: IpAddr,
        name: Username,
        password: Secret,
    ) -> Result<RegisterOutcome, AccountsError> {
        let Some(turn) = self.shared.gate.enter(peer).await else { return Ok(RegisterOutcome::Busy) };
        let shared = Arc::clone(&self.shared);
        let work = tokio::task::spawn_blocking(move || {
            // The turn is given back when the work is done, even if nobody waits for its result any more.
            let _turn = turn;
            shared.register(&name, &password)
        });
        work.await.map_err(|_| AccountsError::Interrupted)?
    }

    /// Checks whether `password` belongs to `name`, for a client at `peer`; `exempt` clients need not wait for
    /// other logins from their address. The answer may take a while if many logins for the name have failed.
    ///
    /// # Errors
    ///
    /// [`AccountsError`] if the store could not be read.
    pub async fn verify(
        &self,
        peer: IpAddr,
        exempt: bool,
        name: &Username,
        password: Secret,
    ) -> Result<LoginOutcome, AccountsError> {
        if !is_acceptable(&password) {
            return Ok(LoginOutcome::Refused);
        }
        // The name first: whoever waits because of guesses at one name keeps nobody at the same address from another.
        let Some(attempt) = Attempt::start(&self.shared.logins, name, peer).await else {
            return Ok(LoginOutcome::Busy);
        };
        let turn_of_address = if exempt { None } else { self.shared.turns.wait(peer).await };
        if !exempt && turn_of_address.is_none() {
            return Ok(LoginOutcome::Busy);
        }
        let outcome = self.verify_undelayed(peer, name.clone(), password).await;
        match outcome {
            Ok(LoginOutcome::Accepted) => attempt.succeeded(),
            Ok(LoginOutcome::Refused) => attempt.failed(),
            Ok(LoginOutcome::Busy) | Err(_) => drop(attempt),
        }
        outcome
    }

    async fn verify_undelayed(
        &self,
        peer: IpAddr,
        name: Username,
        password: Secret,
    ) -> Result<LoginOutcome, AccountsError> {
        let Some(turn) = self.shared.gate.enter(peer).await else { return Ok(LoginOutcome::Busy) };
        let shared = Arc::clone(&self.shared);
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            shared.verify(&name, &password)
        });
        work.await.map_err(|_| AccountsError::Interrupted)?
    }

    /// Finishes the passwords being hashed, sends those who wait for their turn away as [`LoginOutcome::Busy`], and
    /// closes the database. Dropping the last handle does as much, only without waiting for it.
    ///
    /// # Errors
    ///
    /// [`AccountsError`] if the database could not be closed cleanly; it is repaired when it is next opened.
    pub async fn close(self) -> Result<(), AccountsError> {
        self.shared.gate.close_and_finish().await;
        let close = tokio::task::spawn_blocking(move || self.shared.store.close());
        close.await.map_err(|_| AccountsError::Interrupted)?
    }

    /// Up to `limit` accounts in the order of their names, from the first after `after` on: each name, and the time of its
    /// registration if that is known. Blocks.
    ///
    /// # Errors
    ///
    /// [`AccountsError`] if the store could not be read.
    pub(crate) fn list(
        &self,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Option<String>)>, AccountsError> {
        let users = self.shared.store.list(after, limit)?;
        Ok(users.into_iter().map(|(name, user)| (name, user.registered)).collect())
    }

    /// When an account was registered, if that is known; `None` if there is no such account. Blocks.
    ///
    /// # Errors
    ///
    /// [`AccountsError`] if the store could not be read.
    pub(crate) fn registered(&self, name: &Username) -> Result<Option<Option<String>>, AccountsError> {
        Ok(self.shared.store.find(name.as_str())?.map(|user| user.registered))
    }

    /// Gives an account another password; `false` if there is no such account. Blocks until it is on disk.
    ///
    /// # Errors
    ///
    /// [`AccountsError`] if the account could not be written.
    pub(crate) fn reset_password(&self, name: &Username, password: &Secret) -> Result<bool, AccountsError> {
        let Some(user) = self.shared.store.find(name.as_str())? else { return Ok(false) };
        let password = self.shared.hasher.hash(password)?;
        self.shared.store.replace(name.as_str(), &User { password, ..user })
    }

    /// Removes an account, whose name is then free; `false` if there is no such account. Blocks until it is on disk.
    ///
    /// # Errors
    ///
    /// [`AccountsError`] if the account could not be removed.
    pub(crate) fn remove(&self, name: &Username) -> Result<bool, AccountsError> {
        self.shared.store.remove(name.as_str())
    }

    /// How long the store's operations take; goes on counting.
    pub(crate) fn latencies(&self) -> StoreLatencies {
        self.shared.store.latencies()
    }

    /// How many accounts there are.
    ///
    /// # Errors
    ///
    /// [`AccountsError`] if the store could not be read.
    pub fn count(&self) -> Result<u64, AccountsError> {
        self.shared.store.count()
    }

    /// Adds an account that existed elsewhere, `registered` being the local time it was made there. Blocks
    /// until it is on disk.
    ///
    /// # Errors
    ///
    /// [`AccountsError`] if the account could not be written.
    pub(crate) fn import(
        &self,
        name: &Username,
        password: &Secret,
        registered: Option<String>,
    ) -> Result<RegisterOutcome, AccountsError> {
        if !is_acceptable(password) {
            return Ok(RegisterOutcome::BadPassword);
        }
        self.shared.add(name, password, registered)
    }

    fn registrations(&self) -> MutexGuard<'_, RegistrationLimit> {
        // A panic elsewhere leaves counters, which cannot be half-written.
        self.shared.registrations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn register(&self, name: &Username, password: &Secret) -> Result<RegisterOutcome, AccountsError> {
        self.add(name, password, Some(self.clock.now().to_string()))
    }

    /// Looks first, since hashing for nothing is dear; the store looks again as it adds.
    fn add(
        &self,
        name: &Username,
        password: &Secret,
        registered: Option<String>,
    ) -> Result<RegisterOutcome, AccountsError> {
        if self.store.find(name.as_str())?.is_some() {
            return Ok(RegisterOutcome::Taken);
        }
        let max_users = self.max_users.load(Ordering::Relaxed);
        if self.store.count()? >= max_users {
            return Ok(RegisterOutcome::Full);
        }
        let user = User { password: self.hasher.hash(password)?, registered };
        Ok(match self.store.add(name.as_str(), &user, max_users)? {
            Added::Yes => RegisterOutcome::Registered,
            Added::Taken => RegisterOutcome::Taken,
            Added::Full => RegisterOutcome::Full,
        })
    }

    fn verify(&self, name: &Username, password: &Secret) -> Result<LoginOutcome, AccountsError> {
        let user = self.store.find(name.as_str())?;
        let matches = self.hasher.verify(password, user.as_ref().map(|user| user.password.as_str()))?;
        Ok(if matches { LoginOutcome::Accepted } else { LoginOutcome::Refused })
    }
}

/// Whether a password has a length that is taken.
pub(crate) fn is_acceptable(password: &Secret) -> bool {
    (1..=MAX_PASSWORD_BYTES).contains(&password.len())
}

#[cfg(test)]
mod tests;
