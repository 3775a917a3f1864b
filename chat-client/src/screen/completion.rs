//! Tab: what may stand where the cursor is, one candidate after the other.

use crate::app::command::{self, Argument};

/// What the candidates are chosen from, besides the commands.
pub(super) struct Known<'a> {
    /// Who is in the room.
    pub(super) names: &'a [String],
    /// The servers that have a name, and those that are talked with.
    pub(super) servers: Vec<String>,
}

/// A completion under way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Completion {
    /// Where what is replaced begins, in bytes.
    pub(super) start: usize,
    /// What may stand there; the last one is what was typed.
    candidates: Vec<String>,
    chosen: usize,
}

impl Completion {
    /// Looks for what may stand before the cursor; `None` if nothing is known.
    pub(super) fn begin(line: &str, cursor: usize, known: &Known<'_>) -> Option<Self> {
        let before = line.get(..cursor)?;
        let start = before.rfind(char::is_whitespace).map_or(0, |at| {
            at + before.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8)
        });
        let typed = before.get(start..)?;
        let mut candidates = find(before.get(..start)?, typed, known);
        candidates.retain(|candidate| candidate != typed);
        if candidates.is_empty() {
            return None;
        }
        candidates.push(typed.to_owned());
        Some(Self { start, candidates, chosen: 0 })
    }

    /// Goes on to the next candidate or back to the one before, round and round.
    pub(super) fn turn(&mut self, forward: bool) {
        let count = self.candidates.len();
        self.chosen = (self.chosen + if forward { 1 } else { count - 1 }) % count;
    }

    /// Returns what is to stand there.
    pub(super) fn text(&self) -> &str {
        self.candidates.get(self.chosen).map_or("", String::as_str)
    }
}

fn find(before: &str, typed: &str, known: &Known<'_>) -> Vec<String> {
    let matching = |words: &mut dyn Iterator<Item = String>, after: &str| -> Vec<String> {
        let wanted = typed.to_lowercase();
        let words = words.filter(|word| word.to_lowercase().starts_with(&wanted));
        words.map(|word| format!("{word}{after}")).collect()
    };
    let mut words = before.split_whitespace();
    match words.next() {
        None if typed.starts_with('/') => matching(&mut command::names().map(str::to_owned), " "),
        // Who is spoken to at the beginning of a message is spoken to with a colon.
        None if typed.is_empty() => Vec::new(),
        None => matching(&mut known.names.iter().cloned(), ": "),
        Some(name) if name.starts_with('/') && !name.starts_with("//") => {
            if words.next().is_some() {
                return Vec::new();
            }
            match command::argument(name) {
                Argument::None => Vec::new(),
                Argument::OneOf(choices) => {
                    matching(&mut choices.iter().map(|choice| (*choice).to_owned()), " ")
                }
                // With the slash or without: `/help` takes both.
                Argument::Command if typed.starts_with('/') => {
                    matching(&mut command::names().map(str::to_owned), "")
                }
                Argument::Command => {
                    matching(&mut command::names().map(|name| name.trim_start_matches('/').to_owned()), "")
                }
                Argument::Name => matching(&mut known.names.iter().cloned(), " "),
                Argument::Server => matching(&mut known.servers.iter().cloned(), ""),
                Argument::Zone => matching(&mut jiff::tz::db().available().map(|zone| zone.to_string()), ""),
            }
        }
        Some(_) if typed.is_empty() => Vec::new(),
        Some(_) => matching(&mut known.names.iter().cloned(), " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Completes at the end of the line, `times` times.
    fn complete(line: &str, times: usize) -> Option<String> {
        let names = ["alice".to_owned(), "Alfred".to_owned(), "two words".to_owned()];
        let servers = ["office", "home", "home:1"].map(str::to_owned).to_vec();
        let known = Known { names: &names, servers };
        let mut completion = Completion::begin(line, line.len(), &known)?;
        (1..times).for_each(|_| completion.turn(true));
        Some(format!("{}{}", &line[..completion.start], completion.text()))
    }

    #[test]
    fn commands_their_arguments_and_names_are_completed() {
        for (line, expected) in [
            ("/jo", Some("/join ")),
            ("/encryption cl", Some("/encryption classic ")),
            ("/help enc", Some("/help encryption")),
            ("/help jo", Some("/help join")),
            ("/help x", None),
            ("/help /enc", Some("/help /encryption")),
            ("/date Europe/Par", Some("/date Europe/Paris")),
            ("/time europe/par", Some("/time Europe/Paris")),
            ("/connect h", Some("/connect home")),
            ("/connect o", Some("/connect office")),
            ("/connect home:", Some("/connect home:1")),
            ("/join al", None),
            ("al", Some("alice: ")),
            ("hello AL", Some("hello alice ")),
            ("hello ", None),
            ("", None),
            ("//al", None),
            ("/login alice al", None),
        ] {
            assert_eq!(complete(line, 1).as_deref(), expected, "{line:?}");
        }
    }

    #[test]
    fn candidates_come_one_after_the_other_and_what_was_typed_last() {
        let seen: Vec<_> = (1..=4).filter_map(|times| complete("hi al", times)).collect();
        assert_eq!(seen, ["hi alice ", "hi Alfred ", "hi al", "hi alice "]);
        let known = Known { names: &["bob".to_owned()], servers: Vec::new() };
        let mut completion = Completion::begin("b", 1, &known).unwrap();
        completion.turn(false);
        assert_eq!(completion.text(), "b");
    }
}
