//! Putting a release to work, in an order that can be cut off anywhere.
//!
//! `activation.json` says what was confirmed last, from before the server is stopped until the new one is confirmed or
//! the old one is back. The configuration and `current` change only while no server runs, so a server that runs always
//! runs what they say.

use serde::{Deserialize, Serialize};

use super::files::{self, failed};
use super::layout::Layout;
use super::{LocalHost, process, releases};
use crate::config::ServerConfig;
use crate::host::{Host as _, HostError, Server, Unconfirmed};
use crate::release::ReleaseId;

/// What was before.
#[derive(Debug, Serialize, Deserialize)]
struct Journal {
    /// What was confirmed last, if anything was.
    former: Option<Deployed>,
    /// What is put to work in its place.
    tried: Option<Deployed>,
}

/// A release and its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Deployed {
    release: ReleaseId,
    config: String,
}

/// Tells whether an activation was cut off, and what was before it.
pub(super) fn unconfirmed(layout: &Layout) -> Result<Option<Unconfirmed>, HostError> {
    let journal = Journal::read(layout)?;
    Ok(journal.map(|journal| Unconfirmed { former: journal.former.map(|former| former.release) }))
}

/// Stops the server and starts this release with this configuration.
pub(super) fn activate(host: &LocalHost, id: &ReleaseId, config: &ServerConfig) -> Result<(), HostError> {
    let layout = host.layout();
    if !layout.program(id).is_file() {
        return Err(HostError::NoRelease { id: id.clone() });
    }
    // What an interrupted run activated was never confirmed, so the former of that run stays the former.
    let former = match Journal::read(layout)? {
        Some(journal) => journal.former,
        None => now(host)?,
    };
    let tried = Deployed { release: id.clone(), config: config.text.clone() };
    Journal { former, tried: Some(tried.clone()) }.write(layout)?;
    if !layout.data().exists() {
        host.made_data.set(true);
    }
    put_to_work(host, &tried)
}

/// Keeps what was activated.
pub(super) fn confirm(host: &LocalHost, deployed_at: Option<u64>) -> Result<(), HostError> {
    if let (Some(moment), Some(current)) = (deployed_at, host.current()?) {
        releases::mark_deployed(host.layout(), &current, moment)?;
    }
    files::remove_file(&host.layout().journal())
}

/// Returns to what was before, and says what runs then.
pub(super) fn revert(host: &LocalHost) -> Result<Option<ReleaseId>, HostError> {
    let layout = host.layout();
    let Some(Journal { former, tried }) = Journal::read(layout)? else {
        return tidy(host);
    };
    process::stop(host)?;
    // First of all, because a full disk is one of the reasons to be here, and the former needs some room to start.
    releases::remove_never_deployed(layout, former.as_ref().map(|former| &former.release))?;
    let runs = match &former {
        // There is nothing better to return to than what has just failed.
        Some(_) if former == tried => None,
        // It was stopped and nothing else was changed yet.
        Some(Deployed { release, .. }) if former == now(host)? => {
            process::start(host, release)?;
            Some(release.clone())
        }
        Some(former) => {
            put_to_work(host, former)?;
            Some(former.release.clone())
        }
        // With nothing to return to, and data that did not exist before this very run, nothing is left at all. Data
        // that an earlier run left is kept, whatever that run came to: people may have used its server since.
        None if host.made_data.get() => {
            host.remove()?;
            None
        }
        None => {
            files::remove_file(&layout.current())?;
            files::remove_file(&layout.config())?;
            None
        }
    };
    files::remove_file(&layout.journal())?;
    Ok(runs)
}

/// Clears away what was installed for an activation that never began; what runs goes on running.
fn tidy(host: &LocalHost) -> Result<Option<ReleaseId>, HostError> {
    let current = host.current()?;
    if current.is_none() && !host.layout().data().exists() {
        host.remove()?;
    } else {
        releases::remove_never_deployed(host.layout(), current.as_ref())?;
    }
    Ok(match host.server()? {
        Server::Running(process) => process.release,
        Server::Stopped { .. } => None,
    })
}

fn put_to_work(host: &LocalHost, Deployed { release, config }: &Deployed) -> Result<(), HostError> {
    let layout = host.layout();
    process::stop(host)?;
    files::replace(&layout.config(), config)?;
    point_current_at(layout, release)?;
    process::start(host, release)
}

/// What `current` and the configuration say.
fn now(host: &LocalHost) -> Result<Option<Deployed>, HostError> {
    let config = files::read_text(&host.layout().config())?;
    Ok(host.current()?.zip(config).map(|(release, config)| Deployed { release, config }))
}

/// Replaces the link in one go: there is always one, and it is always whole.
fn point_current_at(layout: &Layout, id: &ReleaseId) -> Result<(), HostError> {
    let (link, draft) = (layout.current(), layout.dir().join("current.new"));
    files::remove_file(&draft)?;
    let target = std::path::Path::new("releases").join(id.as_str());
    let point = || {
        std::os::unix::fs::symlink(target, &draft)?;
        std::fs::rename(&draft, &link)?;
        files::sync_parent(&link)
    };
    point().map_err(failed("write", &link))
}

impl Journal {
    fn read(layout: &Layout) -> Result<Option<Self>, HostError> {
        let path = layout.journal();
        let damaged = |source| HostError::Damaged { path: path.clone(), source: Box::new(source) };
        files::read_text(&path)?.map(|text| serde_json::from_str(&text).map_err(damaged)).transpose()
    }

    fn write(&self, layout: &Layout) -> Result<(), HostError> {
        let path = layout.journal();
        let text = serde_json::to_string(self).map_err(|error| failed("write", &path)(error.into()))?;
        files::replace(&path, &text)
    }
}
