//! Copies the data to a file here before it is removed. The server has stopped by then and lets go of its database.

use super::Outcome;
use crate::apply::Engine;

/// Takes the step; the outcome names the file.
///
/// # Errors
///
/// The host's; then nothing is removed.
pub fn run(engine: &Engine<'_>) -> Outcome {
    let path = engine.host.backup()?;
    Ok(Some(path.display().to_string()))
}
