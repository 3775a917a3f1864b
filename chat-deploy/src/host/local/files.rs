//! Reading, replacing and removing files, with errors that name them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::host::HostError;

/// Only the user: among the files are the server's identity and the hashes of passwords.
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Makes the error for a file.
pub(super) fn failed<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> HostError + 'a {
    move |source| HostError::File { doing, path: path.to_owned(), source }
}

/// Reads a text; `None` if there is no such file.
pub(super) fn read_text(path: &Path) -> Result<Option<String>, HostError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Lists the names in a directory; none if it is not there.
pub(super) fn names_in(dir: &Path) -> Result<Vec<String>, HostError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("read", dir)(error)),
    };
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    entries.map(name).collect::<io::Result<_>>().map_err(failed("read", dir))
}

/// Makes a directory and those above it, for the user alone.
pub(super) fn make_dir(dir: &Path) -> Result<(), HostError> {
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir).map_err(failed("create", dir))
}

/// Writes a file whole or not at all: beside it first, then in its place, and on disk when this returns.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), HostError> {
    let draft = path.with_extension("new");
    let write = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        sync_parent(path)
    };
    write().map_err(failed("write", path))
}

/// Makes a change of names last: a renamed or removed file is so on disk only once its directory is.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

/// Removes a file; one that is not there is no error.
pub(super) fn remove_file(path: &Path) -> Result<(), HostError> {
    absent_is_fine(fs::remove_file(path)).map_err(failed("remove", path))
}

/// Removes a directory and all in it; one that is not there is no error.
pub(super) fn remove_dir(path: &Path) -> Result<(), HostError> {
    absent_is_fine(fs::remove_dir_all(path)).map_err(failed("remove", path))
}

/// Empties a directory but for one name.
pub(super) fn remove_all_but(dir: &Path, kept: &str) -> Result<(), HostError> {
    for name in names_in(dir)?.iter().filter(|name| *name != kept) {
        let path = dir.join(name);
        // Not following a link: `current` points at a directory, and is none.
        if path.is_dir() && !path.is_symlink() { remove_dir(&path)? } else { remove_file(&path)? }
    }
    Ok(())
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
