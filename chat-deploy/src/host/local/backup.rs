//! A copy of the data, as a tar file, for the day somebody wants it back.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::files::{self, failed};
use super::layout::Layout;
use crate::host::HostError;
use crate::instance::InstanceName;

/// Writes the backup; returns its path.
pub(super) fn write(layout: &Layout, instance: &InstanceName) -> Result<PathBuf, HostError> {
    files::make_dir(layout.backups())?;
    let moment = Timestamp::now().strftime("%Y%m%d-%H%M%S");
    let path = layout.backups().join(format!("{instance}-{moment}.tar"));
    let draft = path.with_extension("tar.new");
    // On disk, and under its name, before anybody removes what it is a copy of.
    let result = archive(&layout.data(), &draft)
        .and_then(|()| fs::rename(&draft, &path))
        .and_then(|()| files::sync_parent(&path))
        .and_then(|()| files::sync_parent(layout.backups()));
    if result.is_err() {
        // The error that is under way says more than one from clearing up would.
        let _ = fs::remove_file(&draft);
    }
    result.map_err(failed("write", &path))?;
    Ok(path)
}

fn archive(data: &Path, to: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to)?;
    let mut tar = tar::Builder::new(file);
    tar.follow_symlinks(false);
    append(&mut tar, data, Path::new("data"))?;
    tar.into_inner()?.sync_all()
}

/// Appends a directory: its files and directories, and nothing else, since a socket cannot be kept.
fn append(tar: &mut tar::Builder<File>, dir: &Path, name: &Path) -> io::Result<()> {
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
