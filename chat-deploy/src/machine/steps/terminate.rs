//! Deletes a machine of ours, and waits until it is gone.

use super::{Failure, await_gone};
use crate::cloud::{CloudErrorKind, Instance, InstanceId};
use crate::machine::Machine;
use crate::machine::apply::{ApplyError, Engine};
use crate::machine::tags;

/// Takes the step. The tags are read once more before anything is deleted.
///
/// # Errors
///
/// [`ApplyError::NotOurs`], [`ApplyError::Late`], or a call's.
pub fn run(engine: &Engine<'_>, id: &InstanceId) -> Result<(), Failure> {
    let calls = engine.calls();
    let Some(machine) = calls.machine(id)? else {
        return Ok(());
    };
    if !machine.state.is_ending() {
        terminate(engine, &machine)?;
    }
    await_gone::run(engine, std::slice::from_ref(id))?;
    if let Some(machine) = Machine::of(&machine) {
        // A pin that stays is of no use to anybody: no machine is made with the same token again.
        let _ = engine.host_keys.forget(&machine.pinned_as);
    }
    Ok(())
}

fn terminate(engine: &Engine<'_>, machine: &Instance) -> Result<(), Failure> {
    if !tags::is_ours(&machine.tags, engine.instance) {
        return Err(ApplyError::NotOurs { resource: machine.id.to_string() }.into());
    }
    match engine.calls().call(|| engine.cloud.terminate_instance(&machine.id)) {
        Err(error) if error.kind != CloudErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
