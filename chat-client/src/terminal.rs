//! Use by a person: the full screen on a real terminal.
//!
//! `screen` decides what is on it, `desk` has the clock and the files. Here is the terminal: `modes` prepares it and puts it
//! back, `output` writes to it. Keys are read by a thread of their own.
//!
//! Invariant: the driver waits neither for the keys nor for a terminal that stands still.

mod modes;
mod output;

use std::io;
use std::time::{Duration, Instant};

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event as TerminalEvent};
use ratatui::layout::Rect;
use rustix::process::{Signal as Kill, kill_current_process_group};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use self::modes::Modes;
use self::output::Frames;
use crate::app::command::ScreenCommand;
use crate::app::{Event, Question, Show, Status};
use crate::desk::Desk;
use crate::driver::{Front, TabId};
use crate::screen::{Act, Look};

/// The screen is drawn sixty times a second at most.
const FRAME: Duration = Duration::from_micros(16_667);
/// What is typed while the client is busy waits up to this number of keys.
const KEYS_AHEAD: usize = 1024;
/// What the desktop is told. Nothing of what was said: it may be read by others there.
const NAMED: &str = "chat: somebody named you";
/// How long a shell may take to stop the program; where there is no shell, nothing does.
const SUSPEND_PATIENCE: Duration = Duration::from_millis(100);

/// The terminal cannot be used; lines still can.
#[derive(Debug, thiserror::Error)]
#[error("this terminal cannot show a full screen")]
pub struct TerminalError(#[source] io::Error);

/// What a person may want of the terminal.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// How the screen is to look.
    pub look: Look,
    /// The time zone of what the screen says.
    pub zone: String,
    /// Let the wheel scroll; the terminal's own selecting then needs Shift.
    pub mouse: bool,
    /// Ring the bell when somebody names this client's user.
    pub bell: bool,
    /// Let the desktop tell of it.
    pub notify: bool,
}

/// The front for people.
#[derive(Debug)]
pub struct Terminal {
    desk: Desk,
    canvas: ratatui::Terminal<CrosstermBackend<Frames>>,
    frames: Frames,
    keys: mpsc::Receiver<TerminalEvent>,
    bell: bool,
    notify: bool,
    title: String,
    /// The picture is not what it should be.
    stale: bool,
    next_frame: Instant,
    interrupts: Signal,
    terminations: Signal,
    hangups: Signal,
    continuations: Signal,
    modes: Modes,
}

impl Terminal {
    /// Takes over the terminal. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`TerminalError`] if this is no terminal, or not one that has a screen.
    pub fn start(wishes: Wishes) -> Result<Self, TerminalError> {
        if std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb") {
            return Err(TerminalError(io::ErrorKind::Unsupported.into()));
        }
        let catch = |kind| signal(kind).map_err(TerminalError);
        let frames = Frames::start(output::write_standard);
        let canvas = ratatui::Terminal::new(CrosstermBackend::new(frames.clone())).map_err(TerminalError)?;
        Ok(Self {
            desk: Desk::new(wishes.look, &wishes.zone),
            canvas,
            keys: read_keys(),
            bell: wishes.bell,
            notify: wishes.notify,
            title: String::new(),
            stale: true,
            next_frame: Instant::now(),
            interrupts: catch(SignalKind::interrupt())?,
            terminations: catch(SignalKind::terminate())?,
            hangups: catch(SignalKind::hangup())?,
            continuations: catch(SignalKind::from_raw(Kill::CONT.as_raw()))?,
            // Last: what is above fails without having touched the terminal.
            modes: Modes::enter(frames.clone(), wishes.mouse).map_err(TerminalError)?,
            frames,
        })
    }

    /// Draws, unless the terminal still takes the last picture.
    fn draw(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let screen = &mut self.desk.screen;
        self.frames.begin();
        self.canvas.draw(|frame| {
            let cursor = screen.draw(frame.buffer_mut(), now);
            if let Some(cursor) = cursor {
                frame.set_cursor_position(cursor);
            }
        })?;
        let title = self.desk.screen.title();
        if title != self.title {
            self.frames.title(&title);
            self.title = title;
        }
        self.frames.end();
        (self.stale, self.next_frame) = (false, now + FRAME);
        Ok(())
    }

    /// Draws everything anew with the next picture.
    fn redraw(&mut self) -> io::Result<()> {
        let size = self.canvas.size()?;
        self.canvas.resize(Rect::new(0, 0, size.width, size.height))?;
        self.stale = true;
        Ok(())
    }

    fn take(&mut self, event: TerminalEvent) -> io::Result<()> {
        self.stale = true;
        let tab = self.desk.screen.tab();
        for act in self.desk.screen.handle(event) {
            match self.desk.perform(tab, act) {
                Some(Act::Suspend) => self.suspend()?,
                Some(Act::Redraw) => self.redraw()?,
                Some(Act::Tell(_) | Act::Remember(_)) | None => {}
            }
        }
        Ok(())
    }

    /// Gives the terminal back to the shell until it continues the program.
    fn suspend(&mut self) -> io::Result<()> {
        self.modes.leave();
        kill_current_process_group(Kill::TSTP)?;
        // The signal may reach another thread first; here nothing must happen before it stops them all.
        std::thread::sleep(SUSPEND_PATIENCE);
        self.resume()
    }

    fn resume(&mut self) -> io::Result<()> {
        self.modes.resume()?;
        self.title.clear();
        self.redraw()
    }

    /// Waits until there is something to do; returns what the client is to hear, if that is it.
    async fn wait(&mut self) -> io::Result<Option<Event>> {
        let counting = self.desk.screen.is_counting();
        let (stale, frame) = (self.stale, tokio::time::Instant::from_std(self.next_frame));
        let written = self.frames.written();
        tokio::select! {
            Some(event) = self.keys.recv() => {
                self.take(event)?;
                // What was typed or pasted in one go is one picture.
                while let Ok(event) = self.keys.try_recv() {
                    self.take(event)?;
                }
            }
            _ = self.interrupts.recv() => return Ok(Some(Event::Interrupt)),
            _ = self.terminations.recv() => return Ok(Some(Event::Terminate)),
            _ = self.hangups.recv() => return Ok(Some(Event::Terminate)),
            _ = self.continuations.recv() => self.resume()?,
            () = async { tokio::time::sleep_until(frame).await; written.await }, if stale => {}
            () = tokio::time::sleep(Duration::from_millis(250)), if counting && !stale => self.stale = true,
        }
        Ok(None)
    }
}

impl Front for Terminal {
    fn show(&mut self, tab: TabId, show: &Show) -> io::Result<()> {
        self.frames.failure()?;
        if self.desk.show(tab, show) {
            if self.bell {
                self.frames.ring();
            }
            if self.notify {
                self.frames.notify(NAMED);
            }
        }
        self.stale = true;
        Ok(())
    }

    fn follow(&mut self, tab: TabId, status: Status) {
        self.desk.screen.follow(tab, status);
        self.stale = true;
    }

    fn close(&mut self, tab: TabId) {
        self.desk.screen.close(tab);
        self.stale = true;
    }

    fn command(&mut self, tab: TabId, command: ScreenCommand) {
        self.desk.command(tab, &command);
        self.stale = true;
    }

    fn want_line(&mut self, tab: TabId) {
        self.desk.want_line(tab);
    }

    fn ask(&mut self, tab: TabId, question: Question) {
        self.desk.screen.ask(tab, &question);
        self.stale = true;
    }

    fn room(&self) -> impl Future<Output = ()> + 'static {
        // What is not in view costs nothing but memory, and that is bounded.
        std::future::ready(())
    }

    async fn next(&mut self) -> (TabId, Event) {
        loop {
            let due = self.stale && self.next_frame <= Instant::now() && self.frames.is_written();
            if due && self.draw().is_err() {
                return (self.desk.screen.tab(), Event::Terminate);
            }
            if let Some(told) = self.desk.told.pop_front() {
                return told;
            }
            match self.wait().await {
                Ok(None) => {}
                Ok(Some(event)) => return (self.desk.screen.tab(), event),
                // The terminal is gone.
                Err(_) => return (self.desk.screen.tab(), Event::Terminate),
            }
        }
    }
}

/// Reads keys as they are pressed.
fn read_keys() -> mpsc::Receiver<TerminalEvent> {
    let (sender, keys) = mpsc::channel(KEYS_AHEAD);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    keys
}
