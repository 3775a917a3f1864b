//! Carries out a plan for the machine, step by step, and tells of it. What each step does is in `steps/`.

use std::time::Duration;

use crate::clock::Clock;
use crate::cloud::{Cloud, CloudError, InstanceState};
use crate::instance::InstanceName;
use crate::interrupt::Interrupt;
use crate::machine::plan::Plan;
use crate::machine::{HostKeyPins, Machine};
use crate::report::Report;

/// What the steps work with.
#[derive(Clone, Copy)]
pub struct Engine<'a> {
    /// The account and region.
    pub cloud: &'a dyn Cloud,
    /// Whose machine.
    pub instance: &'a InstanceName,
    /// The host keys pinned on this machine.
    pub host_keys: &'a dyn HostKeyPins,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Whether to stop.
    pub interrupt: &'a Interrupt,
    /// Who is told.
    pub report: &'a dyn Report,
    /// How long a machine may take until it runs, is stopped, or is gone.
    pub state_timeout: Duration,
    /// How long what was just made may stay invisible.
    pub visible_timeout: Duration,
}

/// Why a plan was not carried out to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// A call failed in a step.
    #[error("{step}: {what} failed")]
    Cloud {
        /// The step.
        step: &'static str,
        /// What it was about.
        what: String,
        /// How.
        source: CloudError,
    },
    /// A machine did not get into the state it should.
    #[error("{machine} was not {wanted} within {} s; it was {last} last", within.as_secs())]
    Late {
        /// Which.
        machine: String,
        /// What it should have been: `running`.
        wanted: &'static str,
        /// How long it had.
        within: Duration,
        /// How it was seen last: `pending`, `not visible yet`, `running without a public address`.
        last: String,
    },
    /// A machine went where it should not.
    #[error("{machine} went to {state} instead{}", reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default())]
    Astray {
        /// Which.
        machine: String,
        /// What it is now.
        state: InstanceState,
        /// Why, in EC2's words.
        reason: Option<String>,
    },
    /// Nothing that would do is to be had.
    #[error("no machine is to be had: {tried}")]
    NoneLeft {
        /// What was tried, and what EC2 said to each.
        tried: String,
        /// What it said last.
        source: CloudError,
    },
    /// It is not ours to delete; somebody changed its tags since the plan was shown.
    #[error("{resource} is not tagged as ours any more, so it is not deleted")]
    NotOurs {
        /// What.
        resource: String,
    },
    /// The host key could not be made or pinned.
    #[error("no host key could be made for the new machine")]
    HostKey(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Somebody asked us to stop.
    #[error("interrupted before the step {before}")]
    Interrupted {
        /// The first step that was not taken to its end.
        before: &'static str,
    },
}

/// Carries out a plan, and returns the machine that is there then, if one is.
///
/// # Errors
///
/// [`ApplyError`] of the step that failed; those after it are not taken. The same command run again goes on from there.
pub fn apply(engine: &Engine<'_>, plan: &Plan) -> Result<Option<Machine>, ApplyError> {
    let _ = (engine, plan);
    unimplemented!()
}
