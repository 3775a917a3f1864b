//! What a run tells of itself while it is under way; `ui.rs` shows it, tests collect it.

use std::time::Duration;

use crate::clock::Clock;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// A step begins.
    Started {
        /// The step: one word.
        step: &'static str,
        /// What it is about.
        what: &'a str,
    },
    /// A step is on its way.
    Progress {
        /// How much is done, and of how much, where that is known.
        units: Option<(u64, u64)>,
        /// What is being done.
        note: &'a str,
    },
    /// A step is done.
    Finished {
        /// The step.
        step: &'static str,
        /// What came of it.
        what: &'a str,
        /// How long it took.
        elapsed: Duration,
    },
    /// A step failed; the error follows at the end of the run.
    Failed {
        /// The step.
        step: &'static str,
        /// What it was about.
        what: &'a str,
        /// How long it took.
        elapsed: Duration,
    },
    /// Something a person should know.
    Note(&'a str),
}

/// Hears what happens.
pub trait Report {
    /// Takes one event.
    fn event(&self, event: &Event<'_>);
}

/// Tells of a step while it is taken. What taking it returns is told in place of `what`, if it returns anything.
///
/// # Errors
///
/// What taking it fails with, and `what` it was about.
pub fn tell<E>(
    report: &dyn Report,
    clock: &dyn Clock,
    step: &'static str,
    what: String,
    take: impl FnOnce() -> Result<Option<String>, E>,
) -> Result<(), (E, String)> {
    let start = clock.now();
    report.event(&Event::Started { step, what: &what });
    let result = take();
    let elapsed = clock.now().saturating_sub(start);
    match result {
        Ok(outcome) => {
            let what = outcome.unwrap_or(what);
            report.event(&Event::Finished { step, what: &what, elapsed });
            Ok(())
        }
        Err(failure) => {
            report.event(&Event::Failed { step, what: &what, elapsed });
            Err((failure, what))
        }
    }
}
