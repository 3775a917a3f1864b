//! A plan: the steps to take, in order, and how they look to the person who is asked.
//!
//! `diff.rs` makes plans and `apply.rs` carries them out; nothing is decided in between.

use std::net::SocketAddr;
use std::path::PathBuf;

use chat_core::known_servers::ServerAddress;
use chat_core::noise::Fingerprint;
use serde::Serialize;

use crate::config::ServerConfig;
use crate::host::Foundation;
use crate::outline::Outline;
use crate::release::{Release, ReleaseId};

/// What happens to a thing; a closed set, one glyph each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is made.
    Add,
    /// It becomes another.
    Change,
    /// It goes.
    Remove,
}

impl Action {
    /// Returns the glyph: `+`, `~` or `-`.
    #[must_use]
    pub fn glyph(self) -> char {
        match self {
            Self::Add => '+',
            Self::Change => '~',
            Self::Remove => '-',
        }
    }
}

/// One line of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What happens.
    pub action: Action,
    /// To what kind of thing.
    pub subject: &'static str,
    /// To which, and how.
    pub text: String,
}

impl Row {
    pub(crate) fn new(action: Action, subject: &'static str, text: impl Into<String>) -> Self {
        Self { action, subject, text: text.into() }
    }
}

/// What becomes of the server when a release is activated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerChange {
    /// It does not run, and is started.
    Start,
    /// It runs, and is stopped and started.
    Restart {
        /// Its process now.
        pid: u32,
        /// Why, if neither its release nor its configuration changes.
        why: Option<String>,
    },
    /// It runs as it should, but was never seen healthy.
    Confirm {
        /// Its process.
        pid: u32,
    },
}

/// What becomes of the server's configuration when a release is activated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// It is written for the first time.
    Written,
    /// The server listens somewhere else.
    Moved {
        /// Where it listened.
        from: SocketAddr,
    },
    /// Other settings change.
    Other,
}

/// Puts a release to work with a configuration, checks it, and rolls back if it is not healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    /// The release.
    pub release: Release,
    /// The current one, if it is another.
    pub replaces: Option<ReleaseId>,
    /// The configuration.
    pub config: ServerConfig,
    /// What happens to the configuration file.
    pub config_change: Option<ConfigChange>,
    /// What happens to the server.
    pub server: ServerChange,
    /// Whether the release counts as newly deployed.
    pub deploys: bool,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Puts in place what releases stand on.
    Prepare(Foundation),
    /// Puts the data of this backup in place.
    Restore(PathBuf),
    /// Removes an old release.
    RemoveRelease(ReleaseId),
    /// Copies a release to the host.
    Install(Release),
    /// Puts it to work.
    Activate(Activation),
    /// Forgets the identity pinned for an address the server leaves.
    Unpin(ServerAddress),
    /// Pins the server's identity, which is made at its first start.
    Pin {
        /// For which address.
        address: ServerAddress,
        /// In place of which.
        replaces: Option<Fingerprint>,
    },
    /// Stops the server.
    Stop {
        /// Its process.
        pid: u32,
    },
    /// Copies the data to a file here.
    Backup,
    /// Removes everything else of the instance.
    RemoveInstance {
        /// How many releases go with it.
        releases: usize,
        /// Whether data goes with it.
        has_data: bool,
    },
}

impl Step {
    /// Returns the step's name: one word, as progress and JSON have it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Prepare(_) => "prepare",
            Self::Restore(_) => "restore",
            Self::RemoveRelease(_) => "prune",
            Self::Install(_) => "install",
            Self::Activate(_) => "activate",
            Self::Unpin(_) => "unpin",
            Self::Pin { .. } => "pin",
            Self::Stop { .. } => "stop",
            Self::Backup => "backup",
            Self::RemoveInstance { .. } => "remove",
        }
    }

    /// Says what the step is about, in a few words.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::Prepare(_) => "user, directories and units".to_owned(),
            Self::Restore(backup) => backup.display().to_string(),
            Self::RemoveRelease(id) => format!("release {id}"),
            Self::Install(release) => format!("release {}", release.id),
            Self::Activate(activation) => {
                format!("{} on {}", activation.release.id, activation.config.listen)
            }
            Self::Unpin(address) | Self::Pin { address, .. } => address.to_string(),
            Self::Stop { pid } => format!("server (pid {pid})"),
            Self::Backup => "accounts, identity and keys".to_owned(),
            Self::RemoveInstance { .. } => "releases, configuration and data".to_owned(),
        }
    }

    /// Returns what the step changes, for a person.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        match self {
            Self::Prepare(Foundation::Outdated) => {
                let text = "chat-server.service and what belongs to it, in force from the next start on";
                vec![Row::new(Action::Change, "service", text)]
            }
            Self::Prepare(Foundation::Missing | Foundation::Ready) => {
                let text = "chat-server.service, its socket and the user chat";
                vec![Row::new(Action::Add, "service", text)]
            }
            Self::Restore(backup) => {
                let text = format!("accounts, identity and keys from {}", backup.display());
                vec![Row::new(Action::Add, "data", text)]
            }
            Self::RemoveRelease(id) => {
                vec![Row::new(Action::Remove, "release", format!("{id}, an old one"))]
            }
            Self::Install(release) => {
                let size = show_bytes(release.size_bytes);
                vec![Row::new(Action::Add, "release", format!("{} ({size})", release.id))]
            }
            Self::Activate(activation) => activation.rows(),
            Self::Unpin(address) => vec![Row::new(Action::Remove, "pin", address.to_string())],
            Self::Pin { address, replaces: None } => {
                vec![Row::new(Action::Add, "pin", format!("{address}, the identity of this server"))]
            }
            Self::Pin { address, replaces: Some(old) } => {
                let text = format!("{address}, {old} gives way to the identity of this server");
                vec![Row::new(Action::Change, "pin", text)]
            }
            Self::Stop { pid } => vec![Row::new(Action::Remove, "server", format!("stop pid {pid}"))],
            Self::Backup => {
                vec![Row::new(Action::Add, "backup", "of accounts, identity and keys, kept on this machine")]
            }
            Self::RemoveInstance { releases, has_data } => removal_rows(*releases, *has_data),
        }
    }
}

impl Activation {
    fn rows(&self) -> Vec<Row> {
        let listen = self.config.listen;
        let config = self.config_change.as_ref().map(|change| match change {
            ConfigChange::Written => Row::new(Action::Add, "config", format!("listen on {listen}")),
            ConfigChange::Moved { from } => {
                Row::new(Action::Change, "config", format!("listen on {from} -> {listen}"))
            }
            ConfigChange::Other => Row::new(Action::Change, "config", "other settings than those it has"),
        });
        let current = self
            .replaces
            .as_ref()
            .map(|old| Row::new(Action::Change, "current", format!("{old} -> {}", self.release.id)));
        let server = match &self.server {
            ServerChange::Start => Row::new(Action::Add, "server", format!("start {}", self.release.id)),
            ServerChange::Restart { pid, why: None } => {
                Row::new(Action::Change, "server", format!("restart pid {pid}"))
            }
            ServerChange::Restart { pid, why: Some(why) } => {
                Row::new(Action::Change, "server", format!("restart pid {pid}: {why}"))
            }
            ServerChange::Confirm { pid } => {
                let text = format!("confirm pid {pid}, which an interrupted run left unchecked");
                Row::new(Action::Change, "server", text)
            }
        };
        [config, current, Some(server)].into_iter().flatten().collect()
    }
}

fn removal_rows(releases: usize, has_data: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    if releases > 0 {
        let plural = if releases == 1 { "" } else { "s" };
        rows.push(Row::new(Action::Remove, "release", format!("{releases} release{plural}")));
    }
    if has_data {
        rows.push(Row::new(Action::Remove, "data", "accounts, identity and keys"));
    }
    rows.push(Row::new(Action::Remove, "instance", "configuration, and all else that chat-deploy put there"));
    rows
}

/// The steps that lead from what there is to what should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order they are taken.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Tells whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Returns what changes, for a person.
    #[must_use]
    pub fn outline(&self) -> Outline {
        Outline { rows: self.steps.iter().flat_map(Step::rows).collect(), notes: Vec::new() }
    }
}

/// Shows a size for a person: `812 B`, `3.4 MB`.
#[must_use]
pub fn show_bytes(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{} kB", tenths(1000)),
        _ => format!("{} MB", tenths(1_000_000)),
    }
}
