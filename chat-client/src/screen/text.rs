//! Measuring and breaking text. What a person sees as one letter is one grapheme cluster, as wide as a terminal draws it;
//! ratatui measures in the same way when it draws.

use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use ratatui::buffer::CellWidth as _;
use unicode_segmentation::UnicodeSegmentation as _;

/// A letter carries at most this many characters, accents and joiners included; the longest emoji families have ten.
const MAX_CLUSTER_CHARS: usize = 16;

/// The first character that can be a part of another's letter, and some behind it that cannot.
const FIRST_ACCENT: char = '\u{300}';
const BOX_DRAWING: RangeInclusive<char> = '\u{2500}'..='\u{257f}';

/// Measures letters in the unit that the width of a pane is given in: in cells, unless it was told otherwise.
#[derive(Clone, Default)]
pub struct Ruler(Option<Arc<Measure>>);

type Measure = dyn Fn(&str) -> usize + Send + Sync;

impl Ruler {
    /// Makes one that takes its measures from `measure`, which is given one letter, or one emoji, at a time.
    pub fn new(measure: impl Fn(&str) -> usize + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(measure)))
    }

    /// Tells whether it measures in cells: all letters of the alphabet are as wide as a space then.
    pub(super) fn is_in_cells(&self) -> bool {
        self.0.is_none()
    }

    /// Returns how far rows are set off that stand for so many letters.
    pub(super) fn indent(&self, letters: usize) -> usize {
        letters * self.measure("n", 1)
    }

    /// Measures a letter that takes so many cells.
    fn measure(&self, letter: &str, cells: usize) -> usize {
        self.0.as_ref().map_or(cells, |measure| measure(letter))
    }
}

impl fmt::Debug for Ruler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Ruler(own)" } else { "Ruler(cells)" })
    }
}

/// Goes through the letters of a text with their places, in bytes, and their widths, in cells. Line feeds have no width.
pub(super) fn letters(text: &str) -> impl DoubleEndedIterator<Item = (usize, &str, usize)> {
    text.grapheme_indices(true).map(|(at, letter)| {
        let width = if letter.starts_with(char::is_control) { 0 } else { usize::from(letter.cell_width()) };
        (at, letter, width)
    })
}

/// Returns how many cells a text without line feeds takes.
pub(crate) fn width(text: &str) -> usize {
    letters(text).map(|(_, _, width)| width).sum()
}

/// Tells whether there are letters of several characters, such as most flags and families.
pub(super) fn has_composed_letters(text: &str) -> bool {
    // Nothing below joins a letter before it, and what draws lines is one of a kind: most texts need no closer look.
    let may_join = |c: char| c >= FIRST_ACCENT && !BOX_DRAWING.contains(&c);
    let looks_composed = !text.is_ascii() && text.chars().any(may_join);
    looks_composed && text.graphemes(true).any(|letter| letter.chars().nth(1).is_some())
}

/// Returns as much of the beginning as fits, with `…` in place of what does not.
pub(super) fn clip(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let mut used = 0;
    let fitting = letters(text).take_while(|(_, _, width)| {
        used += width;
        used < cells
    });
    let mut clipped: String = fitting.map(|(_, letter, _)| letter).collect();
    if cells > 0 {
        clipped.push('…');
    }
    clipped
}

/// Takes away what letters carry too much of: accents piled up to cover the lines above are no text.
pub(crate) fn trim_letters(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    text.graphemes(true).flat_map(|letter| letter.chars().take(MAX_CLUSTER_CHARS)).collect()
}

/// Breaks each line of a text into rows of at most `cells` cells, and sets all but the first of them off by `indent`.
pub(crate) fn set_off(text: &str, cells: usize, indent: &str) -> String {
    let (rest, ruler) = (cells.saturating_sub(indent.len()), Ruler::default());
    let lines = text.split('\n').map(|line| {
        let rows = wrap(line, cells, rest, &ruler).into_iter();
        let rows = rows.filter_map(|row| Some(line.get(row)?.trim_end()));
        rows.collect::<Vec<_>>().join(&format!("\n{indent}"))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Breaks a text into rows of at most `first` and then `rest` units of the ruler, at white space where there is some, and at line
/// feeds. A letter wider than a row has one for itself. Rows are ranges of bytes without the white space they broke at.
pub(super) fn wrap(text: &str, first: usize, rest: usize, ruler: &Ruler) -> Vec<Range<usize>> {
    let mut rows = Vec::new();
    let mut start = 0;
    for line in text.split('\n') {
        let mut room = if rows.is_empty() { first } else { rest };
        let (mut from, line_start) = (0, start);
        while let Some((end, next)) = break_row(line.get(from..).unwrap_or_default(), room.max(1), ruler) {
            rows.push(line_start + from..line_start + from + end);
            (from, room) = (from + next, rest);
        }
        rows.push(line_start + from..line_start + line.len());
        start += line.len() + 1;
    }
    rows
}

/// Finds where a row with this much room ends and the next begins; `None` if everything fits.
fn break_row(line: &str, room: usize, ruler: &Ruler) -> Option<(usize, usize)> {
    let (mut used, mut previous, mut opportunity) = (0, 0, None);
    for (at, letter, cells) in letters(line) {
        let is_space = letter.starts_with(char::is_whitespace);
        // Ideographs may be parted anywhere, but white space before them goes with the row that ends.
        let beside_ideograph = at > 0 && (cells == 2 || previous == 2) && !is_space;
        if beside_ideograph && opportunity.is_none_or(|(_, next)| next != at) {
            opportunity = Some((at, at));
        }
        let width = ruler.measure(letter, cells);
        if used + width > room && at > 0 && !is_space {
            return Some(opportunity.unwrap_or((at, at)));
        }
        (used, previous) = (used + width, cells);
        if is_space {
            let end = opportunity.filter(|(_, next)| *next == at).map_or(at, |(end, _)| end);
            opportunity = Some((end, at + letter.len()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &str, first: usize, rest: usize) -> Vec<&str> {
        wrap(text, first, rest, &Ruler::default()).into_iter().map(|row| &text[row]).collect()
    }

    #[test]
    fn text_breaks_at_white_space_and_words_that_are_too_long_anywhere() {
        assert_eq!(rows("the quick brown fox", 9, 9), ["the quick", "brown fox"]);
        assert_eq!(rows("the  quick", 5, 5), ["the", "quick"]);
        assert_eq!(rows("abcdefgh", 3, 3), ["abc", "def", "gh"]);
        assert_eq!(rows("go abcdefgh", 4, 3), ["go", "abc", "def", "gh"]);
        assert_eq!(rows("one\ntwo three", 20, 5), ["one", "two", "three"]);
        assert_eq!(rows("", 5, 5), [""]);
        assert_eq!(rows("a\n\nb", 5, 5), ["a", "", "b"]);
    }

    #[test]
    fn rows_are_as_wide_as_the_ruler_says() {
        let ruler = Ruler::new(|letter| if letter == "i" { 1 } else { 3 });
        assert_eq!(wrap("iiiiii mm m", 10, 12, &ruler), [0..6, 7..11]);
        assert_eq!((ruler.indent(2), Ruler::default().indent(2)), (6, 2));
    }

    #[test]
    fn wide_letters_and_emoji_are_measured_as_they_are_drawn() {
        assert_eq!(width("日本語"), 6);
        assert_eq!(width("👨\u{200d}👩\u{200d}👧 é e\u{301}"), 6);
        assert_eq!(rows("日本語日本語", 5, 5), ["日本", "語日", "本語"]);
        assert_eq!(rows("👨\u{200d}👩\u{200d}👧👍", 2, 2), ["👨\u{200d}👩\u{200d}👧", "👍"]);
        assert_eq!(rows("語a", 1, 1), ["語", "a"]);
        assert_eq!(rows("שלום עולם", 5, 5), ["שלום", "עולם"]);
    }

    #[test]
    fn what_does_not_fit_is_cut_with_an_ellipsis() {
        assert_eq!(
            (clip("alice", 5), clip("alice", 4), clip("語語", 3)),
            ("alice".into(), "ali…".into(), "語…".into())
        );
        assert_eq!((clip("alice", 1), clip("alice", 0)), ("…".into(), String::new()));
    }

    #[test]
    fn letters_of_several_characters_are_found() {
        for text in ["👍🏽", "a 🇪🇸 b", "👨\u{200d}👩\u{200d}👧", "e\u{301}", "│e\u{301}", "❤\u{fe0f}", "क्षि"]
        {
            assert!(has_composed_letters(text), "{text}");
        }
        for text in ["", "plain", "é · …", "──│", "日本語", "👍 x 👍", "שלום"] {
            assert!(!has_composed_letters(text), "{text}");
        }
    }

    #[test]
    fn a_letter_cannot_cover_others_with_its_accents() {
        let zalgo = format!("a{}b", "\u{301}".repeat(500));
        assert_eq!(trim_letters(&zalgo).chars().count(), MAX_CLUSTER_CHARS + 1);
        assert_eq!(trim_letters("👨\u{200d}👩\u{200d}👧"), "👨\u{200d}👩\u{200d}👧");
    }

    proptest! {
        #[test]
        fn rows_fit_and_lose_nothing_but_white_space(text in "[a-c 日é\n]{0,40}", first in 2usize..9, rest in 2usize..9) {
            let broken = wrap(&text, first, rest, &Ruler::default());
            let kept: String = broken.iter().map(|row| &text[row.clone()]).collect();
            let letters_only = |text: &str| text.replace([' ', '\n'], "");
            prop_assert_eq!(letters_only(&kept), letters_only(&text));
            for (i, row) in broken.into_iter().enumerate() {
                let limit = if i == 0 { first } else { rest };
                prop_assert!(width(text[row.clone()].trim_end()) <= limit, "{:?}", &text[row]);
            }
        }
    }
}
