//! Tags a machine that was made by hand, so that later runs find it. It stays somebody else's: it is never deleted.

use super::Failure;
use crate::cloud::{Instance, InstanceId, Tags};
use crate::machine::apply::{ApplyError, Engine};
use crate::machine::tags::{ADOPTED, INSTANCE, MANAGED};

/// Takes the step; returns the machine with its new tags.
///
/// # Errors
///
/// [`ApplyError::Taken`] if it belongs to somebody else by now, [`ApplyError::Gone`], or a call's.
pub fn run(engine: &Engine<'_>, id: &InstanceId) -> Result<Instance, Failure> {
    let calls = engine.calls();
    let Some(mut machine) = calls.machine(id)? else {
        return Err(ApplyError::Gone { resource: id.to_string() }.into());
    };
    let tags = Tags::from([
        (MANAGED.to_owned(), ADOPTED.to_owned()),
        (INSTANCE.to_owned(), engine.instance.as_str().to_owned()),
    ]);
    // A machine that somebody made with chat-deploy must not become one that nobody deletes.
    if tags.iter().any(|(key, value)| machine.tags.get(key).is_some_and(|there| there != value)) {
        return Err(ApplyError::Taken { resource: id.to_string() }.into());
    }
    calls.call(|| calls.cloud.tag(id.as_str(), &tags))?;
    machine.tags.extend(tags);
    Ok(machine)
}
