//! Why a host did not do what was asked. What a person can do about it is in `error.rs` of the program.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::instance::InstanceName;
use crate::plan::show_bytes;
use crate::release::ReleaseId;

/// What a host answers in place of what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// There is no home to keep state in.
    #[error("there is no home directory to keep the state in")]
    NoHome,
    /// The home cannot be written down.
    #[error("the state directory {path:?} is not an absolute path in UTF-8")]
    BadHome {
        /// The directory.
        path: PathBuf,
    },
    /// A file or directory could not be used.
    #[error("could not {doing} {}", path.display())]
    File {
        /// What was tried: `write`.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of ours holds something else.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What reading it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Somebody else works on the instance.
    #[error("another chat-deploy works on {instance}{}", holder.as_ref().map(|h| format!(" ({h})")).unwrap_or_default())]
    Locked {
        /// Which.
        instance: InstanceName,
        /// Who, where that is known: `pid 4242`.
        holder: Option<String>,
    },
    /// The lock ended while it was needed: with the connection, or because nothing was done for too long.
    #[error("the lock on {instance} was lost; somebody else may have changed it since")]
    LockLost {
        /// Of which instance.
        instance: InstanceName,
        /// What became of it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The port belongs to somebody else.
    #[error("{listen} is taken{}", holder.as_ref().map(|h| format!(" by {h}")).unwrap_or_default())]
    PortTaken {
        /// The address.
        listen: SocketAddr,
        /// Whose it is, where that is known: `python3 (pid 4242)`.
        holder: Option<String>,
    },
    /// The system does not let us listen there.
    #[error("the system does not allow listening on {listen}")]
    PortRefused {
        /// The address.
        listen: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The binary is not what it was when its digest was taken.
    #[error("{} changed while it was installed", path.display())]
    BinaryChanged {
        /// The binary.
        path: PathBuf,
    },
    /// The server finds mistakes in its configuration.
    #[error("the server refuses its configuration")]
    ConfigRefused {
        /// What it said, line by line.
        said: Vec<String>,
    },
    /// The server did not get to judge its configuration.
    #[error("release {id} could not check its configuration")]
    NotChecked {
        /// Which release.
        id: ReleaseId,
        /// Why not.
        source: io::Error,
    },
    /// The release is not installed.
    #[error("release {id} is not installed")]
    NoRelease {
        /// Which.
        id: ReleaseId,
    },
    /// There is data that a backup would overwrite.
    #[error("{} has data of a server already", data.display())]
    HasData {
        /// Where.
        data: PathBuf,
    },
    /// A file is no backup of ours.
    #[error("{} is no backup of a chat server", path.display())]
    BadBackup {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The connection to the host failed.
    #[cfg(feature = "ssh")]
    #[error(transparent)]
    Remote(#[from] super::ssh::remote::RemoteError),
    /// A step failed on the host.
    #[error("the host failed to {verb}{}", said.last().map(|last| format!(": {last}")).unwrap_or_default())]
    Script {
        /// Which, as the script there has it.
        verb: &'static str,
        /// Its exit code; `None` if a signal ended it.
        code: Option<i32>,
        /// What it said, line by line.
        said: Vec<String>,
    },
    /// The host answered something that is no answer.
    #[error("the host answered {verb} with {line:?}, which means nothing here")]
    Garbled {
        /// What was asked.
        verb: &'static str,
        /// What makes no sense.
        line: String,
    },
    /// The host is somebody else's by now.
    #[error("the host runs the instance {there} already")]
    OtherInstance {
        /// Which one.
        there: String,
    },
    /// The host lacks something that every deployment needs.
    #[error("the host has no {lacks}")]
    Unsuitable {
        /// What.
        lacks: String,
    },
    /// The host's user for the server is not ours.
    #[error("the host has a user chat that chat-deploy has not made")]
    UserTaken,
    /// Something of our names is on the host that is not ours.
    #[error("the host has {} already, which chat-deploy has not made", path.display())]
    FilesTaken {
        /// What is there.
        path: PathBuf,
    },
    /// The host's disk is too full for a release.
    #[error("the host has {} free, and the release needs {}", show_bytes(*free_bytes), show_bytes(*needed_bytes))]
    NoRoom {
        /// How much it needs, in bytes.
        needed_bytes: u64,
        /// How much there is, in bytes.
        free_bytes: u64,
    },
    /// The host went back to what was before, and nothing can be confirmed any more.
    #[error("the host has gone back from release {release}: {why}")]
    WentBack {
        /// The release.
        release: ReleaseId,
        /// Why.
        why: String,
    },
    /// The server could not be started.
    #[error("release {id} could not be started")]
    NotStarted {
        /// Which release.
        id: ReleaseId,
        /// Why.
        source: io::Error,
    },
    /// The server does not stop.
    #[error("the server (pid {pid}) still runs after SIGKILL")]
    StillRunning {
        /// Its process id.
        pid: u32,
    },
    /// A process holds the server's lock, and nothing says which.
    #[error("a server of this instance runs, and nothing tells which process it is")]
    Nameless {
        /// The lock it holds.
        lock: PathBuf,
    },
    /// A process holds the server's lock that we cannot prove to be the server.
    #[error("pid {pid} holds the lock of the server and runs {program}; it is not ours to stop")]
    NotOurs {
        /// The process.
        pid: u32,
        /// What it runs.
        program: String,
    },
    /// The system refused what we asked of a process.
    #[error("could not {doing} pid {pid}")]
    Process {
        /// What was tried: `signal`.
        doing: &'static str,
        /// On which process.
        pid: u32,
        /// Why not.
        source: io::Error,
    },
}
