//! Files of ours on this machine that several runs may write at once: each is changed under a lock, and whole or not at
//! all, for the user alone.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Whoever holds the lock writes one small file and lets go.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Reads a file, `None` if there is none, and replaces it by what `change` makes of it, unless that is `None`. Nobody else
/// changes it in between; the new text is on the disk when this returns.
///
/// # Errors
///
/// The system's; [`io::ErrorKind::TimedOut`] if somebody holds the lock for more than 5 s.
pub(super) fn update(
    path: &Path,
    change: impl FnOnce(Option<String>) -> io::Result<Option<String>>,
) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir)?;
    let _lock = lock(&path.with_added_extension("lock"))?;
    match change(read(path)?)? {
        Some(text) => replace(path, &text),
        None => Ok(()),
    }
}

/// Reads a text; `None` if there is no such file.
///
/// # Errors
///
/// The system's.
pub(super) fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The lock goes with the file that is returned. The lock file stays: removing it would let two hold the lock at once.
fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(path)?;
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {
                let why = format!("another program holds {}", path.display());
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
        }
    }
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    // Its name can be the same each time, since only the holder of the lock writes it. One that a killed run left may have
    // any mode, so it is made anew.
    let draft = path.with_added_extension("new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}
