//! What scripts want: lines that are given beforehand, an end when something is said, an end when time is up.

use std::collections::VecDeque;
use std::time::Duration;

use regex_lite::Regex;
use tokio::time::Instant;

use crate::app::Event;

/// Where the lines come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Input {
    /// Standard input.
    #[default]
    Standard,
    /// They are given.
    Given(Vec<String>),
    /// There are none, and the program stays.
    None,
}

/// How far a script is.
#[derive(Debug)]
pub(super) struct Script {
    /// Lines that are left; `None` if they come from standard input.
    given: Option<VecDeque<String>>,
    /// The end of the lines is not the end of the program.
    stays: bool,
    wait_for: Option<Regex>,
    by: Option<Instant>,
    wanted: bool,
    ended: bool,
    timed_out: bool,
}

impl Script {
    pub(super) fn new(input: Input, wait_for: Option<Regex>, timeout: Option<Duration>) -> Self {
        let stays = input == Input::None || wait_for.is_some();
        let given = match input {
            Input::Standard => None,
            Input::Given(lines) => Some(lines.into()),
            Input::None => Some(VecDeque::new()),
        };
        let by = timeout.map(|timeout| Instant::now() + timeout);
        Self { given, stays, wait_for, by, wanted: false, ended: false, timed_out: false }
    }

    /// Tells whether lines come from standard input.
    pub(super) fn reads_input(&self) -> bool {
        self.given.is_none()
    }

    /// Takes note that a line is wanted.
    pub(super) fn want_line(&mut self) {
        self.wanted = true;
    }

    /// Looks at what is said: the end may have come.
    pub(super) fn hear(&mut self, said: &str) {
        if self.wait_for.as_ref().is_some_and(|pattern| said.lines().any(|line| pattern.is_match(line))) {
            (self.wait_for, self.stays) = (None, false);
            // What is still to be read is not waited for.
            self.given = Some(VecDeque::new());
            self.wanted = true;
        }
    }

    /// Tells whether the end of standard input is to be passed over: something is still waited for.
    pub(super) fn outlasts_input(&self) -> bool {
        self.stays
    }

    /// Tells whether time was up.
    pub(super) fn timed_out(&self) -> bool {
        self.timed_out
    }

    /// Waits for the next line or end that the script has; for ever if it has none. May be dropped and called again at any
    /// time.
    pub(super) async fn next(&mut self) -> Event {
        if self.wanted
            && !self.ended
            && let Some(given) = &mut self.given
        {
            match given.pop_front() {
                Some(line) => {
                    self.wanted = false;
                    return Event::Line(line);
                }
                None if !self.stays => {
                    self.ended = true;
                    return Event::EndOfInput;
                }
                None => {}
            }
        }
        match self.by {
            Some(by) if !self.timed_out => {
                tokio::time::sleep_until(by).await;
                self.timed_out = true;
                Event::Terminate
            }
            _ => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn next(script: &mut Script) -> Option<String> {
        script.want_line();
        let event = tokio::time::timeout(Duration::from_millis(10), script.next()).await.ok()?;
        Some(match event {
            Event::Line(line) => line,
            event => format!("{event:?}"),
        })
    }

    #[tokio::test]
    async fn given_lines_come_one_by_one_and_then_the_end() {
        let mut script = Script::new(Input::Given(vec!["a".to_owned(), "b".to_owned()]), None, None);
        assert!(!script.reads_input() && !script.outlasts_input());
        for expected in [Some("a"), Some("b"), Some("EndOfInput"), None] {
            assert_eq!(next(&mut script).await.as_deref(), expected);
        }
        assert_eq!(next(&mut Script::new(Input::None, None, None)).await, None);
        assert_eq!(next(&mut Script::new(Input::Standard, None, None)).await, None);
    }

    #[tokio::test]
    async fn something_that_is_waited_for_ends_it() {
        let wait_for = Some(Regex::new("^bob: .*done$").unwrap());
        let mut script = Script::new(Input::Standard, wait_for, None);
        script.hear("bob: not yet\n");
        assert!(script.outlasts_input());
        assert_eq!(next(&mut script).await, None);
        script.hear("alice: x\nbob: all is done\n");
        assert_eq!(next(&mut script).await.as_deref(), Some("EndOfInput"));
        assert_eq!(next(&mut script).await, None);
    }

    #[tokio::test]
    async fn when_time_is_up_it_ends_once() {
        let mut script = Script::new(Input::None, None, Some(Duration::from_millis(5)));
        assert_eq!(next(&mut script).await.as_deref(), Some("Terminate"));
        assert!(script.timed_out());
        assert_eq!(next(&mut script).await, None);
    }
}
