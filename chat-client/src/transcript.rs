//! A log of what is shown, for those who ask for one: every front can be wrapped in it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::app::command::ScreenCommand;
use crate::app::{Event, Question, Show, Status};
use crate::display::{self, Medium};
use crate::driver::{Front, TabId};

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
    zone: TimeZone,
}

impl<F> Transcript<F> {
    /// Logs to `path` what `front` shows; without a path, nothing. `~/` at its beginning is `home`. The file is made for its
    /// owner alone if there is none, and grows.
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
            let path = match (path.strip_prefix("~"), home) {
                (Ok(inside), Some(home)) => home.join(inside),
                _ => path.to_owned(),
            };
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
            file.map_err(|source| TranscriptError { path, source })
        });
        Ok(Self { front, file: file.transpose()?, zone: TimeZone::get(zone).unwrap_or(TimeZone::UTC) })
    }

    /// Returns the front.
    pub fn into_front(self) -> F {
        self.front
    }
}

impl<F: Front> Front for Transcript<F> {
    fn show(&mut self, tab: TabId, show: &Show) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            let (_, text) = display::render(show, Medium::Pipe);
            let now = Timestamp::now().to_zoned(self.zone.clone());
            // A disk that is full must not end a conversation.
            let tab = if tab == TabId::FIRST { String::new() } else { format!(" [{}]", tab.0 + 1) };
            let _ = file.write_all(format!("{}{tab} {text}", now.strftime("%Y-%m-%d %H:%M:%S")).as_bytes());
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
