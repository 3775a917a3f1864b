//! This machine as a host: the user's state directory holds the instance, a detached process is the server.
//!
//! One directory per instance (`layout.rs`). Two locks guard it, and the system drops both when their holder dies:
//! `lock` is held by whoever changes the instance, `server.lock` by the server itself, from before it starts until it is
//! gone. So "does it run" never depends on a process id that somebody else may have by now, and there can be no second
//! server, whoever is killed when.

mod backup;
mod files;
mod journal;
pub mod launch;
mod layout;
mod lock;
mod log;
mod ports;
mod process;
mod releases;

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use chat_client::link::error_chain;
use chat_core::known_servers::ServerAddress;
use chat_core::noise::{Fingerprint, Identity};
use zeroize::Zeroizing;

use super::{Facts, Foundation, Held, Host, HostError, HostState, LogSpan, Proof, Server, ServerStatus};
use crate::config::ServerConfig;
use crate::instance::InstanceName;
use crate::interrupt::Interrupt;
use crate::release::{Release, ReleaseId, ask};

pub use layout::{Layout, StateRoot};

/// The server listens on this machine's own address: whoever wants to be reached from elsewhere deploys elsewhere.
const LISTEN: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// One instance on this machine.
#[derive(Debug)]
pub struct LocalHost {
    instance: InstanceName,
    layout: Layout,
    launcher: PathBuf,
    /// Our lock, while we have it. The launcher gets a share of it, so that the instance stays locked until the server
    /// it starts holds its own lock, even if we are killed in between.
    lock: RefCell<Option<File>>,
    /// The server, if this very process started it: the only way to learn how it ended.
    child: RefCell<Option<Child>>,
    /// Whether there was no data before this very process put a release to work. Nobody misses such data if that
    /// release fails; a later run cannot know whether somebody has used it since, so this is written down nowhere.
    made_data: Cell<bool>,
}

impl LocalHost {
    /// Looks at an instance under `root`. `launcher` is this program, which starts the server for us.
    #[must_use]
    pub fn new(root: &StateRoot, instance: InstanceName, launcher: PathBuf) -> Self {
        let layout = root.instance(&instance);
        Self {
            instance,
            layout,
            launcher,
            lock: RefCell::default(),
            child: RefCell::default(),
            made_data: Cell::new(false),
        }
    }

    /// Tells whether there is anything of the instance.
    #[must_use]
    pub fn exists(&self) -> bool {
        !self.layout.is_bare()
    }

    /// Returns where everything is.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    fn config(&self) -> Result<Option<ServerConfig>, HostError> {
        Ok(files::read_text(&self.layout.config())?.and_then(ServerConfig::parse))
    }

    fn current(&self) -> Result<Option<ReleaseId>, HostError> {
        let path = self.layout.current();
        match std::fs::read_link(&path) {
            Ok(target) => Ok(target.file_name().and_then(|name| name.to_str()?.parse().ok())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(HostError::File { doing: "read", path, source }),
        }
    }
}

impl Host for LocalHost {
    fn instance(&self) -> &InstanceName {
        &self.instance
    }

    fn place(&self) -> String {
        format!("this machine, in {}", self.layout.dir().display())
    }

    fn data_dir(&self) -> PathBuf {
        self.layout.data()
    }

    fn reach(&self, config: &ServerConfig) -> ServerAddress {
        ServerAddress::new(&config.listen.ip().to_string(), config.listen.port())
    }

    fn listen(&self, port: u16) -> SocketAddr {
        SocketAddr::from((LISTEN, port))
    }

    fn lock(&self) -> Result<Box<dyn Held + '_>, HostError> {
        Ok(Box::new(lock::take(self)?))
    }

    fn state(&self) -> Result<HostState, HostError> {
        let process = match self.server()? {
            Server::Running(process) => Some(process),
            Server::Stopped { .. } => None,
        };
        // It has to be seen also where it is damaged, and removed.
        let (identity, identity_problem) = match self.identity() {
            Ok(identity) => (identity, None),
            Err(error) => (None, Some(error_chain(&error))),
        };
        Ok(HostState {
            releases: releases::list(&self.layout)?,
            current: self.current()?,
            config: self.config()?,
            process,
            unconfirmed: journal::unconfirmed(&self.layout)?,
            identity,
            identity_problem,
            has_data: self.layout.data().exists(),
            has_files: !self.layout.is_bare(),
            foundation: Foundation::Ready,
            setback: None,
            facts: Facts::default(),
        })
    }

    fn server(&self) -> Result<Server, HostError> {
        process::look(self)
    }

    fn identity(&self) -> Result<Option<Fingerprint>, HostError> {
        read_identity(&self.layout.data().join("identity"))
    }

    fn proof(&self) -> Result<Proof, HostError> {
        let server = self.server()?;
        let digest = process::digest(self, &server)?;
        Ok(Proof { server, identity: self.identity()?, digest, setback: None })
    }

    fn log_place(&self) -> String {
        self.layout.log().display().to_string()
    }

    fn server_status(&self) -> Option<ServerStatus> {
        let program = self.layout.program(&self.current().ok()??);
        let mut command = Command::new(program);
        command.args(["status", "--json", "--data"]).arg(self.layout.data());
        let answer = ask::ask(&mut command, &Interrupt::default()).ok()?;
        serde_json::from_str(&answer.out).ok()
    }

    fn check_port(&self, listen: SocketAddr) -> Result<(), HostError> {
        ports::check(listen, &self.layout)
    }

    fn install(&self, release: &Release, progress: &mut dyn FnMut(u64)) -> Result<(), HostError> {
        releases::install(&self.layout, release, progress)
    }

    fn remove_release(&self, id: &ReleaseId) -> Result<(), HostError> {
        releases::remove(&self.layout, id)
    }

    fn check_config(
        &self,
        release: &ReleaseId,
        config: &ServerConfig,
        interrupt: &Interrupt,
    ) -> Result<(), HostError> {
        releases::check_config(&self.layout, release, config, interrupt)
    }

    fn discard(&self, release: &ReleaseId) -> Result<(), HostError> {
        releases::discard(&self.layout, release, self.current()?.as_ref())
    }

    fn activate(&self, release: &ReleaseId, config: &ServerConfig) -> Result<(), HostError> {
        journal::activate(self, release, config)
    }

    fn confirm(&self, _: &ReleaseId, _: &ServerConfig, deployed_at: Option<u64>) -> Result<(), HostError> {
        // Nobody but us goes back here, and we have the lock.
        journal::confirm(self, deployed_at)
    }

    fn revert(&self) -> Result<Option<ReleaseId>, HostError> {
        journal::revert(self)
    }

    fn stop(&self) -> Result<(), HostError> {
        process::stop(self)
    }

    fn log_tail(&self, span: LogSpan, lines: usize) -> Result<Vec<String>, HostError> {
        let from = match span {
            LogSpan::LastRun => process::Record::read(&self.layout)?.map_or(0, |record| record.log_start),
            LogSpan::All => 0,
        };
        log::tail(&self.layout, from, lines)
    }

    fn follow_log(
        &self,
        lines: usize,
        interrupt: &Interrupt,
        sink: &mut dyn FnMut(&str) -> io::Result<()>,
    ) -> Result<(), HostError> {
        log::follow(&self.layout, lines, interrupt, sink)
    }

    fn backup(&self) -> Result<PathBuf, HostError> {
        backup::write(&self.layout, &self.instance)
    }

    fn restore(&self, backup: &Path) -> Result<(), HostError> {
        backup::restore(&self.layout, backup)
    }

    fn remove(&self) -> Result<(), HostError> {
        files::remove_all_but(self.layout.dir(), layout::LOCK)
    }
}

/// Reads the fingerprint out of an identity file; the private key is wiped again.
fn read_identity(path: &Path) -> Result<Option<Fingerprint>, HostError> {
    let Some(text) = files::read_text(path)?.map(Zeroizing::new) else {
        return Ok(None);
    };
    let damaged = |source| HostError::Damaged { path: path.to_owned(), source: Box::new(source) };
    Identity::from_file_text(&text).map(|identity| Some(identity.fingerprint())).map_err(damaged)
}
