//! A copy of the data, as a tar file, for the day somebody wants it back; and putting it back. What such a file looks
//! like is in `host/backup.rs`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::files::{self, failed};
use super::layout::Layout;
use crate::host::{HostError, backup};
use crate::instance::InstanceName;

/// Writes the backup; returns its path.
pub(super) fn write(layout: &Layout, instance: &InstanceName) -> Result<PathBuf, HostError> {
    backup::write(layout.backups(), instance, |to| {
        let mut tar = tar::Builder::new(to);
        tar.follow_symlinks(false);
        let written = append(&mut tar, &layout.data(), Path::new(backup::DATA)).and_then(|()| tar.finish());
        written.map_err(failed("copy", &layout.data()))
    })
}

/// Puts the data of a backup in place: beside it first, then there.
pub(super) fn restore(layout: &Layout, from: &Path) -> Result<(), HostError> {
    let data = layout.data();
    if data.exists() {
        return Err(HostError::HasData { data });
    }
    let draft = data.with_extension("new");
    files::remove_dir(&draft)?;
    files::make_dir(&draft)?;
    let result = backup::read(from, |entry| {
        let path = draft.join(&entry.path);
        let Some(file) = entry.file else {
            return files::make_dir(&path);
        };
        let mut options = OpenOptions::new();
        let to = options.write(true).create_new(true).mode(0o600).open(&path);
        let copied = to.and_then(|mut to| io::copy(file, &mut to).and_then(|_| to.sync_all()));
        copied.map_err(failed("write", &path))
    });
    let placed = result.and_then(|()| {
        let rename = fs::rename(&draft, &data).and_then(|()| files::sync_parent(&data));
        rename.map_err(failed("write", &data))
    });
    if placed.is_err() {
        // The error that is under way says more than one from clearing up would.
        let _ = files::remove_dir(&draft);
    }
    placed
}

/// Appends a directory: its files and directories, and nothing else, since a socket cannot be kept.
fn append(tar: &mut tar::Builder<&mut File>, dir: &Path, name: &Path) -> io::Result<()> {
    tar.append_dir(name, dir)?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (path, name, kind) = (entry.path(), name.join(entry.file_name()), entry.file_type()?);
        if kind.is_dir() {
            append(tar, &path, &name)?;
        } else if kind.is_file() {
            tar.append_path_with_name(&path, &name)?;
        }
    }
    Ok(())
}
