//! Where the files of an instance are.
//!
//! ```text
//! chat-deploy/                            in $XDG_STATE_HOME, default ~/.local/state
//!   instances/myserver/
//!     releases/0.1.0-3f2a9c81d0e4/        chat-server, release.json
//!     current -> releases/0.1.0-3f2a9c81d0e4
//!     server.toml                         written by us
//!     data/                               the server's: accounts, identity, keys
//!     chat-server.log, chat-server.log.1
//!     process.json                        which process the server is
//!     activation.json                     while a release is put to work: what was before
//!     lock, server.lock
//!   backups/myserver-20260211-103320.tar  what `down` kept
//!   keys/id_ed25519                       what logs in to machines on EC2
//!   known_hosts                           the host keys of machines
//!   locks/ec2.us-east-1.myserver          held while a run works on a remote instance
//! ```

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use crate::host::HostError;
use crate::instance::InstanceName;
use crate::release::{ReleaseId, SERVER};

/// The name of the lock that whoever changes an instance holds.
pub(super) const LOCK: &str = "lock";

/// The directory that holds all instances of a user.
#[derive(Clone, Debug)]
pub struct StateRoot(PathBuf);

impl StateRoot {
    /// Returns the user's own: `chat-deploy` in `$XDG_STATE_HOME`, which is `~/.local/state` by default.
    ///
    /// # Errors
    ///
    /// [`HostError::NoHome`], or [`HostError::BadHome`] for a directory that is relative or no UTF-8: it is written into
    /// the server's configuration, and has to mean the same from everywhere.
    pub fn of_user() -> Result<Self, HostError> {
        let directories = etcetera::base_strategy::Xdg::new().map_err(|_| HostError::NoHome)?;
        let state = directories.state_dir().unwrap_or_else(|| directories.home_dir().join(".local/state"));
        if !state.is_absolute() || state.to_str().is_none() {
            return Err(HostError::BadHome { path: state });
        }
        Ok(Self::at(state.join("chat-deploy")))
    }

    /// Uses a certain directory, which need not exist.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns where an instance is or would be.
    #[must_use]
    pub fn instance(&self, name: &InstanceName) -> Layout {
        Layout { dir: self.0.join("instances").join(name.as_str()), backups: self.0.join("backups") }
    }

    /// Returns where the locks of runs are that work on remote instances.
    #[must_use]
    pub fn locks(&self) -> PathBuf {
        self.0.join("locks")
    }

    /// Returns where the keys are that we log in to machines with.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// Returns the file of the host keys that are pinned.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.0.join("known_hosts")
    }

    /// Returns where backups are kept.
    #[must_use]
    pub fn backups(&self) -> PathBuf {
        self.0.join("backups")
    }

    /// Lists the instances, by name.
    ///
    /// # Errors
    ///
    /// [`HostError::File`] if the directory is there and cannot be read.
    pub fn instances(&self) -> Result<Vec<InstanceName>, HostError> {
        let names = super::files::names_in(&self.0.join("instances"))?;
        let names = names.iter().filter_map(|name| name.parse().ok());
        let mut names: Vec<InstanceName> = names.filter(|name| !self.instance(name).is_bare()).collect();
        names.sort();
        Ok(names)
    }
}

/// The files of one instance.
#[derive(Clone, Debug)]
pub struct Layout {
    dir: PathBuf,
    backups: PathBuf,
}

impl Layout {
    /// Takes the directory of an instance, wherever it is.
    pub(super) fn at(dir: PathBuf) -> Self {
        let backups = dir.join("../../backups");
        Self { dir, backups }
    }

    /// Returns the instance's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the server's log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.join("chat-server.log")
    }

    /// Returns the server's data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Returns the server's configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.join("server.toml")
    }

    /// Returns the directory of a release.
    #[must_use]
    pub fn release(&self, id: &ReleaseId) -> PathBuf {
        self.releases().join(id.as_str())
    }

    /// Returns the server's program in a release.
    #[must_use]
    pub fn program(&self, id: &ReleaseId) -> PathBuf {
        self.release(id).join(SERVER)
    }

    pub(super) fn releases(&self) -> PathBuf {
        self.dir.join("releases")
    }

    pub(super) fn current(&self) -> PathBuf {
        self.dir.join("current")
    }

    pub(super) fn former_log(&self) -> PathBuf {
        self.dir.join("chat-server.log.1")
    }

    pub(super) fn process(&self) -> PathBuf {
        self.dir.join("process.json")
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.dir.join("activation.json")
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.dir.join(LOCK)
    }

    pub(super) fn server_lock(&self) -> PathBuf {
        self.dir.join("server.lock")
    }

    pub(super) fn backups(&self) -> &Path {
        &self.backups
    }

    /// Tells whether there is nothing of the instance but perhaps the lock.
    pub(super) fn is_bare(&self) -> bool {
        super::files::names_in(&self.dir).is_ok_and(|names| names.iter().all(|name| name == LOCK))
    }
}
