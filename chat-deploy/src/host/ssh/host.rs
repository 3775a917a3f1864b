//! A Linux host as the engine sees it: every verb is a call of the script there, over a [`Remote`].
//!
//! Each call takes several round trips, so what one answers besides is kept for the next question: `activate` says how the
//! server is then, and `state` who listens on the machine.

mod answer;
mod script;
mod upload;

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chat_core::known_servers::ServerAddress;
use chat_core::noise::Fingerprint;

use super::remote::{Call, Remote, RemoteError};
use super::tail::Tail;
use super::trust::fingerprint;
use crate::config::ServerConfig;
use crate::host::{Held, Host, HostError, HostState, LogSpan, Proof, Server, ServerStatus, backup, proc_net};
use crate::instance::InstanceName;
use crate::interrupt::Interrupt;
use crate::release::{Release, ReleaseId, digest};
use answer::{Look, Seen};
use upload::Upload;

/// The server listens for everyone; who gets through is for the network around the host to say.
const LISTEN: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const DATA: &str = "/var/lib/chat";

/// How long a call may take that only looks or writes small files.
const CALL_WITHIN: Duration = Duration::from_secs(60);
/// How long one may take that stops and starts a server, which has its own limits for that.
const SERVER_CALL_WITHIN: Duration = Duration::from_secs(120);
/// How long one may take that moves data there, besides the time for the bytes.
const TRANSFER_WITHIN: Duration = Duration::from_secs(300);
/// How long one may pause that moves data here.
const PAUSE_WITHIN: Duration = Duration::from_secs(60);
/// The most data that is taken from a host: a hundred times what the server's own limits let it keep.
const RECEIVED_BYTES: u64 = 4 << 30;
/// How much of a log is shown at once: the end.
const LOG_BYTES: usize = 16 << 20;
/// The least that a connection is expected to carry, in bytes per second.
const LEAST_RATE: u64 = 20_000;
/// How much longer than the deployer's own limit the host waits for it to confirm: for its last requests, and for the
/// connection that it makes anew.
const CONFIRM_MARGIN: Duration = Duration::from_secs(30);

/// By this exit code the script shows that it refuses, and says why in words for us.
const REFUSED: i32 = 10;

/// What a host cannot know by itself.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The name or address that clients reach it at.
    pub address: String,
    /// The place in words for a person: `ec2-user@203.0.113.7`.
    pub place: String,
    /// Where backups are kept, on this machine.
    pub backups: PathBuf,
    /// Who we are, for others who wait for the lock: `you@laptop, pid 4242`.
    pub holder: String,
    /// How long a server may take until it is healthy.
    pub start_timeout: Duration,
}

/// One Linux host with systemd, reached by SSH.
pub struct SshHost<'a> {
    instance: InstanceName,
    remote: Box<dyn Remote + 'a>,
    surroundings: Surroundings,
    /// The last answer to `state`.
    seen: RefCell<Option<Seen>>,
    /// The identity, once it was seen: it stays the same for as long as there is data.
    identity: Cell<Option<Fingerprint>>,
    /// What `activate` said of the server, until somebody asks.
    after_activation: RefCell<Option<Proof>>,
    /// Whether a release is being put to work by this very process, so that the last run in the log is that one's, even if
    /// the host has gone back since.
    is_activating: Cell<bool>,
    /// Whether there was no data before this very process put a release to work. Nobody misses such data if that
    /// release fails; a later run cannot know whether somebody has used it since, so this is written down nowhere.
    made_data: Cell<bool>,
}

impl<'a> SshHost<'a> {
    /// Looks at an instance on the host behind `remote`.
    #[must_use]
    pub fn new(instance: InstanceName, remote: Box<dyn Remote + 'a>, surroundings: Surroundings) -> Self {
        Self {
            instance,
            remote,
            surroundings,
            seen: RefCell::default(),
            identity: Cell::default(),
            after_activation: RefCell::default(),
            is_activating: Cell::new(false),
            made_data: Cell::new(false),
        }
    }

    /// Calls the script; returns what it wrote.
    fn call(
        &self,
        verb: &'static str,
        arguments: &[&str],
        input: &mut dyn Read,
        within: Duration,
    ) -> Result<Said, HostError> {
        let mut input = script::line()?.as_bytes().chain(input);
        let command = script::command(verb, arguments);
        let answer = self.remote.run(Call { command: &command, input: &mut input, within })?;
        match answer.code {
            Some(0) => Ok(Said { out: answer.out, err: lines(&answer.err) }),
            Some(REFUSED) => Err(refusal(verb, &answer.out)),
            code => Err(HostError::Script { verb, code, said: lines(&answer.err) }),
        }
    }

    /// Calls the script for output that may be long, of which `sink` gets all.
    fn receive(
        &self,
        verb: &'static str,
        command: &str,
        input: &[u8],
        sink: &mut dyn io::Write,
    ) -> Result<(), HostError> {
        let call = Call { command, input: &mut &*input, within: PAUSE_WITHIN };
        let answer = self.remote.receive(call, RECEIVED_BYTES, sink)?;
        match answer.code {
            Some(0) => Ok(()),
            code => Err(HostError::Script { verb, code, said: lines(&answer.err) }),
        }
    }

    fn simple(&self, verb: &'static str, arguments: &[&str], within: Duration) -> Result<Said, HostError> {
        self.call(verb, arguments, &mut io::empty(), within)
    }

    /// Keeps what a look is good for beyond the question.
    fn keep(&self, look: &Look) -> Result<(), HostError> {
        if let Some(problem) = &look.identity_problem {
            return Err(damaged_identity(problem));
        }
        self.identity.set(look.identity.or(self.identity.get()));
        Ok(())
    }
}

/// The lock on the host, for as long as a command there holds it.
struct HostLock<'a> {
    held: Box<dyn Held + 'a>,
    instance: &'a InstanceName,
}

impl Held for HostLock<'_> {
    fn keep(&self) -> Result<(), HostError> {
        self.held.keep().map_err(|error| match error {
            HostError::Remote(RemoteError::Interrupted) => error,
            error => HostError::LockLost { instance: self.instance.clone(), source: error.into() },
        })
    }
}

/// What the script wrote.
struct Said {
    out: String,
    err: Vec<String>,
}

impl Host for SshHost<'_> {
    fn instance(&self) -> &InstanceName {
        &self.instance
    }

    fn place(&self) -> String {
        self.surroundings.place.clone()
    }

    fn data_dir(&self) -> PathBuf {
        DATA.into()
    }

    fn reach(&self, config: &ServerConfig) -> ServerAddress {
        ServerAddress::new(&self.surroundings.address, config.listen.port())
    }

    fn listen(&self, port: u16) -> SocketAddr {
        SocketAddr::from((LISTEN, port))
    }

    fn settles_itself(&self) -> bool {
        true
    }

    fn host_key(&self) -> Option<String> {
        self.remote.host_key().parse().ok().map(|key| fingerprint(&key))
    }

    fn lock(&self) -> Result<Box<dyn Held + '_>, HostError> {
        let command = script::lock_command(&self.surroundings.holder);
        let (line, held) = self.remote.hold(&command, CALL_WITHIN)?;
        match line.trim_end() {
            "locked" => Ok(Box::new(HostLock { held, instance: &self.instance })),
            line => match line.strip_prefix("held") {
                Some(holder) => {
                    let holder = Some(holder.trim().to_owned()).filter(|holder| !holder.is_empty());
                    Err(HostError::Locked { instance: self.instance.clone(), holder })
                }
                None => Err(HostError::Garbled { verb: "lock", line: line.to_owned() }),
            },
        }
    }

    fn state(&self) -> Result<HostState, HostError> {
        let said = self.simple("state", &[], CALL_WITHIN)?;
        let seen = answer::state(&said.out, &script::foundation_digest())?;
        if seen.state.facts.systemd.is_none() {
            return Err(HostError::Unsuitable { lacks: "systemd".to_owned() });
        }
        if let Some(there) = seen.instance.as_ref().filter(|there| *there != self.instance.as_str()) {
            return Err(HostError::OtherInstance { there: there.clone() });
        }
        self.identity.set(seen.state.identity);
        let state = seen.state.clone();
        self.seen.replace(Some(seen));
        Ok(state)
    }

    fn server(&self) -> Result<Server, HostError> {
        Ok(self.proof()?.server)
    }

    fn identity(&self) -> Result<Option<Fingerprint>, HostError> {
        let problem = self.seen.borrow().as_ref().and_then(|seen| seen.state.identity_problem.clone());
        match (self.identity.get(), problem) {
            (Some(identity), _) => Ok(Some(identity)),
            (None, Some(problem)) => Err(damaged_identity(&problem)),
            (None, None) => Ok(self.proof()?.identity),
        }
    }

    fn proof(&self) -> Result<Proof, HostError> {
        if let Some(proof) = self.after_activation.take() {
            return Ok(proof);
        }
        let said = self.simple("proof", &[], CALL_WITHIN)?;
        let look = answer::look("proof", &said.out)?;
        self.keep(&look)?;
        Ok(look.proof())
    }

    fn prepare(&self) -> Result<(), HostError> {
        let foundation = script::foundation()?;
        self.call("prepare", &[self.instance.as_str()], &mut foundation.as_slice(), CALL_WITHIN).map(drop)
    }

    fn log_place(&self) -> String {
        "the host's journal: `chat-deploy logs`".to_owned()
    }

    fn server_status(&self) -> Option<ServerStatus> {
        let said = self.simple("status", &[], CALL_WITHIN).ok()?;
        serde_json::from_str(&said.out).ok()
    }

    fn check_port(&self, listen: SocketAddr) -> Result<(), HostError> {
        let seen = self.seen.borrow();
        let Some(seen) = seen.as_ref() else {
            return Ok(());
        };
        let ours = seen.socket && seen.state.config.as_ref().is_some_and(|config| config.listen == listen);
        if ours || !seen.listening.iter().any(|other| proc_net::collide(*other, listen)) {
            return Ok(());
        }
        let port = listen.port().to_string();
        let said = self.simple("holder", &[&port], CALL_WITHIN)?;
        Err(HostError::PortTaken { listen, holder: answer::holder(&said.out) })
    }

    fn install(&self, release: &Release, progress: &mut dyn FnMut(u64)) -> Result<(), HostError> {
        let unreadable = |source| HostError::File { doing: "read", path: release.origin.clone(), source };
        let record = serde_json::to_vec(release).map_err(|error| unreadable(error.into()))?;
        let mut upload = Upload::open(&release.origin, progress).map_err(unreadable)?;
        let arguments = [
            release.id.as_str(),
            &release.digest.to_string(),
            &release.size_bytes.to_string(),
            &STANDARD.encode(record),
        ];
        let within = TRANSFER_WITHIN + Duration::from_secs(release.size_bytes / LEAST_RATE);
        let result = self.call("install", &arguments, &mut upload.compressed(), within);
        match result {
            Err(HostError::BinaryChanged { .. }) if upload.digest() == release.digest => {
                let said = vec!["what arrived is not what was sent".to_owned()];
                Err(HostError::Script { verb: "install", code: Some(REFUSED), said })
            }
            Err(HostError::BinaryChanged { .. }) => {
                Err(HostError::BinaryChanged { path: release.origin.clone() })
            }
            result => result.map(drop),
        }
    }

    fn remove_release(&self, id: &ReleaseId) -> Result<(), HostError> {
        self.simple("remove-release", &[id.as_str()], CALL_WITHIN).map(drop)
    }

    fn check_config(
        &self,
        release: &ReleaseId,
        config: &ServerConfig,
        _: &Interrupt,
    ) -> Result<(), HostError> {
        let said =
            self.call("check-config", &[release.as_str()], &mut config.text.as_bytes(), CALL_WITHIN)?;
        let not_checked = |why: &str| HostError::NotChecked {
            id: release.clone(),
            source: io::Error::other(why.to_owned()),
        };
        match said.out.trim_end().strip_prefix("checked ") {
            Some("0") => Ok(()),
            // Those are of timeout(1), and of a shell that could not start it.
            Some("124" | "137") => Err(not_checked("it took too long")),
            Some("126" | "127") => Err(not_checked(said.err.last().map_or("it does not start", |last| last))),
            Some(_) => Err(HostError::ConfigRefused { said: said.err }),
            None => Err(HostError::Garbled { verb: "check-config", line: said.out }),
        }
    }

    fn discard(&self, release: &ReleaseId) -> Result<(), HostError> {
        self.simple("discard", &[release.as_str()], CALL_WITHIN).map(drop)
    }

    fn activate(&self, release: &ReleaseId, config: &ServerConfig) -> Result<(), HostError> {
        let patience = (self.surroundings.start_timeout + CONFIRM_MARGIN).as_secs().to_string();
        self.is_activating.set(true);
        let arguments = [release.as_str(), &patience];
        let said = self.call("activate", &arguments, &mut config.text.as_bytes(), SERVER_CALL_WITHIN)?;
        let look = answer::look("activate", &said.out)?;
        self.made_data.set(self.made_data.get() || look.makes_data);
        self.keep(&look)?;
        self.after_activation.replace(Some(look.proof()));
        Ok(())
    }

    fn confirm(
        &self,
        release: &ReleaseId,
        config: &ServerConfig,
        deployed_at: Option<u64>,
    ) -> Result<(), HostError> {
        // A change that locked us out must not stay, so we come in once more before we say that it may.
        self.remote.renew()?;
        let moment = deployed_at.map_or("-".to_owned(), |moment| moment.to_string());
        let config = digest::of_bytes(config.text.as_bytes()).to_string();
        self.simple("confirm", &[release.as_str(), &config, &moment], CALL_WITHIN)?;
        self.is_activating.set(false);
        Ok(())
    }

    fn revert(&self) -> Result<Option<ReleaseId>, HostError> {
        let made_data = if self.made_data.get() { "yes" } else { "no" };
        let said = self.simple("revert", &[made_data], SERVER_CALL_WITHIN)?;
        self.is_activating.set(false);
        self.after_activation.take();
        self.identity.take();
        Ok(answer::look("revert", &said.out)?.runs)
    }

    fn stop(&self) -> Result<(), HostError> {
        self.simple("stop", &[], SERVER_CALL_WITHIN).map(drop)
    }

    fn log_tail(&self, span: LogSpan, lines: usize) -> Result<Vec<String>, HostError> {
        let span = match span {
            LogSpan::All => "all",
            LogSpan::LastRun if self.is_activating.get() => "tried",
            LogSpan::LastRun => "last",
        };
        let command = script::command("log", &[span, &lines.to_string()]);
        let mut kept = Tail::new(LOG_BYTES);
        self.receive("log", &command, script::line()?.as_bytes(), &mut kept)?;
        Ok(kept.lines().iter().map(|line| printable(line)).collect())
    }

    fn follow_log(
        &self,
        lines: usize,
        _: &Interrupt,
        sink: &mut dyn FnMut(&str) -> io::Result<()>,
    ) -> Result<(), HostError> {
        match self.remote.follow(&script::follow_command(lines), &mut |line| sink(&printable(line))) {
            Err(RemoteError::Interrupted) => Ok(()),
            result => Ok(result?),
        }
    }

    fn backup(&self) -> Result<PathBuf, HostError> {
        backup::write(&self.surroundings.backups, &self.instance, |file| {
            self.receive("backup", &script::backup_command(), &[], file)
        })
    }

    fn restore(&self, from: &Path) -> Result<(), HostError> {
        // What is wrong with it comes to light here, before anything is sent.
        backup::read(from, |_| Ok(()))?;
        let unreadable = |source| HostError::File { doing: "read", path: from.to_owned(), source };
        let mut file = File::open(from).map_err(unreadable)?;
        let size_bytes = file.metadata().map_err(unreadable)?.len();
        let within = TRANSFER_WITHIN + Duration::from_secs(size_bytes / LEAST_RATE);
        self.call("restore", &[], &mut file, within).map(drop)
    }

    fn remove(&self) -> Result<(), HostError> {
        self.simple("remove", &[], SERVER_CALL_WITHIN)?;
        self.identity.take();
        Ok(())
    }
}

/// Reads a refusal of the script.
fn refusal(verb: &'static str, out: &str) -> HostError {
    let number = |word: &str| word.parse().ok();
    let failed = |why: &str| HostError::Script { verb, code: Some(REFUSED), said: vec![why.to_owned()] };
    let known = match answer::refusal(out).as_deref() {
        Some(["no-tool", tool]) => Some(HostError::Unsuitable { lacks: format!("program {tool}") }),
        Some(["instance", there]) => Some(HostError::OtherInstance { there: (*there).to_owned() }),
        Some(["user"]) => Some(HostError::UserTaken),
        Some(["files", path]) => Some(HostError::FilesTaken { path: path.into() }),
        Some(["room", needed, free]) => number(needed)
            .zip(number(free))
            .map(|(needed_bytes, free_bytes)| HostError::NoRoom { needed_bytes, free_bytes }),
        // Which of them is known to who asked.
        Some(["digest"]) => Some(HostError::BinaryChanged { path: PathBuf::new() }),
        Some(["no-release", id]) => id.parse().ok().map(|id| HostError::NoRelease { id }),
        Some(["no-backup"]) => Some(failed("there is something else than files in it")),
        Some(["stuck"]) => Some(failed("chat-guard.service has not done its work within a minute")),
        Some(["has-data"]) => Some(HostError::HasData { data: DATA.into() }),
        Some(["running", pid]) => pid.parse().ok().map(|pid| HostError::StillRunning { pid }),
        Some(["went-back", release, why]) => release
            .parse()
            .ok()
            .zip(answer::decoded(why))
            .map(|(release, why)| HostError::WentBack { release, why: why.trim_end().to_owned() }),
        _ => None,
    };
    known.unwrap_or_else(|| HostError::Garbled {
        verb,
        line: out.lines().last().unwrap_or_default().to_owned(),
    })
}

fn damaged_identity(problem: &str) -> HostError {
    HostError::Damaged { path: Path::new(DATA).join("identity"), source: problem.into() }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(printable).filter(|line| !line.trim().is_empty()).collect()
}

/// A line of a host as a terminal may have it.
fn printable(line: &str) -> String {
    line.chars().map(|c| if c == '\t' || !c.is_control() { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

#[cfg(test)]
mod tests;
