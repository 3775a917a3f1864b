//! A store that measures how long another one takes.

use std::time::Instant;

use super::AccountsError;
use super::store::{Added, User, UserStore};
use crate::metrics::StoreLatencies;

/// A store whose operations are measured.
pub(super) struct TimedStore {
    inner: Box<dyn UserStore>,
    latencies: StoreLatencies,
}

impl TimedStore {
    pub(super) fn new(inner: Box<dyn UserStore>) -> Self {
        Self { inner, latencies: StoreLatencies::default() }
    }

    /// What has been measured; goes on counting.
    pub(super) fn latencies(&self) -> StoreLatencies {
        self.latencies.clone()
    }

    fn timed<T>(&self, operation: &'static str, work: impl FnOnce(&dyn UserStore) -> T) -> T {
        let begun = Instant::now();
        let outcome = work(&*self.inner);
        self.latencies.get_or_create(&[("operation", operation)]).observe(begun.elapsed());
        outcome
    }
}

impl UserStore for TimedStore {
    fn find(&self, name: &str) -> Result<Option<User>, AccountsError> {
        self.timed("find", |inner| inner.find(name))
    }

    fn add(&self, name: &str, user: &User, max_users: u64) -> Result<Added, AccountsError> {
        self.timed("add", |inner| inner.add(name, user, max_users))
    }

    fn list(&self, after: &str, limit: usize) -> Result<Vec<(String, User)>, AccountsError> {
        self.timed("list", |inner| inner.list(after, limit))
    }

    fn replace(&self, name: &str, user: &User) -> Result<bool, AccountsError> {
        self.timed("replace", |inner| inner.replace(name, user))
    }

    fn remove(&self, name: &str) -> Result<bool, AccountsError> {
        self.timed("remove", |inner| inner.remove(name))
    }

    fn count(&self) -> Result<u64, AccountsError> {
        self.timed("count", |inner| inner.count())
    }

    fn close(&self) -> Result<(), AccountsError> {
        self.inner.close()
    }
}
