//! The `known_servers` file on disk: which identity this user expects at which address.
//!
//! What stands in the file is `chat_core::known_servers`; what a pin means for a connection is `link::trust`. Writers
//! hold a lock beside the file and replace it whole, so that readers, who take no lock, never see half of it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use chat_core::known_servers::{KnownServers, KnownServersError, ServerAddress};
use chat_core::noise::Fingerprint;
use etcetera::BaseStrategy as _;

/// The pins could not be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinsError {
    /// There is no home directory and `XDG_CONFIG_HOME` is not set.
    #[error("no directory for the pinned server identities: neither HOME nor XDG_CONFIG_HOME is set")]
    NoHome(#[source] etcetera::HomeDirError),
    /// The file exists but cannot be read.
    #[error("cannot read the pinned server identities in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file has a line that is not a pin. It is not treated as empty: that would trust any server.
    #[error("the pinned server identities in {} are damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which line.
        source: KnownServersError,
    },
    /// The file or its directory cannot be written.
    #[error("cannot write the pinned server identities to {}", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl PinsError {
    /// Returns what a person can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Damaged { path, .. } => format!("repair or remove that line of {}", path.display()),
            Self::NoHome(_) => "set XDG_CONFIG_HOME to a directory of yours".to_owned(),
            Self::Read { .. } | Self::Write { .. } => {
                "--identity SHA256:... says which server to trust without the file".to_owned()
            }
        }
    }
}

/// What the pins say of an identity that a server has proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// It is the pinned one.
    Same,
    /// Nothing was pinned for the address; now this is.
    FirstContact,
    /// Another one is pinned, and stays so.
    Other(Fingerprint),
}

/// One `known_servers` file. Cheap to clone; nothing is kept in memory.
#[derive(Clone, Debug)]
pub struct Pins {
    path: PathBuf,
}

impl Pins {
    /// Uses the user's own file, `chat-client/known_servers` in `XDG_CONFIG_HOME` (default `~/.config`).
    ///
    /// # Errors
    ///
    /// [`PinsError::NoHome`].
    pub fn of_user() -> Result<Self, PinsError> {
        let directories = etcetera::choose_base_strategy().map_err(PinsError::NoHome)?;
        Ok(Self::at(directories.config_dir().join("chat-client").join("known_servers")))
    }

    /// Uses a certain file, which need not exist.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns where the file is or will be.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads all pins; none if there is no file.
    ///
    /// # Errors
    ///
    /// [`PinsError::Read`] and [`PinsError::Damaged`].
    pub fn read(&self) -> Result<KnownServers, PinsError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(PinsError::Read { path: self.path.clone(), source }),
        };
        text.parse().map_err(|source| PinsError::Damaged { path: self.path.clone(), source })
    }

    /// Returns the identity pinned for an address.
    ///
    /// # Errors
    ///
    /// As [`Pins::read`].
    pub fn lookup(&self, address: &ServerAddress) -> Result<Option<Fingerprint>, PinsError> {
        Ok(self.read()?.lookup(address))
    }

    /// Compares an identity with the pin, and pins it if the address has none. Of two processes that meet a new server
    /// at once, one pins and the other compares.
    ///
    /// # Errors
    ///
    /// [`PinsError`]; nothing is then known of the identity.
    pub fn check(&self, address: &ServerAddress, proved: Fingerprint) -> Result<Pinned, PinsError> {
        let judge = |pinned| if pinned == proved { Pinned::Same } else { Pinned::Other(pinned) };
        if let Some(pinned) = self.lookup(address)? {
            return Ok(judge(pinned));
        }
        self.update(|known| match known.lookup(address) {
            Some(pinned) => (judge(pinned), false),
            None => {
                known.pin(address.clone(), proved);
                (Pinned::FirstContact, true)
            }
        })
    }

    /// Pins an identity that is known from elsewhere, in place of any other; returns the one it replaces.
    ///
    /// # Errors
    ///
    /// [`PinsError`]; the file is then as it was.
    pub fn pin(
        &self,
        address: &ServerAddress,
        fingerprint: Fingerprint,
    ) -> Result<Option<Fingerprint>, PinsError> {
        self.update(|known| {
            let before = known.lookup(address);
            known.pin(address.clone(), fingerprint);
            (before.filter(|before| *before != fingerprint), before != Some(fingerprint))
        })
    }

    /// Forgets the identity of an address; tells whether there was one.
    ///
    /// # Errors
    ///
    /// [`PinsError`]; the file is then as it was.
    pub fn forget(&self, address: &ServerAddress) -> Result<bool, PinsError> {
        self.update(|known| {
            let known_before = known.forget(address);
            (known_before, known_before)
        })
    }

    /// Changes the file under its lock; `change` says whether there is anything to write.
    fn update<T>(&self, change: impl FnOnce(&mut KnownServers) -> (T, bool)) -> Result<T, PinsError> {
        let unwritable = |source| PinsError::Write { path: self.path.clone(), source };
        let file = self.resolve().map_err(unwritable)?;
        let _lock = file.lock()?;
        let mut known = file.read()?;
        let (result, changed) = change(&mut known);
        if changed {
            file.replace(&known.to_string()).map_err(unwritable)?;
        }
        Ok(result)
    }

    /// Follows symbolic links to the file itself: people keep such files elsewhere, and the link is not to be replaced.
    fn resolve(&self) -> io::Result<Self> {
        match fs::canonicalize(&self.path) {
            Ok(path) => Ok(Self { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.path.is_symlink() => {
                Ok(self.clone())
            }
            Err(error) => Err(error),
        }
    }

    /// Takes the lock, which ends when the file is closed. It is a file of its own because the pins are replaced by
    /// renaming: a lock on them would be a lock on a file that is no longer there.
    fn lock(&self) -> Result<File, PinsError> {
        let path = self.sibling("lock");
        let locked = || {
            if let Some(directory) = path.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
            }
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        locked().map_err(|source| PinsError::Write { path: path.clone(), source })
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        let draft = self.sibling("new");
        // A draft left by a process that died; the lock says that nobody is writing it.
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &self.path)?;
        match self.path.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }

    fn sibling(&self, extension: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".");
        name.push(extension);
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn fingerprint(byte: u8) -> Fingerprint {
        Fingerprint::of(&[byte; 32])
    }

    fn scratch() -> (tempfile::TempDir, Pins) {
        let directory = tempfile::tempdir().unwrap();
        let pins = Pins::at(directory.path().join("chat-client").join("known_servers"));
        (directory, pins)
    }

    #[test]
    fn first_contact_pins_and_then_only_that_key_is_the_same() {
        let (_directory, pins) = scratch();
        let home = ServerAddress::new("chat.example", 12345);
        assert_eq!(pins.lookup(&home).unwrap(), None);
        assert_eq!(pins.check(&home, fingerprint(1)).unwrap(), Pinned::FirstContact);
        assert_eq!(pins.check(&home, fingerprint(1)).unwrap(), Pinned::Same);
        assert_eq!(pins.check(&home, fingerprint(2)).unwrap(), Pinned::Other(fingerprint(1)));
        assert_eq!(pins.lookup(&home).unwrap(), Some(fingerprint(1)));
    }

    #[test]
    fn a_pin_known_from_elsewhere_replaces_and_can_be_forgotten() {
        let (_directory, pins) = scratch();
        let home = ServerAddress::new("::1", 12345);
        assert_eq!(pins.pin(&home, fingerprint(1)).unwrap(), None);
        assert_eq!(pins.pin(&home, fingerprint(1)).unwrap(), None);
        assert_eq!(pins.pin(&home, fingerprint(2)).unwrap(), Some(fingerprint(1)));
        assert!(pins.forget(&home).unwrap());
        assert!(!pins.forget(&home).unwrap());
    }

    #[test]
    fn the_file_is_for_its_owner_alone_and_keeps_comments() {
        let (_directory, pins) = scratch();
        let home = ServerAddress::new("home", 1);
        pins.pin(&home, fingerprint(1)).unwrap();
        assert_eq!(fs::metadata(pins.path()).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(pins.path()).unwrap();
        fs::write(pins.path(), format!("# mine\n{text}")).unwrap();
        pins.pin(&ServerAddress::new("work", 2), fingerprint(2)).unwrap();
        assert!(fs::read_to_string(pins.path()).unwrap().starts_with("# mine\nhome:1 SHA256:"));
        let left: Vec<_> = fs::read_dir(pins.path().parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 2, "the pins and their lock, no draft");
    }

    #[test]
    fn a_damaged_file_trusts_nobody_and_is_left_alone() {
        let (_directory, pins) = scratch();
        let home = ServerAddress::new("home", 1);
        pins.pin(&home, fingerprint(1)).unwrap();
        for damaged in [&b"home:1 SHA256:short\n"[..], b"\xff\xfe"] {
            fs::write(pins.path(), damaged).unwrap();
            assert!(pins.check(&home, fingerprint(1)).is_err());
            assert!(pins.pin(&home, fingerprint(1)).is_err());
            assert_eq!(fs::read(pins.path()).unwrap(), damaged);
        }
    }

    #[test]
    fn a_link_to_the_file_stays_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("dotfiles"), Pins::at(directory.path().join("link")));
        std::os::unix::fs::symlink(&file, link.path()).unwrap();
        assert!(link.pin(&ServerAddress::new("a", 1), fingerprint(1)).is_err(), "it leads nowhere");
        fs::write(&file, "").unwrap();
        link.pin(&ServerAddress::new("a", 1), fingerprint(1)).unwrap();
        assert!(link.path().is_symlink());
        assert_eq!(Pins::at(&file).read().unwrap().pins().count(), 1);
    }

    #[test]
    fn a_draft_left_by_a_crash_is_no_obstacle() {
        let (_directory, pins) = scratch();
        pins.pin(&ServerAddress::new("a", 1), fingerprint(1)).unwrap();
        fs::write(pins.sibling("new"), "half a li").unwrap();
        pins.pin(&ServerAddress::new("b", 1), fingerprint(1)).unwrap();
        assert_eq!(pins.read().unwrap().pins().count(), 2);
    }

    #[test]
    fn writers_at_once_lose_nothing_and_agree_on_one_key() {
        let (_directory, pins) = scratch();
        let shared = ServerAddress::new("shared", 1);
        let firsts = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|i| {
                    let (pins, shared) = (&pins, &shared);
                    scope.spawn(move || {
                        pins.pin(&ServerAddress::new(&format!("host-{i}"), 1), fingerprint(i)).unwrap();
                        pins.check(shared, fingerprint(i)).unwrap() == Pinned::FirstContact
                    })
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).filter(|first| *first).count()
        });
        assert_eq!(firsts, 1);
        assert_eq!(pins.read().unwrap().pins().count(), 9);
    }
}
