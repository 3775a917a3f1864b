//! Backups: tar files of a server's data, which `down` writes and `up --restore` reads, whatever kind of host they are of.
//!
//! Such a file has one directory `data`, and in it regular files and directories only. It holds the server's identity and
//! the hashes of passwords, so it is the user's alone.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;

use super::HostError;
use crate::instance::InstanceName;

/// The directory in a backup that everything is in.
pub const DATA: &str = "data";

/// Writes a backup into a directory, as `fill` has it; returns its path.
///
/// # Errors
///
/// Those of `fill`, or [`HostError::File`]; no half file is left.
pub fn write(
    directory: &Path,
    instance: &InstanceName,
    fill: impl FnOnce(&mut File) -> Result<(), HostError>,
) -> Result<PathBuf, HostError> {
    let moment = Timestamp::now().strftime("%Y%m%d-%H%M%S");
    let path = directory.join(format!("{instance}-{moment}.tar"));
    let draft = path.with_extension("tar.new");
    let failed = |source| HostError::File { doing: "write", path: path.clone(), source };
    let keep = || -> Result<(), HostError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(&draft).map_err(failed)?;
        fill(&mut file)?;
        // On disk, and under its name, before anybody removes what it is a copy of.
        file.sync_all().and_then(|()| fs::rename(&draft, &path)).map_err(failed)?;
        directory.ancestors().take(2).try_for_each(|dir| File::open(dir)?.sync_all()).map_err(failed)
    };
    let result = keep();
    if result.is_err() {
        // The error that is under way says more than one from clearing up would.
        let _ = fs::remove_file(&draft);
    }
    result.map(|()| path)
}

/// One thing in a backup.
pub struct Entry<'a, 'b> {
    /// Its path within the data, which leads nowhere else; empty for the data directory itself.
    pub path: PathBuf,
    /// The file; `None` for a directory.
    pub file: Option<&'a mut tar::Entry<'b, File>>,
}

/// Reads a backup from its beginning to its end and passes on what is in it.
///
/// # Errors
///
/// [`HostError::BadBackup`] if it is none, is damaged or holds anything else than files and directories; or those of
/// `take`.
pub fn read(
    backup: &Path,
    mut take: impl FnMut(Entry<'_, '_>) -> Result<(), HostError>,
) -> Result<(), HostError> {
    let bad = |source| HostError::BadBackup { path: backup.to_owned(), source };
    let file = File::open(backup).map_err(|source| HostError::File {
        doing: "read",
        path: backup.to_owned(),
        source,
    })?;
    let mut archive = tar::Archive::new(file);
    let mut is_empty = true;
    let broken = |source| bad(without_content(source));
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = within_data(&entry.path().map_err(broken)?).map_err(bad)?;
        let kind = entry.header().entry_type();
        // A database has holes, which tar writes down as a kind of its own and fills again when it is read.
        if kind.is_file() || kind.is_gnu_sparse() {
            is_empty = false;
            take(Entry { path, file: Some(&mut entry) })?;
        } else if kind.is_dir() {
            take(Entry { path, file: None })?;
        } else {
            return Err(bad(invalid(format!("{} is neither a file nor a directory", path.display()))));
        }
    }
    if is_empty { Err(bad(invalid("there is no data in it".to_owned()))) } else { Ok(()) }
}

/// Returns the part of a path below the data directory.
fn within_data(path: &Path) -> io::Result<PathBuf> {
    let inside = path.strip_prefix(DATA).ok().filter(|inside| {
        inside.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir))
    });
    inside.map(Path::to_owned).ok_or_else(|| invalid(format!("{} is not in {DATA}/", path.display())))
}

/// Says what is wrong with an archive in words of our own: those of the crate quote it, whatever bytes it has.
fn without_content(source: io::Error) -> io::Error {
    match source.kind() {
        io::ErrorKind::Other | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            invalid("it is not a tar file, or is damaged".to_owned())
        }
        _ => source,
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_archive_is_not_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tar");
        fs::write(&path, [b"\x7fELF\x1b[2J\xff".as_slice(), &[b'Z'; 2000]].concat()).unwrap();
        let Err(HostError::BadBackup { source, .. }) = read(&path, |_| Ok(())) else {
            panic!("that is no backup");
        };
        assert_eq!(source.to_string(), "it is not a tar file, or is damaged");
    }
}
