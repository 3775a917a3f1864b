//! Runs cargo.
//!
//! It says on stdout, as JSON, what it made and where; its stderr is for people and becomes our progress. Both are read
//! here, and only `output.rs` knows what they look like.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::output::{Artifact, Screen};
use super::{BuildError, BuildProgress, Recipe, SERVER};
use crate::interrupt::Interrupt;

/// How often a silent cargo is interrupted to look for Ctrl-C.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Builds the server and returns what cargo made.
///
/// # Errors
///
/// [`BuildError`].
pub(super) fn run(
    checkout: &Path,
    recipe: Recipe,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(&BuildProgress),
) -> Result<Artifact, BuildError> {
    let mut child = command(checkout, recipe).spawn().map_err(|error| match error.kind() {
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
        return Err(BuildError::Failed { status, lines: screen.into_last_lines(), recipe });
    }
    artifact.ok_or(BuildError::NoArtifact)
}

/// Returns where cargo puts what it makes, unless a file of its settings says otherwise.
pub(super) fn target_dir(checkout: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout.join("target"), PathBuf::from)
}

fn command(checkout: &Path, recipe: Recipe) -> Command {
    // `cargo run` says which cargo it is, so that a build from within one uses the same toolchain.
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command
        .args(["build", "--package", SERVER, "--bin", SERVER])
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
    let (arguments, variables) = recipe.ingredients(&recipe.surroundings());
    command.args(arguments).envs(variables);
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
