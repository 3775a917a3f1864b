//! Host keys in files of OpenSSH's format: those of the user and of the system, which are read, and our own, which is
//! written too. What they are worth is decided in `trust.rs`.

use std::io;
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac as _};
use sha1::Sha1;
use ssh_key::PublicKey;
use ssh_key::known_hosts::{Entry, HostPatterns, Marker};

use super::store;
use crate::machine::HostKeyPins;

/// What a file says of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// The keys it is known by.
    pub(super) keys: Vec<PublicKey>,
    /// The keys that must never be accepted from it.
    pub(super) revoked: Vec<PublicKey>,
}

/// Looks a host up in a file's text. Lines that cannot be read say nothing.
pub(super) fn look_up(text: &str, name: &str) -> Known {
    let name = name.to_ascii_lowercase();
    let mut known = Known::default();
    for entry in text.lines().filter_map(|line| line.trim().parse::<Entry>().ok()) {
        if !matches(entry.host_patterns(), &name) {
            continue;
        }
        match entry.marker() {
            None => known.keys.push(entry.public_key().clone()),
            Some(Marker::Revoked) => known.revoked.push(entry.public_key().clone()),
            // Authorities vouch for certificates, which libssh2 does not read.
            Some(Marker::CertAuthority) => {}
        }
    }
    known
}

/// Writes a host's name as `known_hosts` has it: `example.com`, `[example.com]:2222`.
#[must_use]
pub fn host_name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

/// The host keys that we trust, in a file of our own; beside it is a lock file.
#[derive(Clone, Debug)]
pub struct PinnedHosts {
    path: PathBuf,
}

/// Why our host keys could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("could not {doing} {}", path.display())]
pub struct PinnedHostsError {
    /// What was tried: `read`.
    pub doing: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

impl PinnedHosts {
    /// Names the file; it need not be there.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Returns the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Pins a key, in place of all others of that name.
    ///
    /// # Errors
    ///
    /// [`PinnedHostsError`].
    pub fn replace(&self, name: &str, key: &PublicKey) -> Result<(), PinnedHostsError> {
        self.update(|text| with_line(&without_host(text, name), &line(name, key)))
    }

    /// Pins one more key; one that is pinned already is no error.
    ///
    /// # Errors
    ///
    /// [`PinnedHostsError`].
    pub fn add(&self, name: &str, key: &PublicKey) -> Result<(), PinnedHostsError> {
        self.update(|text| {
            let is_there = look_up(text, &pin_name(name)).keys.iter().any(|k| same_key(k, key));
            if is_there { text.to_owned() } else { with_line(text, &line(name, key)) }
        })
    }

    /// Forgets all keys of a host; one that has none is no error.
    ///
    /// # Errors
    ///
    /// [`PinnedHostsError`].
    pub fn remove(&self, name: &str) -> Result<(), PinnedHostsError> {
        self.update(|text| without_host(text, name))
    }

    pub(super) fn known(&self, name: &str) -> Result<Known, PinnedHostsError> {
        let text = store::read(&self.path).map_err(|source| self.failed("read", source))?;
        Ok(look_up(&text.unwrap_or_default(), &pin_name(name)))
    }

    fn update(&self, change: impl FnOnce(&str) -> String) -> Result<(), PinnedHostsError> {
        let write = |former: Option<String>| {
            let former = former.unwrap_or_default();
            let text = change(&former);
            Ok((text != former).then_some(text))
        };
        store::update(&self.path, write).map_err(|source| self.failed("write", source))
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> PinnedHostsError {
        PinnedHostsError { doing, path: self.path.clone(), source }
    }
}

impl HostKeyPins for PinnedHosts {
    fn pin(&self, name: &str, public_key: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let key: PublicKey = public_key.trim().parse()?;
        Ok(self.add(name, &key)?)
    }

    fn forget(&self, name: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.remove(name)?)
    }
}

/// Writes the name of a pin so that it stands for itself and for nothing else: the client token of an adopted machine may
/// hold whatever its maker liked, and a `*` in it would match every host.
pub(super) fn pin_name(name: &str) -> String {
    let mut written = String::new();
    for byte in name.to_ascii_lowercase().bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b':' | b'[' | b']' => {
                written.push(char::from(byte));
            }
            _ => written.push_str(&format!("={byte:02x}")),
        }
    }
    written
}

/// Tells whether two keys are the same, whatever their comments say.
pub(super) fn same_key(a: &PublicKey, b: &PublicKey) -> bool {
    a.key_data() == b.key_data()
}

fn line(name: &str, key: &PublicKey) -> String {
    let bare = PublicKey::new(key.key_data().clone(), "");
    format!("{} {}\n", pin_name(name), bare.to_string().trim_end())
}

fn with_line(text: &str, line: &str) -> String {
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{gap}{line}")
}

/// Lines of other hosts stay as they are, be they ever so strange.
fn without_host(text: &str, name: &str) -> String {
    let name = pin_name(name);
    let is_other = |line: &&str| line.split_whitespace().next() != Some(name.as_str());
    text.split_inclusive('\n').filter(is_other).collect()
}

fn matches(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => Hmac::<Sha1>::new_from_slice(salt)
            .is_ok_and(|mac| mac.chain_update(name).verify_slice(hash).is_ok()),
        HostPatterns::Patterns(patterns) => {
            let named = |pattern: &str| is_like(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes());
            let denied = patterns.iter().filter_map(|p| p.strip_prefix('!')).any(named);
            !denied && patterns.iter().filter(|p| !p.starts_with('!')).any(|p| named(p))
        }
    }
}

/// Matches `*` and `?`. Remembers the last `*` only, which is enough, so that no pattern takes more than quadratic time.
fn is_like(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(&byte) = name.get(n) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&wanted) if wanted == b'?' || wanted == byte => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|&byte| byte == b'*')
}
