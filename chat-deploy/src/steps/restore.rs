//! Puts the data of a backup in place, before anything runs on it.

use std::path::Path;

use super::Outcome;
use crate::apply::Engine;

/// Takes the step.
///
/// # Errors
///
/// The host's; among them that there is data already, which stays.
pub fn run(engine: &Engine<'_>, backup: &Path) -> Outcome {
    engine.host.restore(backup)?;
    Ok(None)
}
