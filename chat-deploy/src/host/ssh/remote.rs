//! A connection to a host, as `SshHost` sees it: commands, with input and output. Behind it is libssh2
//! (`host/ssh/session.rs`), or a shell on this machine in the tests.

use std::io::{self, Read};
use std::time::Duration;

use super::keys::KeyError;
use super::known_hosts::PinnedHostsError;
use crate::host::Held;
use crate::plan::show_bytes;

/// A verified, authenticated connection to one host as its login user. Commands are lines for a POSIX shell.
pub trait Remote {
    /// Names the other side for a person: `ec2-user@203.0.113.7`.
    fn peer(&self) -> String;

    /// Runs a command to its end. An exit code other than 0 is an answer, not an error.
    ///
    /// # Errors
    ///
    /// [`RemoteError`].
    fn run(&self, call: Call<'_>) -> Result<Answer, RemoteError>;

    /// Runs a command that goes on until the result is dropped or this process dies; returns with the command's first line
    /// of output. Its standard input stays open for as long, and it answers each line in there with one of its own.
    ///
    /// # Errors
    ///
    /// [`RemoteError`]; [`RemoteError::Ended`] if the command ends before it has written a line.
    fn hold(&self, command: &str, within: Duration) -> Result<(String, Box<dyn Held + '_>), RemoteError>;

    /// Passes on the output of a command, whole lines at a time, until it ends or the run is interrupted.
    ///
    /// # Errors
    ///
    /// [`RemoteError`], the sink's as [`RemoteError::Sink`]; [`RemoteError::Ended`] if the command ends with another exit
    /// code than 0.
    fn follow(&self, command: &str, sink: &mut dyn FnMut(&str) -> io::Result<()>) -> Result<(), RemoteError>;

    /// Runs a command to its end and passes its output, byte by byte as it is, on to `sink`. There may be any length of it up
    /// to `limit_bytes`, so the call's `within` is for the time until something comes, each time.
    ///
    /// # Errors
    ///
    /// [`RemoteError`], the sink's as [`RemoteError::Sink`]; [`RemoteError::TooMuch`].
    fn receive(
        &self,
        call: Call<'_>,
        limit_bytes: u64,
        sink: &mut dyn io::Write,
    ) -> Result<Answer, RemoteError>;

    /// Connects, verifies and logs in once more, from the beginning: proof that the next one will be let in as well. Commands
    /// go over the new connection from then on; what is held stays with the old.
    ///
    /// # Errors
    ///
    /// [`RemoteError`].
    fn renew(&self) -> Result<(), RemoteError>;

    /// Connects, verifies and logs in once more as [`Self::renew`] does, to see which host key the other side proves to have
    /// now; a line as in `ssh_host_ed25519_key.pub`. Commands go over the connection there is, as before.
    ///
    /// # Errors
    ///
    /// [`RemoteError`].
    fn host_key_now(&self) -> Result<String, RemoteError>;

    /// Returns the host key that the other side proved to have when it was connected to, a line of the same kind.
    fn host_key(&self) -> String;
}

/// A command to run.
pub struct Call<'a> {
    /// For a POSIX shell. Never secret: it shows in the host's list of processes.
    pub command: &'a str,
    /// Its standard input; closed at its end.
    pub input: &'a mut dyn Read,
    /// How long it may take in all.
    pub within: Duration,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output, at most 1 MiB of it.
    pub out: String,
    /// Its standard error, the last 64 KiB of it.
    pub err: String,
}

/// Why a host did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The name means no address.
    #[error("the name {host} was not found")]
    Unknown {
        /// The name.
        host: String,
        /// The resolver's answer.
        source: io::Error,
    },
    /// Nothing answered: a firewall, a security group, or no machine.
    #[error("{peer} did not answer within {} s: something in between drops what is sent there", within.as_secs())]
    Filtered {
        /// Who.
        peer: String,
        /// How long it had.
        within: Duration,
    },
    /// The machine is there, and nothing listens.
    #[error("{peer} refused the connection: the machine is there, but no SSH server")]
    Refused {
        /// Who.
        peer: String,
    },
    /// There is no way to it.
    #[error("{peer} cannot be reached")]
    Unreachable {
        /// Who.
        peer: String,
        /// Why.
        source: io::Error,
    },
    /// Something accepts the connection and says nothing.
    #[error("{peer} accepts the connection and then says nothing for {} s", within.as_secs())]
    Silent {
        /// Who.
        peer: String,
        /// How long it had.
        within: Duration,
    },
    /// Something listens that is not SSH.
    #[error("{peer} does not speak SSH: {said}")]
    NotSsh {
        /// Who.
        peer: String,
        /// What it said instead.
        said: String,
    },
    /// Something accepts the connection and ends it without a word.
    #[error(
        "{peer} accepts the connection and ends it without a word: no SSH server, or one that is just starting"
    )]
    HungUp {
        /// Who.
        peer: String,
    },
    /// SSH could not be agreed upon.
    #[error("{peer}: the SSH handshake failed")]
    Handshake {
        /// Who.
        peer: String,
        /// What libssh2 said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The host key is another than the trusted ones.
    #[error("{peer} shows the host key {shown}, not {expected}")]
    WrongHostKey {
        /// Who.
        peer: String,
        /// The key it shows, as a fingerprint.
        shown: String,
        /// Those that were expected, as fingerprints.
        expected: String,
    },
    /// Nothing vouches for the host key, and nobody could be asked.
    #[error("nothing is known of {peer}, which shows the host key {shown}")]
    UnknownHostKey {
        /// Who.
        peer: String,
        /// The key it shows, as a fingerprint.
        shown: String,
    },
    /// The host key was withdrawn.
    #[error("{peer} shows the host key {shown}, which is marked as revoked")]
    RevokedHostKey {
        /// Who.
        peer: String,
        /// The key it shows, as a fingerprint.
        shown: String,
    },
    /// The person does not know the host key.
    #[error("the host key {shown} of {peer} was not accepted")]
    NotAccepted {
        /// Who.
        peer: String,
        /// The key it shows, as a fingerprint.
        shown: String,
    },
    /// The keys pinned on this machine cannot be used.
    #[error(transparent)]
    Pins(#[from] PinnedHostsError),
    /// It does not let us in.
    #[error("{peer} does not accept {tried}")]
    Denied {
        /// Who.
        peer: String,
        /// Which keys were offered.
        tried: String,
    },
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The person could not be asked.
    #[error("nobody could be asked about {peer}")]
    Prompt {
        /// About whom.
        peer: String,
        /// Why.
        source: io::Error,
    },
    /// A command took too long.
    #[error("{peer} did not finish within {} s: {doing}", within.as_secs())]
    Slow {
        /// Who.
        peer: String,
        /// What.
        doing: String,
        /// How long it had.
        within: Duration,
    },
    /// The connection broke.
    #[error("the connection to {peer} broke: {doing}")]
    Broken {
        /// Who.
        peer: String,
        /// During what.
        doing: String,
        /// What libssh2 said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A command ended that should have gone on.
    #[error("{peer} ended what should have gone on{}", if answer.err.is_empty() { String::new() } else { format!(": {}", answer.err.trim()) })]
    Ended {
        /// Who.
        peer: String,
        /// How.
        answer: Answer,
    },
    /// There was no end to what a command wrote.
    #[error("{peer} sent more than {}: {doing}", show_bytes(*limit_bytes))]
    TooMuch {
        /// Who.
        peer: String,
        /// During what.
        doing: String,
        /// How much it may be, in bytes.
        limit_bytes: u64,
    },
    /// What was to be sent could not be read.
    #[error("what is sent to {peer} cannot be read")]
    Input {
        /// Who.
        peer: String,
        /// Why.
        source: io::Error,
    },
    /// What came could not be passed on.
    #[error("what came from {peer} could not be passed on")]
    Sink {
        /// Who.
        peer: String,
        /// Why.
        source: io::Error,
    },
    /// Somebody asked us to stop.
    #[error("interrupted")]
    Interrupted,
}

impl RemoteError {
    /// Tells whether a machine that is just starting may do better in a moment.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Filtered { .. }
                | Self::Refused { .. }
                | Self::Unreachable { .. }
                | Self::Silent { .. }
                | Self::NotSsh { .. }
                | Self::HungUp { .. }
                | Self::Handshake { .. }
        )
    }

    /// Says of a wait in several tries how long it was in all.
    #[must_use]
    pub(super) fn after(self, all: Duration) -> Self {
        match self {
            Self::Filtered { peer, .. } => Self::Filtered { peer, within: all },
            other => other,
        }
    }
}

/// Writes a word so that a POSIX shell takes it as it is.
#[must_use]
pub fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
