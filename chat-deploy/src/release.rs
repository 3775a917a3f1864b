//! What is deployed: a server binary, named by its version and the digest of its bytes.
//!
//! `release/build.rs` makes one from a checkout for a `release/target.rs`, and `release/elf.rs` looks at whether that can run
//! it; the hosts keep them, and the steps put them to work.

pub mod ask;
pub mod build;
pub mod digest;
pub mod elf;
pub mod target;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::interrupt::Interrupt;

pub use build::BuildError;
pub use digest::Digest;
pub use target::Target;

/// The server's program, in a checkout and in a release.
pub const SERVER: &str = "chat-server";

/// The name of a release: `<version>-<first 12 hexadecimal digits of its digest>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseId(String);

impl ReleaseId {
    /// Names the binary of a version.
    #[must_use]
    pub fn new(version: &str, digest: &Digest) -> Self {
        Self(format!("{version}-{}", digest.short()))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A text that is not the name of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a release is named <version>-<12 hexadecimal digits>, as 0.1.0-3f2a9c81d0e4")]
pub struct ReleaseIdError;

impl FromStr for ReleaseId {
    type Err = ReleaseIdError;

    fn from_str(text: &str) -> Result<Self, ReleaseIdError> {
        let (version, digest) = text.rsplit_once('-').ok_or(ReleaseIdError)?;
        let is_digest = digest.len() == digest::SHORT_DIGITS && digest.bytes().all(|b| b.is_ascii_hexdigit());
        // The name is a directory, so nothing that leads out of one.
        if is_digest && is_version(version) { Ok(Self(text.to_owned())) } else { Err(ReleaseIdError) }
    }
}

impl TryFrom<String> for ReleaseId {
    type Error = ReleaseIdError;

    fn try_from(text: String) -> Result<Self, ReleaseIdError> {
        text.parse()
    }
}

impl From<ReleaseId> for String {
    fn from(id: ReleaseId) -> Self {
        id.0
    }
}

/// What is known of a release, here or on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Its name.
    pub id: ReleaseId,
    /// The SHA-256 of the binary.
    pub digest: Digest,
    /// The size of the binary, in bytes.
    pub size_bytes: u64,
    /// When it was last deployed, in seconds since 1970; 0 if it never was.
    pub deployed_at: u64,
    /// The file it was made from, on the machine that deployed it.
    pub origin: PathBuf,
}

/// The version of a release whose program cannot run here, and so cannot be asked.
pub const UNVERSIONED: &str = "unversioned";

/// Looks at a server binary for a machine: its digest, size and version. If the version is not known, the binary itself is
/// asked, or, if it is for another machine than this, the release is an [`UNVERSIONED`] one, named by its digest alone.
///
/// # Errors
///
/// [`BuildError`] if the file cannot be read, or is no program that the machine can run.
pub fn inspect(
    binary: &Path,
    version: Option<&str>,
    target: Target,
    interrupt: &Interrupt,
) -> Result<Release, BuildError> {
    if binary.to_str().is_none() {
        return Err(BuildError::NotUtf8 { path: binary.to_owned() });
    }
    let program = elf::check(binary, target)?;
    let unreadable = |source| BuildError::Unreadable { path: binary.to_owned(), source };
    let digest = digest::of_file(binary).map_err(unreadable)?;
    let size_bytes = binary.metadata().map_err(unreadable)?.len();
    let version = match version {
        Some(version) => version.to_owned(),
        None if program.runs_here() => ask_version(binary, interrupt)?,
        None => UNVERSIONED.to_owned(),
    };
    let origin = std::path::absolute(binary).map_err(unreadable)?;
    Ok(Release { id: ReleaseId::new(&version, &digest), digest, size_bytes, deployed_at: 0, origin })
}

/// Checks that a path is that of a file: reading anything else may never come to an end.
///
/// # Errors
///
/// [`BuildError::Unreadable`] if it is not.
pub fn check_is_file(path: &Path) -> Result<(), BuildError> {
    let is_file = path.metadata().and_then(|file| match file.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file")),
    });
    is_file.map_err(|source| BuildError::Unreadable { path: path.to_owned(), source })
}

/// Runs `binary --version`, which answers `chat-server 0.1.0`.
fn ask_version(binary: &Path, interrupt: &Interrupt) -> Result<String, BuildError> {
    let answer = ask::ask(Command::new(binary).arg("--version"), interrupt);
    if interrupt.is_set() {
        return Err(BuildError::Interrupted);
    }
    let answer = answer.ok().filter(|answer| answer.status.success());
    let version = answer.as_ref().and_then(|answer| answer.out.trim().split_once(' '));
    match version {
        Some((SERVER, version)) if is_version(version) => Ok(version.to_owned()),
        _ => Err(BuildError::NotAServer { path: binary.to_owned() }),
    }
}

fn is_version(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
    !text.is_empty() && text.len() <= 64 && text.chars().all(allowed) && !text.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_version_and_digest() {
        let digest = digest::of_bytes(b"a server");
        let id = ReleaseId::new("0.1.0", &digest);
        assert_eq!(id.as_str(), "0.1.0-4e7835a26e2b");
        assert_eq!(id.as_str().parse(), Ok(id));
        assert!("0.1.0-rc.1-4e7835a26e2b".parse::<ReleaseId>().is_ok());
    }

    #[test]
    fn ids_never_lead_out_of_a_directory() {
        for bad in [
            "",
            "..",
            "0.1.0",
            "-4e7835a26e2b",
            "../x-4e7835a26e2b",
            "a/b-4e7835a26e2b",
            "0.1.0-98b1ef0bbcbg",
        ] {
            assert_eq!(bad.parse::<ReleaseId>(), Err(ReleaseIdError), "{bad:?}");
        }
    }
}
