//! What is around the messages: the tabs, who is there, and how things stand.

use std::time::Instant;

use eframe::egui::{
    Button, Color32, Frame, Id, Label, Margin, RichText, ScrollArea, Stroke, TextStyle, Ui, Vec2,
};

use super::colours::{Palette, colour};
use crate::link::Protection;
use crate::screen::Screen;
use crate::screen::panes::{Part, TabLabel, Theme, name};

/// The longest tab, in letters.
const TAB_LETTERS: usize = 32;

/// Returns what panels stand on.
pub(super) fn frame(palette: &Palette) -> Frame {
    Frame::new().fill(palette.pane).inner_margin(Margin::symmetric(10, 6))
}

/// Draws the tabs, if there are several.
pub(super) fn draw_tabs(ui: &mut Ui, screen: &mut Screen, palette: &Palette) {
    let mut chosen = None;
    let tab = screen.tab();
    // Nobody is kept from scrolling to another one.
    let came = ui.data_mut(|data| {
        let seen = data.get_temp_mut_or(Id::unique("tab in view"), None);
        seen.replace(tab) != Some(tab)
    });
    ScrollArea::horizontal().show(ui, |ui| {
        ui.horizontal(|ui| {
            for (place, TabLabel { text, part }) in screen.tab_labels(TAB_LETTERS).into_iter().enumerate() {
                let colour = colour_of(screen.colours().0, part, palette);
                let is_current = part == Part::CurrentTab;
                let fill = if is_current { palette.ground } else { Color32::TRANSPARENT };
                let button = Button::new(RichText::new(text).color(colour)).fill(fill).stroke(Stroke::NONE);
                let button = ui.add(button);
                if button.clicked() {
                    chosen = Some(place);
                }
                if came && is_current {
                    button.scroll_to_me(None);
                }
            }
        });
    });
    if let Some(place) = chosen {
        screen.select_tab(place);
    }
}

/// Draws how things stand.
pub(super) fn draw_status(ui: &mut Ui, screen: &Screen, palette: &Palette) {
    let theme = screen.colours().0;
    let line = screen.status_line(Instant::now());
    let shown = ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing = Vec2::ZERO;
        // Without a word in it, too, the line is as high as one.
        ui.set_min_height(ui.text_style_height(&TextStyle::Small));
        for (part, text) in line {
            let text =
                RichText::new(text).text_style(TextStyle::Small).color(colour_of(theme, part, palette));
            ui.add(Label::new(text).truncate().selectable(false));
        }
    });
    if let Some(Protection::Noise { identity, .. }) = screen.status().and_then(|status| status.protection) {
        shown.response.on_hover_text(format!("This server proved to be {identity}"));
    }
}

/// Draws who is in the room.
pub(super) fn draw_users(ui: &mut Ui, screen: &Screen, palette: &Palette) {
    let users = screen.users().unwrap_or_default();
    let heading = RichText::new(format!("In the room: {}", users.len())).text_style(TextStyle::Small);
    ui.add(Label::new(heading.color(palette.weak)).truncate());
    ui.add_space(4.0);
    let height = ui.text_style_height(&TextStyle::Body);
    ScrollArea::vertical().auto_shrink(false).show_rows(ui, height, users.len(), |ui, rows| {
        for user in users.get(rows).unwrap_or_default() {
            let colour = screen.colours().0.name(Some(user)).fg.and_then(colour).unwrap_or(palette.text);
            ui.add(Label::new(RichText::new(name(user)).color(colour)).truncate());
        }
    });
}

/// Says how a part of the status line looks.
fn colour_of(theme: Theme, part: Part, palette: &Palette) -> Color32 {
    match part {
        Part::StatusWarning => theme.part(Part::Unread).fg.and_then(colour).unwrap_or(palette.text),
        Part::CurrentTab => palette.text,
        _ => palette.weak,
    }
}
