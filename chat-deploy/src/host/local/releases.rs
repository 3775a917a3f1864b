//! The releases of an instance on disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;

use super::files::{self, failed};
use super::layout::Layout;
use crate::config::ServerConfig;
use crate::host::HostError;
use crate::interrupt::Interrupt;
use crate::release::{self, Release, ReleaseId, SERVER};

const RECORD: &str = "release.json";
/// Where a release grows until it is whole; its name is no release's.
const DRAFT: &str = ".incoming";
const COPY_BYTES: usize = 1 << 20;

/// Lists the whole releases, the one deployed last first.
pub(super) fn list(layout: &Layout) -> Result<Vec<Release>, HostError> {
    let mut releases = Vec::new();
    for id in files::names_in(&layout.releases())?.iter().filter_map(|name| name.parse().ok()) {
        releases.extend(read(layout, &id)?);
    }
    // By name among those of one moment, so that the order is always the same.
    releases.sort_by(|a, b| (b.deployed_at, &a.id).cmp(&(a.deployed_at, &b.id)));
    Ok(releases)
}

/// Installs a release; where there is one of that name already, it takes its place.
pub(super) fn install(
    layout: &Layout,
    release: &Release,
    progress: &mut dyn FnMut(u64),
) -> Result<(), HostError> {
    let draft = layout.releases().join(DRAFT);
    files::remove_dir(&draft)?;
    files::make_dir(&draft)?;
    let result = fill(&draft, release, progress).and_then(|()| {
        let target = layout.release(&release.id);
        files::remove_dir(&target)?;
        let rename = fs::rename(&draft, &target).and_then(|()| files::sync_parent(&target));
        rename.map_err(failed("write", &target))
    });
    if result.is_err() {
        // The error that is under way says more than one from clearing up would.
        let _ = files::remove_dir(&draft);
        // Only if this was to be the first release is there nothing else in it.
        let _ = fs::remove_dir(layout.releases());
    }
    result
}

/// Removes a release.
pub(super) fn remove(layout: &Layout, id: &ReleaseId) -> Result<(), HostError> {
    let dir = layout.release(id);
    // Without its record it is none any more, however far the rest gets.
    files::remove_file(&dir.join(RECORD))?;
    files::remove_dir(&dir)
}

/// Removes a release that was installed in vain: one that is current or was ever deployed stays.
pub(super) fn discard(layout: &Layout, id: &ReleaseId, current: Option<&ReleaseId>) -> Result<(), HostError> {
    if current != Some(id) && read(layout, id)?.is_some_and(|release| release.deployed_at == 0) {
        remove(layout, id)?;
        // Only if it was the first release is there nothing else in it.
        let _ = fs::remove_dir(layout.releases());
    }
    Ok(())
}

/// Removes the releases that were never confirmed, but for one.
pub(super) fn remove_never_deployed(layout: &Layout, kept: Option<&ReleaseId>) -> Result<(), HostError> {
    let never = |release: &Release| release.deployed_at == 0 && Some(&release.id) != kept;
    list(layout)?.iter().filter(|release| never(release)).try_for_each(|release| remove(layout, &release.id))
}

/// Runs the release's own check on a configuration.
pub(super) fn check_config(
    layout: &Layout,
    id: &ReleaseId,
    config: &ServerConfig,
    interrupt: &Interrupt,
) -> Result<(), HostError> {
    let draft = layout.dir().join("server.toml.check");
    files::replace(&draft, &config.text)?;
    let mut check = Command::new(layout.program(id));
    check.args(["check-config", "--config"]).arg(&draft);
    let answer = release::ask::ask(&mut check, interrupt);
    files::remove_file(&draft)?;
    let answer = answer.map_err(|source| HostError::NotChecked { id: id.clone(), source })?;
    if answer.status.success() {
        return Ok(());
    }
    Err(HostError::ConfigRefused { said: answer.err.lines().map(str::to_owned).collect() })
}

/// Notes when a release was deployed; always later than any other, since the order says which one to go back to.
pub(super) fn mark_deployed(layout: &Layout, id: &ReleaseId, now: u64) -> Result<(), HostError> {
    let youngest = list(layout)?.iter().map(|release| release.deployed_at).max().unwrap_or(0);
    let deployed_at = now.max(youngest + 1);
    match read(layout, id)? {
        Some(release) => write_record(&layout.release(id), &Release { deployed_at, ..release }),
        None => Err(HostError::NoRelease { id: id.clone() }),
    }
}

/// Reads a release; `None` if it is not whole, so that it is installed again.
fn read(layout: &Layout, id: &ReleaseId) -> Result<Option<Release>, HostError> {
    let text = files::read_text(&layout.release(id).join(RECORD))?;
    let release = text.and_then(|text| serde_json::from_str::<Release>(&text).ok());
    let size_bytes = layout.program(id).metadata().map_or(0, |program| program.len());
    Ok(release.filter(|release| release.id == *id && release.size_bytes == size_bytes))
}

fn fill(draft: &Path, release: &Release, progress: &mut dyn FnMut(u64)) -> Result<(), HostError> {
    let program = draft.join(SERVER);
    let mut from = File::open(&release.origin).map_err(failed("read", &release.origin))?;
    let mut to = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o700)
        .open(&program)
        .map_err(failed("write", &program))?;
    let mut copy = || -> io::Result<()> {
        let (mut buffer, mut done) = (vec![0; COPY_BYTES], 0);
        loop {
            let len = from.read(&mut buffer)?;
            if len == 0 {
                return to.sync_all();
            }
            to.write_all(buffer.get(..len).unwrap_or_default())?;
            done += u64::try_from(len).unwrap_or_default();
            progress(done);
        }
    };
    copy().map_err(failed("write", &program))?;
    // What counts is what arrived, not what was read.
    if release::digest::of_file(&program).map_err(failed("read", &program))? != release.digest {
        return Err(HostError::BinaryChanged { path: release.origin.clone() });
    }
    write_record(draft, release)
}

fn write_record(dir: &Path, release: &Release) -> Result<(), HostError> {
    let path = dir.join(RECORD);
    let text = serde_json::to_string_pretty(release).map_err(|error| failed("write", &path)(error.into()))?;
    files::replace(&path, &text)
}
