//! Lines that were typed before. What may hold a password is never among them; the file is `desk`'s.

use crate::app::command;

/// So many lines are remembered.
pub const HISTORY_LINES: usize = 1000;

#[derive(Debug, Default)]
pub(super) struct History {
    lines: Vec<String>,
}

/// Which of the lines is shown in an input, and what was being typed there before.
#[derive(Debug, Default)]
pub(super) struct Recalled(Option<(usize, String)>);

impl History {
    pub(super) fn new(mut lines: Vec<String>) -> Self {
        lines.drain(..lines.len().saturating_sub(HISTORY_LINES));
        Self { lines }
    }

    /// Remembers a line; tells whether it is to be kept for later sessions as well.
    pub(super) fn add(&mut self, line: &str) -> bool {
        let repeated = self.lines.last().is_some_and(|last| last == line);
        if line.trim().is_empty() || repeated || !command::is_memorable(line) {
            return false;
        }
        if self.lines.len() == HISTORY_LINES {
            self.lines.remove(0);
        }
        self.lines.push(line.to_owned());
        true
    }

    /// Returns the line before the one shown. `typed` is what is in the input box; it comes back behind the newest line,
    /// unless a password may be in it.
    pub(super) fn older(&self, recalled: &mut Recalled, typed: &str) -> Option<&str> {
        let draft = if command::is_memorable(typed) { typed } else { "" };
        let (at, draft) = recalled.0.take().unwrap_or((self.lines.len(), draft.to_owned()));
        let older = at.saturating_sub(1);
        recalled.0 = Some((older, draft));
        self.lines.get(older).map(String::as_str)
    }

    /// Returns the last line before the one shown that has in it what was being typed; `None` if there is none.
    pub(super) fn older_like(&self, recalled: &mut Recalled, typed: &str) -> Option<&str> {
        let draft = recalled.0.as_ref().map_or(typed, |(_, draft)| draft.as_str());
        if !command::is_memorable(draft) {
            return None;
        }
        let at = recalled.0.as_ref().map_or(self.lines.len(), |(at, _)| *at);
        let found = self.lines.get(..at)?.iter().rposition(|line| line.contains(draft))?;
        recalled.0 = Some((found, draft.to_owned()));
        self.lines.get(found).map(String::as_str)
    }

    /// Returns the line after the one shown, or what was being typed; `None` if no older line is shown.
    pub(super) fn newer(&self, recalled: &mut Recalled) -> Option<String> {
        let (at, draft) = recalled.0.take()?;
        match self.lines.get(at + 1) {
            Some(line) => {
                let line = line.clone();
                recalled.0 = Some((at + 1, draft));
                Some(line)
            }
            None => Some(draft),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_in_both_directions_and_the_draft_last() {
        let mut history = History::new(vec!["one".to_owned()]);
        let mut at = Recalled::default();
        assert!(history.add("two") && !history.add("two") && !history.add(" "));
        assert_eq!(history.newer(&mut at), None);
        assert_eq!(history.older(&mut at, "half"), Some("two"));
        assert_eq!(history.older(&mut at, "two"), Some("one"));
        assert_eq!(history.older(&mut at, "one"), Some("one"));
        assert_eq!(
            (history.newer(&mut at).as_deref(), history.newer(&mut at).as_deref()),
            (Some("two"), Some("half"))
        );
        assert_eq!(history.newer(&mut at), None);
        assert_eq!(History::default().older(&mut at, "x"), None);
    }

    #[test]
    fn lines_are_found_by_a_part_of_them() {
        let history = History::new(["join us", "hello", "/join", "bye"].map(str::to_owned).to_vec());
        let mut at = Recalled::default();
        assert_eq!(history.older_like(&mut at, "joi"), Some("/join"));
        assert_eq!(history.older_like(&mut at, "/join"), Some("join us"));
        assert_eq!(history.older_like(&mut at, "join us"), None);
        assert_eq!(history.newer(&mut at).as_deref(), Some("hello"));
        assert_eq!(history.older_like(&mut Recalled::default(), "/login alice s3cret"), None);
        assert_eq!(history.older_like(&mut Recalled::default(), ""), Some("bye"));
    }

    #[test]
    fn what_may_hold_a_password_is_not_remembered() {
        let (mut history, mut at) = (History::default(), Recalled::default());
        for line in ["/login alice s3cret", " /login alice s3cret", "/log alice s3cret"] {
            assert!(!history.add(line));
        }
        assert_eq!(history.older(&mut at, "/login alice s3cret"), None);
        assert_eq!(history.newer(&mut at).as_deref(), Some(""));
    }

    #[test]
    fn memory_is_bounded() {
        let mut history = History::new((0..2 * HISTORY_LINES).map(|i| i.to_string()).collect());
        history.add("newest");
        assert_eq!(history.lines.len(), HISTORY_LINES);
        assert_eq!(history.lines.first().map(String::as_str), Some("1001"));
    }
}
