//! Removes all there is of an instance on its host.

use super::Outcome;
use crate::apply::Engine;

/// Takes the step.
///
/// # Errors
///
/// The host's.
pub fn run(engine: &Engine<'_>) -> Outcome {
    engine.host.remove()?;
    Ok(None)
}
