//! The server's process: whether it runs, starting it, stopping it, and what program it is.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::files::{self, failed};
use super::layout::Layout;
use super::{LocalHost, launch, log};
use crate::host::{HostError, Process, Server};
use crate::release::{self, Digest, ReleaseId};

/// How long the server has to go when asked: it answers what it has taken and closes its database.
const TERM_WAIT: Duration = Duration::from_secs(10);
/// How long the system has to clear away a killed process.
const KILL_WAIT: Duration = Duration::from_secs(3);
/// How long the launcher may take until it has written its record.
const LAUNCH_WAIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

/// What the launcher writes down before it becomes the server.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pid: u32,
    /// When the system started the process, in its own ticks since boot; 0 where there is no `/proc`. A process id is
    /// given away again, the pair is not.
    start_ticks: u64,
    release: ReleaseId,
    started_at: u64,
    /// Where in the log this run begins, in bytes.
    pub(super) log_start: u64,
}

impl Record {
    pub(super) fn of_this_process(release: &ReleaseId, started_at: u64, log_start: u64) -> Self {
        let pid = std::process::id();
        Self { pid, start_ticks: start_ticks(pid), release: release.clone(), started_at, log_start }
    }

    pub(super) fn read(layout: &Layout) -> Result<Option<Self>, HostError> {
        let path = layout.process();
        let damaged = |source| HostError::Damaged { path: path.clone(), source: Box::new(source) };
        files::read_text(&path)?.map(|text| serde_json::from_str(&text).map_err(damaged)).transpose()
    }

    pub(super) fn write(&self, layout: &Layout) -> Result<(), HostError> {
        let path = layout.process();
        let text = serde_json::to_string(self).map_err(|error| failed("write", &path)(error.into()))?;
        files::replace(&path, &text)
    }
}

/// Tells whether the server runs. It does as long as somebody holds its lock, and the record says who.
pub(super) fn look(host: &LocalHost) -> Result<Server, HostError> {
    let how = reap(host)?;
    let Some(record) = holder(host.layout())? else {
        return Ok(Server::Stopped { how });
    };
    let release = match program_of(record.pid) {
        Some(program) => release_of(host.layout(), &program),
        // Where the system does not tell, or the process ended just now, the record has to do.
        None => Some(record.release),
    };
    Ok(Server::Running(Process { pid: record.pid, release, started_at: record.started_at }))
}

/// Starts a release in a process of its own; returns once that has the server's lock, or ended.
pub(super) fn start(host: &LocalHost, id: &ReleaseId) -> Result<(), HostError> {
    let not_started = |source| HostError::NotStarted { id: id.clone(), source };
    let log = log::open_for_server(host.layout())?;
    let share = |file: &File| file.try_clone().map(Stdio::from);
    let lock = host.lock.borrow().as_ref().map_or(Ok(Stdio::null()), share).map_err(not_started)?;
    let mut child = Command::new(&host.launcher)
        .arg(launch::SUBCOMMAND)
        .arg(host.layout().dir())
        .arg(id.as_str())
        .stdin(lock)
        .stderr(log.try_clone().map_err(not_started)?)
        .stdout(log)
        .spawn()
        .map_err(not_started)?;
    let deadline = Instant::now() + LAUNCH_WAIT;
    let is_recorded =
        |pid| Record::read(host.layout()).map(|record| record.is_some_and(|record| record.pid == pid));
    while !is_recorded(child.id())? && child.try_wait().map_err(not_started)?.is_none() {
        if Instant::now() >= deadline {
            let _ = child.kill();
            return Err(not_started(io::Error::new(io::ErrorKind::TimedOut, "its launcher hangs")));
        }
        thread::sleep(PAUSE);
    }
    *host.child.borrow_mut() = Some(child);
    Ok(())
}

/// Stops the server: SIGTERM, and SIGKILL if that does not do.
pub(super) fn stop(host: &LocalHost) -> Result<(), HostError> {
    for (signal, wait) in [(Signal::TERM, TERM_WAIT), (Signal::KILL, KILL_WAIT)] {
        let Some(record) = holder(host.layout())? else {
            break;
        };
        check_ours(host.layout(), record.pid)?;
        send(record.pid, signal)?;
        let deadline = Instant::now() + wait;
        while is_locked(host.layout())? && Instant::now() < deadline {
            thread::sleep(PAUSE);
        }
    }
    if let Some(record) = holder(host.layout())? {
        return Err(HostError::StillRunning { pid: record.pid });
    }
    reap(host)?;
    host.child.take();
    files::remove_file(&host.layout().process())
}

/// Computes the digest of the running program, from the system's own view of it where there is one.
pub(super) fn digest(host: &LocalHost, server: &Server) -> Result<Option<Digest>, HostError> {
    let Server::Running(process) = server else {
        return Ok(None);
    };
    let path = match &process.release {
        Some(release) if !cfg!(target_os = "linux") => host.layout().program(release),
        _ => PathBuf::from(format!("/proc/{}/exe", process.pid)),
    };
    match release::digest::of_file(&path) {
        Ok(digest) => Ok(Some(digest)),
        // It ended just now.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", &path)(error)),
    }
}

/// Clears away a child that ended, and says how it did.
fn reap(host: &LocalHost) -> Result<Option<String>, HostError> {
    let mut child = host.child.borrow_mut();
    let Some(child) = child.as_mut() else {
        return Ok(None);
    };
    let status = child.try_wait().map_err(|source| HostError::Process {
        doing: "wait for",
        pid: child.id(),
        source,
    })?;
    Ok(status.map(|status| status.to_string()))
}

fn is_locked(layout: &Layout) -> Result<bool, HostError> {
    let path = layout.server_lock();
    let file = match OpenOptions::new().read(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed("open", &path)(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(failed("lock", &path)(error)),
    }
}

/// Reads who holds the server's lock, if anybody does. The record is written just after the lock is taken, so it may be
/// a moment late.
fn holder(layout: &Layout) -> Result<Option<Record>, HostError> {
    let deadline = Instant::now() + Duration::from_secs(1);
    while is_locked(layout)? {
        let record = Record::read(layout)?.filter(|record| record.start_ticks == start_ticks(record.pid));
        if record.is_some() {
            return Ok(record);
        }
        if Instant::now() >= deadline {
            return Err(HostError::Nameless { lock: layout.server_lock() });
        }
        thread::sleep(PAUSE);
    }
    Ok(None)
}

/// Refuses to touch a process that runs anything but one of our releases.
fn check_ours(layout: &Layout, pid: u32) -> Result<(), HostError> {
    match program_of(pid) {
        Some(program) if release_of(layout, &program).is_none() => {
            Err(HostError::NotOurs { pid, program: program.display().to_string() })
        }
        _ => Ok(()),
    }
}

/// Returns the program a process runs, where the system tells.
fn program_of(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// Returns the release a program belongs to. The system adds ` (deleted)` to the name of a removed program; the
/// directory before it says enough.
fn release_of(layout: &Layout, program: &std::path::Path) -> Option<ReleaseId> {
    let releases = layout.releases();
    let releases = releases.canonicalize().unwrap_or(releases);
    let inside = program.strip_prefix(releases).ok()?;
    inside.iter().next()?.to_str()?.parse().ok()
}

/// Reads field 22 of `/proc/PID/stat`; the name in field 2 may hold anything, so counting begins behind it.
fn start_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.split_whitespace().nth(19).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
}

fn send(pid: u32, signal: Signal) -> Result<(), HostError> {
    let failed = |source| HostError::Process { doing: "signal", pid, source };
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let process = raw.ok_or_else(|| failed(io::Error::from(io::ErrorKind::InvalidInput)))?;
    match kill_process(process, signal) {
        // It went by itself meanwhile.
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(errno) => Err(failed(errno.into())),
    }
}
