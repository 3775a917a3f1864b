//! What the program explains, in as many cells as there are: each line says what something is called and, behind two spaces
//! or more, what it is. Where there is no room for two columns as they came, they are brought closer together.

use super::entry::INDENT;
use super::text::{self, Ruler};

/// What parts the columns of a line.
const GAP: &str = "  ";
/// So many letters of the second column stand beside the first one at least.
const LEAST_BESIDE: usize = 36;
/// Where the second column begins if it cannot where it came; if even that is too far, or letters differ in width, where the
/// last of these says, in a row of its own.
const CLOSER: [usize; 2] = [16, 4];

/// Breaks an explanation into rows for a pane of this width, in units of the ruler. Nothing but the first row of a line
/// begins at the left.
pub(super) fn lay_out(explanation: &str, width: usize, ruler: &Ruler) -> String {
    let rows = explanation.trim_end_matches('\n').split('\n').flat_map(|line| {
        let name = line.split(GAP).next().unwrap_or_default();
        match line.get(name.len()..).unwrap_or_default().trim_start() {
            "" => rows(line, width, INDENT, ruler),
            meaning => {
                let came_at = text::width(line) - text::width(meaning);
                in_columns(name, meaning, column(came_at, width, ruler), width, ruler)
            }
        }
    });
    rows.collect::<Vec<_>>().join("\n")
}

/// Says where the second column begins, in letters.
fn column(came_at: usize, width: usize, ruler: &Ruler) -> usize {
    let [closer, closest] = CLOSER;
    match width {
        _ if !ruler.is_in_cells() => closest,
        _ if width >= came_at + LEAST_BESIDE => came_at,
        _ if width >= closer + LEAST_BESIDE / 2 => closer,
        _ => closest,
    }
}

fn in_columns(name: &str, meaning: &str, column: usize, width: usize, ruler: &Ruler) -> Vec<String> {
    let room = width.saturating_sub(ruler.indent(column));
    let mut meanings = text::wrap(meaning, room, room, ruler).into_iter();
    let mut broken = Vec::new();
    let free = column.checked_sub(text::width(name) + GAP.len()).filter(|_| ruler.is_in_cells());
    if let Some(free) = free {
        let first = meanings.next().and_then(|row| meaning.get(row)).unwrap_or_default();
        broken.push(format!("{name}{GAP}{}{first}", " ".repeat(free)));
    } else {
        broken.extend(rows(name, width, INDENT, ruler));
    }
    broken.extend(meanings.filter_map(|row| Some(format!("{}{}", " ".repeat(column), meaning.get(row)?))));
    broken
}

/// Breaks a line into rows, all but the first of them set off.
fn rows(line: &str, width: usize, indent: usize, ruler: &Ruler) -> Vec<String> {
    let rows = text::wrap(line, width, width.saturating_sub(ruler.indent(indent)), ruler).into_iter();
    let set_off = |(i, row)| {
        let indent = if i == 0 { 0 } else { indent };
        Some(format!("{}{}", " ".repeat(indent), line.get(row)?))
    };
    rows.enumerate().filter_map(set_off).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TABLE: &str = "/join                 enter the chat room: be on the user list\n\
                         /login user [--keep]  log in\n\
                         a line of one column, as they come\n";

    #[test]
    fn columns_stand_as_they_came_where_there_is_room_and_closer_where_there_is_none() {
        let rows = |width| lay_out(TABLE, width, &Ruler::default());
        assert_eq!(rows(80), TABLE.trim_end());
        assert_eq!(
            rows(40),
            "/join           enter the chat room: be\n                on the user list\n\
             /login user [--keep]\n                log in\n\
             a line of one column, as they come"
        );
        assert_eq!(
            rows(20),
            "/join\n    enter the chat\n    room: be on the\n    user list\n\
             /login user [--keep]\n    log in\n\
             a line of one\n  column, as they\n  come"
        );
    }

    #[test]
    fn where_letters_differ_in_width_nothing_stands_beside_another() {
        let ruler = Ruler::new(|letter| if letter == "i" { 1 } else { 3 });
        let rows = lay_out("/q  it is\n", 1000, &ruler);
        assert_eq!(rows, "/q\n    it is");
    }

    proptest! {
        #[test]
        fn rows_fit_and_nothing_is_lost(line in "/[a-z \\[]{1,30} {0,20}[a-z 日]{0,60}", width in 8usize..100) {
            let rows = lay_out(&line, width, &Ruler::default());
            let letters = |text: &str| text.replace([' ', '\n'], "");
            prop_assert_eq!(letters(&rows), letters(&line));
            for row in rows.split('\n') {
                prop_assert!(text::width(row.trim_end()) <= width, "{row:?}");
            }
        }
    }
}
