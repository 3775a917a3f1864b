//! The messages: the rows in view, each laid out by itself, what can be followed in them, and scrolling.

use eframe::egui::text::{LayoutJob, TextFormat};
use eframe::egui::{
    Align2, Button, CursorIcon, FontId, Label, Layout, OpenUrl, Pos2, Rect, Sense, Stroke, TextStyle, Ui,
    UiBuilder, Vec2,
};
use ratatui::style::Style as CellStyle;

use super::UNITS_PER_POINT;
use super::colours::{Palette, colour};
use crate::screen::Screen;
use crate::screen::panes::{Colours, Entry, Part, Role, Row, RowPart, Theme, find};

/// Between rows, in points.
const LEADING: f32 = 3.0;
/// Around the pane and between its columns, in points.
const SPACE: f32 = 10.0;
const BAR_WIDTH: f32 = 8.0;
const SHORTEST_THUMB: f32 = 24.0;

/// What rows are drawn with.
struct Pens {
    theme: Theme,
    colours: Colours,
    palette: Palette,
    font: FontId,
    query: String,
    /// Where the columns begin, from the left of the pane.
    sign: f32,
    text: f32,
    height: f32,
}

/// A piece of a row that looks and acts as one.
#[derive(Debug)]
struct Piece {
    job: LayoutJob,
    link: Option<String>,
}

/// Draws the pane. `wheel` is what the wheel turned that did not suffice for a row.
pub(super) fn draw(ui: &mut Ui, screen: &mut Screen, palette: &Palette, wheel: &mut f32) {
    let area = ui.available_rect_before_wrap();
    let pens = Pens::new(ui, screen, palette);
    let height = (area.height() - SPACE).max(pens.height);
    let count = (height / pens.height).floor().max(1.0);
    scroll_by_wheel(ui, area, screen, pens.height, wheel);
    let width = (area.width() - pens.text - SPACE - BAR_WIDTH).max(1.0);
    let rows = screen.rows(units(width), count as usize);
    // What there is stands at the bottom, beside what is typed.
    let mut top = area.bottom() - SPACE / 2.0 - rows.len() as f32 * pens.height;
    let mut entries = 0;
    let mut last = None;
    for row in rows {
        let line = Rect::from_min_size(
            Pos2::new(area.left(), top),
            Vec2::new(area.width() - BAR_WIDTH, pens.height),
        );
        if let Row::Text { serial, .. } = row {
            entries += usize::from(last != Some(serial));
            last = Some(serial);
        }
        draw_row(ui, &pens, line, row);
        top += pens.height;
    }
    draw_bar(ui, screen, area, entries, palette);
    draw_way_back(ui, screen, area, palette);
}

/// Says what a width in points is to the screen, whose widths are whole numbers.
pub(super) fn units(points: f32) -> usize {
    (points * UNITS_PER_POINT).max(0.0) as usize
}

impl Pens {
    fn new(ui: &Ui, screen: &Screen, palette: &Palette) -> Self {
        let (theme, colours) = screen.colours();
        let font = TextStyle::Body.resolve(ui.style());
        let digits = |text: &str| {
            let galley =
                ui.fonts_mut(|fonts| fonts.layout_no_wrap(text.to_owned(), font.clone(), palette.text));
            galley.size().x
        };
        let time = if screen.shows_times() { digits("00:00") + SPACE } else { 0.0 };
        let sign = SPACE + time;
        let text = sign + digits("~") + SPACE / 2.0;
        let height = ui.fonts_mut(|fonts| fonts.row_height(&font)).ceil() + LEADING;
        let query = screen.query().to_owned();
        Self { theme, colours, palette: *palette, sign, text, height, query, font }
    }

    fn format(&self, style: CellStyle) -> TextFormat {
        self.palette.format(style, &self.font)
    }

    fn look(&self, entry: &Entry, role: Role) -> TextFormat {
        let style = match role {
            Role::Name => self.theme.text(entry.kind, role, entry.name()),
            _ => self.theme.text(entry.kind, role, None).patch(self.colours.kind(entry.kind)),
        };
        self.format(style)
    }

    /// Cuts a row into pieces: links, and what is between them.
    fn pieces<'a>(&self, entry: &Entry, parts: impl Iterator<Item = RowPart<'a>>) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        for RowPart { role, text, whole } in parts {
            let link = (role == Role::Link && can_be_opened(whole)).then(|| whole.to_owned());
            let goes_on = link.is_none() && pieces.last().is_some_and(|piece| piece.link.is_none());
            if !goes_on {
                pieces.push(Piece { job: LayoutJob::default(), link });
            }
            if let Some(piece) = pieces.last_mut() {
                self.append(&mut piece.job, text, &self.look(entry, role));
            }
        }
        pieces
    }

    /// Adds a text, with what is searched for marked in it.
    fn append(&self, job: &mut LayoutJob, text: &str, format: &TextFormat) {
        let mut from = 0;
        for found in find(text, &self.query) {
            job.append(text.get(from..found.start).unwrap_or_default(), 0.0, format.clone());
            let marked =
                TextFormat { background: format.color, color: self.palette.ground, ..format.clone() };
            job.append(text.get(found.clone()).unwrap_or_default(), 0.0, marked);
            from = found.end;
        }
        job.append(text.get(from..).unwrap_or_default(), 0.0, format.clone());
    }
}

/// Tells whether a link leads to a page of the web: nothing else is ever opened.
pub(super) fn can_be_opened(link: &str) -> bool {
    let rest = link.strip_prefix("https://").or_else(|| link.strip_prefix("http://"));
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '\u{fffd}';
    rest.is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_alphanumeric() || c == '[') && rest.chars().all(is_plain)
    })
}

fn draw_row(ui: &mut Ui, pens: &Pens, line: Rect, row: Row<'_>) {
    match row {
        Row::Day(day) => {
            let day = day.strftime("%A, %-d %B %Y").to_string();
            draw_rule(ui, pens, line, &day, pens.palette.weak);
        }
        Row::Unread => {
            let unread = pens.theme.part(Part::Unread).fg.and_then(colour).unwrap_or(pens.palette.accent);
            draw_rule(ui, pens, line, "unread", unread);
        }
        Row::Text { entry, row, serial } => {
            if row == 0 {
                draw_margin(ui, pens, line, entry);
            }
            let indent = ui.fonts_mut(|fonts| fonts.glyph_width(&pens.font, 'n')) * entry.indent(row) as f32;
            let place = Rect::from_min_max(line.min + Vec2::new(pens.text + indent, 0.0), line.max);
            let builder = UiBuilder::new()
                .id_salt((serial, row))
                .max_rect(place)
                .layout(Layout::left_to_right(eframe::egui::Align::Center));
            ui.scope_builder(builder, |ui| {
                ui.spacing_mut().item_spacing = Vec2::ZERO;
                for piece in pens.pieces(entry, entry.parts(row)) {
                    draw_piece(ui, piece);
                }
            });
        }
    }
}

/// Draws the time and the sign beside it, where nothing that somebody says can stand.
fn draw_margin(ui: &Ui, pens: &Pens, line: Rect, entry: &Entry) {
    let draw = |x: f32, text: &str, colour| {
        let place = Pos2::new(line.left() + x, line.center().y);
        ui.painter().text(place, Align2::LEFT_CENTER, text, pens.font.clone(), colour);
    };
    draw(pens.sign, entry.kind.mark(), pens.look(entry, Role::Plain).color);
    if pens.sign > SPACE {
        draw(SPACE, &entry.at.strftime("%H:%M").to_string(), pens.palette.weak);
    }
}

fn draw_piece(ui: &mut Ui, Piece { job, link }: Piece) {
    let label = Label::new(job).extend();
    let Some(link) = link else {
        ui.add(label);
        return;
    };
    let response = ui.add(label.selectable(false).sense(Sense::click()));
    let response = response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(&link);
    if response.clicked() {
        ui.ctx().open_url(OpenUrl::new_tab(&link));
    }
    response.context_menu(|ui| {
        if ui.button("Copy link").clicked() {
            ui.ctx().copy_text(link);
            ui.close();
        }
    });
}

/// Draws a text in the middle of a line.
fn draw_rule(ui: &Ui, pens: &Pens, line: Rect, text: &str, colour: eframe::egui::Color32) {
    let painter = ui.painter();
    let font = FontId { size: pens.font.size * 0.85, ..pens.font.clone() };
    let written = painter.text(line.center(), Align2::CENTER_CENTER, text, font, colour);
    let stroke = Stroke::new(1.0, colour.gamma_multiply(0.35));
    painter.hline(line.left() + SPACE..=written.left() - SPACE, line.center().y, stroke);
    painter.hline(written.right() + SPACE..=line.right() - SPACE, line.center().y, stroke);
}

fn scroll_by_wheel(ui: &Ui, area: Rect, screen: &mut Screen, row: f32, wheel: &mut f32) {
    if !ui.rect_contains_pointer(area) {
        return;
    }
    *wheel += ui.input(|input| input.smooth_scroll_delta().y);
    let rows = whole_rows(wheel, row);
    match usize::try_from(rows) {
        Ok(0) => {}
        Ok(up) => screen.log().scroll_up(up),
        Err(_) => screen.log().scroll_down(usize::try_from(rows.unsigned_abs()).unwrap_or_default()),
    }
}

/// Takes whole rows out of what the wheel turned.
fn whole_rows(wheel: &mut f32, row: f32) -> i64 {
    let rows = (*wheel / row).trunc();
    *wheel -= rows * row;
    rows as i64
}

/// Draws the bar at the right, by which the pane can be pulled: its measure is entries, since rows that nobody has seen
/// have not been laid out.
fn draw_bar(ui: &mut Ui, screen: &mut Screen, area: Rect, in_view: usize, palette: &Palette) {
    let (last, count) = screen.log().extent();
    if in_view >= count {
        return;
    }
    let track = Rect::from_min_max(Pos2::new(area.right() - BAR_WIDTH, area.top()), area.max).shrink(1.0);
    let (from, to) = thumb(track.top(), track.bottom(), in_view, last, count);
    let response = ui.interact(track, ui.scope_id().with("bar"), Sense::click_and_drag());
    let strength = if response.hovered() || response.dragged() { 0.8 } else { 0.4 };
    let thumb = Rect::from_min_max(Pos2::new(track.left(), from), Pos2::new(track.right(), to));
    ui.painter().rect_filled(thumb, BAR_WIDTH / 2.0, palette.weak.gamma_multiply(strength));
    if let Some(pulled) = response.interact_pointer_pos() {
        let share = ((pulled.y - track.top()) / track.height()).clamp(0.0, 1.0);
        screen.log().scroll_to((share * count as f32) as usize);
    }
}

/// Says where the thumb begins and ends on a track, when so many entries are in view, the last of them being the `last` of
/// `count`.
fn thumb(top: f32, bottom: f32, in_view: usize, last: usize, count: usize) -> (f32, f32) {
    let track = bottom - top;
    let length = (track * in_view as f32 / count.max(1) as f32).clamp(SHORTEST_THUMB.min(track), track);
    let hidden = count.saturating_sub(in_view).max(1) as f32;
    let above = last.saturating_sub(in_view) as f32 / hidden;
    let from = top + above.clamp(0.0, 1.0) * (track - length);
    (from, from + length)
}

/// Draws the button that leads back to the end, for who has scrolled away from it.
fn draw_way_back(ui: &mut Ui, screen: &mut Screen, area: Rect, palette: &Palette) {
    if screen.log().is_at_end() {
        return;
    }
    let text = match screen.log().below() {
        0 => "to the end".to_owned(),
        below => format!("{below} below"),
    };
    let size = Vec2::new(120.0, 26.0);
    let corner = area.right_bottom() - Vec2::new(SPACE + BAR_WIDTH, SPACE);
    let button = Button::new(eframe::egui::RichText::new(text).color(palette.ground)).fill(palette.accent);
    if ui.put(Rect::from_min_max(corner - size, corner), button.corner_radius(13)).clicked() {
        screen.log().scroll_to_end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_opened_but_pages_of_the_web() {
        for link in
            ["https://chat.example", "http://127.0.0.1:80/x?y#z", "https://[::1]/", "https://пример.рф/ü"]
        {
            assert!(can_be_opened(link), "{link}");
        }
        for link in [
            "https://",
            "http:///etc/passwd",
            "https://-x",
            "ftp://chat.example",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "HTTPS://chat.example",
            "https://a b",
            "https://a\u{fffd}b",
            "https://a\nb",
            "--help",
            "",
        ] {
            assert!(!can_be_opened(link), "{link}");
        }
    }

    #[test]
    fn the_wheel_turns_rows_and_keeps_what_is_left() {
        let mut wheel = 25.0;
        assert_eq!((whole_rows(&mut wheel, 10.0), wheel), (2, 5.0));
        wheel -= 16.0;
        assert_eq!((whole_rows(&mut wheel, 10.0), wheel), (-1, -1.0));
    }

    #[test]
    fn the_bar_says_where_one_is() {
        let close =
            |(from, to): (f32, f32), (a, b): (f32, f32)| (from - a).abs() < 0.5 && (to - b).abs() < 0.5;
        assert!(close(thumb(0.0, 100.0, 50, 100, 100), (50.0, 100.0)));
        assert!(close(thumb(0.0, 100.0, 50, 50, 100), (0.0, 50.0)));
        assert!(close(thumb(0.0, 100.0, 50, 75, 100), (25.0, 75.0)));
        assert!(close(thumb(10.0, 110.0, 1, 10_000, 10_000), (86.0, 110.0)));
        assert!(close(thumb(0.0, 10.0, 0, 0, 0), (0.0, 10.0)));
    }
}
