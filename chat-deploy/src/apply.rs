//! Carries out a plan, step by step, and tells of it. What each step does is in `steps/`.
//!
//! The engine is synchronous: its steps wait for one another anyway, and SSH is blocking. What is concurrent, such as
//! an AWS client, keeps its runtime behind the trait that the engine sees.

use std::time::Duration;

use chat_client::pins::PinsError;

use crate::clock::Clock;
use crate::health::HealthCheck;
use crate::host::{Host, HostError};
use crate::interrupt::Interrupt;
use crate::pins::Pins;
use crate::plan::{Plan, Step};
use crate::release::ReleaseId;
use crate::report::{self, Report};
use crate::steps;
use crate::steps::check::Sick;

/// What the steps work with.
#[derive(Clone, Copy)]
pub struct Engine<'a> {
    /// The machine.
    pub host: &'a dyn Host,
    /// How a server is asked whether it is well.
    pub health: &'a dyn HealthCheck,
    /// The user's pinned identities.
    pub pins: &'a dyn Pins,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Whether to stop.
    pub interrupt: &'a Interrupt,
    /// Who is told.
    pub report: &'a dyn Report,
    /// How long a server may take from its start until it is healthy.
    pub start_timeout: Duration,
    /// How long a server has to stay healthy before it counts as such.
    pub settling_time: Duration,
}

/// What became of the former release when a new one failed.
#[derive(Debug)]
pub enum RolledBack {
    /// It runs again and is healthy.
    To(ReleaseId),
    /// There was none, so nothing runs.
    Nothing,
    /// It was started again, but is not healthy either.
    Sick(ReleaseId, Sick),
    /// Returning to it failed.
    Failed(HostError),
}

/// A release that failed, and what came of it.
#[derive(Debug, thiserror::Error)]
#[error("release {release} {}", if matches!(source, Sick::NotStarted(_)) { "did not start" } else { "is not healthy" })]
pub struct Unhealthy {
    /// The release.
    pub release: ReleaseId,
    /// What is wrong with it.
    pub source: Sick,
    /// The last lines of its log.
    pub log: Vec<String>,
    /// What runs in its place.
    pub rolled_back: RolledBack,
}

/// Why a plan was not carried out to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The host failed in a step.
    #[error("{step}: {what} failed")]
    Host {
        /// The step.
        step: &'static str,
        /// What it was about.
        what: String,
        /// How.
        source: HostError,
    },
    /// The pins failed in a step.
    #[error("{step}: {what} failed")]
    Pins {
        /// The step.
        step: &'static str,
        /// What it was about.
        what: String,
        /// How.
        source: PinsError,
    },
    /// The server could not be started, or is not healthy.
    #[error(transparent)]
    Unhealthy(#[from] Box<Unhealthy>),
    /// The server made no identity that could be pinned.
    #[error("the server has no identity to pin")]
    NoIdentity,
    /// Somebody asked us to stop.
    #[error("interrupted before the step {before}")]
    Interrupted {
        /// The first step that was not taken.
        before: &'static str,
    },
}

/// Carries out a plan.
///
/// # Errors
///
/// [`ApplyError`] of the step that failed; those after it are not taken. Running `up` again goes on from there.
pub fn apply(engine: &Engine<'_>, plan: &Plan) -> Result<(), ApplyError> {
    for step in &plan.steps {
        if engine.interrupt.is_set() {
            return Err(ApplyError::Interrupted { before: step.name() });
        }
        report::tell(engine.report, engine.clock, step.name(), step.what(), || take(engine, step))
            .map_err(|(failure, what)| failure.at(step.name(), what))?;
    }
    Ok(())
}

/// Takes one step; returns what came of it, if that says more than what it was about.
fn take(engine: &Engine<'_>, step: &Step) -> Result<Option<String>, steps::Failure> {
    match step {
        Step::Prepare(_) => steps::prepare::run(engine),
        Step::Restore(backup) => steps::restore::run(engine, backup),
        Step::RemoveRelease(id) => steps::prune::run(engine, id),
        Step::Install(release) => steps::install::run(engine, release),
        Step::Activate(activation) => steps::activate::run(engine, activation),
        Step::Unpin(address) => steps::pin::forget(engine, address),
        Step::Pin { address, .. } => steps::pin::run(engine, address),
        Step::Stop { .. } => steps::stop::run(engine),
        Step::Backup => steps::backup::run(engine),
        Step::RemoveInstance { .. } => steps::remove::run(engine),
    }
}
