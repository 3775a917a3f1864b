//! Use by a person: a line editor below, the chat scrolling above it.
//!
//! The editor blocks, so it has a thread of its own (`editor`); so has the printing (`screen`), which must wait while the
//! editor redraws. The driver never waits for either.

mod editor;
mod screen;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::mpsc as blocking;

use etcetera::BaseStrategy as _;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use self::editor::Wish;
use self::screen::Screen;
use crate::app::{Event, Question, Show};
use crate::display::{self, Medium};
use crate::driver::Front;

/// Undoes what the line editor asks of the terminal while a line is edited, and ends that line.
const BRACKETED_PASTE_OFF: &[u8] = b"\x1b[?2004l\n";

/// The terminal cannot be used; lines still can.
#[derive(Debug, thiserror::Error)]
#[error("this terminal cannot be edited in")]
pub struct TerminalError(#[source] io::Error);

/// The front for people.
#[derive(Debug)]
pub struct Terminal {
    wishes: blocking::Sender<Wish>,
    events: mpsc::UnboundedReceiver<Event>,
    screen: Screen,
    waiting: bool,
    interrupts: Signal,
    terminations: Signal,
    hangups: Signal,
    _settings: Settings,
}

/// The terminal's settings as they were found; put back when the client ends, also by a signal or a panic in the middle
/// of a line.
#[derive(Debug)]
struct Settings(Termios);

impl Drop for Settings {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that has gone away: what fails here fails silently.
        let in_a_line = tcgetattr(io::stdin()).is_ok_and(|now| now.local_modes != self.0.local_modes);
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
        if in_a_line {
            let _ = io::stdout().write_all(BRACKETED_PASTE_OFF);
            let _ = io::stdout().flush();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.screen.flush();
    }
}

impl Terminal {
    /// Takes over the terminal. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`TerminalError`] if this is no terminal, or not one that a line can be edited in.
    pub fn start() -> Result<Self, TerminalError> {
        let settings = Settings(tcgetattr(io::stdin()).map_err(|error| TerminalError(error.into()))?);
        let (wishes, wished) = blocking::channel();
        // Holds one event at most: the editor waits for a wish before each.
        let (sender, events) = mpsc::unbounded_channel();
        let printer = editor::start(history_file(), wished, sender).map_err(TerminalError)?;
        let catch = |kind| signal(kind).map_err(TerminalError);
        Ok(Self {
            wishes,
            events,
            screen: Screen::start(printer),
            waiting: false,
            interrupts: catch(SignalKind::interrupt())?,
            terminations: catch(SignalKind::terminate())?,
            hangups: catch(SignalKind::hangup())?,
            _settings: settings,
        })
    }

    fn wish(&mut self, wish: Wish) {
        self.waiting = self.wishes.send(wish).is_ok();
    }
}

impl Front for Terminal {
    fn show(&mut self, show: &Show) -> io::Result<()> {
        self.screen.print(&display::render(show, Medium::Terminal).1);
        Ok(())
    }

    fn want_line(&mut self) {
        if !self.waiting {
            // What was said before the prompt stands above it.
            self.screen.flush();
            self.wish(Wish::Line);
        }
    }

    fn ask(&mut self, question: Question) {
        self.screen.flush();
        let Question { prompt, hidden } = question;
        self.wish(Wish::Answer { prompt: display::sanitise(&prompt, Medium::Terminal), hidden });
    }

    fn room(&self) -> impl Future<Output = ()> + 'static {
        self.screen.room()
    }

    async fn next(&mut self) -> Event {
        tokio::select! {
            Some(event) = self.events.recv() => {
                self.waiting = false;
                event
            }
            _ = self.interrupts.recv() => Event::Interrupt,
            _ = self.terminations.recv() => Event::Terminate,
            _ = self.hangups.recv() => Event::Terminate,
        }
    }
}

/// Returns where the history is kept: `chat-client/history` in `XDG_STATE_HOME` (default `~/.local/state`).
fn history_file() -> Option<PathBuf> {
    let directories = etcetera::choose_base_strategy().ok()?;
    Some(directories.state_dir()?.join("chat-client").join("history"))
}
