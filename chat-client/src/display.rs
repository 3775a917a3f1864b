//! Turning what is to be shown into lines of text that cannot do anything but be read.
//!
//! Everything a peer sends passes here on its way to a terminal or a pipe. What is shown when is `app`'s to say.

use chat_core::names;
use chat_core::packet::PacketType;

use crate::app::Show;
use crate::screen::text;

/// More names than this are counted instead of listed, unless the person asked.
const NAMES_AT_ONCE: usize = 30;
/// Sets the further lines of a text off, so that none of them looks like another text.
const CONTINUATION: &str = "    ";
const TAB: &str = "    ";
/// Stands where a character was that must not be shown.
const REPLACEMENT: char = '\u{fffd}';

/// Where text goes, and so what it may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A terminal obeys control characters, and a person is deceived by invisible ones and changed directions of writing.
    Terminal,
    /// A file or another program gets the text as it is, but for control characters: sooner or later somebody looks at it
    /// with `cat`; and for what some programs take for the end of a line. Invisible and direction-changing characters are
    /// part of a text and stay.
    Pipe,
}

/// What a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// What the person or program wants: standard output.
    Data,
    /// What is said about it: standard error.
    Remark,
}

/// Makes lines, each with its line feed, of something to show.
#[must_use]
pub fn render(show: &Show, medium: Medium) -> (Stream, String) {
    let (stream, text) = match show {
        // These have several lines by nature.
        Show::Text { kind: PacketType::WHOAMI, text } | Show::Help(text) => (Stream::Data, text.clone()),
        // An original server lets names have line feeds, so the texts that tell of their owners may, too.
        Show::Text { text, .. } => {
            (Stream::Data, text.trim_end_matches('\n').replace('\n', &format!("\n{CONTINUATION}")))
        }
        Show::Users { names, asked: true } => (Stream::Data, one_line(&list(names, usize::MAX))),
        Show::Users { names, asked: false } | Show::UsersChanged(names) => {
            (Stream::Remark, one_line(&format!("* {}", list(names, NAMES_AT_ONCE))))
        }
        Show::Note(text) => (Stream::Remark, one_line(&format!("* {text}"))),
        Show::Error(text) => (Stream::Remark, one_line(&format!("error: {text}"))),
        Show::Hint(text) => (Stream::Remark, one_line(&format!("hint: {text}"))),
    };
    let mut text = sanitise(&text, medium);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    (stream, text)
}

/// Replaces the characters that a medium must not get. Line feeds and tabs stay.
#[must_use]
pub fn sanitise(text: &str, medium: Medium) -> String {
    let harmful = |c: char| match (c, medium) {
        ('\n' | '\t', _) => false,
        // The joiners are invisible, but emoji and several scripts are written with them.
        ('\u{200c}' | '\u{200d}', _) => false,
        (c, Medium::Terminal) => names::is_unprintable(c),
        (c, Medium::Pipe) => c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'),
    };
    text.chars().map(|c| if harmful(c) { REPLACEMENT } else { c }).collect()
}

/// Makes of rendered lines what a terminal of so many columns may get. Lines that it would break are broken here, and set
/// off: otherwise somebody could put what looks like another's line where the next row begins, behind as many spaces as
/// it takes.
#[must_use]
pub fn fit(lines: &str, columns: usize) -> String {
    let lines = sanitise(lines, Medium::Terminal).replace('\t', TAB);
    text::set_off(&text::trim_letters(&lines), columns, CONTINUATION)
}

fn one_line(text: &str) -> String {
    text.replace('\n', REPLACEMENT.encode_utf8(&mut [0; 4]))
}

fn list(names: &[String], at_most: usize) -> String {
    if names.is_empty() {
        return "nobody is in the chat room".to_owned();
    }
    let mut shown: Vec<&str> = names.iter().take(at_most).map(String::as_str).collect();
    let more = format!("and {} more", names.len().saturating_sub(at_most));
    if names.len() > at_most {
        shown.push(&more);
    }
    format!("in the chat room: {}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(text: &str) -> Show {
        Show::Text { kind: PacketType::MESSAGE, text: text.to_owned() }
    }

    #[test]
    fn texts_are_lines_and_remarks_are_apart() {
        let names = vec!["Client-2".to_owned(), "alice".to_owned()];
        for (show, stream, expected) in [
            (message("alice: hello\n"), Stream::Data, "alice: hello\n"),
            (message("alice: no line end"), Stream::Data, "alice: no line end\n"),
            (message("alice: \n"), Stream::Data, "alice: \n"),
            (
                Show::Text { kind: PacketType::WHOAMI, text: "Server: a\nb=c\n".into() },
                Stream::Data,
                "Server: a\nb=c\n",
            ),
            (
                Show::Users { names: names.clone(), asked: true },
                Stream::Data,
                "in the chat room: Client-2, alice\n",
            ),
            (Show::Users { names, asked: false }, Stream::Remark, "* in the chat room: Client-2, alice\n"),
            (Show::Users { names: Vec::new(), asked: true }, Stream::Data, "nobody is in the chat room\n"),
            (Show::Note("n".into()), Stream::Remark, "* n\n"),
            (Show::Error("e".into()), Stream::Remark, "error: e\n"),
            (Show::Hint("h".into()), Stream::Remark, "hint: h\n"),
        ] {
            assert_eq!(render(&show, Medium::Pipe), (stream, expected.to_owned()));
        }
    }

    #[test]
    fn no_line_of_a_message_can_pass_for_another_message() {
        let forged = message("mallory: hi\nalice: I agree\nServer: alice logged out\n");
        let (_, text) = render(&forged, Medium::Pipe);
        assert_eq!(text, "mallory: hi\n    alice: I agree\n    Server: alice logged out\n");
    }

    #[test]
    fn no_row_on_a_terminal_can_pass_for_a_line() {
        for filling in
            [" ".repeat(20), "\t".repeat(5), "x".repeat(7), " \u{2003}\u{a0}".repeat(10), "日".repeat(9)]
        {
            let (_, text) = render(
                &message(&format!("mallory: hi{filling} alice: I agree, and more of it")),
                Medium::Pipe,
            );
            let shown = fit(&text, 20);
            assert!(shown.ends_with('\n'));
            for (row, line) in shown.lines().enumerate() {
                assert!(text::width(line) <= 20, "{line:?}");
                assert!(line.starts_with(if row == 0 { "mallory: " } else { CONTINUATION }), "{shown:?}");
            }
        }
        assert_eq!(fit("bob: a\u{202e}b\n    c\n", 20), "bob: a\u{fffd}b\n    c\n");
        assert_eq!(fit("", 0), "");
    }

    #[test]
    fn no_name_can_forge_a_line() {
        let left = |kind| Show::Text { kind, text: "Server: x\nalice: hi left the chat room\n".into() };
        for kind in [PacketType::JOIN, PacketType::LEAVE, PacketType::LOGIN, PacketType::CONNECT] {
            let (_, text) = render(&left(kind), Medium::Pipe);
            assert_eq!(text, "Server: x\n    alice: hi left the chat room\n");
        }
        let names = vec!["x\nalice: hi".to_owned()];
        let forged = "x\nalice: hi".to_owned();
        for show in [
            Show::Users { names: names.clone(), asked: true },
            Show::Users { names, asked: false },
            Show::Note(forged.clone()),
            Show::Error(forged.clone()),
            Show::Hint(forged),
        ] {
            for medium in [Medium::Terminal, Medium::Pipe] {
                let (_, text) = render(&show, medium);
                assert!(text.ends_with("x\u{fffd}alice: hi\n"), "{text}");
            }
        }
        for medium in [Medium::Terminal, Medium::Pipe] {
            let (_, text) = render(&message("bob: a\u{2028}alice: b\u{2029}"), medium);
            assert_eq!(text, "bob: a\u{fffd}alice: b\u{fffd}\n");
        }
    }

    #[test]
    fn a_crowd_is_counted_unless_asked_for() {
        let names: Vec<String> = (0..40).map(|i| format!("n{i}")).collect();
        let (_, text) = render(&Show::Users { names: names.clone(), asked: false }, Medium::Terminal);
        assert!(text.ends_with("n29, and 10 more\n"), "{text}");
        let (_, text) = render(&Show::Users { names, asked: true }, Medium::Terminal);
        assert!(text.ends_with("n38, n39\n"), "{text}");
    }

    #[test]
    fn a_terminal_gets_nothing_it_would_obey() {
        let nasty = "a\u{1b}]0;title\u{7}b\u{9b}2Jc\rd\u{202e}e\u{200d}f\u{8}";
        assert_eq!(
            sanitise(nasty, Medium::Terminal),
            "a\u{fffd}]0;title\u{fffd}b\u{fffd}2Jc\u{fffd}d\u{fffd}e\u{200d}f\u{fffd}"
        );
        assert_eq!(
            sanitise(nasty, Medium::Pipe),
            "a\u{fffd}]0;title\u{fffd}b\u{fffd}2Jc\u{fffd}d\u{202e}e\u{200d}f\u{fffd}"
        );
        assert_eq!(
            sanitise("tab\tand\nline: שלום 👨\u{200d}👩", Medium::Terminal),
            "tab\tand\nline: שלום 👨\u{200d}👩"
        );
    }

    proptest! {
        #[test]
        fn only_line_feeds_and_tabs_survive_as_controls(text in any::<String>()) {
            for medium in [Medium::Terminal, Medium::Pipe] {
                let shown = render(&message(&text), medium).1;
                prop_assert!(shown.ends_with('\n'));
                prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
            }
        }
    }
}
