//! Puts a release to work, waits until it is healthy, and returns to the former one if it is not.

use super::check::{Sick, wait_until_healthy};
use super::{Failure, Outcome};
use crate::apply::{ApplyError, Engine, RolledBack, Unhealthy};
use crate::host::{HostError, LogSpan};
use crate::plan::{Activation, ServerChange};

/// How many lines of its log a failed server is quoted with.
const QUOTED_LINES: usize = 20;

/// Takes the step.
///
/// # Errors
///
/// [`ApplyError::Unhealthy`] after the roll back, [`ApplyError::Interrupted`], or the host's.
pub fn run(engine: &Engine<'_>, activation: &Activation) -> Outcome {
    if activation.config_change.is_some() {
        check_config(engine, activation)?;
    }
    let address = engine.host.reach(&activation.config);
    let started = match activation.server {
        ServerChange::Confirm { .. } => Ok(()),
        ServerChange::Start | ServerChange::Restart { .. } => {
            engine.host.activate(&activation.release.id, &activation.config).map_err(|error| {
                if engine.interrupt.is_set() { Sick::Interrupted } else { Sick::NotStarted(error) }
            })
        }
    };
    match started.and_then(|()| wait_until_healthy(engine, &address, &activation.release)) {
        Ok(health) => {
            let deployed_at = activation.deploys.then(|| engine.clock.unix_seconds());
            engine.host.confirm(&activation.release.id, &activation.config, deployed_at)?;
            let millis = health.round_trip.as_secs_f64() * 1000.0;
            Ok(Some(format!("{} answers on {address} in {millis:.1} ms", activation.release.id)))
        }
        // What was activated stays, unconfirmed: the next run checks it, and can still return to the former.
        Err(Sick::Interrupted) => Err(ApplyError::Interrupted { before: "confirm" }.into()),
        Err(source) => {
            // What was never started has not said anything.
            let log = match source {
                Sick::NotStarted(_) => Vec::new(),
                _ => engine.host.log_tail(LogSpan::LastRun, QUOTED_LINES).unwrap_or_default(),
            };
            let rolled_back = roll_back(engine);
            let release = activation.release.id.clone();
            Err(ApplyError::from(Box::new(Unhealthy { release, source, log, rolled_back })).into())
        }
    }
}

/// A configuration that the server refuses is no reason to touch the one that runs, nor its data.
fn check_config(engine: &Engine<'_>, activation: &Activation) -> Result<(), Failure> {
    let checked = engine.host.check_config(&activation.release.id, &activation.config, engine.interrupt);
    let Err(error) = checked else {
        return Ok(());
    };
    // The refusal is what the person needs to hear; what cannot be cleared away now is pruned one day.
    let _ = engine.host.discard(&activation.release.id);
    match error {
        HostError::NotChecked { .. } if engine.interrupt.is_set() => {
            Err(ApplyError::Interrupted { before: "activate" }.into())
        }
        error => Err(error.into()),
    }
}

/// Returns to the former release and waits until that one is healthy.
fn roll_back(engine: &Engine<'_>) -> RolledBack {
    let (former, state) = match engine.host.revert().and_then(|former| Ok((former, engine.host.state()?))) {
        Ok((Some(former), state)) => (former, state),
        Ok((None, _)) => return RolledBack::Nothing,
        Err(error) => return RolledBack::Failed(error),
    };
    let (Some(release), Some(config)) = (state.release(&former), &state.config) else {
        return RolledBack::Sick(former, Sick::OtherProgram);
    };
    match wait_until_healthy(engine, &engine.host.reach(config), release) {
        Ok(_) => RolledBack::To(former),
        Err(sick) => RolledBack::Sick(former, sick),
    }
}
