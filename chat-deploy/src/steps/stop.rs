//! Stops the server: asked first, then made to.

use super::Outcome;
use crate::apply::Engine;

/// Takes the step.
///
/// # Errors
///
/// The host's.
pub fn run(engine: &Engine<'_>) -> Outcome {
    engine.host.stop()?;
    Ok(None)
}
