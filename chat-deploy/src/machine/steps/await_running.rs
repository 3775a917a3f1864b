//! Waits until a machine runs and can be reached.

use super::Failure;
use super::wait::Look;
use crate::cloud::{Instance, InstanceId, InstanceState};
use crate::machine::apply::{ApplyError, Engine};

/// Takes the step; returns the machine as it is then.
///
/// # Errors
///
/// [`ApplyError::Astray`] if it ends instead, [`ApplyError::Late`], or a call's.
pub fn run(engine: &Engine<'_>, id: &InstanceId) -> Result<Instance, Failure> {
    engine.wait(id, "running", || {
        let Some(machine) = engine.calls().machine(id)? else {
            return Ok(Look::NotVisible);
        };
        match machine.state {
            InstanceState::Running if machine.address.is_some() => Ok(Look::There(machine)),
            InstanceState::Running => Ok(Look::NotYet("running without a public address".to_owned())),
            state if state.is_ending() => Err(astray(machine).into()),
            // A machine that was just started may show for a moment as it was before.
            state => Ok(Look::NotYet(state.to_string())),
        }
    })
}

/// Says that a machine ended which should not have.
pub(super) fn astray(machine: Instance) -> ApplyError {
    let Instance { id, state, state_reason: reason, .. } = machine;
    ApplyError::Astray { machine: id.to_string(), state, reason }
}
