//! The limit on open files, each connection being one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the server needs beside its connections: listener, accounts, lock, log, and some to spare.
const RESERVE: u64 = 64;

/// What macOS calls `OPEN_MAX`: the most it grants where the hard limit says there is none.
const GRANTED_ANYWHERE: u64 = 10_240;

/// Raises the limit as far as it goes without privileges, and warns if that is too little for `connections`.
///
/// The usual soft limit of 1024 is a courtesy to programs that call `select`, which this one does not.
pub(crate) fn raise_limit(connections: usize) {
    let needed = RESERVE.saturating_add(u64::try_from(connections).unwrap_or(u64::MAX));
    let Rlimit { current: before, maximum } = getrlimit(Resource::Nofile);
    // `None` is no limit.
    for wanted in [maximum, Some(needed), Some(GRANTED_ANYWHERE)] {
        let is_more = before.is_some_and(|before| wanted.is_none_or(|wanted| wanted > before));
        if is_more && setrlimit(Resource::Nofile, Rlimit { current: wanted, maximum }).is_ok() {
            break;
        }
    }
    let now = getrlimit(Resource::Nofile).current;
    tracing::info!(before, now, "limit on open files");
    if now.is_some_and(|now| now < needed) {
        tracing::warn!(
            now,
            needed,
            "fewer files may be open than limits.max_connections asks for; raise the hard limit (ulimit -Hn, or \
             LimitNOFILE= in the service)"
        );
    }
}
