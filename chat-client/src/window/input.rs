//! What is typed: egui's text field over the screen's line, so that selecting, the clipboard and input methods work as
//! everywhere, and what may be typed, what is masked and what is remembered is decided where the terminal decides it.

use std::any::TypeId;
use std::ops::Range;
use std::sync::Arc;

use eframe::egui::text::{ByteIndex, CCursor, CCursorRange, CharIndex, LayoutJob};
use eframe::egui::text_edit::TextEditState;
use eframe::egui::{Frame, Galley, Id, Margin, ScrollArea, TextBuffer, TextEdit, TextStyle, Ui};

use super::colours::Palette;
use crate::app::command;
use crate::screen::Screen;
use crate::screen::panes::{Editor, Typing};

/// The field grows up to this many rows.
const MAX_ROWS: usize = 8;
const INVITATION: &str = "Write a message; /help explains the commands";

/// The screen's line as egui edits it.
struct Line<'a> {
    editor: &'a mut Editor,
    /// Something was too long for a message.
    refused: bool,
}

impl TextBuffer for Line<'_> {
    fn is_mutable(&self) -> bool {
        true
    }

    fn as_str(&self) -> &str {
        self.editor.text()
    }

    fn insert_text(&mut self, text: &str, char_index: CharIndex) -> usize {
        let before = self.editor.text().chars().count();
        self.editor.put_at(self.byte_index_from_char_index(char_index).0, text).then_some(()).map_or_else(
            || {
                self.refused = true;
                0
            },
            |()| self.editor.text().chars().count() - before,
        )
    }

    fn delete_char_range(&mut self, char_range: Range<CharIndex>) {
        let ByteIndex(start) = self.byte_index_from_char_index(char_range.start);
        let ByteIndex(end) = self.byte_index_from_char_index(char_range.end);
        self.editor.delete_range(start..end);
    }

    fn type_id(&self) -> TypeId {
        TypeId::of::<Editor>()
    }
}

/// Draws the field and lets it take what was typed. `moved` says that the screen changed the line: the cursor follows then.
/// Tells whether something did not fit into the line.
pub(super) fn draw(ui: &mut Ui, screen: &mut Screen, palette: &Palette, moved: bool) -> bool {
    let tab = screen.tab().0;
    let Typing { prompt, line, kind } = screen.typing();
    let id = Id::unique(("line", tab, kind));
    if let Some(prompt) = &prompt {
        ui.label(eframe::egui::RichText::new(prompt.trim_end()).strong().color(palette.accent));
    }
    let hidden = kind == "answer" && line.secret_start() == Some(0);
    if moved {
        place_cursor(ui, id, line);
    }
    let mut line = Line { editor: line, refused: false };
    let rows = ui.text_style_height(&TextStyle::Body) * MAX_ROWS as f32;
    let frame = Frame::new()
        .fill(palette.field)
        .stroke(eframe::egui::Stroke::new(1.0, palette.line))
        .corner_radius(8)
        .inner_margin(Margin::symmetric(10, 7));
    frame.show(ui, |ui| {
        ScrollArea::vertical().id_salt(id).max_height(rows).show(ui, |ui| edit(ui, id, &mut line, hidden));
    });
    line.refused
}

fn edit(ui: &mut Ui, id: Id, line: &mut Line<'_>, hidden: bool) {
    let mut layouter = |ui: &Ui, text: &dyn TextBuffer, width: f32| lay_out(ui, text.as_str(), width);
    let field = if hidden { TextEdit::singleline(line).password(true) } else { TextEdit::multiline(line) };
    let field =
        field.id(id).frame(Frame::NONE).margin(Margin::ZERO).desired_rows(1).desired_width(f32::INFINITY);
    let field =
        if hidden { field } else { field.return_key(None).hint_text(INVITATION).layouter(&mut layouter) };
    let output = field.show(ui);
    if !ui.memory(|memory| memory.has_focus(id)) {
        ui.memory_mut(|memory| memory.request_focus(id));
    }
    if let Some(range) = output.cursor_range {
        let ByteIndex(at) = line.byte_index_from_char_index(range.primary.index);
        line.editor.go_to(at);
    }
    if line.editor.secret_start().is_some() {
        // What nobody is to see is not kept to be brought back.
        let mut state = output.state;
        state.clear_undoer();
        state.store(ui.ctx(), id);
    }
}

/// Puts the field's cursor where the screen's is.
fn place_cursor(ui: &Ui, id: Id, line: &Editor) {
    let mut state = TextEditState::load(ui.ctx(), id).unwrap_or_default();
    let before = line.text().get(..line.cursor()).unwrap_or_default();
    let at = CCursor::new(before.chars().count());
    state.cursor.set_char_range(Some(CCursorRange::one(at)));
    state.store(ui.ctx(), id);
}

fn lay_out(ui: &Ui, text: &str, width: f32) -> Arc<Galley> {
    let font = TextStyle::Body.resolve(ui.style());
    let colour = ui.visuals().text_color();
    ui.fonts_mut(|fonts| fonts.layout_job(LayoutJob::simple(masked(text), font, colour, width)))
}

/// Puts a star in place of every letter that nobody is to see.
fn masked(text: &str) -> String {
    let open = command::password_start(text).unwrap_or(text.len());
    let stars = text.get(open..).unwrap_or_default().chars().map(|_| '*');
    text.get(..open).unwrap_or_default().chars().chain(stars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(editor: &mut Editor) -> Line<'_> {
        Line { editor, refused: false }
    }

    #[test]
    fn the_field_edits_the_screens_line_by_letters() {
        let mut editor = Editor::new(false);
        let mut line = typed(&mut editor);
        assert_eq!(line.insert_text("日本 語", CharIndex(0)), 4);
        assert_eq!(line.insert_text("x", CharIndex(2)), 1);
        line.delete_char_range(CharIndex(0)..CharIndex(1));
        assert_eq!(line.as_str(), "本x 語");
    }

    #[test]
    fn what_would_show_nothing_is_left_out_and_what_is_too_long_is_refused() {
        let mut editor = Editor::new(false);
        let mut line = typed(&mut editor);
        assert_eq!(line.insert_text("a\u{1b}\u{202e}b\r\nc", CharIndex(0)), 4);
        assert_eq!((line.as_str(), line.refused), ("ab\nc", false));
        assert_eq!(line.insert_text(&"x".repeat(1024 * 1024), CharIndex(0)), 0);
        assert_eq!((line.as_str(), line.refused), ("ab\nc", true));
    }

    #[test]
    fn passwords_are_masked_letter_by_letter() {
        assert_eq!(masked("hello"), "hello");
        assert_eq!(masked("/login alice s3crét"), "/login alice ******");
    }
}
