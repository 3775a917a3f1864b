//! Puts in place what releases stand on: the user, the directories and the units.

use super::Outcome;
use crate::apply::Engine;

/// Takes the step.
///
/// # Errors
///
/// The host's.
pub fn run(engine: &Engine<'_>) -> Outcome {
    engine.host.prepare()?;
    Ok(None)
}
