//! What people and programs see of a run.
//!
//! On a terminal, the step under way is a bar or spinner and becomes a line when it is done (`ui/terminal.rs`); in a
//! pipe, every step is a line (`ui/plain.rs`); with `--json`, everything is one JSON object per line on standard output
//! (`ui/json.rs`). Data goes to standard output and everything else to standard error.

mod ask;
mod json;
mod plain;
mod style;
mod terminal;

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use chat_core::known_servers::ServerAddress;
use chat_core::noise::Fingerprint;
use serde::Serialize;

use crate::error::{Error, printable};
use crate::interrupt::Interrupt;
use crate::outline::Outline;
use crate::report::{Event, Report};

use self::json::Json;
use self::plain::Plain;
pub use self::style::Style;
use self::terminal::Terminal;

/// How wide the column of the steps is: as the longest of their names.
pub(crate) const STEP_WIDTH: usize = 12;

/// A server that is ready to be talked to.
#[derive(Clone, Debug)]
pub struct Ready<'a> {
    /// Where.
    pub address: &'a ServerAddress,
    /// Its identity.
    pub identity: Option<Fingerprint>,
    /// The line to type.
    pub command: &'a str,
}

/// Shows a run.
pub struct Ui {
    form: Form,
    out_style: Style,
    err_style: Style,
}

enum Form {
    Terminal(Terminal),
    Plain(Plain),
    Json(Json),
}

impl Ui {
    /// Chooses the form that suits where the output goes.
    #[must_use]
    pub fn new(json: bool) -> Self {
        let (out_style, err_style) = (Style::of(&io::stdout()), Style::of(&io::stderr()));
        let form = if json {
            Form::Json(Json::default())
        } else if io::stderr().is_terminal() && style::can_draw() {
            Form::Terminal(Terminal::new(err_style))
        } else {
            Form::Plain(Plain::default())
        };
        Self { form, out_style, err_style }
    }

    /// Tells whether somebody is there to answer a question.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        !self.is_json() && io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Tells whether the output is for programs.
    #[must_use]
    pub fn is_json(&self) -> bool {
        matches!(self.form, Form::Json(_))
    }

    /// Asks; only a yes is a yes.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`], or the terminal's.
    pub fn ask(&self, question: &str, interrupt: &Interrupt) -> Result<bool, Error> {
        ask::ask(question, interrupt)
    }

    /// Shows a plan that is about to be carried out, as part of the conversation.
    ///
    /// # Errors
    ///
    /// [`Error::NotShown`].
    pub fn show_plan(&self, heading: &str, outline: &Outline) -> Result<(), Error> {
        match &self.form {
            Form::Json(json) => json.plan(outline),
            _ => write!(io::stderr(), "{heading}\n\n{}\n\n", self.err_style.plan(outline)),
        }
        .map_err(Error::NotShown)
    }

    /// Prints a plan that was asked for.
    ///
    /// # Errors
    ///
    /// [`Error::Output`].
    pub fn print_plan(&self, heading: &str, outline: &Outline) -> Result<(), Error> {
        match &self.form {
            Form::Json(json) => json.plan(outline),
            _ => write!(io::stdout(), "{heading}\n\n{}\n", self.out_style.plan(outline)),
        }
        .map_err(Error::Output)
    }

    /// Says that nothing has to be done.
    ///
    /// # Errors
    ///
    /// [`Error::Output`].
    pub fn no_changes(&self, text: &str) -> Result<(), Error> {
        match &self.form {
            Form::Json(json) => json.plan(&Outline::default()),
            _ => writeln!(io::stderr(), "{text}"),
        }
        .map_err(Error::Output)
    }

    /// Prints the line to type next.
    ///
    /// # Errors
    ///
    /// [`Error::Output`].
    pub fn ready(&self, ready: &Ready<'_>) -> Result<(), Error> {
        match &self.form {
            Form::Json(json) => json.ready(ready),
            _ => writeln!(io::stdout(), "{}", ready.command),
        }
        .map_err(Error::Output)
    }

    /// Prints a text that is what was asked for, whoever reads it.
    ///
    /// # Errors
    ///
    /// [`Error::Output`].
    pub fn print_text(&self, text: &str) -> Result<(), Error> {
        writeln!(io::stdout(), "{}", text.trim_end()).map_err(Error::Output)
    }

    /// Prints what was asked for: `text` for a person, `value` for a program.
    ///
    /// # Errors
    ///
    /// [`Error::Output`].
    pub fn print(&self, text: &str, value: &impl Serialize) -> Result<(), Error> {
        match &self.form {
            Form::Json(json) => json.value(value),
            _ => writeln!(io::stdout(), "{}", printable(text.trim_end())),
        }
        .map_err(Error::Output)
    }

    /// Shows on a terminal that something is being looked at, for as long as what it returns lives. Nothing may be asked or
    /// printed meanwhile.
    #[must_use]
    pub fn looking(&self, what: &str) -> Looking<'_> {
        let terminal = match &self.form {
            Form::Terminal(terminal) => Some(terminal),
            Form::Plain(_) | Form::Json(_) => None,
        };
        if let Some(terminal) = terminal {
            terminal.spin("look", what);
        }
        Looking { terminal }
    }

    /// Tells of a failure: the message, what belongs to it, and what to do.
    pub fn fail(&self, error: &Error) {
        if let Form::Terminal(terminal) = &self.form {
            terminal.clear();
        }
        // If even this cannot be written, the exit code has to do.
        let _ = match &self.form {
            Form::Json(json) => json.error(error),
            _ => io::stderr().write_all(self.err_style.error(error).as_bytes()),
        };
    }
}

/// Something is being looked at; see [`Ui::looking`].
pub struct Looking<'a> {
    terminal: Option<&'a Terminal>,
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        if let Some(terminal) = self.terminal {
            terminal.clear();
        }
    }
}

impl Report for Ui {
    fn event(&self, event: &Event<'_>) {
        // Progress that cannot be shown is no reason to stop a deployment half way.
        let _ = match &self.form {
            Form::Terminal(terminal) => terminal.event(event),
            Form::Plain(plain) => plain.event(event),
            Form::Json(json) => json.event(event),
        };
    }
}

/// One line about a step that is done.
fn step_line(step: &str, what: &str, elapsed: Duration) -> String {
    format!("{step:<STEP_WIDTH$} {}  ({:.1} s)", printable(what), elapsed.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steps_are_about_begins_in_one_column() {
        let line = |step| step_line(step, "x", Duration::from_millis(1250));
        assert_eq!(line("create-group"), "create-group x  (1.2 s)");
        assert_eq!(line("pin"), "pin          x  (1.2 s)");
    }
}
