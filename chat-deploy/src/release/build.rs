//! Finds the checkout and builds the server from it with cargo.
//!
//! cargo says on stdout, as JSON, what it made and where; its stderr is for people and becomes our progress. Both are
//! read here, and only `release/build/output.rs` knows what they look like.

mod output;

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use self::output::{Artifact, Screen};
use super::elf::Machine;
use super::{Release, SERVER};
use crate::interrupt::Interrupt;

/// How often a silent cargo is interrupted to look for Ctrl-C.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Why there is no server binary to deploy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Neither the working directory nor any above it is a checkout.
    #[error("the source of {SERVER} was not found in {} or above it", from.display())]
    NoCheckout {
        /// Where the search began.
        from: PathBuf,
    },
    /// `--source` names something else.
    #[error("{} is not a checkout with {SERVER} in it", path.display())]
    NotACheckout {
        /// What was named.
        path: PathBuf,
    },
    /// There is no cargo.
    #[error("cargo was not found, and {SERVER} is built with it")]
    NoCargo,
    /// cargo could not be started or listened to.
    #[error("cargo could not be run")]
    Cargo(#[source] io::Error),
    /// cargo ran and failed.
    #[error("building {SERVER} failed ({status})")]
    Failed {
        /// How cargo ended.
        status: ExitStatus,
        /// Its own last lines.
        lines: Vec<String>,
    },
    /// cargo succeeded, but did not say what it made.
    #[error("cargo did not name the {SERVER} it built")]
    NoArtifact,
    /// Ctrl-C.
    #[error("the build was interrupted")]
    Interrupted,
    /// The binary cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The binary.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The binary's path cannot be written down.
    #[error("the path {path:?} is not in UTF-8")]
    NotUtf8 {
        /// The binary.
        path: PathBuf,
    },
    /// The file is no program, or not one of this kind of system.
    #[error("{} is not a program this system can run", path.display())]
    NotAProgram {
        /// The file.
        path: PathBuf,
    },
    /// The program is for another processor.
    #[error("{} is for {machine}, and this machine is {here}", path.display())]
    WrongMachine {
        /// The file.
        path: PathBuf,
        /// Its processor.
        machine: Machine,
        /// Ours.
        here: Machine,
    },
    /// The program does not say that it is the server.
    #[error("{} does not answer --version as {SERVER} does", path.display())]
    NotAServer {
        /// The file.
        path: PathBuf,
    },
}

/// How far a build is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildProgress {
    /// How many of its units are compiled, and of how many; unknown until cargo has planned.
    pub units: Option<(u64, u64)>,
    /// What cargo says it is doing.
    pub note: String,
}

/// Finds the checkout: the one named, or the working directory or the nearest above it, or where cargo runs us from.
///
/// # Errors
///
/// [`BuildError::NotACheckout`] for a named one, else [`BuildError::NoCheckout`].
pub fn find_checkout(
    named: Option<&Path>,
    working_directory: &Path,
    manifest_dir: Option<&Path>,
) -> Result<PathBuf, BuildError> {
    if let Some(path) = named {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        return if is_checkout(&absolute) {
            Ok(absolute)
        } else {
            Err(BuildError::NotACheckout { path: absolute })
        };
    }
    let starts = [Some(working_directory), manifest_dir];
    let mut candidates = starts.into_iter().flatten().flat_map(Path::ancestors);
    candidates
        .find(|path| is_checkout(path))
        .map(Path::to_owned)
        .ok_or_else(|| BuildError::NoCheckout { from: working_directory.to_owned() })
}

/// Builds the server in a checkout, optimised, and looks at what came out. When nothing changed, cargo says so at once.
///
/// # Errors
///
/// [`BuildError`]; a failed build carries cargo's last lines.
pub fn build(
    checkout: &Path,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(&BuildProgress),
) -> Result<Release, BuildError> {
    let mut child = cargo(checkout).spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => BuildError::NoCargo,
        _ => BuildError::Cargo(error),
    })?;
    let artifacts =
        child.stdout.take().map(|stdout| thread::spawn(move || find_artifact(BufReader::new(stdout))));
    let mut screen = Screen::default();
    if let Some(stderr) = child.stderr.take() {
        watch(&mut child, stderr, &mut screen, interrupt, progress)?;
    }
    let status = child.wait().map_err(BuildError::Cargo)?;
    let artifact = artifacts.and_then(|reader| reader.join().ok()).flatten();
    if interrupt.is_set() {
        return Err(BuildError::Interrupted);
    }
    if !status.success() {
        return Err(BuildError::Failed { status, lines: screen.into_last_lines() });
    }
    let Artifact { executable, version } = artifact.ok_or(BuildError::NoArtifact)?;
    super::inspect(&executable, Some(&version), interrupt)
}

fn is_checkout(path: &Path) -> bool {
    path.join("Cargo.toml").is_file() && path.join(SERVER).join("Cargo.toml").is_file()
}

fn cargo(checkout: &Path) -> Command {
    // `cargo run` says which cargo it is, so that a build from within one uses the same toolchain.
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command
        .args(["build", "--release", "--package", SERVER, "--bin", SERVER])
        .args(["--message-format", "json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(checkout.join("Cargo.toml"))
        .env("CARGO_TERM_COLOR", "never")
        .env("CARGO_TERM_QUIET", "false")
        .env("CARGO_TERM_VERBOSE", "false")
        // cargo draws its bar for us too, though it does not see a terminal; the counts in it are what we show.
        .env("CARGO_TERM_PROGRESS_WHEN", "always")
        .env("CARGO_TERM_PROGRESS_WIDTH", "100")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Reads cargo's stderr to its end, so until cargo is done.
fn watch(
    child: &mut Child,
    mut stderr: impl Read + AsFd,
    screen: &mut Screen,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(&BuildProgress),
) -> Result<(), BuildError> {
    let mut buffer = [0; 4096];
    loop {
        let ready = match poll(&mut [PollFd::new(&stderr, PollFlags::IN)], Some(&LOOK_EVERY)) {
            Ok(ready) => ready > 0,
            Err(rustix::io::Errno::INTR) => false,
            Err(errno) => return Err(BuildError::Cargo(errno.into())),
        };
        if interrupt.is_set() {
            // Ctrl-C on a terminal reaches cargo as well; any other signal reached only us.
            child.kill().and_then(|()| child.wait()).map_err(BuildError::Cargo)?;
            return Err(BuildError::Interrupted);
        }
        if !ready {
            continue;
        }
        match stderr.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => screen.feed(buffer.get(..len).unwrap_or_default(), progress),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(BuildError::Cargo(error)),
        }
    }
}

fn find_artifact(stdout: impl BufRead) -> Option<Artifact> {
    let mut found = None;
    // To the end, though the answer may come early: cargo must never find the pipe closed or full.
    for line in stdout.lines().map_while(Result::ok) {
        found = Artifact::from_message(&line).or(found);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkout_at(path: &Path) {
        std::fs::create_dir_all(path.join(SERVER)).unwrap();
        std::fs::write(path.join("Cargo.toml"), "[workspace]\n").unwrap();
        std::fs::write(path.join(SERVER).join("Cargo.toml"), "[package]\n").unwrap();
    }

    #[test]
    fn the_nearest_checkout_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let (here, other) = (dir.path().join("chat"), dir.path().join("other"));
        checkout_at(&here);
        checkout_at(&other);
        let deep = here.join("chat-core/src");
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(find_checkout(None, &deep, None).unwrap(), here);
        assert_eq!(find_checkout(None, dir.path(), Some(&other.join("chat-deploy"))).unwrap(), other);
        assert_eq!(find_checkout(Some(&other), &deep, None).unwrap(), other);
        assert!(matches!(find_checkout(Some(dir.path()), &deep, None), Err(BuildError::NotACheckout { .. })));
        assert!(matches!(find_checkout(None, dir.path(), None), Err(BuildError::NoCheckout { .. })));
    }
}
