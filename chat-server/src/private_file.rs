//! Secret files: made with mode 0600 from their first byte, whole or not at all, and read only if nobody else can.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Bits that let anybody but the owner at a file.
const OPEN_TO_OTHERS: u32 = 0o077;

/// Why a secret file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Users other than the owner can read it.
    #[error("{} can be read by other users (mode {mode:04o})", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

impl FileError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Open { path, .. } => Some(format!("chmod 600 {}", path.display())),
            Self::Read { source, .. } | Self::Write { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => {
                    Some("run this as the user who owns the data directory".to_owned())
                }
                io::ErrorKind::StorageFull => Some("free some disk space".to_owned()),
                io::ErrorKind::AlreadyExists => Some("move it away, or name another directory".to_owned()),
                _ => None,
            },
        }
    }
}

/// Makes a file that is the owner's only from the start.
///
/// # Errors
///
/// What the system says, also if the file exists.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Reads a secret text of at most `max_bytes`; nothing if there is no such file.
///
/// # Errors
///
/// [`FileError`] if others can read the file, or it is too long or no text.
pub(crate) fn read(path: &Path, max_bytes: u64) -> Result<Option<Zeroizing<String>>, FileError> {
    read_unless(path, max_bytes, OPEN_TO_OTHERS)
}

/// Reads a text that need not be secret, of at most `max_bytes`; nothing if there is no such file.
///
/// # Errors
///
/// [`FileError`] if the file cannot be read, or is too long or no text.
pub(crate) fn read_public(path: &Path, max_bytes: u64) -> Result<Option<Zeroizing<String>>, FileError> {
    read_unless(path, max_bytes, 0)
}

fn read_unless(
    path: &Path,
    max_bytes: u64,
    forbidden_mode: u32,
) -> Result<Option<Zeroizing<String>>, FileError> {
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    // Asked of the open file, which nobody can exchange for another meanwhile.
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.mode() & 0o7777;
    if metadata.is_file() && mode & forbidden_mode != 0 {
        return Err(FileError::Open { path: path.to_owned(), mode });
    }
    if metadata.len() > max_bytes {
        return Err(failed(io::Error::new(
            io::ErrorKind::InvalidData,
            "the file is too long to be what it should",
        )));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(max_bytes).read_to_string(&mut text).map_err(failed)?;
    Ok(Some(text))
}

/// Writes a secret file that does not exist yet, so that after a crash it is there as a whole or not at all.
///
/// # Errors
///
/// [`FileError::Write`], also if the file exists.
pub(crate) fn write_new(path: &Path, contents: &[u8]) -> Result<(), FileError> {
    let failed = |source| FileError::Write { path: path.to_owned(), source };
    if path.exists() {
        return Err(failed(io::ErrorKind::AlreadyExists.into()));
    }
    let draft = path.with_added_extension("new");
    match fs::remove_file(&draft) {
        // What a start that was interrupted left behind.
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let mut file = create(&draft).map_err(failed)?;
    let written = file.write_all(contents).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| fs::rename(&draft, path)) {
        // The error that counts is the first one.
        let _ = fs::remove_file(&draft);
        return Err(failed(error));
    }
    sync_parent(path).map_err(failed)
}

/// Makes sure that the names in the directory of `path` survive a crash.
///
/// # Errors
///
/// What the system says.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
