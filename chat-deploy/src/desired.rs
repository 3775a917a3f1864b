//! What the person wants, complete: no default is left to choose after this.

use std::path::PathBuf;

use crate::config::ServerConfig;
use crate::release::Release;

/// The deployment that should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// The release that should run.
    pub release: Release,
    /// The configuration it should run with.
    pub config: ServerConfig,
    /// How many releases to keep, the running one among them; `None` leaves all.
    pub keep_releases: Option<usize>,
    /// Whether this deploys the release, rather than going back to it or starting it again.
    pub deploys: bool,
    /// A backup whose data is put in place first.
    pub restore: Option<PathBuf>,
}
