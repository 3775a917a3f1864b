//! A log of what is shown, for those who ask for one: every front can be wrapped in it.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::app::command::ScreenCommand;
use crate::app::{Event, Question, Show, Status};
use crate::display::{self, Medium};
use crate::driver::{Front, TabId};
use crate::private_file;

/// The log cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the log {}", path.display())]
pub struct TranscriptError {
    /// The file.
    path: PathBuf,
    /// What the system said.
    source: io::Error,
}

/// A front, and a file that says what it showed and when. Questions and answers are not in it.
#[derive(Debug)]
pub struct Transcript<F> {
    front: F,
    file: Option<File>,
    /// The last line could not be written, and the person knows.
    failing: bool,
    zone: TimeZone,
    /// What the servers are called that are talked with.
    places: Vec<(TabId, String)>,
}

impl<F> Transcript<F> {
    /// Logs to `path` what `front` shows; without a path, nothing. `~/` at its beginning is `home`. The file is made if there
    /// is none, grows, and is for its owner alone.
    ///
    /// # Errors
    ///
    /// [`TranscriptError`].
    pub fn start(
        front: F,
        path: Option<&Path>,
        home: Option<&Path>,
        zone: &str,
    ) -> Result<Self, TranscriptError> {
        let file = path.map(|path| {
            let path = private_file::at_home(path, home);
            private_file::append(&path).map_err(|source| TranscriptError { path, source })
        });
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        Ok(Self { front, file: file.transpose()?, failing: false, zone, places: Vec::new() })
    }

    /// Returns the front.
    pub fn into_front(self) -> F {
        self.front
    }
}

impl<F: Front> Front for Transcript<F> {
    fn show(&mut self, tab: TabId, show: &Show) -> io::Result<()> {
        // Who came or went is there already.
        let is_repeated = matches!(show, Show::UsersChanged(_));
        if let Some(file) = self.file.as_mut().filter(|_| !is_repeated) {
            let (_, text) = display::render(show, Medium::Pipe);
            let now = Timestamp::now().to_zoned(self.zone.clone());
            let line = format!("{}{} {text}", now.strftime("%Y-%m-%d %H:%M:%S"), beside(&self.places, tab));
            // A disk that is full must not end a conversation, but whoever wants a log is told once that it has gaps.
            let written = file.write_all(line.as_bytes());
            let told = std::mem::replace(&mut self.failing, written.is_err());
            if let (Err(error), false) = (written, told) {
                self.front.show(tab, &Show::Error(format!("the log has gaps from here on: {error}")))?;
            }
        }
        self.front.show(tab, show)
    }

    fn follow(&mut self, tab: TabId, status: Status) {
        let place = display::sanitise(&status.place(), Medium::Pipe).replace('\n', " ");
        match self.places.iter_mut().find(|(known, _)| *known == tab) {
            Some((_, known)) => *known = place,
            None => self.places.push((tab, place)),
        }
        self.front.follow(tab, status);
    }

    fn close(&mut self, tab: TabId) {
        self.places.retain(|(known, _)| *known != tab);
        self.front.close(tab);
    }

    fn command(&mut self, tab: TabId, command: ScreenCommand) {
        self.front.command(tab, command);
    }

    fn want_line(&mut self, tab: TabId) {
        self.front.want_line(tab);
    }

    fn ask(&mut self, tab: TabId, question: Question) {
        self.front.ask(tab, question);
    }

    fn room(&self) -> impl Future<Output = ()> + 'static {
        self.front.room()
    }

    async fn next(&mut self) -> (TabId, Event) {
        self.front.next().await
    }
}

/// Says of which server a line tells, if there are several.
fn beside(places: &[(TabId, String)], tab: TabId) -> String {
    let place = places.iter().find(|(known, _)| *known == tab).filter(|_| places.len() > 1);
    place.map(|(_, place)| format!(" [{place}]")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use chat_core::known_servers::ServerAddress;

    use super::*;
    use crate::app::Stage;

    /// Shows nothing.
    struct Nobody;

    impl Front for Nobody {
        fn show(&mut self, _: TabId, _: &Show) -> io::Result<()> {
            Ok(())
        }

        fn want_line(&mut self, _: TabId) {}

        fn ask(&mut self, _: TabId, _: Question) {}

        fn room(&self) -> impl Future<Output = ()> + 'static {
            std::future::ready(())
        }

        async fn next(&mut self) -> (TabId, Event) {
            std::future::pending().await
        }
    }

    fn status(name: Option<&str>, host: &str) -> Status {
        Status {
            address: ServerAddress::new(host, 4000),
            name: name.map(str::to_owned),
            stage: Stage::Online,
            me: None,
            joined: false,
            protection: None,
            round_trip: None,
            users: None,
            awaits_password: false,
        }
    }

    #[test]
    fn a_line_says_of_which_server_it_tells_while_there_are_several() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = Transcript::start(Nobody, Some(&path), None, "UTC").unwrap();
        let (first, second) = (TabId::FIRST, TabId(7));
        let say =
            |log: &mut Transcript<Nobody>, tab, text: &str| log.show(tab, &Show::Note(text.into())).unwrap();
        log.follow(first, status(Some("home"), "chat.example"));
        say(&mut log, first, "alone");
        log.follow(second, status(None, "work.example"));
        say(&mut log, first, "one of two");
        say(&mut log, second, "the other");
        log.close(first);
        say(&mut log, second, "left over");
        let written = std::fs::read_to_string(&path).unwrap();
        let texts: Vec<_> = written.lines().map(|line| &line["2026-11-22 12:04:00 ".len()..]).collect();
        assert_eq!(
            texts,
            ["* alone", "[home] * one of two", "[work.example:4000] * the other", "* left over"]
        );
    }
}
