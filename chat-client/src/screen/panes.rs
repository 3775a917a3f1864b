//! The panes one by one, for whoever does not draw them in cells: a window.

use std::time::Instant;

use super::{Screen, status, view};
use crate::app::Status;

pub(crate) use super::editor::Editor;
pub(crate) use super::entry::{Entry, Part as RowPart, Role};
pub(crate) use super::log::{Log, Row};
pub(crate) use super::status::name;
pub(crate) use super::theme::{Colours, Part, Theme};
pub(crate) use super::view::find;

/// A tab, as the line of tabs shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TabLabel {
    /// What it says.
    pub(crate) text: String,
    /// How it looks: in view, somebody is named there, or neither.
    pub(crate) part: Part,
}

/// What is being typed, and for what.
pub(crate) struct Typing<'a> {
    /// What stands before it, if it is not a line to send.
    pub(crate) prompt: Option<String>,
    /// What is typed so far.
    pub(crate) line: &'a mut Editor,
    /// Tells inputs apart that are not the same.
    pub(crate) kind: &'static str,
}

impl Screen {
    /// Changes the colours.
    pub(crate) fn set_theme(&mut self, theme: Theme) {
        self.look.theme = theme;
    }

    /// Has `/keys` show something else than the keys of a terminal.
    pub(crate) fn explain_keys(&mut self, keys: &'static str) {
        self.keys = keys;
    }

    /// Returns the colours, and those in place of them.
    pub(crate) fn colours(&self) -> (Theme, Colours) {
        (self.look.theme, self.look.colours())
    }

    /// Tells whether times are to be shown.
    pub(crate) fn shows_times(&self) -> bool {
        self.look.timestamps
    }

    /// Returns the rows of the message pane that are in view: so many, of this width in units of the ruler.
    pub(crate) fn rows(&mut self, width: usize, height: usize) -> Vec<Row<'_>> {
        self.conversation.log.view(width, height)
    }

    /// Takes note that the panes were drawn.
    pub(crate) fn drawn(&mut self) {
        if self.is_attended() {
            self.conversation.log.read();
        }
    }

    /// Returns the message pane, to scroll it.
    pub(crate) fn log(&mut self) -> &mut Log {
        &mut self.conversation.log
    }

    /// Returns what is searched for, or nothing.
    pub(crate) fn query(&self) -> &str {
        self.search.as_ref().map(|search| search.query.text()).unwrap_or_default()
    }

    /// Returns how things stand with the server in view.
    pub(crate) fn status(&self) -> Option<&Status> {
        self.conversation.status.as_ref()
    }

    /// Writes the status line, in parts that look different.
    pub(crate) fn status_line(&self, now: Instant) -> Vec<(Part, String)> {
        self.status().map(|status| status::line(status, now, usize::MAX)).unwrap_or_default()
    }

    /// Returns who is in the room, if they are to be listed.
    pub(crate) fn users(&self) -> Option<&[String]> {
        self.status().filter(|_| self.look.users)?.users.as_deref()
    }

    /// Returns the tabs, if there are several.
    pub(crate) fn tab_labels(&self, cells: usize) -> Vec<TabLabel> {
        if self.conversations().count() < 2 {
            return Vec::new();
        }
        let label = |(number, conversation)| TabLabel {
            text: status::tab(conversation, number, cells).trim().to_owned(),
            part: self.tab_part(conversation),
        };
        (1..).zip(self.conversations()).map(label).collect()
    }

    /// Returns what is being typed.
    pub(crate) fn typing(&mut self) -> Typing<'_> {
        let (prompt, kind) = match (&self.search, &self.conversation.question) {
            (None, None) => (None, "line"),
            (search, question) => {
                let question = question.as_ref().filter(|_| search.is_none());
                (Some(view::prompt(self).to_owned()), if question.is_some() { "answer" } else { "search" })
            }
        };
        Typing { prompt, line: self.line(), kind }
    }

    /// Brings a tab into view, counted from 0 at the left.
    pub(crate) fn select_tab(&mut self, place: usize) {
        self.select(place);
    }

    /// Takes note of whether the window has the person's attention.
    pub(crate) fn focus(&mut self, focused: bool) {
        self.focused = focused;
    }
}
