//! Logging in: which keys are offered, in which order, and what is said when none will do.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ssh_key::PublicKey;
use ssh2::ErrorCode;
use zeroize::Zeroizing;

use super::Target;
use super::link::Link;
use super::patience::{Patience, Stop};
use crate::host::ssh::keys::{KeyError, KeyFile, KeySource};
use crate::host::ssh::known_hosts::same_key;
use crate::host::ssh::remote::RemoteError;
use crate::host::ssh::trust::fingerprint;

/// How often a passphrase may be mistyped.
const PASSPHRASE_TRIES: usize = 3;

/// libssh2's words for "that key will not do": `AUTHENTICATION_FAILED`, `PUBLICKEY_UNVERIFIED`, `METHOD_NOT_SUPPORTED`.
const REFUSED: [i32; 3] = [-18, -19, -33];
/// Its words for a key it cannot read, as with a wrong passphrase: `FILE`, `KEYFILE_AUTH_FAILED`.
const UNREADABLE: [i32; 2] = [-16, -48];
/// Its words for a connection that ended: `SOCKET_SEND`, `SOCKET_DISCONNECT`, `SOCKET_RECV`.
const HUNG_UP: [i32; 3] = [-7, -13, -43];
/// `PUBLICKEY_UNVERIFIED` is among the words for a refusal, and for the end of the connection that comes in its place when
/// the host has had enough of us.
const PERHAPS_HUNG_UP: [i32; 1] = [-19];

/// What got us in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Used {
    /// A key file.
    File(PathBuf),
    /// A key of the agent.
    Agent,
}

/// What a session remembers between logins, so that the second asks nothing and tries first what worked.
#[derive(Default)]
pub(super) struct Memory {
    used: Mutex<Option<Used>>,
    passphrases: Mutex<HashMap<PathBuf, Zeroizing<String>>>,
}

impl Memory {
    pub(super) fn used(&self) -> Option<Used> {
        locked(&self.used).clone()
    }
}

/// A mutex guards plain values here, which are whole at any moment.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Logs in over a verified connection.
pub(super) fn log_in(
    link: &Arc<Link>,
    target: &Target,
    memory: &Memory,
    patience: &mut Patience,
) -> Result<(), RemoteError> {
    let mut login =
        Login { link, target, memory, tried: Vec::new(), was_offered: false, first_problem: None };
    for source in login.order() {
        let outcome = match &source {
            KeySource::Agent => login.with_agent(None, patience),
            KeySource::File(path) => login.with_file(path, patience),
        };
        match outcome? {
            Outcome::In(used) => {
                *locked(&memory.used) = Some(used);
                return Ok(());
            }
            Outcome::Refused => {}
            Outcome::HungUp => {
                login.tried.push("(then it hung up)".to_owned());
                break;
            }
        }
    }
    Err(login.denied())
}

enum Outcome {
    In(Used),
    Refused,
    HungUp,
}

struct Login<'a> {
    link: &'a Arc<Link>,
    target: &'a Target,
    memory: &'a Memory,
    /// For the message, if nothing will do.
    tried: Vec<String>,
    was_offered: bool,
    first_problem: Option<KeyError>,
}

impl Login<'_> {
    /// What worked before comes first.
    fn order(&self) -> Vec<KeySource> {
        let mut order = self.target.keys.clone();
        let used = match self.memory.used() {
            Some(Used::File(path)) => KeySource::File(path),
            Some(Used::Agent) => KeySource::Agent,
            None => return order,
        };
        // Stable: the others stay as they are.
        order.sort_by_key(|source| *source != used);
        order
    }

    fn with_file(&mut self, path: &Path, patience: &mut Patience) -> Result<Outcome, RemoteError> {
        let key = match KeyFile::load(path) {
            Ok(key) => key,
            Err(error) => return Ok(self.unusable(error)),
        };
        if !key.is_encrypted {
            return self.offer(&key, None, patience);
        }
        let remembered = locked(&self.memory.passphrases).get(path).cloned();
        if remembered.is_some() {
            return self.offer(&key, remembered.as_ref(), patience);
        }
        if let Some(public) = &key.public
            && let Outcome::In(_) = self.with_agent(Some(public), patience)?
        {
            return Ok(Outcome::In(Used::File(path.to_owned())));
        }
        self.ask_for_passphrase(&key, patience)
    }

    fn ask_for_passphrase(&mut self, key: &KeyFile, patience: &mut Patience) -> Result<Outcome, RemoteError> {
        let stays_locked = |why| KeyError::Locked { path: key.path.clone(), why };
        let Some(prompt) = self.target.prompt.as_deref() else {
            return Ok(self.unusable(stays_locked("there is nobody to ask for its passphrase")));
        };
        for _ in 0..PASSPHRASE_TRIES {
            let asked = patience.pause(|| prompt.passphrase(&key.path));
            let Some(passphrase) = asked.map_err(|source| self.prompt_failed(source))? else {
                return Ok(self.unusable(stays_locked("its passphrase was not given")));
            };
            match self.try_key(key, Some(&passphrase), patience)? {
                Attempt::Unreadable(_) => {}
                Attempt::Done(outcome) => {
                    locked(&self.memory.passphrases).insert(key.path.clone(), passphrase);
                    return Ok(outcome);
                }
            }
        }
        Ok(self.unusable(stays_locked("that was not its passphrase")))
    }

    fn offer(
        &mut self,
        key: &KeyFile,
        passphrase: Option<&Zeroizing<String>>,
        patience: &Patience,
    ) -> Result<Outcome, RemoteError> {
        match self.try_key(key, passphrase, patience)? {
            Attempt::Done(outcome) => Ok(outcome),
            Attempt::Unreadable(why) => Ok(self.unusable(KeyError::Unusable { path: key.path.clone(), why })),
        }
    }

    /// libssh2 and its binding copy the key and the passphrase for as long as the call lasts, and do not wipe the copies.
    fn try_key(
        &mut self,
        key: &KeyFile,
        passphrase: Option<&Zeroizing<String>>,
        patience: &Patience,
    ) -> Result<Attempt, RemoteError> {
        let passphrase = passphrase.map(|passphrase| passphrase.as_str());
        let user = &self.target.user;
        let tried = self
            .link
            .finish(patience, || self.link.ssh.userauth_pubkey_memory(user, None, &key.text, passphrase));
        let outcome = match tried {
            Ok(()) => Outcome::In(Used::File(key.path.clone())),
            Err(Stop::Failed(error)) if is_one_of(&error, &UNREADABLE) => {
                return Ok(Attempt::Unreadable(error.message().to_owned()));
            }
            Err(stop) => self.refused(stop, patience)?,
        };
        self.was_offered = true;
        let name = key.path.display().to_string();
        self.tried.push(match &key.public {
            Some(public) => format!("{name} ({})", fingerprint(public)),
            None => name,
        });
        Ok(Attempt::Done(outcome))
    }

    /// Offers the agent's keys, or the one that is named.
    fn with_agent(
        &mut self,
        wanted: Option<&PublicKey>,
        patience: &Patience,
    ) -> Result<Outcome, RemoteError> {
        let Some(socket) = self.target.agent.clone() else { return Ok(Outcome::Refused) };
        let (link, user, wanted) = (Arc::clone(self.link), self.target.user.clone(), wanted.cloned());
        let limits = patience.clone();
        // The agent may ask its owner, and libssh2 waits for that without end.
        let answer = patience.elsewhere(move || offer_agent(&link, &socket, &user, wanted.as_ref(), &limits));
        let (tried, result) = answer.unwrap_or_else(|stop| (Vec::new(), Err(stop)));
        self.was_offered |= !tried.is_empty();
        self.tried.extend(tried);
        match result {
            Ok(true) => Ok(Outcome::In(Used::Agent)),
            Ok(false) => Ok(Outcome::Refused),
            Err(stop) => self.refused(stop, patience),
        }
    }

    fn refused(&self, stop: Stop, patience: &Patience) -> Result<Outcome, RemoteError> {
        match stop {
            Stop::Failed(error) if has_hung_up(self.link, &error, patience) => Ok(Outcome::HungUp),
            Stop::Failed(error) if is_one_of(&error, &REFUSED) => Ok(Outcome::Refused),
            stop => Err(self.link.stopped(stop, "log in", patience)),
        }
    }

    /// A key that cannot be used is passed over, as the next may do; the first problem is told if none was offered.
    fn unusable(&mut self, error: KeyError) -> Outcome {
        self.tried.push(format!("[{error}]"));
        self.first_problem.get_or_insert(error);
        Outcome::Refused
    }

    fn prompt_failed(&self, source: std::io::Error) -> RemoteError {
        RemoteError::Prompt { peer: self.link.peer.clone(), source }
    }

    fn denied(self) -> RemoteError {
        match self.first_problem {
            Some(problem) if !self.was_offered => RemoteError::Key(problem),
            _ if self.tried.is_empty() => RemoteError::Denied {
                peer: self.link.peer.clone(),
                tried: "a login without a key".to_owned(),
            },
            _ => RemoteError::Denied { peer: self.link.peer.clone(), tried: self.tried.join(", ") },
        }
    }
}

enum Attempt {
    Done(Outcome),
    Unreadable(String),
}

/// Offers keys of the agent until one is accepted. An agent that is not there has no keys. Returns what was offered.
fn offer_agent(
    link: &Link,
    socket: &Path,
    user: &str,
    wanted: Option<&PublicKey>,
    patience: &Patience,
) -> (Vec<String>, Result<bool, Stop>) {
    let mut tried = Vec::new();
    let ask = || {
        let mut agent = link.ssh.agent()?;
        agent.set_identity_path(socket)?;
        agent.connect()?;
        agent.list_identities()?;
        let identities = agent.identities()?;
        Ok::<_, ssh2::Error>((agent, identities))
    };
    let Ok((agent, identities)) = ask() else { return (tried, Ok(false)) };
    for identity in identities {
        let public = PublicKey::from_bytes(identity.blob()).ok();
        let is_wanted =
            wanted.is_none_or(|wanted| public.as_ref().is_some_and(|public| same_key(public, wanted)));
        if !is_wanted {
            continue;
        }
        let print = public.as_ref().map(fingerprint).unwrap_or_default();
        tried.push(format!("the agent's {} ({print})", identity.comment()));
        match link.finish(patience, || agent.userauth(user, &identity)) {
            Ok(()) => return (tried, Ok(true)),
            Err(Stop::Failed(error)) if is_one_of(&error, &HUNG_UP) => {
                return (tried, Err(Stop::Failed(error)));
            }
            // The agent may refuse to sign, and its next key be another's affair.
            Err(Stop::Failed(_)) => {}
            Err(stop) => return (tried, Err(stop)),
        }
    }
    (tried, Ok(false))
}

fn has_hung_up(link: &Link, error: &ssh2::Error, patience: &Patience) -> bool {
    is_one_of(error, &HUNG_UP) || (is_one_of(error, &PERHAPS_HUNG_UP) && link.is_ending(patience))
}

fn is_one_of(error: &ssh2::Error, codes: &[i32]) -> bool {
    matches!(error.code(), ErrorCode::Session(code) if codes.contains(&code))
}
