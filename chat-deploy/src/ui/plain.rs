//! Steps in a pipe or a file: one line each when it is done, and a sign of life from those that take long.

use std::cell::Cell;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use super::{STEP_WIDTH, step_line};
use crate::error::printable;
use crate::report::Event;

/// How often a step that takes long says how far it is.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// Writes lines.
#[derive(Default)]
pub(super) struct Plain {
    step: Cell<&'static str>,
    said: Cell<Option<Instant>>,
}

impl Plain {
    pub(super) fn event(&self, event: &Event<'_>) -> io::Result<()> {
        let mut err = io::stderr();
        match event {
            Event::Started { step, .. } => {
                self.step.set(step);
                self.said.set(Some(Instant::now()));
                Ok(())
            }
            Event::Progress { units: Some((done, total)), note } if self.is_due() => {
                writeln!(err, "{:<STEP_WIDTH$} {done} of {total}  {}", self.step.get(), printable(note))
            }
            Event::Progress { units: None, note } if !note.is_empty() && self.is_due() => {
                writeln!(err, "{:<STEP_WIDTH$} {}", self.step.get(), printable(note))
            }
            Event::Progress { .. } => Ok(()),
            Event::Finished { step, what, elapsed } => writeln!(err, "{}", step_line(step, what, *elapsed)),
            Event::Failed { step, what, elapsed } => {
                writeln!(err, "{}", step_line(step, &format!("{what} FAILED"), *elapsed))
            }
            Event::Note(text) => writeln!(err, "{}", printable(text)),
        }
    }

    fn is_due(&self) -> bool {
        let due = self.said.get().is_none_or(|said| said.elapsed() >= SIGN_OF_LIFE);
        if due {
            self.said.set(Some(Instant::now()));
        }
        due
    }
}
