//! A person's place at the client, whatever it is drawn with: the screen, and the clock and the files that go with it.
//!
//! `terminal` and `window` draw it and press its keys; `history` keeps lines for later sessions.

mod history;

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use self::history::HistoryFile;
use crate::app::command::ScreenCommand;
use crate::app::{Event, Show};
use crate::driver::TabId;
use crate::private_file;
use crate::screen::{Act, Look, Screen};

/// The screen, and what goes with it.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) screen: Screen,
    /// What the client has not heard yet; what was typed, so nobody else makes it grow.
    pub(crate) told: VecDeque<(TabId, Event)>,
    zone: TimeZone,
    history: Option<HistoryFile>,
}

impl Desk {
    /// Sets a desk up, with what was typed in earlier sessions. `zone` is the time zone of what the screen says.
    pub(crate) fn new(look: Look, zone: &str) -> Self {
        let (history, lines) =
            HistoryFile::of_user().map_or((None, Vec::new()), |(file, lines)| (Some(file), lines));
        Self {
            screen: Screen::new(look, lines),
            told: VecDeque::new(),
            zone: TimeZone::get(zone).unwrap_or(TimeZone::UTC),
            history,
        }
    }

    /// Shows something that has just come; tells whether it should call the person, because it names them.
    pub(crate) fn show(&mut self, tab: TabId, show: &Show) -> bool {
        let now = Timestamp::now().to_zoned(self.zone.clone()).datetime();
        self.screen.show(tab, now, show)
    }

    /// Does what a command asks of the screen.
    pub(crate) fn command(&mut self, tab: TabId, command: &ScreenCommand) {
        if let ScreenCommand::Export(file) = command {
            let home = etcetera::home_dir().ok();
            let file = private_file::at_home(Path::new(file), home.as_deref());
            let said = export(&file, &self.screen.transcript(tab));
            self.show(tab, &said);
        }
        self.screen.command(tab, command);
    }

    /// Takes note that the client wants a line.
    pub(crate) fn want_line(&mut self, tab: TabId) {
        // It does not know yet what it wants if it has not heard all that was typed.
        if self.told.iter().any(|(told, _)| *told == tab) {
            return;
        }
        self.told.extend(self.screen.want_line(tab).map(|line| (tab, line)));
    }

    /// Does what the person wants, if that does not depend on what the screen is drawn with; returns it otherwise. `tab` was
    /// in view when it was wanted.
    pub(crate) fn perform(&mut self, tab: TabId, act: Act) -> Option<Act> {
        match act {
            Act::Tell(event) => self.told.push_back((tab, event)),
            Act::Remember(line) => {
                if let Some(history) = &self.history {
                    history.append(&line);
                }
            }
            Act::Suspend | Act::Redraw => return Some(act),
        }
        None
    }
}

/// Writes a transcript to a new file that only its owner can read; returns what to say about it.
fn export(file: &Path, transcript: &str) -> Show {
    let written: io::Result<()> = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut file| file.write_all(transcript.as_bytes()));
    match written {
        Ok(()) => {
            let lines = transcript.lines().count();
            Show::Note(format!("what was said here, {lines} lines, is written to {}", file.display()))
        }
        Err(error) => Show::Error(format!("cannot write to {}: {error}", file.display())),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::{Event as TerminalEvent, KeyCode, KeyEvent, KeyModifiers};

    use super::*;

    fn type_line(desk: &mut Desk, line: &str) {
        for code in line.chars().map(KeyCode::Char).chain([KeyCode::Enter]) {
            for act in desk.screen.handle(TerminalEvent::Key(KeyEvent::new(code, KeyModifiers::NONE))) {
                desk.perform(TabId::FIRST, act);
            }
        }
    }

    #[test]
    fn nobody_who_has_not_heard_of_a_login_yet_wants_the_next_line() {
        let screen = Screen::new(Look::default(), Vec::new());
        let mut desk = Desk { screen, told: VecDeque::new(), zone: TimeZone::UTC, history: None };
        desk.want_line(TabId::FIRST);
        type_line(&mut desk, "/login carol");
        // Something else happened meanwhile, after which a line is wanted.
        desk.want_line(TabId::FIRST);
        type_line(&mut desk, "hunter2");
        assert_eq!(desk.told.len(), 1);
        desk.told.clear();
        desk.want_line(TabId::FIRST);
        type_line(&mut desk, "hello");
        assert!(matches!(desk.told.pop_front(), Some((_, Event::Line(line))) if line == "hello"));
    }
}
