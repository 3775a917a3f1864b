//! Users on disk: a small trait, and redb behind it.
//!
//! redb is one file with crash-safe transactions. A user is added in one transaction that is synced before it is
//! acknowledged, so that a crash leaves all of it or nothing.

use std::cell::Cell;
use std::fs;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, TableDefinition,
};
use serde::{Deserialize, Serialize};

use super::AccountsError;
use crate::private_file;

/// User name to [`User`] in JSON, which lets later versions add fields.
const USERS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("users");

/// Facts about the database itself.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");

/// The form of the tables; a server refuses one it does not know.
const SCHEMA: u64 = 1;

/// How much of the database is kept in memory. Users are found by name, a page or two each.
const CACHE_BYTES: usize = 2 * 1024 * 1024;

/// What is kept about a user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct User {
    /// The password as an argon2id hash in PHC form.
    pub(super) password: String,
    /// When the account was made: in UTC with a `Z`, or in an unknown local time for imported ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) registered: Option<String>,
}

/// Whether a user was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    /// The user is on disk.
    Yes,
    /// The name exists.
    Taken,
    /// There are as many users as there may be.
    Full,
}

/// Where users are kept. All methods block.
pub(super) trait UserStore: Send + Sync {
    /// The user of that name.
    fn find(&self, name: &str) -> Result<Option<User>, AccountsError>;
    /// Adds a user, unless the name exists or there are `max_users` already. Returns once it is on disk.
    fn add(&self, name: &str, user: &User, max_users: u64) -> Result<Added, AccountsError>;
    /// Up to `limit` users in the order of their names, from the first after `after` on.
    fn list(&self, after: &str, limit: usize) -> Result<Vec<(String, User)>, AccountsError>;
    /// Puts a user's data in place of what was there; `false` if there is no such user. Returns once it is on disk.
    fn replace(&self, name: &str, user: &User) -> Result<bool, AccountsError>;
    /// Removes a user; `false` if there is none. Returns once that is on disk.
    fn remove(&self, name: &str) -> Result<bool, AccountsError>;
    /// The number of users.
    fn count(&self) -> Result<u64, AccountsError>;
    /// Closes the store for good.
    fn close(&self) -> Result<(), AccountsError>;
}

/// Opens the database in a file; other than redb's own only in tests.
type OpenFile = Box<dyn Fn(&mut redb::Builder, &Path) -> Result<Database, redb::DatabaseError> + Send + Sync>;

/// Users in a redb database.
pub(super) struct RedbStore {
    path: PathBuf,
    open_file: OpenFile,
    state: RwLock<State>,
}

enum State {
    Open(Database),
    // redb refuses everything after a write failed, so that the database has to be opened anew.
    Broken,
    Closed,
}

impl RedbStore {
    /// Opens the database at `path`; makes it, with mode 0600, if there is none.
    pub(super) fn open(path: &Path) -> Result<Self, AccountsError> {
        let failed = |source| AccountsError::Io { path: path.to_owned(), source };
        if !path.try_exists().map_err(failed)? {
            let draft = path.with_added_extension("new");
            create_anew(&draft).map_err(failed)?;
            Self::open_with(&draft, Box::new(|builder, path| builder.create(path)))?.close()?;
            fs::rename(&draft, path).and_then(|()| private_file::sync_parent(path)).map_err(failed)?;
        }
        // Not `create`, which would take an emptied file for a new one and let everybody's name be taken again.
        Self::open_with(path, Box::new(|builder, path| builder.open(path)))
    }

    fn open_with(path: &Path, open_file: OpenFile) -> Result<Self, AccountsError> {
        let store = Self { path: path.to_owned(), open_file, state: RwLock::new(State::Broken) };
        store.mend()?;
        Ok(store)
    }

    fn open_database(&self) -> Result<Database, AccountsError> {
        let mut builder = Database::builder();
        // A damaged file is then found out here, with an error, and not later by a panic.
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        let database =
            (self.open_file)(&mut builder, &self.path).map_err(|error| self.error(error.into()))?;
        let schema = prepare(&database).map_err(|error| self.error(error))?;
        if schema != SCHEMA {
            return Err(AccountsError::Damaged {
                path: self.path.clone(),
                detail: format!("they have form {schema}, which this version does not know"),
            });
        }
        Ok(database)
    }

    /// Runs `work` on the open database. If somebody else's failure broke it, opens it anew and tries once more.
    fn with_database<T>(
        &self,
        work: impl Fn(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, AccountsError> {
        let result = match self.attempt(&work)? {
            Err(redb::Error::PreviousIo) => self.attempt(&work)?,
            result => result,
        };
        result.map_err(|error| self.error(error))
    }

    fn attempt<T>(
        &self,
        work: impl Fn(&Database) -> Result<T, redb::Error>,
    ) -> Result<Result<T, redb::Error>, AccountsError> {
        self.mend()?;
        let result = match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Open(database) => work(database),
            State::Broken => Err(redb::Error::PreviousIo),
            State::Closed => return Err(AccountsError::Closed),
        };
        if matches!(result, Err(redb::Error::Io(_) | redb::Error::PreviousIo)) {
            self.give_up();
        }
        Ok(result)
    }

    /// Opens the database anew if a failure broke it.
    fn mend(&self) -> Result<(), AccountsError> {
        if !matches!(*self.state.read().unwrap_or_else(PoisonError::into_inner), State::Broken) {
            return Ok(());
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Broken) {
            *state = State::Open(self.open_database()?);
        }
        Ok(())
    }

    /// Closes the database after a failure; the next one to need it opens it anew.
    fn give_up(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Open(_)) {
            *state = State::Broken;
        }
    }

    /// Changes something in one transaction, which is on disk when this returns, if `change` says that there is something.
    fn transact(
        &self,
        change: impl Fn(&mut redb::Table<'_, &'static str, &'static [u8]>) -> Result<bool, redb::Error>,
    ) -> Result<bool, AccountsError> {
        self.with_database(|database| {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(redb::Durability::Immediate)?;
            // Strangers choose what is written; this keeps them from preparing a commit that a crash completes.
            transaction.set_two_phase_commit(true);
            let changed = change(&mut transaction.open_table(USERS)?)?;
            if changed {
                transaction.commit()?
            } else {
                transaction.abort()?
            }
            Ok(changed)
        })
    }

    fn user(&self, name: &str, json: &[u8]) -> Result<User, AccountsError> {
        serde_json::from_slice(json).map_err(|error| AccountsError::Damaged {
            path: self.path.clone(),
            detail: format!("the entry of {name:?}: {error}"),
        })
    }

    fn json(&self, user: &User) -> Result<Vec<u8>, AccountsError> {
        serde_json::to_vec(user)
            .map_err(|error| AccountsError::Io { path: self.path.clone(), source: error.into() })
    }

    fn error(&self, error: redb::Error) -> AccountsError {
        let path = self.path.clone();
        match error {
            redb::Error::DatabaseAlreadyOpen => AccountsError::InUse { path },
            redb::Error::Corrupted(detail) => AccountsError::Damaged { path, detail },
            redb::Error::Io(source) if is_damage(source.kind()) => {
                AccountsError::Damaged { path, detail: source.to_string() }
            }
            redb::Error::Io(source) => AccountsError::Io { path, source },
            other => AccountsError::Database { path, source: Box::new(other) },
        }
    }
}

impl UserStore for RedbStore {
    fn find(&self, name: &str) -> Result<Option<User>, AccountsError> {
        let json = self.with_database(|database| {
            let table = database.begin_read()?.open_table(USERS)?;
            Ok(table.get(name)?.map(|guard| guard.value().to_vec()))
        })?;
        json.map(|json| self.user(name, &json)).transpose()
    }

    fn add(&self, name: &str, user: &User, max_users: u64) -> Result<Added, AccountsError> {
        let json = self.json(user)?;
        let added = Cell::new(Added::Taken);
        self.transact(|users| {
            if users.get(name)?.is_some() {
                added.set(Added::Taken);
            } else if users.len()? >= max_users {
                added.set(Added::Full);
            } else {
                users.insert(name, json.as_slice())?;
                added.set(Added::Yes);
            }
            Ok(added.get() == Added::Yes)
        })?;
        Ok(added.get())
    }

    fn list(&self, after: &str, limit: usize) -> Result<Vec<(String, User)>, AccountsError> {
        let rows: Vec<(String, Vec<u8>)> = self.with_database(|database| {
            let table = database.begin_read()?.open_table(USERS)?;
            let rest = table.range::<&str>((Bound::Excluded(after), Bound::Unbounded))?;
            let row = |row: Result<(redb::AccessGuard<'_, _>, redb::AccessGuard<'_, _>), _>| {
                let (name, json): (redb::AccessGuard<'_, &str>, redb::AccessGuard<'_, &[u8]>) = row?;
                Ok((name.value().to_owned(), json.value().to_vec()))
            };
            rest.take(limit).map(row).collect()
        })?;
        let user = |(name, json): (String, Vec<u8>)| Ok((name.clone(), self.user(&name, &json)?));
        rows.into_iter().map(user).collect()
    }

    fn replace(&self, name: &str, user: &User) -> Result<bool, AccountsError> {
        let json = self.json(user)?;
        self.transact(|users| {
            let exists = users.get(name)?.is_some();
            if exists {
                users.insert(name, json.as_slice())?;
            }
            Ok(exists)
        })
    }

    fn remove(&self, name: &str) -> Result<bool, AccountsError> {
        self.transact(|users| Ok(users.remove(name)?.is_some()))
    }

    fn count(&self) -> Result<u64, AccountsError> {
        self.with_database(|database| Ok(database.begin_read()?.open_table(USERS)?.len()?))
    }

    fn close(&self) -> Result<(), AccountsError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Closed) {
            State::Open(database) => database.close().map_err(|error| self.error(error.into())),
            State::Broken | State::Closed => Ok(()),
        }
    }
}

/// Makes the tables if they are not there, and returns the form they have.
fn prepare(database: &Database) -> Result<u64, redb::Error> {
    let existing = match database.begin_read()?.open_table(ABOUT) {
        Ok(about) => about.get("schema")?.map(|guard| guard.value()),
        Err(redb::TableError::TableDoesNotExist(_)) => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(schema) = existing {
        return Ok(schema);
    }
    let transaction = database.begin_write()?;
    transaction.open_table(USERS)?;
    transaction.open_table(ABOUT)?.insert("schema", SCHEMA)?;
    transaction.commit()?;
    Ok(SCHEMA)
}

/// Makes an empty file, the owner's only, in place of what an interrupted start may have left behind: redb does not
/// open a database that it was just making.
fn create_anew(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    private_file::create(path).map(drop)
}

/// What redb reports as a failed access though the file's contents are to blame.
fn is_damage(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

#[cfg(test)]
mod tests;
