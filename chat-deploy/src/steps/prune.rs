//! Removes an old release, before a new one needs its room.

use super::Outcome;
use crate::apply::Engine;
use crate::release::ReleaseId;

/// Takes the step.
///
/// # Errors
///
/// The host's.
pub fn run(engine: &Engine<'_>, id: &ReleaseId) -> Outcome {
    engine.host.remove_release(id)?;
    Ok(None)
}
