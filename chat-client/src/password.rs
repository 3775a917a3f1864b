//! Where a password comes from when nobody is asked: a descriptor, a command such as a keyring's, the environment. Never an
//! argument, which others on the machine can read.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd as _;
use std::process::{Command, ExitStatus, Stdio};
use std::str::Utf8Error;

use chat_core::secret::Secret;
use zeroize::Zeroizing;

/// The variable of the environment.
const VARIABLE: &str = "CHAT_CLIENT_PASSWORD";
/// No password is longer.
const MAX_BYTES: usize = 4096;

/// Where a password comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordSource<'a> {
    /// The first line of a file descriptor that the program was started with.
    Descriptor(u32),
    /// The first line that a command of the shell prints.
    Command(&'a str),
    /// `CHAT_CLIENT_PASSWORD`, if it is set.
    Environment,
    /// The keyring, which is asked only when it is clear who the server is.
    Keyring,
}

/// There is no password where one should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// The descriptor cannot be read.
    #[error("cannot read a password from file descriptor {descriptor}")]
    Descriptor {
        /// Its number.
        descriptor: u32,
        /// What the system said.
        source: io::Error,
    },
    /// The command cannot be run.
    #[error("cannot run the password command")]
    Command(#[source] io::Error),
    /// The command was run and failed.
    #[error("the password command failed ({0})")]
    Failed(ExitStatus),
    /// What came is no text.
    #[error("the password is not UTF-8 text")]
    NotText(#[source] Utf8Error),
    /// Nothing came.
    #[error("the password is empty")]
    Empty,
}

/// Reads a password; `None` if the environment has none, or if it is to come later.
///
/// # Errors
///
/// [`PasswordError`].
pub fn read(source: PasswordSource<'_>) -> Result<Option<Secret>, PasswordError> {
    match source {
        PasswordSource::Descriptor(descriptor) => {
            let failed = |source| PasswordError::Descriptor { descriptor, source };
            first_line(inherited(descriptor).map_err(failed)?).map_err(failed).and_then(secret).map(Some)
        }
        PasswordSource::Command(command) => {
            let mut shell = Command::new("/bin/sh");
            let shell = shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped());
            let mut child = shell.spawn().map_err(PasswordError::Command)?;
            let line = child.stdout.take().map(first_line).transpose();
            let status = child.wait().map_err(PasswordError::Command)?;
            if !status.success() {
                return Err(PasswordError::Failed(status));
            }
            secret(line.map_err(PasswordError::Command)?.unwrap_or_default()).map(Some)
        }
        PasswordSource::Keyring => Ok(None),
        PasswordSource::Environment => Ok(std::env::var(VARIABLE).ok().map(Secret::new)),
    }
}

/// Opens a descriptor that the program was started with.
fn inherited(descriptor: u32) -> io::Result<File> {
    if descriptor == 0 {
        // The chat goes on where the password ends. A file that is opened anew would begin with the password again, and say
        // it to the room.
        return Ok(io::stdin().as_fd().try_clone_to_owned()?.into());
    }
    File::open(format!("/dev/fd/{descriptor}"))
}

fn secret(line: Zeroizing<Vec<u8>>) -> Result<Secret, PasswordError> {
    let text = str::from_utf8(&line).map_err(PasswordError::NotText)?;
    if text.is_empty() { Err(PasswordError::Empty) } else { Ok(Secret::new(text)) }
}

/// Reads the first line, without its end.
#[expect(
    clippy::unbuffered_bytes,
    reason = "what follows the line may be for somebody else, such as the chat itself"
)]
fn first_line(source: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // Made as large as it can get, so that no copy is left behind when it grows.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
    for byte in source.bytes().take(MAX_BYTES) {
        match byte? {
            b'\n' => break,
            byte => line.push(byte),
        }
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: &str, expected: Result<&str, &str>) {
        let read = read(PasswordSource::Command(command));
        let read =
            read.map(|password| password.unwrap().expose().to_owned()).map_err(|error| error.to_string());
        assert_eq!(read, expected.map(str::to_owned).map_err(str::to_owned), "{command}");
    }

    #[test]
    fn a_command_prints_it_on_its_first_line() {
        check("printf 'two words\nmore\n'", Ok("two words"));
        check("printf pw", Ok("pw"));
        check("true", Err("the password is empty"));
        check("echo pw; exit 3", Err("the password command failed (exit status: 3)"));
        check("printf '\\377'", Err("the password is not UTF-8 text"));
    }

    #[test]
    fn a_descriptor_that_is_not_there_is_named() {
        let error = read(PasswordSource::Descriptor(4_000)).unwrap_err();
        assert_eq!(error.to_string(), "cannot read a password from file descriptor 4000");
    }
}
