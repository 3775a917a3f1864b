//! The line that is being typed, which may be several: text, cursor, and what the readline keys do to them.
//!
//! The cursor stands between letters as a person sees them. What nobody is to see is shown as stars, is not kept for
//! yanking, and is wiped when the line is done.

#[cfg(feature = "window")]
use std::ops::Range;

use chat_core::names;
use zeroize::Zeroize as _;

use super::text;
use crate::app::command;

/// A line cannot grow beyond this many bytes; a server takes less.
const MAX_BYTES: usize = 256 * 1024;
/// What a tab looks like. It is sent as it is.
const TAB: &str = "    ";

/// A row of the input as it is to be drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct InputRow {
    /// What can be seen.
    pub(super) open: String,
    /// The stars behind it.
    pub(super) secret: String,
}

/// The input as it is to be drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct InputLayout {
    pub(super) rows: Vec<InputRow>,
    /// The row of the cursor, and how many cells are before it.
    pub(super) cursor: (usize, usize),
}

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Left,
    Right,
    WordLeft,
    WordRight,
    LineStart,
    LineEnd,
}

/// A line under the keys.
#[derive(Debug, Default)]
pub(crate) struct Editor {
    text: String,
    /// In bytes; always between two letters.
    cursor: usize,
    killed: String,
    /// Nothing of it may be seen.
    hidden: bool,
}

impl Drop for Editor {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

impl Editor {
    /// Begins an empty line; `hidden` if nothing of it may be seen.
    pub(crate) fn new(hidden: bool) -> Self {
        let mut editor = Self::default();
        editor.hidden = hidden;
        editor
    }

    /// Tells whether nothing of it may be seen.
    pub(crate) fn is_hidden(&self) -> bool {
        self.hidden
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn cursor(&self) -> usize {
        self.cursor
    }

    /// Takes the line and begins an empty one.
    pub(super) fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    /// Puts a line in place of this one, with the cursor at its end.
    pub(super) fn set(&mut self, text: &str) {
        self.text.zeroize();
        self.cursor = 0;
        self.insert(text);
    }

    /// Puts text in place of what is between `start` and the cursor.
    pub(super) fn replace(&mut self, start: usize, with: &str) {
        self.delete_to(start);
        self.insert(with);
    }

    /// Puts text at the cursor. What would show nothing is left out, and what would make the line too long is refused.
    pub(crate) fn insert(&mut self, text: &str) -> bool {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let joins = |c| matches!(c, '\u{200c}' | '\u{200d}');
        let keep =
            |c: &char| *c == '\n' && !self.hidden || *c == '\t' || !names::is_unprintable(*c) || joins(*c);
        let text: String = text.chars().filter(keep).collect();
        if self.text.len() + text.len() > MAX_BYTES {
            return false;
        }
        self.text.insert_str(self.cursor, &text);
        self.cursor += text.len();
        // What was inserted may have become a part of the letter before or behind it.
        self.cursor = self.border_at_or_after(self.cursor);
        true
    }

    /// Moves the cursor to a place, in bytes; to the next border between letters if there is none.
    #[cfg(feature = "window")]
    pub(crate) fn go_to(&mut self, at: usize) {
        self.cursor = self.border_at_or_after(at);
    }

    /// Puts text at a place, in bytes, as [`Editor::insert`] does.
    #[cfg(feature = "window")]
    pub(crate) fn put_at(&mut self, at: usize, text: &str) -> bool {
        self.go_to(at);
        self.insert(text)
    }

    /// Deletes what is between two places, in bytes, and leaves the cursor there.
    #[cfg(feature = "window")]
    pub(crate) fn delete_range(&mut self, range: Range<usize>) {
        if self.text.get(range.clone()).is_some() {
            self.text.replace_range(range.clone(), "");
            self.cursor = self.border_at_or_after(range.start);
        }
    }

    pub(super) fn go(&mut self, to: To) {
        self.cursor = self.target(to);
    }

    /// Moves the cursor a line up or down; `false` if there is none.
    pub(super) fn go_line(&mut self, up: bool) -> bool {
        let before = self.before().rsplit('\n').next().unwrap_or_default();
        let column: usize = text::letters(before).map(|(_, letter, width)| look(letter, width).1).sum();
        let start = self.target(To::LineStart);
        let start = if up {
            let Some(end) = start.checked_sub(1) else { return false };
            self.text.get(..end).and_then(|before| before.rfind('\n')).map_or(0, |feed| feed + 1)
        } else {
            let end = self.target(To::LineEnd);
            if end == self.text.len() {
                return false;
            }
            end + 1
        };
        let line = self.text.get(start..).unwrap_or_default().split('\n').next().unwrap_or_default();
        let mut cells = 0;
        let passed = text::letters(line).take_while(|(_, letter, width)| {
            cells += look(letter, *width).1;
            cells <= column
        });
        self.cursor = start + passed.map(|(_, letter, _)| letter.len()).sum::<usize>();
        true
    }

    /// Deletes up to there.
    pub(super) fn delete(&mut self, to: To) {
        let target = self.target(to);
        self.delete_to(target);
    }

    /// Deletes up to there and keeps it for [`Editor::yank`].
    pub(super) fn kill(&mut self, to: To) {
        let target = self.target(to);
        let (start, end) = (target.min(self.cursor), target.max(self.cursor));
        if start < end && self.secret_start().is_none() {
            self.killed = self.text.get(start..end).unwrap_or_default().to_owned();
        }
        self.delete_to(target);
    }

    /// Deletes everything and keeps it for [`Editor::yank`].
    pub(super) fn kill_all(&mut self) {
        if self.secret_start().is_none() {
            self.killed.clone_from(&self.text);
        }
        self.set("");
    }

    /// Deletes back to the last white space before the cursor and keeps it, as Ctrl-W does.
    pub(super) fn kill_argument(&mut self) {
        let before = self.before().trim_end_matches(char::is_whitespace);
        let start = before.rfind(char::is_whitespace).map_or(0, |at| {
            at + before.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8)
        });
        if start < self.cursor && self.secret_start().is_none() {
            self.killed = self.text.get(start..self.cursor).unwrap_or_default().to_owned();
        }
        self.delete_to(start);
    }

    /// Puts back what was killed last.
    pub(super) fn yank(&mut self) {
        let killed = self.killed.clone();
        self.insert(&killed);
    }

    /// Breaks the line into rows of `cells` cells and finds the cursor.
    pub(super) fn lay_out(&self, cells: usize) -> InputLayout {
        let cells = cells.max(1);
        let secret_start = self.secret_start().unwrap_or(usize::MAX);
        let mut layout = InputLayout { rows: vec![InputRow::default()], cursor: (0, 0) };
        let mut used = 0;
        for (at, letter, width) in text::letters(&self.text) {
            let is_secret = at >= secret_start;
            let (letter, width) = if is_secret { (letter, 1) } else { look(letter, width) };
            if letter != "\n" && used + width > cells {
                layout.rows.push(InputRow::default());
                used = 0;
            }
            if at == self.cursor {
                layout.cursor = (layout.rows.len() - 1, used.min(cells - 1));
            }
            if letter == "\n" {
                layout.rows.push(InputRow::default());
                used = 0;
                continue;
            }
            used += width;
            if let Some(row) = layout.rows.last_mut() {
                if is_secret { row.secret.push('*') } else { row.open.push_str(letter) }
            }
        }
        if self.cursor == self.text.len() {
            if used >= cells {
                layout.rows.push(InputRow::default());
                used = 0;
            }
            layout.cursor = (layout.rows.len() - 1, used);
        }
        layout
    }

    /// Returns where what nobody is to see begins, in bytes, if there may be something.
    pub(crate) fn secret_start(&self) -> Option<usize> {
        if self.hidden { Some(0) } else { command::password_start(&self.text) }
    }

    fn before(&self) -> &str {
        self.text.get(..self.cursor).unwrap_or_default()
    }

    fn after(&self) -> &str {
        self.text.get(self.cursor..).unwrap_or_default()
    }

    fn target(&self, to: To) -> usize {
        let word_end = |text: &str| {
            let start = text.find(char::is_alphanumeric).unwrap_or(text.len());
            let rest = text.get(start..).unwrap_or_default();
            start + rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len())
        };
        match to {
            To::Left => text::letters(self.before()).next_back().map_or(0, |(at, ..)| at),
            To::Right => {
                text::letters(self.after()).next().map_or(0, |(_, letter, _)| letter.len()) + self.cursor
            }
            To::WordLeft => {
                let before = self.before().trim_end_matches(|c: char| !c.is_alphanumeric());
                before.trim_end_matches(char::is_alphanumeric).len()
            }
            To::WordRight => self.border_at_or_after(self.cursor + word_end(self.after())),
            To::LineStart => self.before().rfind('\n').map_or(0, |feed| feed + 1),
            To::LineEnd => self.cursor + self.after().find('\n').unwrap_or(self.after().len()),
        }
    }

    fn delete_to(&mut self, target: usize) {
        let (start, end) = (target.min(self.cursor), target.max(self.cursor));
        self.text.replace_range(start..end, "");
        self.cursor = self.border_at_or_after(start);
    }

    fn border_at_or_after(&self, at: usize) -> usize {
        let borders = text::letters(&self.text).map(|(border, ..)| border);
        borders.into_iter().find(|border| *border >= at).unwrap_or(self.text.len())
    }
}

/// Returns what a letter looks like in the input, and how many cells that takes.
fn look(letter: &str, width: usize) -> (&str, usize) {
    if letter == "\t" { (TAB, TAB.len()) } else { (letter, width) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Shows the text with the cursor as `|`.
    fn shown(editor: &Editor) -> String {
        format!("{}|{}", editor.before(), editor.after())
    }

    fn typed(text: &str) -> Editor {
        let mut editor = Editor::new(false);
        editor.set(text);
        editor
    }

    #[test]
    fn the_readline_keys_do_what_they_do_in_a_shell() {
        let mut editor = typed("one two  three");
        editor.go(To::WordLeft);
        assert_eq!(shown(&editor), "one two  |three");
        editor.kill(To::LineEnd);
        editor.kill_argument();
        assert_eq!(shown(&editor), "one |");
        editor.yank();
        assert_eq!(shown(&editor), "one two  |");
        editor.go(To::LineStart);
        editor.delete(To::Right);
        editor.go(To::WordRight);
        assert_eq!(shown(&editor), "ne| two  ");
        editor.kill(To::WordRight);
        editor.kill(To::LineStart);
        assert_eq!(shown(&editor), "|  ");
    }

    #[test]
    fn the_cursor_stands_between_letters() {
        let mut editor = typed("a👨\u{200d}👩\u{200d}👧e\u{301}");
        editor.go(To::Left);
        assert_eq!(shown(&editor), "a👨\u{200d}👩\u{200d}👧|e\u{301}");
        editor.delete(To::Left);
        assert_eq!(shown(&editor), "a|e\u{301}");
        editor.insert("e\u{301}\u{1b}\u{202e}\r\n");
        assert_eq!(shown(&editor), "ae\u{301}\n|e\u{301}");
    }

    #[test]
    fn lines_are_walked_up_and_down() {
        let mut editor = typed("first\nse\nthird");
        assert!(editor.go_line(true));
        assert_eq!(shown(&editor), "first\nse|\nthird");
        assert!(editor.go_line(true) && !editor.go_line(true));
        assert_eq!(shown(&editor), "fi|rst\nse\nthird");
        assert!(editor.go_line(false) && editor.go_line(false) && !editor.go_line(false));
        assert_eq!(shown(&editor), "first\nse\nth|ird");
    }

    #[test]
    fn secrets_are_stars_and_cannot_be_yanked() {
        let rows = |editor: &Editor| -> Vec<_> {
            editor.lay_out(20).rows.into_iter().map(|row| (row.open, row.secret)).collect()
        };
        let mut editor = typed("/login alice s3crét");
        assert_eq!(rows(&editor), [("/login alice ".to_owned(), "******".to_owned())]);
        editor.kill(To::LineStart);
        editor.yank();
        assert_eq!(editor.text(), "");
        let mut answer = Editor::new(true);
        answer.insert("pässword\n");
        assert_eq!(rows(&answer), [(String::new(), "********".to_owned())]);
        answer.kill_argument();
        answer.yank();
        assert_eq!(answer.text(), "");
    }

    #[test]
    fn the_input_breaks_where_it_is_full_and_the_cursor_is_where_the_next_letter_comes() {
        let layout = typed("abcdef").lay_out(3);
        let rows: Vec<_> = layout.rows.iter().map(|row| row.open.as_str()).collect();
        assert_eq!((rows, layout.cursor), (vec!["abc", "def", ""], (2, 0)));
        let mut editor = typed("ab\n語語c");
        assert_eq!(editor.lay_out(4).cursor, (2, 1));
        editor.go_line(true);
        assert_eq!(editor.lay_out(4).cursor, (0, 2));
    }

    #[test]
    fn a_tab_is_kept_and_looks_like_spaces() {
        let mut editor = typed("a\tb\nabcdefg");
        assert_eq!(editor.text(), "a\tb\nabcdefg");
        assert_eq!(editor.lay_out(20).rows[0].open, "a    b");
        assert!(editor.go_line(true));
        assert_eq!(editor.lay_out(20).cursor, (0, 6));
        editor.go(To::Left);
        editor.go(To::Left);
        assert_eq!((shown(&editor).as_str(), editor.lay_out(20).cursor), ("a|\tb\nabcdefg", (0, 1)));
        assert!(editor.go_line(false));
        assert_eq!(editor.lay_out(20).cursor, (1, 1));
        editor.go_line(true);
        editor.go(To::Right);
        editor.go_line(false);
        assert_eq!((shown(&editor).as_str(), editor.lay_out(20).cursor), ("a\tb\nabcde|fg", (1, 5)));
        editor.set("/login alice a\tb");
        assert_eq!(editor.lay_out(20).rows[0].secret, "***");
    }

    proptest! {
        #[test]
        fn no_keys_put_the_cursor_inside_a_letter(
            text in "[ab \n\t日e\u{301}]{0,20}",
            keys in proptest::collection::vec(0..12u8, 0..40),
        ) {
            let mut editor = typed(&text);
            let places = [To::Left, To::Right, To::WordLeft, To::WordRight, To::LineStart, To::LineEnd];
            for key in keys {
                match key {
                    0..6 => editor.go(places[usize::from(key)]),
                    6 => editor.delete(To::Left),
                    7 => editor.kill(To::WordRight),
                    8 => editor.yank(),
                    9 => { editor.go_line(true); }
                    10 => { editor.insert("\u{301}"); }
                    _ => editor.kill_argument(),
                }
                prop_assert!(editor.cursor == editor.border_at_or_after(editor.cursor));
                let layout = editor.lay_out(5);
                prop_assert!(layout.cursor.0 < layout.rows.len() && layout.cursor.1 < 5);
            }
        }
    }
}
