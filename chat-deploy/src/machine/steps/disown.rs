//! Gives an adopted machine back: our tags go, and nothing else.

use super::Failure;
use crate::cloud::{CloudErrorKind, InstanceId};
use crate::machine::apply::Engine;
use crate::machine::tags::{BOOTSTRAP_KEY, HOST_KEY, INSTANCE, MANAGED, ownership};
use crate::machine::{Machine, Ownership};

/// Takes the step. The tags are read once more: a machine that is not adopted any more, or is gone, is left alone.
///
/// # Errors
///
/// A call's.
pub fn run(engine: &Engine<'_>, id: &InstanceId) -> Result<(), Failure> {
    let calls = engine.calls();
    let found = calls.machine(id)?;
    let is_ours = |name| name == *engine.instance;
    let Some(machine) = found.filter(|machine| {
        ownership(machine).is_some_and(|(whose, name)| whose == Ownership::Adopted && is_ours(name))
    }) else {
        return Ok(());
    };
    match calls.call(|| calls.cloud.untag(id.as_str(), &[MANAGED, INSTANCE, HOST_KEY, BOOTSTRAP_KEY])) {
        Err(error) if error.kind != CloudErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    if let Some(machine) = Machine::of(&machine) {
        // A pin that stays does no harm: it is still for this machine.
        let _ = engine.host_keys.forget(&machine.pinned_as);
    }
    Ok(())
}
