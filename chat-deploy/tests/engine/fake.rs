//! A machine in memory, with the health check, the pins and the clock that go with it. It fails, or lets the deployer be
//! killed, at a chosen moment: every small change it makes is such a moment.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chat_client::pins::PinsError;
use chat_core::known_servers::{KnownServers, ServerAddress};
use chat_core::noise::Fingerprint;
use chat_deploy::clock::Clock;
use chat_deploy::config::ServerConfig;
use chat_deploy::health::{Health, HealthCheck, Unwell};
use chat_deploy::host::{
    Foundation, Held, Host, HostError, HostState, LogSpan, Process, Proof, Server, Setback, Unconfirmed,
};
use chat_deploy::instance::InstanceName;
use chat_deploy::interrupt::Interrupt;
use chat_deploy::pins::Pins;
use chat_deploy::release::{Release, ReleaseId};
use chat_deploy::report::{Event, Report};

/// How something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The change is refused.
    Refused,
    /// The change is made, and the answer is lost.
    AnswerLost,
    /// The deployer is killed before the change.
    KilledBefore,
    /// The deployer is killed after the change.
    KilledAfter,
}

/// All faults there are.
pub(crate) const FAULTS: [Fault; 4] =
    [Fault::Refused, Fault::AnswerLost, Fault::KilledBefore, Fault::KilledAfter];

/// What the deployer dies of; nothing of it runs after that, as after `kill -9`.
pub(crate) struct Killed;

/// What is on the machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Disk {
    pub(crate) foundation: bool,
    pub(crate) releases: Vec<Release>,
    pub(crate) current: Option<ReleaseId>,
    pub(crate) config: Option<ServerConfig>,
    pub(crate) server: Option<Process>,
    pub(crate) journal: Option<Journal>,
    pub(crate) data: bool,
    pub(crate) backups: usize,
}

/// What was before an activation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Journal {
    former: Option<(ReleaseId, ServerConfig)>,
    tried: (ReleaseId, ServerConfig),
}

/// The machine and all that belongs to it.
pub(crate) struct World {
    name: InstanceName,
    pub(crate) disk: RefCell<Disk>,
    pub(crate) known: RefCell<KnownServers>,
    /// How many servers were started while another ran: there must never be one.
    pub(crate) overlaps: Cell<usize>,
    /// The fault, and after how many more changes it comes.
    pub(crate) fault: Cell<Option<(usize, Fault)>>,
    /// Whether the present run of the deployer made the data.
    pub(crate) made_data: Cell<bool>,
    next_pid: Cell<u32>,
    time: Cell<Duration>,
    pub(crate) interrupt: Interrupt,
    /// Whether the machine goes back by itself from a release that dies before it is confirmed.
    pub(crate) is_guarded: Cell<bool>,
    pub(crate) setback: RefCell<Option<Setback>>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            name: "fake".parse().unwrap(),
            disk: RefCell::default(),
            known: RefCell::default(),
            overlaps: Cell::new(0),
            fault: Cell::new(None),
            made_data: Cell::new(false),
            next_pid: Cell::new(100),
            time: Cell::new(Duration::from_secs(1_000)),
            interrupt: Interrupt::default(),
            is_guarded: Cell::new(false),
            setback: RefCell::default(),
        }
    }

    /// The identity of the server; made anew with the data would be more like life, but one is enough here.
    pub(crate) fn identity() -> Fingerprint {
        Fingerprint::of(&[7; 32])
    }

    /// Kills the server from outside.
    pub(crate) fn crash(&self) {
        self.disk.borrow_mut().server = None;
    }

    /// Looks at the server, which may have ended by now.
    fn look(&self) -> Option<Process> {
        let now = self.unix_seconds();
        let mut disk = self.disk.borrow_mut();
        disk.server = disk.server.take().filter(|process| !is_over(process, now));
        disk.server.clone()
    }

    /// Makes one change, unless its moment has come to fail.
    fn change<T>(&self, make: impl FnOnce(&mut Disk) -> T) -> Result<T, HostError> {
        let fault = match self.fault.get() {
            Some((0, fault)) => {
                self.fault.set(None);
                Some(fault)
            }
            Some((changes, fault)) => {
                self.fault.set(Some((changes - 1, fault)));
                None
            }
            None => None,
        };
        let failure =
            || HostError::File { doing: "write", path: "/fake".into(), source: io::Error::other("fault") };
        match fault {
            Some(Fault::KilledBefore) => std::panic::panic_any(Killed),
            Some(Fault::Refused) => return Err(failure()),
            _ => {}
        }
        let value = make(&mut self.disk.borrow_mut());
        match fault {
            Some(Fault::KilledAfter) => std::panic::panic_any(Killed),
            Some(Fault::AnswerLost) => Err(failure()),
            _ => Ok(value),
        }
    }

    fn put_to_work(&self, id: &ReleaseId, config: &ServerConfig) -> Result<(), HostError> {
        self.change(|disk| disk.server = None)?;
        self.change(|disk| disk.config = Some(config.clone()))?;
        self.change(|disk| disk.current = Some(id.clone()))?;
        self.start(id)
    }

    fn start(&self, id: &ReleaseId) -> Result<(), HostError> {
        let pid = self.next_pid.replace(self.next_pid.get() + 1);
        let started_at = self.unix_seconds();
        self.change(|disk| {
            self.overlaps.set(self.overlaps.get() + usize::from(disk.server.is_some()));
            // A release that crashes at once was never seen running.
            disk.server = (!is_crashing(id)).then(|| Process { pid, release: Some(id.clone()), started_at });
            disk.data = true;
        })
    }
}

/// A release whose version says so ends as soon as it starts.
fn is_crashing(id: &ReleaseId) -> bool {
    id.as_str().starts_with("crash")
}

/// A release whose version says so answers for two seconds and ends then.
fn is_over(process: &Process, now: u64) -> bool {
    let is_brief = process.release.as_ref().is_some_and(|id| id.as_str().starts_with("brief"));
    is_brief && now >= process.started_at + 2
}

/// A release whose version says so runs, and answers nothing.
fn is_silent(id: &ReleaseId) -> bool {
    id.as_str().starts_with("silent")
}

impl Host for World {
    fn instance(&self) -> &InstanceName {
        &self.name
    }

    fn place(&self) -> String {
        "a fake machine".to_owned()
    }

    fn log_place(&self) -> String {
        "nowhere".to_owned()
    }

    fn data_dir(&self) -> PathBuf {
        "/data".into()
    }

    fn reach(&self, config: &ServerConfig) -> ServerAddress {
        ServerAddress::new("127.0.0.1", config.listen.port())
    }

    fn listen(&self, port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    fn lock(&self) -> Result<Box<dyn Held + '_>, HostError> {
        struct Free;
        impl Held for Free {
            fn keep(&self) -> Result<(), HostError> {
                Ok(())
            }
        }
        Ok(Box::new(Free))
    }

    fn state(&self) -> Result<HostState, HostError> {
        let process = self.look();
        let disk = self.disk.borrow();
        let mut releases = disk.releases.clone();
        releases.sort_by(|a, b| (b.deployed_at, &a.id).cmp(&(a.deployed_at, &b.id)));
        Ok(HostState {
            has_files: *disk != Disk { backups: disk.backups, ..Disk::default() },
            releases,
            current: disk.current.clone(),
            config: disk.config.clone(),
            process,
            unconfirmed: disk.journal.as_ref().map(|journal| Unconfirmed {
                former: journal.former.as_ref().map(|former| former.0.clone()),
            }),
            identity: disk.data.then(World::identity),
            identity_problem: None,
            has_data: disk.data,
            foundation: if disk.foundation { Foundation::Ready } else { Foundation::Missing },
            ..HostState::default()
        })
    }

    fn server(&self) -> Result<Server, HostError> {
        Ok(self.look().map_or(Server::Stopped { how: Some("exit status: 1".to_owned()) }, Server::Running))
    }

    fn identity(&self) -> Result<Option<Fingerprint>, HostError> {
        Ok(self.disk.borrow().data.then(World::identity))
    }

    fn settles_itself(&self) -> bool {
        self.is_guarded.get()
    }

    fn proof(&self) -> Result<Proof, HostError> {
        let tried = self.disk.borrow().journal.as_ref().map(|journal| journal.tried.0.clone());
        if let Some(release) = tried.filter(|_| self.is_guarded.get() && self.look().is_none()) {
            self.revert()?;
            let setback = Setback { release, at: self.unix_seconds(), why: "it ended".to_owned() };
            self.setback.replace(Some(setback));
        }
        let server = self.server()?;
        let running = self.look().and_then(|server| server.release);
        let releases = &self.disk.borrow().releases;
        let digest = releases.iter().find(|release| Some(&release.id) == running.as_ref()).map(|r| r.digest);
        Ok(Proof { server, identity: self.identity()?, digest, setback: self.setback.borrow().clone() })
    }

    fn prepare(&self) -> Result<(), HostError> {
        self.change(|disk| disk.foundation = true)
    }

    fn check_port(&self, _: SocketAddr) -> Result<(), HostError> {
        Ok(())
    }

    fn install(&self, release: &Release, progress: &mut dyn FnMut(u64)) -> Result<(), HostError> {
        progress(release.size_bytes);
        self.change(|disk| disk.releases.retain(|there| there.id != release.id))?;
        self.change(|disk| disk.releases.push(release.clone()))
    }

    fn remove_release(&self, id: &ReleaseId) -> Result<(), HostError> {
        self.change(|disk| disk.releases.retain(|release| release.id != *id))
    }

    fn check_config(&self, _: &ReleaseId, config: &ServerConfig, _: &Interrupt) -> Result<(), HostError> {
        if config.text.contains("refused") {
            return Err(HostError::ConfigRefused { said: vec!["error: refused".to_owned()] });
        }
        Ok(())
    }

    fn discard(&self, id: &ReleaseId) -> Result<(), HostError> {
        self.change(|disk| {
            let is_current = disk.current.as_ref() == Some(id);
            disk.releases.retain(|release| release.id != *id || release.deployed_at > 0 || is_current);
        })
    }

    fn activate(&self, release: &ReleaseId, config: &ServerConfig) -> Result<(), HostError> {
        self.change(|disk| {
            let now = disk.current.clone().zip(disk.config.clone());
            let former = disk.journal.take().map_or(now, |journal| journal.former);
            disk.journal = Some(Journal { former, tried: (release.clone(), config.clone()) });
            self.made_data.set(self.made_data.get() || !disk.data);
        })?;
        self.put_to_work(release, config)
    }

    fn confirm(
        &self,
        release: &ReleaseId,
        config: &ServerConfig,
        deployed_at: Option<u64>,
    ) -> Result<(), HostError> {
        {
            let disk = self.disk.borrow();
            assert_eq!((disk.current.as_ref(), disk.config.as_ref()), (Some(release), Some(config)));
        }
        if let Some(moment) = deployed_at {
            self.change(|disk| {
                let current = disk.current.clone();
                let youngest = disk.releases.iter().map(|release| release.deployed_at).max().unwrap_or(0);
                let releases =
                    disk.releases.iter_mut().filter(|release| Some(&release.id) == current.as_ref());
                releases.for_each(|release| release.deployed_at = moment.max(youngest + 1));
            })?;
        }
        self.change(|disk| disk.journal = None)
    }

    fn revert(&self) -> Result<Option<ReleaseId>, HostError> {
        let (journal, current, config) = {
            let disk = self.disk.borrow();
            (disk.journal.clone(), disk.current.clone(), disk.config.clone())
        };
        let now = current.zip(config);
        let Some(Journal { former, tried }) = journal else {
            let running = self.disk.borrow().server.as_ref().and_then(|server| server.release.clone());
            self.change(|disk| disk.releases.retain(|release| release.deployed_at > 0))?;
            return Ok(running);
        };
        self.change(|disk| disk.server = None)?;
        let kept = former.as_ref().map(|former| &former.0);
        self.change(|disk| disk.releases.retain(|r| r.deployed_at > 0 || Some(&r.id) == kept))?;
        let runs = match former {
            Some(former) if former == tried => None,
            Some(former) if Some(&former) == now.as_ref() => {
                self.start(&former.0)?;
                Some(former.0)
            }
            Some((release, config)) => {
                self.put_to_work(&release, &config)?;
                Some(release)
            }
            None => {
                self.change(|disk| {
                    (disk.current, disk.config, disk.data) = (None, None, disk.data && !self.made_data.get());
                    disk.foundation &= disk.data;
                })?;
                None
            }
        };
        self.change(|disk| disk.journal = None)?;
        Ok(runs)
    }

    fn stop(&self) -> Result<(), HostError> {
        self.change(|disk| disk.server = None)
    }

    fn log_tail(&self, _: LogSpan, _: usize) -> Result<Vec<String>, HostError> {
        Ok(vec!["the last words".to_owned()])
    }

    fn follow_log(
        &self,
        _: usize,
        _: &Interrupt,
        _: &mut dyn FnMut(&str) -> io::Result<()>,
    ) -> Result<(), HostError> {
        Ok(())
    }

    fn backup(&self) -> Result<PathBuf, HostError> {
        self.change(|disk| disk.backups += 1)?;
        Ok("/backup.tar".into())
    }

    fn restore(&self, _: &Path) -> Result<(), HostError> {
        if self.disk.borrow().data {
            return Err(HostError::HasData { data: self.data_dir() });
        }
        self.change(|disk| disk.data = true)
    }

    fn remove(&self) -> Result<(), HostError> {
        self.change(|disk| (disk.current, disk.config) = (None, None))?;
        self.change(|disk| disk.releases.clear())?;
        self.change(|disk| *disk = Disk { backups: disk.backups, ..Disk::default() })
    }
}

impl HealthCheck for World {
    fn check(&self, _: &ServerAddress, _: Option<Fingerprint>, within: Duration) -> Result<Health, Unwell> {
        let running = self.look().and_then(|server| server.release);
        match running.filter(|release| !is_silent(release)) {
            Some(release) => Ok(Health {
                agent: release.to_string(),
                identity: World::identity(),
                round_trip: Duration::from_millis(1),
            }),
            None => {
                self.sleep(within);
                Err(Unwell { cause: "no answer".into(), is_transient: true })
            }
        }
    }
}

impl Pins for World {
    fn read(&self) -> Result<KnownServers, PinsError> {
        Ok(self.known.borrow().clone())
    }

    fn pin(&self, address: &ServerAddress, identity: Fingerprint) -> Result<(), PinsError> {
        self.change(|_| self.known.borrow_mut().pin(address.clone(), identity)).map_err(pins_error)
    }

    fn forget(&self, address: &ServerAddress) -> Result<(), PinsError> {
        self.change(|_| self.known.borrow_mut().forget(address)).map(drop).map_err(pins_error)
    }
}

fn pins_error(error: HostError) -> PinsError {
    PinsError::Write { path: "/fake".into(), source: io::Error::other(error) }
}

impl Clock for World {
    fn now(&self) -> Duration {
        self.time.get()
    }

    fn unix_seconds(&self) -> u64 {
        self.time.get().as_secs()
    }

    fn sleep(&self, duration: Duration) {
        self.time.set(self.time.get() + duration);
    }
}

impl Report for World {
    fn event(&self, _: &Event<'_>) {
        self.sleep(Duration::from_secs(1));
    }
}
