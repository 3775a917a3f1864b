//! The exchange of the host key that came with the user-data, which others can read, for one that never leaves the host.
//!
//! Killed anywhere, it leaves a host whose key is pinned and vouched for: both keys are made known before the switch, the
//! old one is forgotten only when a new connection has proved the new one. Run again, it goes on from there.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use ssh_key::PublicKey;

use super::known_hosts::same_key;
use super::remote::{Answer, Call, Remote, RemoteError, quoted};
use super::trust::fingerprint;

/// Where an SSH server has its ed25519 host key.
pub const KEY_FILE: &str = "/etc/ssh/ssh_host_ed25519_key";

const MAKE: &str = include_str!("rotation/make.sh");
const SWITCH: &str = include_str!("rotation/switch.sh");

/// How long each of the two scripts may take.
const SCRIPT_WITHIN: Duration = Duration::from_secs(30);
/// How long the server may take to show the new key.
const SHOWN_WITHIN: Duration = Duration::from_secs(20);
/// A server that reads its keys anew does not listen for some hundredths of a second.
const LOOK_EVERY: Duration = Duration::from_millis(15);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Who keeps note of the keys: pins here, tags in the cloud.
pub trait Record {
    /// Makes both keys known, so that either is trusted from now on.
    ///
    /// # Errors
    ///
    /// Whatever kept it from being noted; nothing is switched then.
    fn announce(&mut self, former: &PublicKey, fresh: &PublicKey) -> Result<(), BoxError>;

    /// Forgets all keys but this one, which the host has proved to have.
    ///
    /// # Errors
    ///
    /// Whatever kept it from being noted.
    fn settle(&mut self, fresh: &PublicKey) -> Result<(), BoxError>;
}

/// Why a host key was not exchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotationError {
    /// The host did not answer.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The host could not do it.
    #[error("{peer} could not {doing} its host key: {}", answer.err.trim())]
    Failed {
        /// Who.
        peer: String,
        /// What it could not: `make`.
        doing: &'static str,
        /// What it said.
        answer: Answer,
    },
    /// What the host says is no ed25519 key.
    #[error("{peer} did not answer with a new host key: {said:?}")]
    NoKey {
        /// Who.
        peer: String,
        /// What it said.
        said: String,
    },
    /// The host goes on to show its former key.
    #[error("{peer} still shows the host key {shown} after {} s", within.as_secs())]
    NotShown {
        /// Who.
        peer: String,
        /// The key it shows, as a fingerprint.
        shown: String,
        /// How long it had.
        within: Duration,
    },
    /// The keys could not be noted.
    #[error("the host key of {peer} could not be noted")]
    Record {
        /// Whose.
        peer: String,
        /// Why.
        source: BoxError,
    },
}

/// Exchanges the host key in `key_file` on the host, if it still is the one with the fingerprint `bootstrap`, and returns
/// the one in use then. Connections that are open stay open, the remote's own too: the new key is worth what the connection
/// is that it was told over, so proof of it makes a new connection no better.
///
/// # Errors
///
/// [`RotationError`]; the host then has a key that was announced.
pub fn exchange(
    remote: &dyn Remote,
    bootstrap: &str,
    key_file: &str,
    record: &mut dyn Record,
) -> Result<PublicKey, RotationError> {
    let noted = |source| RotationError::Record { peer: remote.peer(), source };
    let former = shown_key(remote, remote.host_key())?;
    if fingerprint(&former) != bootstrap {
        // An earlier run got as far as here: the host has proved a key that is trusted and not this one.
        record.settle(&former).map_err(noted)?;
        return Ok(former);
    }
    let said = run_as_root(remote, "make", MAKE, &[key_file, &blob(&former)])?.out;
    let fresh = parse_new_key(remote, &said)?;
    record.announce(&former, &fresh).map_err(noted)?;
    run_as_root(remote, "switch", SWITCH, &[key_file, &blob(&fresh)])?;
    wait_until_shown(remote, &fresh)?;
    record.settle(&fresh).map_err(noted)?;
    Ok(fresh)
}

/// Connects anew until the other side proves the new key. A server that reads its keys anew may turn a connection away.
fn wait_until_shown(remote: &dyn Remote, fresh: &PublicKey) -> Result<(), RotationError> {
    let started = Instant::now();
    loop {
        thread::sleep(LOOK_EVERY);
        match remote.host_key_now() {
            Ok(said) => {
                let shown = shown_key(remote, said)?;
                if same_key(&shown, fresh) {
                    return Ok(());
                }
                if started.elapsed() >= SHOWN_WITHIN {
                    let (peer, shown) = (remote.peer(), fingerprint(&shown));
                    return Err(RotationError::NotShown { peer, shown, within: SHOWN_WITHIN });
                }
            }
            Err(error) if error.is_transient() && started.elapsed() < SHOWN_WITHIN => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn shown_key(remote: &dyn Remote, said: String) -> Result<PublicKey, RotationError> {
    said.parse().map_err(|_| RotationError::NoKey { peer: remote.peer(), said })
}

fn parse_new_key(remote: &dyn Remote, said: &str) -> Result<PublicKey, RotationError> {
    match said.trim().parse::<PublicKey>() {
        Ok(key) if key.key_data().is_ed25519() => Ok(key),
        _ => Err(RotationError::NoKey { peer: remote.peer(), said: said.to_owned() }),
    }
}

/// The base64 of a public key, the second word of its line.
fn blob(key: &PublicKey) -> String {
    key.to_string().split(' ').nth(1).unwrap_or_default().to_owned()
}

fn run_as_root(
    remote: &dyn Remote,
    doing: &'static str,
    script: &str,
    arguments: &[&str],
) -> Result<Answer, RotationError> {
    let mut words = format!("set -- sh -c {} {doing}-host-key", quoted(script));
    for argument in arguments {
        words.push(' ');
        words.push_str(&quoted(argument));
    }
    let command = format!("{words}; [ \"$(id -u)\" = 0 ] || set -- sudo -n \"$@\"; exec \"$@\"");
    let answer = remote.run(Call { command: &command, input: &mut io::empty(), within: SCRIPT_WITHIN })?;
    match answer.code {
        Some(0) => Ok(answer),
        _ => Err(RotationError::Failed { peer: remote.peer(), doing, answer }),
    }
}
