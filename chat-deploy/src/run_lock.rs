//! Keeps two runs on this machine from working on the same remote instance at once. Runs on other machines are kept apart
//! by the lock that the host itself holds (`host.rs`); this one also covers the time before there is a host.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::host::HostError;
use crate::instance::InstanceName;
use crate::interrupt::Interrupt;

/// How long to wait for another holder: long enough for one that is about to end.
const WAIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// The lock, which the system drops when its holder dies.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock `path`, whose file stays, and waits a moment for it if need be.
    ///
    /// # Errors
    ///
    /// [`HostError::Locked`], naming the holder; [`HostError::File`].
    pub fn take(path: &Path, instance: &InstanceName, interrupt: &Interrupt) -> Result<Self, HostError> {
        let failed = |source| HostError::File { doing: "lock", path: path.to_owned(), source };
        let mut file = open(path).map_err(failed)?;
        let deadline = Instant::now() + WAIT;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline || interrupt.is_set() => {
                    return Err(HostError::Locked { instance: instance.clone(), holder: holder(&mut file) });
                }
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            }
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn holder(file: &mut File) -> Option<String> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    let pid = text.trim();
    (!pid.is_empty()).then(|| format!("pid {pid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let (path, name) = (dir.path().join("locks/ec2-myserver"), "myserver".parse().unwrap());
        let interrupt = Interrupt::default();
        let first = RunLock::take(&path, &name, &interrupt).unwrap();
        // Nobody waits once interrupted.
        interrupt.set();
        let error = RunLock::take(&path, &name, &interrupt).unwrap_err();
        let expected = format!("another chat-deploy works on myserver (pid {})", std::process::id());
        assert_eq!(error.to_string(), expected);
        drop(first);
        assert!(RunLock::take(&path, &name, &interrupt).is_ok());
    }
}
