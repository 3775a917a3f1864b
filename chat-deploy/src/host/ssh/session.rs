//! A connection to a host by SSH, over libssh2: the only place that uses `ssh2`.
//!
//! libssh2 never waits here: every wait is ours, has a deadline and notices Ctrl-C (`session/patience.rs`). What is tried
//! is in `session/dial.rs` (TCP), `session/link.rs` (SSH), `session/login.rs` (keys) and `session/exec.rs` (commands); which
//! host key is right is decided in `trust.rs`.

mod dial;
mod exec;
mod link;
mod login;
mod openssh;
mod patience;

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use self::link::Link;
use self::login::Memory;
use self::patience::Patience;
use super::keys::KeySource;
use super::remote::{Answer, Call, Remote, RemoteError};
use super::trust::{Trust, Verdict, fingerprint};
use crate::host::Held;
use crate::interrupt::Interrupt;

/// How long a TCP connection may take at first while a host is waited for: a packet that is lost as the machine boots must
/// not cost the whole wait.
const FIRST_DIAL: Duration = Duration::from_secs(1);
/// How long it may take in the end.
const LAST_DIAL: Duration = Duration::from_secs(5);
/// How long everything after the TCP connection may take before a host that is waited for is tried anew.
const TALK: Duration = Duration::from_secs(15);
/// From one try to the next.
const RETRY_EVERY: Duration = Duration::from_millis(100);

/// Where to, as whom, and whom to believe.
#[derive(Clone)]
pub struct Target {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The user to log in as.
    pub user: String,
    /// Which host key is right.
    pub trust: Trust,
    /// The keys to offer, in this order.
    pub keys: Vec<KeySource>,
    /// The socket of the SSH agent, if there is one (`SSH_AUTH_SOCK`).
    pub agent: Option<PathBuf>,
    /// The person to ask, if somebody is there.
    pub prompt: Option<Arc<dyn Prompt>>,
}

impl Target {
    /// Names the target for a person: `ec2-user@203.0.113.7`, with the port if it is not 22.
    #[must_use]
    pub fn peer(&self) -> String {
        match (self.port, self.host.contains(':')) {
            (22, _) => format!("{}@{}", self.user, self.host),
            (port, false) => format!("{}@{}:{port}", self.user, self.host),
            (port, true) => format!("{}@[{}]:{port}", self.user, self.host),
        }
    }
}

/// A person who answers questions while a connection is made.
pub trait Prompt: Send + Sync {
    /// Asks whether a host of which nothing is known is the right one, from the fingerprint of its key.
    ///
    /// # Errors
    ///
    /// The terminal's.
    fn accept_host_key(&self, peer: &str, fingerprint: &str) -> io::Result<bool>;

    /// Asks for the passphrase of a key file; `None` if the person does not give it.
    ///
    /// # Errors
    ///
    /// The terminal's.
    fn passphrase(&self, key: &Path) -> io::Result<Option<Zeroizing<String>>>;
}

/// How long to wait for a host.
pub struct Wait<'a> {
    /// In all.
    pub within: Duration,
    /// How long a host that is there may refuse us: some images start the SSH server before they have installed the key.
    pub denied_grace: Duration,
    /// Hears why the last try failed, before the next.
    pub report: &'a mut dyn FnMut(&RemoteError),
}

/// A verified connection, logged in.
pub struct Session {
    target: Target,
    interrupt: Interrupt,
    memory: Memory,
    link: RefCell<Arc<Link>>,
    /// How long a connection may take when it is made once more.
    within: Duration,
}

impl Session {
    /// Connects, once. The person's time to answer questions does not count.
    ///
    /// # Errors
    ///
    /// [`RemoteError`].
    pub fn connect(target: Target, within: Duration, interrupt: &Interrupt) -> Result<Self, RemoteError> {
        let memory = Memory::default();
        let link = attempt(&target, &memory, within, within, interrupt)?;
        Ok(Self { target, interrupt: interrupt.clone(), memory, link: RefCell::new(link), within })
    }

    /// Connects, and tries again for as long as the host may just be starting.
    ///
    /// # Errors
    ///
    /// [`RemoteError`]: the last one when the time is over, or one that waiting does not mend.
    pub fn connect_until(
        target: Target,
        wait: &mut Wait<'_>,
        interrupt: &Interrupt,
    ) -> Result<Self, RemoteError> {
        let memory = Memory::default();
        let started = Instant::now();
        let mut dial = FIRST_DIAL;
        let mut denied_since = None;
        loop {
            let began = Instant::now();
            let left = wait.within.saturating_sub(started.elapsed());
            let error = match attempt(&target, &memory, dial.min(left), TALK.min(left), interrupt) {
                Ok(link) => {
                    let (link, within) = (RefCell::new(link), wait.within);
                    return Ok(Self { target, interrupt: interrupt.clone(), memory, link, within });
                }
                Err(error) => error,
            };
            let is_denied = matches!(error, RemoteError::Denied { .. });
            let may_yet_be_let_in =
                is_denied && denied_since.get_or_insert(began).elapsed() < wait.denied_grace;
            // A try that has no time left would only end in a time-out, and hide what is really the matter.
            let is_over = started.elapsed() + RETRY_EVERY >= wait.within;
            if !(error.is_transient() || may_yet_be_let_in) || is_over {
                return Err(error.after(wait.within));
            }
            if matches!(error, RemoteError::Filtered { .. }) {
                dial = (dial * 2).min(LAST_DIAL);
            }
            (wait.report)(&error);
            thread::sleep(RETRY_EVERY.saturating_sub(began.elapsed()));
        }
    }

    /// Trusts one key alone from now on, by its fingerprint: another that was right when we connected may be in other hands
    /// by now.
    pub fn trust_only(&mut self, fingerprint: String) {
        self.target.trust.given = Some(fingerprint);
    }

    /// Returns the file of the key that let us in; `None` if it was one of the agent's.
    #[must_use]
    pub fn key_file(&self) -> Option<PathBuf> {
        match self.memory.used() {
            Some(login::Used::File(path)) => Some(path),
            _ => None,
        }
    }

    fn link(&self) -> Arc<Link> {
        Arc::clone(&self.link.borrow())
    }

    fn once_more(&self) -> Result<Arc<Link>, RemoteError> {
        attempt(&self.target, &self.memory, self.within, self.within, &self.interrupt)
    }
}

impl Remote for Session {
    fn peer(&self) -> String {
        self.target.peer()
    }

    fn run(&self, call: Call<'_>) -> Result<Answer, RemoteError> {
        exec::run(&self.link(), call, &self.interrupt)
    }

    fn hold(&self, command: &str, within: Duration) -> Result<(String, Box<dyn Held + '_>), RemoteError> {
        let (line, held) = exec::hold(&self.link(), command, within, &self.interrupt)?;
        Ok((line, held))
    }

    fn follow(&self, command: &str, sink: &mut dyn FnMut(&str) -> io::Result<()>) -> Result<(), RemoteError> {
        exec::follow(&self.link(), command, sink, &self.interrupt)
    }

    fn receive(
        &self,
        call: Call<'_>,
        limit_bytes: u64,
        sink: &mut dyn io::Write,
    ) -> Result<Answer, RemoteError> {
        exec::receive(&self.link(), call, limit_bytes, sink, &self.interrupt)
    }

    fn renew(&self) -> Result<(), RemoteError> {
        *self.link.borrow_mut() = self.once_more()?;
        Ok(())
    }

    fn host_key_now(&self) -> Result<String, RemoteError> {
        Ok(self.once_more()?.host_key.to_string())
    }

    fn host_key(&self) -> String {
        self.link().host_key.to_string()
    }
}

/// Connects, verifies, logs in.
fn attempt(
    target: &Target,
    memory: &Memory,
    dial_within: Duration,
    talk_within: Duration,
    interrupt: &Interrupt,
) -> Result<Arc<Link>, RemoteError> {
    let peer = target.peer();
    let evidence = target.trust.evidence(&target.host, target.port)?;
    let meet = |preference: &str| {
        let socket = dial::dial(&target.host, target.port, &peer, &Patience::new(dial_within, interrupt))?;
        let mut patience = Patience::new(talk_within, interrupt);
        let link = Link::open(socket, &peer, preference, &patience)?;
        verify(target, &link, evidence.judge(&link.host_key), &mut patience)?;
        Ok((Arc::new(link), patience))
    };
    let first = meet(&evidence.preference());
    let met = match first {
        Err(RemoteError::WrongHostKey { .. }) => {
            // It may have the right key beside the one it shows.
            let others = evidence.other_kinds().iter();
            others.map(|kind| meet(kind)).find(Result::is_ok).unwrap_or(first)
        }
        other => other,
    };
    let (link, mut patience) = met?;
    login::log_in(&link, target, memory, &mut patience)?;
    Ok(link)
}

/// Acts on what is thought of the host key. Whatever is found right is pinned, so that it stays so, and so that OpenSSH
/// may be given the pins.
fn verify(
    target: &Target,
    link: &Link,
    verdict: Verdict,
    patience: &mut Patience,
) -> Result<(), RemoteError> {
    let peer = link.peer.clone();
    let shown = fingerprint(&link.host_key);
    match verdict {
        Verdict::Right => {}
        Verdict::Revoked => return Err(RemoteError::RevokedHostKey { peer, shown }),
        Verdict::Wrong(expected) => {
            return Err(RemoteError::WrongHostKey { peer, shown, expected: expected.join(" or ") });
        }
        Verdict::Unknown => {
            let Some(prompt) = &target.prompt else {
                return Err(RemoteError::UnknownHostKey { peer, shown });
            };
            let answer = patience.pause(|| prompt.accept_host_key(&peer, &shown));
            if !answer.map_err(|source| RemoteError::Prompt { peer: peer.clone(), source })? {
                return Err(RemoteError::NotAccepted { peer, shown });
            }
        }
    }
    Ok(target.trust.remember(&target.host, target.port, &link.host_key)?)
}
