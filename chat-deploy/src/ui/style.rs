//! Colours, where they are wanted: on a terminal, without `NO_COLOR`.

use std::io::IsTerminal;

use crate::error::Error;
use crate::plan::{Action, Plan};

/// How to write text to one stream.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    colour: bool,
}

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

impl Style {
    /// Chooses the style for a stream.
    #[must_use]
    pub fn of(stream: &impl IsTerminal) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colour: stream.is_terminal() && can_draw() && !unwanted }
    }

    /// Writes a plan, its glyphs in the colours of what they do.
    #[must_use]
    pub fn plan(self, plan: &Plan) -> String {
        let mut text = plan.to_string();
        for (action, colour) in [(Action::Add, GREEN), (Action::Change, YELLOW), (Action::Remove, RED)] {
            let glyph = action.glyph();
            text = text
                .replace(&format!("  {glyph} "), &format!("  {} ", self.paint(colour, &glyph.to_string())));
        }
        text
    }

    /// Writes an error with all that belongs to it.
    #[must_use]
    pub fn error(self, error: &Error) -> String {
        let mut text = format!("{} {}\n", self.paint(RED, "error:"), error.message());
        for detail in error.details() {
            text.push_str(&format!("  | {detail}\n"));
        }
        for note in error.notes() {
            text.push_str(&format!("{} {note}\n", self.paint(YELLOW, "note:")));
        }
        for hint in error.hints() {
            text.push_str(&format!("{} {hint}\n", self.paint(CYAN, "hint:")));
        }
        text
    }

    pub(super) fn done(self) -> String {
        self.paint(GREEN, "✓")
    }

    pub(super) fn failed(self) -> String {
        self.paint(RED, "✗")
    }

    fn paint(self, colour: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Tells whether the terminal, if it is one, does more than print.
pub(super) fn can_draw() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
pub(crate) const PLAIN: Style = Style { colour: false };
