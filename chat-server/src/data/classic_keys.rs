//! The classic keys' files, `publickey.txt` and `privatekey.txt`, in the form of the original.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use chat_core::rsa::{
    GenerateError, KeyLimits, KeyPair, KeySpec, KeyTextError, MismatchError, PrivateKey, PublicKey,
};

use crate::config::KeySettings;
use crate::private_file::{self, FileError};

const PUBLIC: &str = "publickey.txt";
const PRIVATE: &str = "privatekey.txt";

/// The longest key file read, in bytes: room for hundreds of pairs of the longest moduli.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Why the classic keys could not be read, made or written.
#[derive(Debug, thiserror::Error)]
pub enum ClassicKeysError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The directory of the files could not be made.
    #[error("cannot make {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// One of the two files is not there.
    #[error("{} is missing, though its counterpart is there", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file holds no key.
    #[error("{} is not a key file", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyTextError,
    },
    /// The two files do not belong together.
    #[error("the keys in {} do not belong together", directory.display())]
    Mismatch {
        /// The directory with both files.
        directory: PathBuf,
        /// Where they differ.
        source: MismatchError,
    },
    /// No key could be made.
    #[error("cannot make classic keys")]
    Generate {
        /// Why not.
        source: GenerateError,
    },
}

impl ClassicKeysError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let renew = |directory: &Path| {
            Some(format!(
                "restore {0} from a backup, or move it away: new keys are made at the next start, and clients \
                 take those without asking",
                directory.display()
            ))
        };
        match self {
            Self::File(error) => error.hint(),
            Self::Missing { path } | Self::Text { path, .. } => path.parent().and_then(renew),
            Self::Mismatch { directory, .. } => renew(directory),
            Self::Directory { .. } | Self::Generate { .. } => None,
        }
    }
}

/// Makes keys as the settings ask.
///
/// # Errors
///
/// [`ClassicKeysError::Generate`].
pub fn make(spec: &KeySpec) -> Result<KeyPair, ClassicKeysError> {
    KeyPair::generate(spec).map_err(|source| ClassicKeysError::Generate { source })
}

/// Writes both files into a directory, which is made if it does not exist, and returns their paths, public file
/// first. Files that exist are not overwritten.
///
/// # Errors
///
/// [`ClassicKeysError`] if one of the files exists or cannot be written.
pub fn write(directory: &Path, keys: &KeyPair) -> Result<[PathBuf; 2], ClassicKeysError> {
    make_directory(directory)?;
    let (public, private) = (directory.join(PUBLIC), directory.join(PRIVATE));
    for path in [&public, &private] {
        // Asked beforehand, so that the two files are not left half old and half new.
        if path.exists() {
            let source = io::ErrorKind::AlreadyExists.into();
            return Err(FileError::Write { path: path.clone(), source }.into());
        }
    }
    private_file::write_new(&private, keys.private().to_file_text().as_bytes())?;
    private_file::write_new(&public, keys.public().to_file_text().as_bytes())?;
    Ok([public, private])
}

/// Reads both files; nothing if there is neither.
///
/// # Errors
///
/// [`ClassicKeysError`] if they are damaged, do not belong together, or others can read the private one.
pub fn read(directory: &Path) -> Result<Option<KeyPair>, ClassicKeysError> {
    let (public_path, private_path) = (directory.join(PUBLIC), directory.join(PRIVATE));
    let public = private_file::read_public(&public_path, MAX_FILE_BYTES)?;
    let private = private_file::read(&private_path, MAX_FILE_BYTES)?;
    let (public, private) = match (public, private) {
        (Some(public), Some(private)) => (public, private),
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(ClassicKeysError::Missing { path: public_path }),
        (Some(_), None) => return Err(ClassicKeysError::Missing { path: private_path }),
    };
    let public = PublicKey::from_file_text(&public, &KeyLimits::LOCAL)
        .map_err(|source| ClassicKeysError::Text { path: public_path, source })?;
    let private = PrivateKey::from_file_text(&private, &KeyLimits::LOCAL)
        .map_err(|source| ClassicKeysError::Text { path: private_path, source })?;
    KeyPair::from_halves(public, private)
        .map(Some)
        .map_err(|source| ClassicKeysError::Mismatch { directory: directory.to_owned(), source })
}

/// Reads the keys in `directory`; makes them if there are none. Both files appear at once, with the directory: a
/// start that is interrupted leaves no half of a key.
pub(super) fn read_or_make(directory: &Path, settings: KeySettings) -> Result<KeyPair, ClassicKeysError> {
    if let Some(keys) = read(directory)? {
        return Ok(keys);
    }
    let spec = KeySpec::bits(settings.pairs, settings.modulus_bits)
        .map_err(|source| ClassicKeysError::Generate { source })?;
    let keys = make(&spec)?;
    let draft = directory.with_added_extension("new");
    let failed = |source| ClassicKeysError::Directory { path: directory.to_owned(), source };
    match fs::remove_dir_all(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    write(&draft, &keys)?;
    // An empty directory of that name is replaced, any other refuses.
    fs::rename(&draft, directory).and_then(|()| private_file::sync_parent(directory)).map_err(failed)?;
    tracing::info!(path = %directory.display(), pairs = settings.pairs, "made classic keys");
    Ok(keys)
}

fn make_directory(path: &Path) -> Result<(), ClassicKeysError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| ClassicKeysError::Directory { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    const SETTINGS: KeySettings = KeySettings { pairs: 4, modulus_bits: 32 };

    fn error_of(directory: &Path) -> String {
        read_or_make(directory, SETTINGS).unwrap_err().to_string()
    }

    #[test]
    fn keys_are_made_once_for_the_owner_only() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("rsa");
        let made = read_or_make(&directory, SETTINGS).unwrap();
        assert_eq!(made.public().pairs().len(), 4);
        for name in [PUBLIC, PRIVATE] {
            assert_eq!(fs::metadata(directory.join(name)).unwrap().mode() & 0o7777, 0o600);
        }
        assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o7777, 0o700);
        let read = read_or_make(&directory, KeySettings { pairs: 1, ..SETTINGS }).unwrap();
        assert_eq!(read.public().to_file_text(), made.public().to_file_text());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_an_interrupted_first_start_left_behind_is_no_obstacle() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("rsa");
        fs::create_dir_all(parent.path().join("rsa.new")).unwrap();
        fs::write(parent.path().join("rsa.new").join(PRIVATE), "n=1").unwrap();
        fs::create_dir(&directory).unwrap();
        read_or_make(&directory, SETTINGS).unwrap();
    }

    #[test]
    fn the_originals_key_files_are_taken() {
        let parent = tempfile::tempdir().unwrap();
        let private = parent.path().join(PRIVATE);
        fs::write(parent.path().join(PUBLIC), "n=3233 e=17\nn=3127 e=3\n").unwrap();
        fs::write(&private, "n=3233 d=413\nn=3127 d=2011\n").unwrap();
        fs::set_permissions(&private, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_or_make(parent.path(), SETTINGS).unwrap().public().pairs().len(), 2);
    }

    #[test]
    fn damaged_keys_are_refused_by_name_and_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("rsa");
        read_or_make(&directory, SETTINGS).unwrap();
        let (public, private) = (directory.join(PUBLIC), directory.join(PRIVATE));
        let whole = fs::read_to_string(&private).unwrap();

        fs::write(&private, "").unwrap();
        assert_eq!(error_of(&directory), format!("{} is not a key file", private.display()));
        fs::write(&private, whole.lines().rev().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        assert_eq!(
            error_of(&directory),
            format!("the keys in {} do not belong together", directory.display())
        );
        fs::write(&private, whole).unwrap();
        fs::set_permissions(&private, fs::Permissions::from_mode(0o604)).unwrap();
        assert!(error_of(&directory).ends_with("can be read by other users (mode 0604)"));
        fs::remove_file(&private).unwrap();
        assert!(error_of(&directory).contains("privatekey.txt is missing"));
        fs::rename(&public, &private).unwrap();
        assert!(error_of(&directory).contains("publickey.txt is missing"));
    }

    #[test]
    fn existing_files_are_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(PRIVATE), "mine").unwrap();
        let keys = make(&KeySpec::bits(1, 32).unwrap()).unwrap();
        let error = write(directory.path(), &keys).unwrap_err();
        assert!(error.to_string().contains("privatekey.txt"), "{error}");
        assert_eq!(fs::read_to_string(directory.path().join(PRIVATE)).unwrap(), "mine");
        assert!(!directory.path().join(PUBLIC).exists());
    }
}
