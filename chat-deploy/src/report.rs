//! What a run tells of itself while it is under way; `ui.rs` shows it, tests collect it.

use std::time::Duration;

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
