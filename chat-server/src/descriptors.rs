//! The limit on open files, each connection being one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the server needs beside its connections: listener, accounts, lock, log, and some to spare.
const RESERVE: u64 = 64;

/// Raises the limit as far as it goes without privileges, and warns if that is too little for `connections`.
///
/// The usual soft limit of 1024 is a courtesy to programs that call `select`, which this one does not.
pub(crate) fn raise_limit(connections: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "cannot raise the limit on open files");
    }
    // `None` is no limit.
    let raised = getrlimit(Resource::Nofile).current;
    tracing::info!(before = ?current, now = ?raised, "limit on open files");
    let needed = RESERVE.saturating_add(u64::try_from(connections).unwrap_or(u64::MAX));
    if raised.is_some_and(|raised| raised < needed) {
        tracing::warn!(
            limit = raised,
            needed,
            "fewer files may be open than limits.max_connections asks for; raise the hard limit (ulimit -Hn, or \
             LimitNOFILE= in the service)"
        );
    }
}
