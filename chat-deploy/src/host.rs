//! The machine that runs the server, as the engine sees it.
//!
//! A host keeps releases, one of which is current, and runs at most one server. It takes a new release or
//! configuration in three verbs: [`Host::activate`] puts it to work and remembers the former, then either
//! [`Host::confirm`] forgets the former or [`Host::revert`] returns to it. So whoever is killed in between leaves behind
//! what the next run needs to go on, and a host behind SSH can come back to the former on its own.
//!
//! `host/local.rs` is this machine, `host/ssh.rs` any other.

pub mod backup;
mod error;
pub mod local;
mod proc_net;
#[cfg(feature = "ssh")]
pub mod ssh;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chat_core::known_servers::ServerAddress;
use chat_core::noise::Fingerprint;

use crate::config::ServerConfig;
use crate::instance::InstanceName;
use crate::interrupt::Interrupt;
use crate::release::{Digest, Release, ReleaseId};

pub use error::HostError;

/// Everything a host knows of one instance, seen at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostState {
    /// The releases installed, the one deployed last first.
    pub releases: Vec<Release>,
    /// The release that starts when the server starts.
    pub current: Option<ReleaseId>,
    /// The configuration it starts with; `None` as well if the file is unusable.
    pub config: Option<ServerConfig>,
    /// The server, if it runs.
    pub process: Option<Process>,
    /// The release to return to, if an earlier run was cut short before it saw the current one healthy.
    pub unconfirmed: Option<Unconfirmed>,
    /// The server's identity, once it has one.
    pub identity: Option<Fingerprint>,
    /// Why the identity cannot be read, if there is one and it cannot.
    pub identity_problem: Option<String>,
    /// Whether there is data to lose: accounts, identity, keys.
    pub has_data: bool,
    /// Whether there are any files at all, be it the remains of a removal that was cut off.
    pub has_files: bool,
    /// Whether what releases stand on is there.
    pub foundation: Foundation,
    /// The release that the host itself went back from last, if nothing was put to work since.
    pub setback: Option<Setback>,
    /// What kind of machine it is.
    pub facts: Facts,
}

impl HostState {
    /// Returns what a machine knows of an instance that has just been started for it.
    #[must_use]
    pub fn of_new_machine() -> Self {
        Self { foundation: Foundation::Missing, ..Self::default() }
    }

    /// Tells whether the host has nothing of this instance.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { foundation, facts, .. } = self;
        self == &Self { foundation: *foundation, facts: facts.clone(), ..Self::default() }
    }

    /// Finds an installed release.
    #[must_use]
    pub fn release(&self, id: &ReleaseId) -> Option<&Release> {
        self.releases.iter().find(|release| release.id == *id)
    }
}

/// What releases stand on: the user the server runs as, its directories and units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Foundation {
    /// It is as it should be, or none is needed.
    #[default]
    Ready,
    /// It is not there, or not all of it.
    Missing,
    /// It is that of another version of this program, or somebody changed it.
    Outdated,
}

/// A release that the host itself went back from, because nobody confirmed it in time or because it died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setback {
    /// The release that failed.
    pub release: ReleaseId,
    /// When the host went back, in seconds since 1970.
    pub at: u64,
    /// Why, in a few words.
    pub why: String,
}

/// The oldest systemd that knows all that the units say.
const LEAST_SYSTEMD: u32 = 247;

/// What kind of machine a host is, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its architecture as `uname -m` has it: `x86_64`.
    pub architecture: Option<String>,
    /// Its C library: `glibc 2.34`.
    pub libc: Option<String>,
    /// The free space where releases are kept, in bytes.
    pub free_bytes: Option<u64>,
    /// The version of systemd, where that is to run the server.
    pub systemd: Option<u32>,
}

impl Facts {
    /// Checks that the host has what a server needs there.
    ///
    /// # Errors
    ///
    /// [`HostError::Unsuitable`] if its systemd does not know all that the units say.
    pub fn check(&self) -> Result<(), HostError> {
        match self.systemd {
            Some(version @ ..LEAST_SYSTEMD) => Err(HostError::Unsuitable {
                lacks: format!("systemd {LEAST_SYSTEMD} or later, but {version}"),
            }),
            Some(_) | None => Ok(()),
        }
    }
}

/// A release or configuration at work that nobody has seen healthy yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unconfirmed {
    /// The release before it, if there was one.
    pub former: Option<ReleaseId>,
}

/// A running server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its process id.
    pub pid: u32,
    /// The release it runs; `None` if that is none of ours.
    pub release: Option<ReleaseId>,
    /// When it was started, in seconds since 1970.
    pub started_at: u64,
}

/// Whether the server runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// It does.
    Running(Process),
    /// It does not.
    Stopped {
        /// How it ended, where that is known: `exit status: 1`.
        how: Option<String>,
    },
}

/// What a running server says of itself.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct ServerStatus {
    /// The open connections.
    pub connections: Connections,
    /// Clients in the room.
    pub joined: u64,
    /// Clients that are logged in.
    pub logged_in: u64,
    /// The accounts; `None` if its database cannot be read.
    pub users: Option<u64>,
}

/// The open connections of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Connections {
    /// All of them.
    pub total: u64,
}

/// What a host says about the server at one moment, for comparing with what was installed and with who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Whether it runs.
    pub server: Server,
    /// Its identity, once it has one.
    pub identity: Option<Fingerprint>,
    /// The digest of the program that runs; `None` if none does.
    pub digest: Option<Digest>,
    /// The release that the host itself went back from, if nothing was put to work since.
    pub setback: Option<Setback>,
}

/// Which part of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSpan {
    /// What the server wrote since it was started last.
    LastRun,
    /// All that is kept.
    All,
}

/// A lock on an instance, released when dropped, and by the system when its holder dies.
pub trait Held {
    /// Makes sure that it is held still, and will be for half an hour at least. What was seen under a lock that was lost in
    /// between may be true no more.
    ///
    /// # Errors
    ///
    /// [`HostError::LockLost`], or the host's.
    fn keep(&self) -> Result<(), HostError>;
}

/// The machine that runs the server of one instance.
pub trait Host {
    /// Returns the instance this is about.
    fn instance(&self) -> &InstanceName;

    /// Names the place for a person: `this machine, in ~/.local/state/chat-deploy/instances/myserver`.
    fn place(&self) -> String;

    /// Returns where the server's data is kept, on the host.
    fn data_dir(&self) -> PathBuf;

    /// Returns where a server with this configuration is reached from here.
    fn reach(&self, config: &ServerConfig) -> ServerAddress;

    /// Returns the address a server is to listen on, for a port.
    fn listen(&self, port: u16) -> SocketAddr;

    /// Takes the instance's lock, so that nobody else changes it.
    ///
    /// # Errors
    ///
    /// [`HostError::Locked`] if somebody else has it, or the host's.
    fn lock(&self) -> Result<Box<dyn Held + '_>, HostError>;

    /// Looks at everything.
    ///
    /// # Errors
    ///
    /// The host's.
    fn state(&self) -> Result<HostState, HostError>;

    /// Looks at the server alone.
    ///
    /// # Errors
    ///
    /// The host's.
    fn server(&self) -> Result<Server, HostError>;

    /// Reads the server's identity; `None` until it has one.
    ///
    /// # Errors
    ///
    /// The host's.
    fn identity(&self) -> Result<Option<Fingerprint>, HostError>;

    /// Looks at the server, its identity and its program, all at one moment.
    ///
    /// # Errors
    ///
    /// The host's.
    fn proof(&self) -> Result<Proof, HostError>;

    /// Tells whether the host watches a confirmed release for a while by itself, and goes back if it dies. Then nobody else
    /// need wait for it.
    fn settles_itself(&self) -> bool {
        false
    }

    /// Returns the fingerprint of the SSH host key that the host has proved to have, if it was reached by SSH.
    fn host_key(&self) -> Option<String> {
        None
    }

    /// Asks the running server about itself; `None` if it does not answer.
    fn server_status(&self) -> Option<ServerStatus> {
        None
    }

    /// Says where the log is, for a person.
    fn log_place(&self) -> String;

    /// Puts in place what releases stand on, where it is missing or outdated. The server, if it runs, goes on running.
    ///
    /// # Errors
    ///
    /// The host's.
    fn prepare(&self) -> Result<(), HostError> {
        Ok(())
    }

    /// Checks that nobody else listens where the server shall.
    ///
    /// # Errors
    ///
    /// [`HostError::PortTaken`] or [`HostError::PortRefused`].
    fn check_port(&self, listen: SocketAddr) -> Result<(), HostError>;

    /// Installs a release from its `origin`; one that is there already is replaced. `progress` hears of bytes.
    ///
    /// # Errors
    ///
    /// [`HostError::BinaryChanged`] if the bytes are not the release's, or the host's; nothing is left of it then.
    fn install(&self, release: &Release, progress: &mut dyn FnMut(u64)) -> Result<(), HostError>;

    /// Removes a release; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// The host's.
    fn remove_release(&self, id: &ReleaseId) -> Result<(), HostError>;

    /// Lets an installed release judge a configuration, before anything is stopped for it.
    ///
    /// # Errors
    ///
    /// [`HostError::ConfigRefused`], [`HostError::NotChecked`] after Ctrl-C or if it takes too long, or the host's.
    fn check_config(
        &self,
        release: &ReleaseId,
        config: &ServerConfig,
        interrupt: &Interrupt,
    ) -> Result<(), HostError>;

    /// Removes a release that was installed and shall not be put to work after all; one that is current or was ever
    /// deployed stays. Neither the server nor its data is touched.
    ///
    /// # Errors
    ///
    /// The host's.
    fn discard(&self, release: &ReleaseId) -> Result<(), HostError>;

    /// Stops the server if it runs, and starts it with this release and configuration.
    ///
    /// # Errors
    ///
    /// The host's. [`Host::revert`] returns to the former from wherever this stopped.
    fn activate(&self, release: &ReleaseId, config: &ServerConfig) -> Result<(), HostError>;

    /// Makes what was activated, which is this release with this configuration, the one to keep. `deployed_at` (seconds
    /// since 1970) marks it as newly deployed, and as later than all others even if the clock says otherwise.
    ///
    /// # Errors
    ///
    /// [`HostError::WentBack`] if the host is at something else by now, or the host's.
    fn confirm(
        &self,
        release: &ReleaseId,
        config: &ServerConfig,
        deployed_at: Option<u64>,
    ) -> Result<(), HostError>;

    /// Returns to what was confirmed last, and says what runs now; `None` if nothing does, because there was nothing
    /// before, or the same. Releases that were never confirmed go. Data goes only if it came to be by an
    /// [`Host::activate`] of this very run.
    ///
    /// # Errors
    ///
    /// The host's.
    fn revert(&self) -> Result<Option<ReleaseId>, HostError>;

    /// Stops the server, by force if it does not go; one that does not run is no error.
    ///
    /// # Errors
    ///
    /// [`HostError::StillRunning`], or the host's.
    fn stop(&self) -> Result<(), HostError>;

    /// Reads the last lines of the log.
    ///
    /// # Errors
    ///
    /// The host's.
    fn log_tail(&self, span: LogSpan, lines: usize) -> Result<Vec<String>, HostError>;

    /// Passes on the last `lines` lines of the log and then what is appended, whole lines at a time, until interrupted or
    /// `sink` fails. Nothing is left out in between.
    ///
    /// # Errors
    ///
    /// The host's, and the sink's.
    fn follow_log(
        &self,
        lines: usize,
        interrupt: &Interrupt,
        sink: &mut dyn FnMut(&str) -> io::Result<()>,
    ) -> Result<(), HostError>;

    /// Copies the data to a file here and returns its path. The server must be stopped.
    ///
    /// # Errors
    ///
    /// The host's; no half file is left.
    fn backup(&self) -> Result<PathBuf, HostError>;

    /// Puts the data of a backup in place, before the first release is put to work.
    ///
    /// # Errors
    ///
    /// [`HostError::HasData`] if there is data already, [`HostError::BadBackup`], or the host's; no half of it is left.
    fn restore(&self, backup: &Path) -> Result<(), HostError>;

    /// Removes all there is of the instance. The server must be stopped.
    ///
    /// # Errors
    ///
    /// The host's.
    fn remove(&self) -> Result<(), HostError>;
}
