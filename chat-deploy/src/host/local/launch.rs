//! Starts the server: the part that runs in the process that becomes the server.
//!
//! `chat-deploy` runs itself as `chat-deploy launch DIR RELEASE`, with the log as output and a share of the instance's
//! lock as input. That process leaves the terminal's session, takes the server's lock, writes down which process it is,
//! and then becomes the server, which inherits the lock as its standard input: an empty file, and locked for as long as
//! the server lives.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::files::failed;
use super::layout::Layout;
use super::process::Record;
use crate::clock::{Clock as _, SystemClock};
use crate::host::HostError;
use crate::release::{ReleaseId, ask};

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "launch";

/// How long to wait for the server's lock: `status` looks at it with a lock of its own, for a moment.
const WAIT: Duration = Duration::from_secs(2);

/// Becomes the server of the instance in `dir`; returns only if that failed.
#[must_use]
pub fn become_server(dir: PathBuf, release: &ReleaseId) -> HostError {
    match prepare(Layout::at(dir), release) {
        Ok(mut server) => HostError::NotStarted { id: release.clone(), source: server.exec() },
        Err(error) => error,
    }
}

fn prepare(layout: Layout, release: &ReleaseId) -> Result<Command, HostError> {
    // It fails only for the leader of a process group, which a child just started is not.
    let _ = rustix::process::setsid();
    let lock = take_server_lock(&layout)?;
    let log_start = layout.log().metadata().map_or(0, |log| log.len());
    Record::of_this_process(release, SystemClock::start().unix_seconds(), log_start).write(&layout)?;
    let mut server = Command::new(layout.program(release));
    server
        .args(["serve", "--config"])
        .arg(layout.config())
        .current_dir(layout.dir())
        .stdin(Stdio::from(lock));
    ask::clear_environment(&mut server);
    Ok(server)
}

fn take_server_lock(layout: &Layout) -> Result<File, HostError> {
    let path = layout.server_lock();
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&path).map_err(failed("open", &path))?;
    let deadline = Instant::now() + WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(5))
            }
            Err(error) => return Err(failed("lock", &path)(io::Error::from(error))),
        }
    }
}
