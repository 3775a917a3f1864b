//! Stops a machine, and waits until it is stopped. Its disk and what is on it stay.

use super::Failure;
use super::await_running::astray;
use super::wait::Look;
use crate::cloud::{CloudErrorKind, Instance, InstanceId, InstanceState};
use crate::machine::apply::Engine;

/// Takes the step; returns the machine as it is then.
///
/// # Errors
///
/// [`ApplyError::Astray`](crate::machine::apply::ApplyError::Astray) if it ends instead,
/// [`ApplyError::Late`](crate::machine::apply::ApplyError::Late), or a call's.
pub fn run(engine: &Engine<'_>, id: &InstanceId) -> Result<Instance, Failure> {
    let calls = engine.calls();
    let mut is_asked = false;
    engine.wait(id, "stopped", || {
        if !is_asked {
            match calls.call(|| calls.cloud.stop_instance(id)) {
                Ok(()) => is_asked = true,
                // A machine that is just being made cannot be stopped before it runs.
                Err(error) if error.kind == CloudErrorKind::WrongState => {}
                Err(error) => return Err(error.into()),
            }
        }
        match calls.machine(id)? {
            Some(machine) if machine.state == InstanceState::Stopped => Ok(Look::There(machine)),
            Some(machine) if machine.state.is_ending() => Err(astray(machine).into()),
            Some(machine) => Ok(Look::NotYet(machine.state.to_string())),
            None => Ok(Look::NotVisible),
        }
    })
}
