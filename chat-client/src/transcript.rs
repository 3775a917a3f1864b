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
        Ok(Self { front, file: file.transpose()?, failing: false, zone })
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
            let beside = if tab == TabId::FIRST { String::new() } else { format!(" [{}]", tab.0 + 1) };
            let line = format!("{}{beside} {text}", now.strftime("%Y-%m-%d %H:%M:%S"));
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
        self.front.follow(tab, status);
    }

    fn close(&mut self, tab: TabId) {
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
