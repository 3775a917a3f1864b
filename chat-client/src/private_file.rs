//! Files of conversations, which are for nobody but the person who has them: logs and histories. What stands in them is
//! `transcript`'s and `terminal`'s.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::geteuid;

/// Opens a file to read and to add to, and makes it if there is none. From then on only its owner can read it, whatever
/// was the case before.
///
/// # Errors
///
/// The file system's error, also if the path leads to a symbolic link or to somebody else's file, which others may have
/// put there, or to anything but a file.
pub(crate) fn append(path: &Path) -> io::Result<File> {
    let refused = |kind, why| Err(io::Error::new(kind, why));
    let opened = File::options()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        // Opening a pipe would wait for somebody at its other end.
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(path);
    let file = match opened {
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            return refused(io::ErrorKind::InvalidInput, "this is a symbolic link");
        }
        opened => opened?,
    };
    let about = file.metadata()?;
    if !about.is_file() {
        return refused(io::ErrorKind::InvalidInput, "this is not a file");
    }
    if about.uid() != geteuid().as_raw() {
        return refused(io::ErrorKind::PermissionDenied, "this file is somebody else's");
    }
    if about.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Returns a path with `home` in place of a `~/` at its beginning, as a shell would.
#[must_use]
pub(crate) fn at_home(path: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(inside), Some(home)) => home.join(inside),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_its_owners_alone_whoever_could_read_it_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::write(&path, "old\n").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        let mut file = append(&path).unwrap();
        file.write_all(b"new\n").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let mut text = String::new();
        append(&path).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "old\nnew\n");
    }

    #[test]
    fn what_others_may_have_put_there_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (target, link) = (directory.path().join("target"), directory.path().join("link"));
        symlink(&target, &link).unwrap();
        assert_eq!(append(&link).unwrap_err().to_string(), "this is a symbolic link");
        assert!(!target.exists());
        assert!(append(directory.path()).is_err());
        assert!(append(Path::new("/dev/null")).is_err());
    }

    #[test]
    fn home_stands_for_itself() {
        let home = Some(Path::new("/home/alice"));
        for (path, expected) in [("~/x", "/home/alice/x"), ("~bob/x", "~bob/x"), ("/x/~", "/x/~")] {
            assert_eq!(at_home(Path::new(path), home), Path::new(expected));
        }
        assert_eq!(at_home(Path::new("~/x"), None), Path::new("~/x"));
    }
}
