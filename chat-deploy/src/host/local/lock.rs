//! The lock of whoever changes an instance.
//!
//! It leaves with its holder: once the instance is gone, or nothing came of it, the lock file and the empty directories
//! above it go as well.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::thread;
use std::time::{Duration, Instant};

use super::files::{failed, make_dir};
use super::{Held, Host as _, LocalHost, files};
use crate::host::HostError;

/// How long to wait for another holder: a launcher of a killed run is gone by then, a person at a question is not.
const WAIT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

/// The lock, held.
pub(super) struct LocalLock<'a>(&'a LocalHost);

impl Held for LocalLock<'_> {
    fn keep(&self) -> Result<(), HostError> {
        // It lasts as long as this process has the file open.
        Ok(())
    }
}

impl Drop for LocalLock<'_> {
    fn drop(&mut self) {
        let layout = self.0.layout();
        if layout.is_bare() {
            // Nobody can be told of a failure here, and what stays is an empty directory.
            let _ = fs::remove_file(layout.lock());
            for dir in layout.dir().ancestors().take(3) {
                let _ = fs::remove_dir(dir);
            }
        }
        self.0.lock.take();
    }
}

/// Takes the lock, and waits a moment for it if need be.
pub(super) fn take(host: &LocalHost) -> Result<LocalLock<'_>, HostError> {
    let deadline = Instant::now() + WAIT;
    loop {
        if let Some(file) = try_take(host)? {
            *host.lock.borrow_mut() = Some(file);
            return Ok(LocalLock(host));
        }
        if Instant::now() >= deadline {
            let holder = files::read_text(&host.layout().lock())?.filter(|pid| !pid.is_empty());
            let holder = holder.map(|pid| format!("pid {}", pid.trim()));
            return Err(HostError::Locked { instance: host.instance().clone(), holder });
        }
        thread::sleep(PAUSE);
    }
}

fn try_take(host: &LocalHost) -> Result<Option<File>, HostError> {
    let path = host.layout().lock();
    make_dir(host.layout().dir())?;
    let mut options = OpenOptions::new();
    let mut file = match options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path) {
        Ok(file) => file,
        // The former holder has just removed the directory.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("write", &path)(error)),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(failed("lock", &path)(error)),
    }
    let same = fs::metadata(&path).and_then(|there| Ok(there.ino() == file.metadata()?.ino()));
    if !same.unwrap_or(false) {
        // The former holder removed the file while we waited for it: this is a lock on nothing.
        return Ok(None);
    }
    let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(failed("write", &path))?;
    Ok(Some(file))
}
