//! Brings a release to the host, where it is not used yet.

use super::Outcome;
use crate::apply::Engine;
use crate::release::Release;
use crate::report::Event;

/// Takes the step.
///
/// # Errors
///
/// The host's; no half release is left.
pub fn run(engine: &Engine<'_>, release: &Release) -> Outcome {
    let total = release.size_bytes;
    engine.host.install(release, &mut |done| {
        engine.report.event(&Event::Progress { units: Some((done, total)), note: "" });
    })?;
    Ok(None)
}
