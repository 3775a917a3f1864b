//! What a person is shown of a plan before it is carried out: what changes, line by line, and what to know besides.
//!
//! `plan.rs` and `machine/plan.rs` say what their steps come to; here the two become one list.

use std::fmt;

use crate::plan::{Action, Row};

/// The changes of one or several plans.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outline {
    /// What changes, in order.
    pub rows: Vec<Row>,
    /// What to know besides: costs, drift, what stays. One line each.
    pub notes: Vec<String>,
}

impl Outline {
    /// Tells whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Puts the changes of another behind these.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.rows.extend(other.rows);
        self.notes.extend(other.notes);
        self
    }

    /// Counts what is added, changed and removed.
    #[must_use]
    pub fn counts(&self) -> [usize; 3] {
        [Action::Add, Action::Change, Action::Remove]
            .map(|action| self.rows.iter().filter(|row| row.action == action).count())
    }
}

impl fmt::Display for Outline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.subject.len()).max().unwrap_or_default();
        for Row { action, subject, text } in &self.rows {
            writeln!(f, "  {} {subject:width$}  {text}", action.glyph())?;
        }
        if !self.rows.is_empty() && !self.notes.is_empty() {
            writeln!(f)?;
        }
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        let [add, change, remove] = self.counts();
        write!(f, "\nPlan: {add} to add, {change} to change, {remove} to remove.")
    }
}
