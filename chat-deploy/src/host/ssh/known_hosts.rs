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

    /// Forgets one key of a host; one that is not pinned is no error.
    ///
    /// # Errors
    ///
    /// [`PinnedHostsError`].
    pub fn remove_key(&self, name: &str, key: &PublicKey) -> Result<(), PinnedHostsError> {
        self.update(|text| {
            let kept = look_up(text, &pin_name(name)).keys.into_iter().filter(|other| !same_key(other, key));
            kept.fold(without_host(text, name), |text, key| with_line(&text, &line(name, &key)))
        })
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

    fn unpin(&self, name: &str, public_key: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let key: PublicKey = public_key.trim().parse()?;
        Ok(self.remove_key(name, &key)?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::ssh::keys;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB7TQ6F8ETX0ZTgLfY1ISX2RbiVSv0mfW2YU9uM0LB4i";

    #[test]
    fn names_are_matched_as_openssh_does() {
        let check = |pattern: &str, name: &str, expected: bool| {
            let known = look_up(&format!("{pattern} {KEY} comment\n"), name);
            assert_eq!(known.keys.len() == 1, expected, "{pattern} {name}");
        };
        check("example.com", "example.com", true);
        check("Example.COM", "eXample.com", true);
        check("example.com", "www.example.com", false);
        check("*.example.com", "www.example.com", true);
        check("*.example.com", "example.com", false);
        check("a,b,example.com", "example.com", true);
        check("*,!example.com", "example.com", false);
        check("!example.com", "other.com", false);
        check("192.0.2.?", "192.0.2.7", true);
        check("192.0.2.?", "192.0.2.77", false);
        check("[example.com]:2222", "[example.com]:2222", true);
        check("[example.com]:2222", "example.com", false);
        check("[*]:2222", "[example.com]:2222", true);
        check("*a*a*a*a*a*b", &"a".repeat(2000), false);
        check("|1|AAAA|BBBB", "example.com", false);
        check("|1|x", "example.com", false);
    }

    #[test]
    fn lines_that_are_no_keys_say_nothing() {
        let text = format!(
            "# example.com {KEY}\n\nexample.com\nexample.com ssh-ed25519 AAAA\n@unknown example.com {KEY}\n\
             @cert-authority example.com {KEY}\n@revoked example.* {KEY}\n"
        );
        let known = look_up(&text, "example.com");
        assert_eq!((known.keys.len(), known.revoked.len()), (0, 1));
    }

    #[test]
    fn a_pin_stands_for_one_host_only() {
        assert_eq!(pin_name("i-0123abc"), "i-0123abc");
        assert_eq!(pin_name("[192.0.2.1]:2222"), "[192.0.2.1]:2222");
        assert_eq!(pin_name("a *,!é\n"), "a=20=2a=2c=21=c3=a9=0a");
    }

    #[test]
    fn pins_are_added_replaced_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let pins = PinnedHosts::at(dir.path().join("state/known_hosts"));
        let [a, b] = [(); 2].map(|()| keys::generate("").unwrap().public);
        let known = |name: &str| pins.known(name).unwrap().keys;
        assert!(known("one").is_empty());
        pins.remove("one").unwrap();
        pins.add("one", &a).unwrap();
        pins.add("one", &a).unwrap();
        pins.add("one", &b).unwrap();
        pins.remove_key("one", &a).unwrap();
        assert!(known("one").len() == 1 && same_key(&known("one")[0], &b));
        pins.remove_key("one", &a).unwrap();
        pins.add("one", &a).unwrap();
        pins.add("two", &a).unwrap();
        assert_eq!((known("one").len(), known("two").len()), (2, 1));
        pins.replace("one", &b).unwrap();
        assert!(known("one").len() == 1 && same_key(&known("one")[0], &b));
        // What others wrote stays as it is, even without an end of line.
        let strange = "# a comment\n???\n@revoked * x";
        let text = std::fs::read_to_string(pins.path()).unwrap() + strange;
        std::fs::write(pins.path(), text).unwrap();
        pins.add("three", &a).unwrap();
        pins.remove("one").unwrap();
        let text = std::fs::read_to_string(pins.path()).unwrap();
        assert!(text.contains("# a comment\n???\n@revoked * x\nthree "), "{text}");
        assert_eq!((known("one").len(), known("two").len(), known("three").len()), (0, 1, 1));
    }

    #[test]
    fn pins_of_many_runs_at_once_are_all_kept() {
        let dir = tempfile::tempdir().unwrap();
        let pins = PinnedHosts::at(dir.path().join("known_hosts"));
        let key = keys::generate("").unwrap().public;
        std::thread::scope(|scope| {
            for n in 0..20 {
                let (pins, key) = (&pins, &key);
                scope.spawn(move || pins.add(&format!("host{n}"), key).unwrap());
            }
        });
        assert_eq!(std::fs::read_to_string(pins.path()).unwrap().lines().count(), 20);
    }
}
