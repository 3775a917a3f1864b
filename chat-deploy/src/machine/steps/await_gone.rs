//! Waits until machines on their way out are gone: until then they use their security group.

use super::Failure;
use super::wait::Look;
use crate::cloud::{InstanceId, InstanceState};
use crate::machine::apply::Engine;

/// Takes the step.
///
/// # Errors
///
/// [`ApplyError::Late`](crate::machine::apply::ApplyError::Late), or a call's.
pub fn run(engine: &Engine<'_>, machines: &[InstanceId]) -> Result<(), Failure> {
    machines.iter().try_for_each(|id| {
        engine.wait(id, "terminated", || match engine.calls().machine(id)? {
            Some(machine) if machine.state != InstanceState::Terminated => {
                Ok(Look::NotYet(machine.state.to_string()))
            }
            _ => Ok(Look::There(())),
        })
    })
}
