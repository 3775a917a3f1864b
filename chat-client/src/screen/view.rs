//! The picture: messages, who is there, status, input; drawn by hand, so that every cell is accounted for.

use std::ops::Range;
use std::time::Instant;

use ratatui::buffer::{Buffer, CellDiffOption};
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};

use super::editor::InputLayout;
use super::entry::{self, Entry, Role};
use super::log::Row;
use super::theme::{Part, Theme};
use super::{Screen, status, text};

/// On screens narrower than this nobody is listed, and below the next no times are shown.
const WIDE: u16 = 72;
const NARROW: u16 = 36;
const USERS_WIDTH: u16 = 20;
/// The input grows up to this many rows, and to a third of the screen.
const MAX_INPUT_ROWS: u16 = 8;
const PROMPT: &str = "> ";
/// Stand for the tabs that are out of view.
const MORE_LEFT: &str = "‹";
const MORE_RIGHT: &str = "›";
const TIME_CELLS: u16 = 6;
const MARK_CELLS: u16 = 2;

/// Where everything is.
struct Panes {
    messages: Rect,
    users: Option<Rect>,
    status: Option<Rect>,
    input: Rect,
}

/// Draws the screen; returns where the cursor is to be.
pub(super) fn draw(screen: &mut Screen, buffer: &mut Buffer, now: Instant) -> Option<Position> {
    let area = *buffer.area();
    if area.is_empty() {
        return None;
    }
    let (prompt, input) = input(screen, area.width);
    buffer.set_style(area, screen.look.colours().ground());
    let wants_users = screen.look.users && has_users(screen);
    let (area, bar) = match area.height {
        4.. if screen.conversations().count() > 1 => {
            let below = Rect { y: area.y + 1, height: area.height - 1, ..area };
            (below, Some(Rect { height: 1, ..area }))
        }
        _ => (area, None),
    };
    let panes = Panes::new(area, u16::try_from(input.rows.len()).unwrap_or(u16::MAX), wants_users);
    draw_messages(screen, buffer, panes.messages);
    if let Some(bar) = bar {
        draw_tabs(screen, buffer, bar);
    }
    if let Some(users) = panes.users {
        draw_users(screen, buffer, users);
    }
    if let Some(status) = panes.status {
        draw_status(screen, buffer, status, now);
    }
    Some(draw_input(screen.look.theme, buffer, panes.input, &prompt, &input))
}

impl Panes {
    fn new(area: Rect, input_rows: u16, wants_users: bool) -> Self {
        let most = MAX_INPUT_ROWS.min(area.height / 3).max(1);
        let input_height = input_rows.clamp(1, most);
        let status_height = u16::from(area.height >= 3);
        let messages_height = area.height.saturating_sub(input_height + status_height);
        let below = area.y + messages_height;
        let users_width = if wants_users && area.width >= WIDE { USERS_WIDTH } else { 0 };
        let messages = Rect::new(area.x, area.y, area.width - users_width, messages_height);
        let users = Rect::new(messages.right(), area.y, users_width, messages_height);
        Self {
            messages,
            users: (users_width > 0).then_some(users),
            status: (status_height > 0).then_some(Rect::new(area.x, below, area.width, 1)),
            input: Rect::new(area.x, below + status_height, area.width, input_height),
        }
    }
}

fn has_users(screen: &Screen) -> bool {
    screen.conversation.status.as_ref().is_some_and(|status| status.users.is_some())
}

/// Lays out what is being typed, with what stands before it.
fn input(screen: &Screen, width: u16) -> (String, InputLayout) {
    let editor = match (&screen.search, &screen.conversation.question) {
        (Some(search), _) => &search.query,
        (None, Some(asked)) => &asked.answer,
        (None, None) => &screen.conversation.draft,
    };
    let prompt = text::clip(prompt(screen), usize::from(width / 2));
    let cells = usize::from(width) - text::width(&prompt);
    (prompt, editor.lay_out(cells))
}

/// Returns what stands before what is being typed.
pub(super) fn prompt(screen: &Screen) -> &str {
    match (&screen.search, &screen.conversation.question) {
        (Some(search), _) if search.exhausted => "nothing above: ",
        (Some(_), _) => "search: ",
        (None, Some(asked)) => &asked.prompt,
        (None, None) => PROMPT,
    }
}

fn draw_messages(screen: &mut Screen, buffer: &mut Buffer, area: Rect) {
    if area.is_empty() {
        return;
    }
    let (theme, colours) = (screen.look.theme, screen.look.colours());
    let time_cells = if screen.look.timestamps && area.width >= NARROW { TIME_CELLS } else { 0 };
    let gutter = time_cells + MARK_CELLS;
    let query = screen.search.as_ref().map(|search| search.query.text()).unwrap_or_default();
    let cells = usize::from(area.width.saturating_sub(gutter)).max(1);
    let rows = screen.conversation.log.view(cells, usize::from(area.height));
    // What there is stands at the bottom, beside the input.
    let top = area.bottom() - u16::try_from(rows.len()).unwrap_or(area.height);
    for (y, row) in (top..).zip(rows) {
        let line = Rect::new(area.x, y, area.width, 1);
        match row {
            Row::Day(day) => {
                let day = day.strftime("%A, %-d %B %Y").to_string();
                draw_rule(buffer, line, &day, theme.part(Part::Day));
            }
            Row::Unread => draw_rule(buffer, line, "unread", theme.part(Part::Unread)),
            Row::Text { entry, row, .. } => {
                if row == 0 {
                    let mark = entry.kind.mark();
                    let style = theme.text(entry.kind, Role::Plain, None).patch(colours.kind(entry.kind));
                    put(buffer, area.x + time_cells, y, area.right(), mark, style);
                }
                if row == 0 && time_cells > 0 {
                    let time = entry.at.strftime("%H:%M").to_string();
                    put(buffer, area.x, y, area.right(), &time, theme.part(Part::Time));
                }
                let look = |role| match role {
                    Role::Name => theme.text(entry.kind, role, entry.name()),
                    _ => theme.text(entry.kind, role, None).patch(colours.kind(entry.kind)),
                };
                draw_row(buffer, look, entry, row, Position::new(area.x + gutter, y), area.right(), query);
            }
        }
    }
}

fn draw_row(
    buffer: &mut Buffer,
    look: impl Fn(Role) -> Style,
    entry: &Entry,
    row: usize,
    at: Position,
    right: u16,
    query: &str,
) {
    let mut x = at.x.saturating_add(u16::try_from(entry.indent(row)).unwrap_or_default());
    for entry::Part { role, text: part, .. } in entry.parts(row) {
        let style = look(role);
        let mut from = 0;
        for found in find(part, query) {
            x = put(buffer, x, at.y, right, part.get(from..found.start).unwrap_or_default(), style);
            let reversed = style.add_modifier(Modifier::REVERSED);
            x = put(buffer, x, at.y, right, part.get(found.clone()).unwrap_or_default(), reversed);
            from = found.end;
        }
        x = put(buffer, x, at.y, right, part.get(from..).unwrap_or_default(), style);
    }
}

/// Draws a text in the middle of a line.
fn draw_rule(buffer: &mut Buffer, line: Rect, text: &str, style: Style) {
    let text = text::clip(text, usize::from(line.width.saturating_sub(4)));
    let left = usize::from(line.width).saturating_sub(text::width(&text) + 2) / 2;
    let right = usize::from(line.width).saturating_sub(text::width(&text) + 2 + left);
    let rule = format!("{} {text} {}", "─".repeat(left), "─".repeat(right));
    put(buffer, line.x, line.y, line.right(), &rule, style);
}

/// Draws a line with the conversations and what is unread in each: those around the one in view if not all of them fit.
fn draw_tabs(screen: &Screen, buffer: &mut Buffer, area: Rect) {
    let theme = screen.look.theme;
    buffer.set_style(area, theme.part(Part::Status));
    let cells = usize::from(area.width);
    let label = |share: usize| -> Vec<(Part, String)> {
        let tab = |(number, tab)| (screen.tab_part(tab), status::tab(tab, number, share));
        (1..).zip(screen.conversations()).map(tab).collect()
    };
    let width = |tabs: &[(Part, String)]| tabs.iter().map(|(_, tab)| text::width(tab)).collect::<Vec<_>>();
    let mut tabs = label(cells);
    if width(&tabs).iter().sum::<usize>() > cells {
        tabs = label((cells / tabs.len().max(1)).max(status::LEAST_TAB));
    }
    let widths = width(&tabs);
    let fit = widths.iter().sum::<usize>() <= cells;
    let room =
        if fit { cells } else { cells.saturating_sub(text::width(MORE_LEFT) + text::width(MORE_RIGHT)) };
    let shown = status::tabs_in_view(&widths, screen.left.len(), room);
    // What is out of view worries as much as what is in view.
    let hidden = |tabs: &[(Part, String)]| {
        let warns = tabs.iter().any(|(part, _)| *part == Part::StatusWarning);
        theme.part(if warns { Part::StatusWarning } else { Part::Status })
    };
    let mut x = area.x;
    if let Some(before) = tabs.get(..shown.start).filter(|before| !before.is_empty()) {
        x = put(buffer, x, area.y, area.right(), MORE_LEFT, hidden(before));
    }
    for (part, tab) in tabs.get(shown.clone()).unwrap_or_default() {
        x = put(buffer, x, area.y, area.right(), tab, theme.part(*part));
    }
    if let Some(after) = tabs.get(shown.end..).filter(|after| !after.is_empty()) {
        put(buffer, area.right() - 1, area.y, area.right(), MORE_RIGHT, hidden(after));
    }
}

fn draw_users(screen: &Screen, buffer: &mut Buffer, area: Rect) {
    let theme = screen.look.theme;
    let status = screen.conversation.status.as_ref();
    let users = status.and_then(|status| status.users.as_deref()).unwrap_or_default();
    let cells = usize::from(area.width.saturating_sub(2));
    let rows = usize::from(area.height);
    for y in area.y..area.bottom() {
        put(buffer, area.x, y, area.right(), "│", theme.part(Part::Border));
    }
    // If not all fit, the last row says how many more there are.
    let shown = if users.len() > rows { rows.saturating_sub(1) } else { users.len() };
    for (y, user) in (area.y..area.bottom()).zip(users.iter().take(shown)) {
        let name = text::clip(&status::name(user), cells);
        put(buffer, area.x + 2, y, area.right(), &name, theme.name(Some(user)));
    }
    if shown < users.len() && rows > 0 {
        let more = format!("and {} more", users.len() - shown);
        put(buffer, area.x + 2, area.bottom() - 1, area.right(), &more, theme.part(Part::Border));
    }
}

fn draw_status(screen: &Screen, buffer: &mut Buffer, area: Rect, now: Instant) {
    let theme = screen.look.theme;
    buffer.set_style(area, theme.part(Part::Status));
    let log = &screen.conversation.log;
    let esc = if screen.search.is_some() { "Esc: end the search" } else { "Esc: to the end" };
    let aside = match (log.is_at_end(), log.below()) {
        (true, _) => String::new(),
        (false, 0) => format!(" {esc} "),
        (false, below) => format!(" {below} below, {esc} "),
    };
    let aside = text::clip(&aside, usize::from(area.width));
    let room = usize::from(area.width).saturating_sub(text::width(&aside) + 2);
    let mut x = area.x + 1;
    let line = screen.conversation.status.as_ref().map(|status| status::line(status, now, room));
    for (part, text) in line.unwrap_or_default() {
        x = put(buffer, x, area.y, area.right(), &text, theme.part(part));
    }
    let left = area.right().saturating_sub(u16::try_from(text::width(&aside)).unwrap_or_default());
    put(buffer, left, area.y, area.right(), &aside, theme.part(Part::StatusWarning));
}

/// Draws what is being typed, with the cursor's row in view; returns where the cursor is.
fn draw_input(theme: Theme, buffer: &mut Buffer, area: Rect, prompt: &str, input: &InputLayout) -> Position {
    let prompt_cells = u16::try_from(text::width(prompt)).unwrap_or(area.width);
    let (cursor_row, cursor_column) = input.cursor;
    let first = (cursor_row + 1).saturating_sub(usize::from(area.height));
    for (y, (i, row)) in (area.y..area.bottom()).zip(input.rows.iter().enumerate().skip(first)) {
        if i == 0 {
            put(buffer, area.x, y, area.right(), prompt, theme.part(Part::Prompt));
        }
        let x = put(buffer, area.x + prompt_cells, y, area.right(), &row.open, Style::new());
        put(buffer, x, y, area.right(), &row.secret, theme.part(Part::Secret));
    }
    let x =
        area.x.saturating_add(prompt_cells).saturating_add(u16::try_from(cursor_column).unwrap_or(u16::MAX));
    let y = area.y.saturating_add(u16::try_from(cursor_row - first).unwrap_or_default());
    Position::new(x.min(area.right() - 1), y)
}

/// Writes a text from `x` up to `right`, and returns where the next one goes.
fn put(buffer: &mut Buffer, x: u16, y: u16, right: u16, text: &str, style: Style) -> u16 {
    if x >= right || text.is_empty() {
        return x;
    }
    if text::has_composed_letters(text) {
        redraw_row(buffer, y);
    }
    buffer.set_stringn(x, y, text, usize::from(right - x), style).0
}

/// Has a row written whole with this picture and, as ratatui then finds that its cells have changed, with the next one.
/// Terminals disagree about how wide letters of several characters are, so nobody knows what one has left in the cells
/// behind.
fn redraw_row(buffer: &mut Buffer, y: u16) {
    let area = buffer.area;
    for x in area.left()..area.right() {
        if let Some(cell) = buffer.cell_mut((x, y)) {
            cell.set_diff_option(CellDiffOption::AlwaysUpdate);
        }
    }
}

/// Finds where a text has what is looked for, whatever the case of the letters. The places do not overlap.
pub(crate) fn find(text: &str, query: &str) -> Vec<Range<usize>> {
    let wanted: Vec<char> = query.chars().flat_map(char::to_lowercase).collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty() && !wanted.is_empty()) {
        let step = rest.chars().next().map_or(1, char::len_utf8);
        match length_of_match(rest, &wanted) {
            Some(len) => {
                found.push(at..at + len);
                at += len;
            }
            None => at += step,
        }
    }
    found
}

/// Returns how much of the beginning of a text is what is wanted.
fn length_of_match(text: &str, wanted: &[char]) -> Option<usize> {
    let mut wanted = wanted.iter();
    let mut len = 0;
    for c in text.chars() {
        if wanted.len() == 0 {
            break;
        }
        if !c.to_lowercase().all(|lower| wanted.next() == Some(&lower)) {
            return None;
        }
        len += c.len_utf8();
    }
    (wanted.len() == 0).then_some(len)
}
