//! Taking over the users of the original server, from its `users.pickle`.
//!
//! The file is read by `import/pickle.rs`, which builds plain values and never runs anything. This module knows what
//! the original keeps in it: a dictionary of user names, each with a password in clear and the time of registration.

mod pickle;

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use chat_core::names::Username;
use chat_core::secret::Secret;
use zeroize::Zeroizing;

use crate::accounts::{Accounts, AccountsError, MAX_PASSWORD_BYTES, RegisterOutcome};
pub use pickle::PickleError;
use pickle::Value;

/// The largest file read, in bytes. It is the pickle's allowance that bounds the users, at some hundred thousand.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// A user as the original kept it.
#[derive(Debug, Clone)]
pub struct OriginalUser {
    /// The name, not yet checked against our rules.
    pub name: String,
    /// The password; nothing if the entry has none.
    pub password: Option<Secret>,
    /// The local time of registration, such as `2025-10-12T23:06:01.123456`.
    pub registered: Option<String>,
}

/// What became of the users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The users who have an account now.
    pub added: Vec<String>,
    /// The names that had an account already, which was left as it was.
    pub kept: Vec<String>,
    /// The names that get no account, each with the reason.
    pub refused: Vec<(String, String)>,
}

/// Why no users could be taken over.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no pickle that holds users.
    #[error("{} is not a users.pickle of the original server", path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        source: PickleError,
    },
    /// An account could not be stored; those before it are.
    #[error("cannot store {name:?}; {added} users before it have an account now")]
    Store {
        /// The user.
        name: String,
        /// How many accounts were made before.
        added: usize,
        /// What went wrong.
        source: AccountsError,
    },
}

impl ImportError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Pickle { source: PickleError::Callable { .. } | PickleError::Opcode { .. }, .. } => Some(
                "nothing was run and nothing was stored; do not open the file with Python either".to_owned(),
            ),
            Self::Pickle { .. } => Some("nothing was stored".to_owned()),
            Self::Store { source, .. } => source.hint(),
            Self::Read { .. } => None,
        }
    }
}

/// Reads the users in the file at `path`, in its order.
///
/// # Errors
///
/// [`ImportError`] if it cannot be read, or is anything but a dictionary of users.
pub fn read(path: &Path) -> Result<Vec<OriginalUser>, ImportError> {
    let failed = |source| ImportError::Read { path: path.to_owned(), source };
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let text = format!("the file is longer than {MAX_FILE_BYTES} bytes");
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, text)));
    }
    users(&bytes).map_err(|source| ImportError::Pickle { path: path.to_owned(), source })
}

/// Gives every user an account. Names that have one keep it; what our rules refuse is left out and reported. Blocks for
/// as long as it takes to hash all the passwords.
///
/// # Errors
///
/// [`ImportError::Store`] at the first account that could not be written.
pub fn store(users: &[OriginalUser], accounts: &Accounts) -> Result<Report, ImportError> {
    let mut report = Report::default();
    for user in users {
        let name = user.name.clone();
        let stored = store_one(user, accounts).map_err(|source| ImportError::Store {
            name: user.name.clone(),
            added: report.added.len(),
            source,
        })?;
        match stored {
            Stored::Added => report.added.push(name),
            Stored::Kept => report.kept.push(name),
            Stored::Refused(reason) => report.refused.push((name, reason)),
        }
    }
    Ok(report)
}

enum Stored {
    Added,
    Kept,
    Refused(String),
}

fn store_one(user: &OriginalUser, accounts: &Accounts) -> Result<Stored, AccountsError> {
    let name = match Username::parse(&user.name) {
        Ok(name) => name,
        Err(error) => return Ok(Stored::Refused(error.to_string())),
    };
    let Some(password) = &user.password else {
        return Ok(Stored::Refused("the entry has no password".to_owned()));
    };
    Ok(match accounts.import(&name, password, user.registered.clone())? {
        RegisterOutcome::Registered => Stored::Added,
        RegisterOutcome::Taken => Stored::Kept,
        RegisterOutcome::BadPassword => Stored::Refused(format!(
            "a password has 1 to {MAX_PASSWORD_BYTES} bytes, this one {}",
            password.len()
        )),
        RegisterOutcome::Full => Stored::Refused("there are as many users as there may be".to_owned()),
        RegisterOutcome::RateLimited { .. } | RegisterOutcome::Busy => {
            Stored::Refused("the accounts are busy".to_owned())
        }
    })
}

/// Reads the users in the bytes of a `users.pickle`, in its order.
///
/// # Errors
///
/// [`PickleError`] for anything but a dictionary of users.
pub fn users(bytes: &[u8]) -> Result<Vec<OriginalUser>, PickleError> {
    let Value::Dict(entries) = pickle::read(bytes)? else { return Err(PickleError::NoUsers) };
    entries.into_iter().map(|(name, entry)| user(&name, entry)).collect()
}

fn user(name: &Value, entry: Value) -> Result<OriginalUser, PickleError> {
    let (Value::Text(name), Value::Dict(fields)) = (name, entry) else { return Err(PickleError::NoUsers) };
    let mut user = OriginalUser { name: name.to_string(), password: None, registered: None };
    for (field, value) in fields {
        match (field, value) {
            (Value::Text(field), Value::Text(text)) if field.as_str() == "password" => {
                user.password = Some(Secret::new(text.as_str()));
            }
            (Value::Text(field), Value::DateTime(time)) if field.as_str() == "registration_dt" => {
                user.registered = Some(time.to_string());
            }
            // Whatever else a changed original may keep is not needed.
            _ => {}
        }
    }
    Ok(user)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.kept {
            writeln!(f, "kept {name:?}: the name has an account here, which was left as it was")?;
        }
        for (name, reason) in &self.refused {
            writeln!(f, "refused {name:?}: {reason}")?;
        }
        let (added, kept, refused) = (self.added.len(), self.kept.len(), self.refused.len());
        writeln!(f, "{added} added, {kept} kept, {refused} refused")
    }
}

#[cfg(test)]
mod tests;
