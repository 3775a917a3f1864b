//! The data directory: everything the server keeps, made at first start and readable by its user only.
//!
//! ```text
//! accounts.redb            the users (module accounts)
//! identity                 the X25519 key that clients pin
//! rsa/privatekey.txt       the classic keys, in the original's form
//! rsa/publickey.txt
//! lock                     held while a server uses the directory
//! control.sock             there while a server runs (module control)
//! ```
//!
//! How a secret file is written and read without ever being open to others is in module `private_file`; the classic
//! keys' files are in `data/classic_keys.rs`.

pub mod classic_keys;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use chat_core::noise::{Identity, NoiseError};
use chat_core::rsa::KeyPair;

use crate::config::KeySettings;
use crate::private_file;
pub use crate::private_file::FileError;
use classic_keys::ClassicKeysError;

/// Bits that let anybody but the owner change a directory.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A data directory that this process has for itself as long as the value lives.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    _lock: File,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The directory could not be made or opened.
    #[error("cannot use the data directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Users other than the owner may write to the directory.
    #[error("the data directory {} can be changed by other users (mode {mode:04o})", path.display())]
    Writable {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Another process has the directory.
    #[error("the data directory {} is in use by another server", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A file in it could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The classic keys are damaged, or none could be made.
    #[error(transparent)]
    ClassicKeys(#[from] ClassicKeysError),
    /// The identity is not one, or none could be made.
    #[error("no server identity from {}", path.display())]
    Identity {
        /// The identity file.
        path: PathBuf,
        /// What is wrong with it.
        source: NoiseError,
    },
}

impl DataError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Directory { .. } => {
                Some("name a directory that this user may write to, with --data DIR".to_owned())
            }
            Self::Writable { path, .. } => Some(format!("chmod go-w {}", path.display())),
            Self::InUse { .. } => {
                Some("stop that server first, or name another directory with --data DIR".to_owned())
            }
            Self::File(error) => error.hint(),
            Self::ClassicKeys(error) => error.hint(),
            Self::Identity { source: NoiseError::BadIdentity, path } => Some(format!(
                "restore {0} from a backup; if you move it away, a new one is made, and every client that \
                 knows the old one will refuse to connect until told otherwise",
                path.display()
            )),
            Self::Identity { .. } => None,
        }
    }
}

impl DataDirectory {
    /// Opens the directory at `path` for this process alone; makes it, with mode 0700, if it does not exist.
    ///
    /// # Errors
    ///
    /// [`DataError`] if it cannot be made, belongs to another server or can be changed by other users.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let refused = |source| DataError::Directory { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(refused)?;
        let mode = std::fs::metadata(path).map_err(refused)?.mode() & 0o7777;
        if mode & WRITABLE_BY_OTHERS != 0 {
            return Err(DataError::Writable { path: path.to_owned(), mode });
        }
        let lock = open_lock(&path.join("lock")).map_err(refused)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => DataError::InUse { path: path.to_owned() },
            TryLockError::Error(source) => refused(source),
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Returns the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns where the accounts are.
    #[must_use]
    pub fn accounts_path(&self) -> PathBuf {
        self.path.join("accounts.redb")
    }

    /// Reads the server's identity; makes one if there is none.
    ///
    /// # Errors
    ///
    /// [`DataError`] if the file is damaged, open to others or cannot be written.
    pub fn identity(&self) -> Result<Identity, DataError> {
        if let Some(identity) = existing_identity(&self.path)? {
            return Ok(identity);
        }
        let path = identity_path(&self.path);
        let identity =
            Identity::generate().map_err(|source| DataError::Identity { path: path.clone(), source })?;
        private_file::write_new(&path, identity.to_file_text().as_bytes())?;
        tracing::info!(path = %path.display(), fingerprint = %identity.fingerprint(), "made a server identity");
        Ok(identity)
    }

    /// Reads the classic keys; makes some as `settings` ask if there are none.
    ///
    /// # Errors
    ///
    /// [`DataError`] if the files are damaged, the private one is open to others, or they cannot be written.
    pub fn classic_keys(&self, settings: KeySettings) -> Result<KeyPair, DataError> {
        Ok(classic_keys::read_or_make(&self.path.join("rsa"), settings)?)
    }
}

/// Reads the identity kept in a data directory, which may be in use; nothing if none has been made yet.
///
/// # Errors
///
/// [`DataError`] if the file is damaged, open to others or cannot be read.
pub fn existing_identity(directory: &Path) -> Result<Option<Identity>, DataError> {
    let path = identity_path(directory);
    let Some(text) = private_file::read(&path, 4096)? else { return Ok(None) };
    Identity::from_file_text(&text).map(Some).map_err(|source| DataError::Identity { path, source })
}

/// Opens the lock file, which stays empty and is never removed: a lock on a removed file keeps nobody out.
fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn identity_path(directory: &Path) -> PathBuf {
    directory.join("identity")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn everything_is_made_for_the_owner_only_and_stays_the_same() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state/chat-server");
        let first = DataDirectory::open(&path).unwrap();
        let fingerprint = first.identity().unwrap().fingerprint();
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join("identity")), 0o600);
        drop(first);
        let second = DataDirectory::open(&path).unwrap();
        assert_eq!(second.identity().unwrap().fingerprint(), fingerprint);
        assert_eq!(existing_identity(&path).unwrap().unwrap().fingerprint(), fingerprint);
    }

    #[test]
    fn a_directory_belongs_to_one_server_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let _first = DataDirectory::open(directory.path()).unwrap();
        let error = DataDirectory::open(directory.path()).unwrap_err();
        assert!(matches!(error, DataError::InUse { .. }), "{error:?}");
        assert!(error.to_string().contains(&directory.path().display().to_string()));
    }

    #[test]
    fn a_directory_others_can_change_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o770)).unwrap();
        let error = DataDirectory::open(directory.path()).unwrap_err();
        assert!(error.to_string().ends_with("can be changed by other users (mode 0770)"), "{error}");
    }

    #[test]
    fn an_identity_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDirectory::open(directory.path()).unwrap();
        data.identity().unwrap();
        let path = directory.path().join("identity");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = data.identity().unwrap_err();
        assert!(error.to_string().ends_with("can be read by other users (mode 0640)"), "{error}");
        assert_eq!(error.hint().unwrap(), format!("chmod 600 {}", path.display()));
    }

    #[test]
    fn a_damaged_identity_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDirectory::open(directory.path()).unwrap();
        let whole = data.identity().unwrap().to_file_text();
        let path = directory.path().join("identity");
        for damaged in [b"".as_slice(), &whole.as_bytes()[..30], b"\xff\xfe", &[b'x'; 5000]] {
            fs::write(&path, damaged).unwrap();
            let error = data.identity().unwrap_err();
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
            assert_eq!(fs::read(&path).unwrap(), damaged);
        }
    }

    #[test]
    fn what_an_interrupted_first_start_left_behind_is_no_obstacle() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("identity.new"), "half of an iden").unwrap();
        let data = DataDirectory::open(directory.path()).unwrap();
        data.identity().unwrap();
        assert!(!directory.path().join("identity.new").exists());
    }

    #[test]
    fn a_file_in_place_of_the_directory_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("taken");
        fs::write(&path, "").unwrap();
        let error = DataDirectory::open(&path).unwrap_err();
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        assert!(error.hint().unwrap().contains("--data"));
    }
}
