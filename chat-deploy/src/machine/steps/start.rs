//! Starts a stopped machine, and waits until it runs and can be reached.

use super::Failure;
use super::await_running::{self, astray};
use super::wait::Look;
use crate::cloud::{CloudErrorKind, Instance, InstanceId};
use crate::machine::apply::Engine;

/// Takes the step; returns the machine as it is then, with its new address.
///
/// # Errors
///
/// [`ApplyError::Astray`](crate::machine::apply::ApplyError::Astray) if it ends instead,
/// [`ApplyError::Late`](crate::machine::apply::ApplyError::Late), or a call's.
pub fn run(engine: &Engine<'_>, id: &InstanceId) -> Result<Instance, Failure> {
    let calls = engine.calls();
    engine.wait(id, "stopped, so that it could be started", || {
        match engine.call_when_visible(|| engine.cloud.start_instance(id)) {
            Ok(()) => Ok(Look::There(())),
            // It is on its way to be stopped still, or on its way out.
            Err(Failure::Cloud(error)) if error.kind == CloudErrorKind::WrongState => {
                match calls.machine(id)? {
                    Some(machine) if machine.state.is_ending() => Err(astray(machine).into()),
                    Some(machine) => Ok(Look::NotYet(machine.state.to_string())),
                    None => Ok(Look::NotVisible),
                }
            }
            Err(failure) => Err(failure),
        }
    })?;
    await_running::run(engine, id)
}
