//! What the script answers, read: lines `key value`, and `end` in the last of them. Pure; whatever else comes is an error
//! that names the line.

use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chat_core::noise::Fingerprint;

use crate::config::ServerConfig;
use crate::host::{Foundation, HostError, HostState, Process, Proof, Server, Setback, Unconfirmed, proc_net};
use crate::release::{Digest, Release, ReleaseId};

/// The releases' directory, as the script has it.
const RELEASES: &str = "/opt/chat/releases";

/// All that `state` says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The host.
    pub(super) state: HostState,
    /// The instance it is a host of.
    pub(super) instance: Option<String>,
    /// Whether our socket listens.
    pub(super) socket: bool,
    /// Who is listened to.
    pub(super) listening: Vec<SocketAddr>,
}

/// What `proof`, `activate` and `revert` say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// What systemd says of the service, by property.
    service: Vec<(String, String)>,
    program: Option<String>,
    started_at: u64,
    pub(super) identity: Option<Fingerprint>,
    pub(super) identity_problem: Option<String>,
    pub(super) digest: Option<Digest>,
    pub(super) setback: Option<Setback>,
    /// Whether there was no data before the activation.
    pub(super) makes_data: bool,
    /// What runs after a way back.
    pub(super) runs: Option<ReleaseId>,
}

/// Reads the answer to `state`; `foundation` is the digest of what this program would put there.
pub(super) fn state(text: &str, foundation: &Digest) -> Result<Seen, HostError> {
    let (mut seen, mut look) = (Seen::default(), Look::default());
    for line in lines("state", text)? {
        let garbled = || HostError::Garbled { verb: "state", line: line.to_owned() };
        let (key, value) = split(line);
        let state = &mut seen.state;
        match key {
            "architecture" => state.facts.architecture = Some(value.to_owned()),
            "libc" => state.facts.libc = Some(value.to_owned()).filter(|libc| libc != "unknown"),
            "free" => state.facts.free_bytes = Some(value.parse().map_err(|_| garbled())?),
            "systemd" if value == "no" => state.facts.systemd = None,
            "systemd" => state.facts.systemd = Some(value.parse().map_err(|_| garbled())?),
            "foundation" => {
                state.foundation = match value.parse::<Digest>() {
                    Ok(there) if there == *foundation => Foundation::Ready,
                    Ok(_) => Foundation::Outdated,
                    Err(_) if value == "missing" => Foundation::Missing,
                    Err(_) => return Err(garbled()),
                }
            }
            "files" => state.has_files = value == "yes",
            "data" => state.has_data = value == "yes",
            "instance" => seen.instance = Some(value.to_owned()),
            "release" => state.releases.extend(release(value).ok_or_else(garbled)?),
            "current" => state.current = value.parse().ok(),
            "config" => state.config = ServerConfig::parse(decoded(value).ok_or_else(garbled)?),
            "unconfirmed" => state.unconfirmed = Some(Unconfirmed { former: value.parse().ok() }),
            "socket" => seen.socket = value == "yes",
            "listening" => seen.listening.push(proc_net::address(value).ok_or_else(garbled)?),
            _ => look.take(key, value).ok_or_else(garbled)?,
        }
    }
    let state = &mut seen.state;
    state.releases.sort_by(|a, b| (b.deployed_at, &a.id).cmp(&(a.deployed_at, &b.id)));
    state.process = match look.server() {
        Server::Running(process) => Some(process),
        Server::Stopped { .. } => None,
    };
    (state.identity, state.identity_problem, state.setback) =
        (look.identity, look.identity_problem, look.setback);
    Ok(seen)
}

/// Reads the answer to `proof` and its like.
pub(super) fn look(verb: &'static str, text: &str) -> Result<Look, HostError> {
    let mut look = Look::default();
    for line in lines(verb, text)? {
        let (key, value) = split(line);
        look.take(key, value).ok_or_else(|| HostError::Garbled { verb, line: line.to_owned() })?;
    }
    Ok(look)
}

/// Reads a refusal, the one line before exit code 10; `None` if it is another.
pub(super) fn refusal(text: &str) -> Option<Vec<&str>> {
    Some(text.lines().last()?.strip_prefix("refused ")?.split(' ').collect())
}

/// Decodes a text.
pub(super) fn decoded(base64: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(base64).ok()?).ok()
}

impl Look {
    fn take(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "service" => {
                let (property, value) = value.split_once('=')?;
                self.service.push((property.to_owned(), value.to_owned()));
            }
            "program" => self.program = Some(value.to_owned()),
            "started" => self.started_at = value.parse().ok()?,
            "identity" => self.identity = Some(value.parse().ok()?),
            "identity-problem" => self.identity_problem = Some(one_line(&decoded(value)?)),
            "digest" => self.digest = Some(value.parse().ok()?),
            "setback" => self.setback = Some(setback(value)?),
            "makes-data" => self.makes_data = value == "yes",
            "runs" => self.runs = Some(value.parse().ok()?),
            _ => return None,
        }
        Some(())
    }

    /// Says whether the server runs.
    pub(super) fn server(&self) -> Server {
        match self.number("MainPID") {
            Some(pid) if pid != 0 => {
                let release = self.program.as_deref().and_then(release_of);
                Server::Running(Process { pid, release, started_at: self.started_at })
            }
            _ => Server::Stopped { how: self.how_it_ended() },
        }
    }

    /// Makes a proof of it.
    pub(super) fn proof(self) -> Proof {
        Proof { server: self.server(), identity: self.identity, digest: self.digest, setback: self.setback }
    }

    fn how_it_ended(&self) -> Option<String> {
        let status = self.number("ExecMainStatus")?;
        // As in waitid(2): it exited, was killed, or was killed and left a core.
        match self.number("ExecMainCode")? {
            1 => Some(format!("exit status: {status}")),
            2 | 3 => Some(format!("signal: {status}")),
            _ => self.property("Result").filter(|result| *result != "success").map(str::to_owned),
        }
    }

    fn property(&self, name: &str) -> Option<&str> {
        self.service.iter().find(|(its_name, _)| its_name == name).map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.property(name)?.parse().ok()
    }
}

/// The lines but for the `end` that shows that none is missing.
fn lines<'a>(verb: &'static str, text: &'a str) -> Result<impl Iterator<Item = &'a str>, HostError> {
    match text.strip_suffix("end\n") {
        Some(lines) if lines.is_empty() || lines.ends_with('\n') => Ok(lines.lines()),
        _ => {
            let last = text.lines().last().unwrap_or_default();
            Err(HostError::Garbled { verb, line: last.to_owned() })
        }
    }
}

fn split(line: &str) -> (&str, &str) {
    line.split_once(' ').unwrap_or((line, ""))
}

/// Reads `size deployed-at record`. A record that is damaged or another's, or a program that is not whole, makes no release,
/// so that it is installed again.
fn release(value: &str) -> Option<Option<Release>> {
    let mut words = value.split(' ');
    let (size, deployed_at) = (words.next()?.parse::<u64>().ok()?, words.next()?.parse().ok()?);
    let record = decoded(words.next()?).and_then(|json| serde_json::from_str::<Release>(&json).ok());
    Some(record.filter(|r| r.size_bytes == size).map(|release| Release { deployed_at, ..release }))
}

/// Reads `release at why`.
fn setback(value: &str) -> Option<Setback> {
    let mut words = value.split(' ');
    let (release, at, why) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?);
    Some(Setback { release, at, why: one_line(&decoded(why)?) })
}

/// Returns the release a program belongs to. The system adds ` (deleted)` to the name of a removed program; the directory
/// before it says enough.
fn release_of(program: &str) -> Option<ReleaseId> {
    Path::new(program).strip_prefix(RELEASES).ok()?.iter().next()?.to_str()?.parse().ok()
}

/// What a host said of a failure, as one line for a sentence.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Reads what the script said of who listens: `"sshd",pid=42`.
pub(super) fn holder(text: &str) -> Option<String> {
    let said = text.lines().find_map(|line| line.strip_prefix("holder "))?;
    let (name, pid) = said.split_once(",pid=")?;
    let pid = u32::from_str(pid).ok()?;
    Some(format!("{} (pid {pid})", name.trim_matches('"')))
}

#[cfg(test)]
mod tests;
