//! Steps on a terminal: a bar or spinner while one is under way, a line when it is done.

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::time::Duration;

use indicatif::style::TemplateError;
use indicatif::{ProgressBar, ProgressStyle};

use super::style::Style;
use super::{STEP_WIDTH, step_line};
use crate::error::printable;
use crate::report::Event;

const SPINNER: &str = "{wide_msg} {elapsed}";
const BAR: &str = "{bar:24} {percent:>3} %  {wide_msg} {elapsed}";
const TICK: Duration = Duration::from_millis(100);

/// The step under way, drawn.
pub(super) struct Terminal {
    style: Style,
    bar: RefCell<Option<ProgressBar>>,
}

impl Terminal {
    pub(super) fn new(style: Style) -> Self {
        Self { style, bar: RefCell::default() }
    }

    pub(super) fn event(&self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Started { step, what } => {
                self.spin(step, what);
                Ok(())
            }
            Event::Progress { units, note } => {
                self.progress(*units, note);
                Ok(())
            }
            Event::Finished { step, what, elapsed } => {
                self.line(&format!("{} {}", self.style.done(), step_line(step, what, *elapsed)))
            }
            Event::Failed { step, what, elapsed } => {
                self.line(&format!("{} {}", self.style.failed(), step_line(step, what, *elapsed)))
            }
            Event::Note(text) => self.line(&printable(text)),
        }
    }

    /// Shows that a step is under way.
    pub(super) fn spin(&self, step: &'static str, what: &str) {
        let bar = ProgressBar::new_spinner().with_prefix(step).with_message(printable(what));
        bar.set_style(template(SPINNER));
        bar.enable_steady_tick(TICK);
        *self.bar.borrow_mut() = Some(bar);
    }

    /// Takes the bar away, so that something else can be written.
    pub(super) fn clear(&self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn progress(&self, units: Option<(u64, u64)>, note: &str) {
        let bar = self.bar.borrow();
        let Some(bar) = bar.as_ref() else {
            return;
        };
        if let Some((done, total)) = units {
            if bar.length() != Some(total) {
                bar.set_style(template(BAR));
                bar.set_length(total);
            }
            bar.set_position(done);
        }
        if !note.is_empty() {
            bar.set_message(printable(note));
        }
    }

    fn line(&self, text: &str) -> io::Result<()> {
        self.clear();
        writeln!(io::stderr(), "{text}")
    }
}

/// Returns the style of a line that has this behind the step's name.
fn template(text: &str) -> ProgressStyle {
    parse(text).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn parse(text: &str) -> Result<ProgressStyle, TemplateError> {
    ProgressStyle::with_template(&format!("{{spinner}} {{prefix:<{STEP_WIDTH}}} {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_valid() {
        for text in [SPINNER, BAR] {
            parse(text).unwrap();
        }
    }
}
