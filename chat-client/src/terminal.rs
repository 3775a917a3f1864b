//! Use by a person: the full screen on a real terminal.
//!
//! `screen` decides what is on it, `desk` has the clock and the files. Here is the terminal: `modes` prepares it and puts it
//! back, `output` writes to it. Keys are read by a thread of their own, and another waits for the end of the terminal.
//!
//! Invariant: the driver waits neither for the keys nor for a terminal that stands still.

mod modes;
mod output;

use std::io;
use std::time::{Duration, Instant};

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event as TerminalEvent};
use ratatui::crossterm::style::force_color_output;
use ratatui::layout::Rect;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use self::modes::Modes;
use self::output::Frames;
use crate::app::command::ScreenCommand;
use crate::app::{Event, Question, Show, Status};
use crate::desk::Desk;
use crate::driver::{Front, TabId};
use crate::job::{self, Sign, Signs};
use crate::screen::{Act, Look};

/// The screen is drawn sixty times a second at most.
const FRAME: Duration = Duration::from_micros(16_667);
/// What nobody waits for is drawn half as often: so most keys find that a picture may be drawn at once, however much comes in.
const FRAME_UNASKED: Duration = FRAME.saturating_mul(2);
/// The bell rings, and the desktop tells, so often at most.
const ALERT_EVERY: Duration = Duration::from_secs(2);
/// What is typed while the client is busy waits up to this number of keys.
const KEYS_AHEAD: usize = 1024;
/// What the desktop is told. Nothing of what was said: it may be read by others there.
const NAMED: &str = "chat: somebody named you";

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
    /// Somebody named this client's user, and the person has not been told.
    named: bool,
    /// When the person may be told again: thousands in a second are told of once.
    next_alert: Instant,
    title: String,
    /// The picture is not what it should be.
    stale: bool,
    /// Because of what the person did.
    asked: bool,
    last_frame: Option<Instant>,
    interrupts: Signal,
    terminations: Signal,
    signs: Signs,
    /// Says that the terminal is gone, whether or not a signal does.
    gone: mpsc::Receiver<()>,
    /// The client has been told that it is gone.
    lost: bool,
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
        // Which colours there are is the screen's to say, which knows of NO_COLOR. What crossterm makes of that by itself is
        // to write colours as sequences that end bold and reversed letters, too.
        force_color_output(true);
        let catch = |kind| signal(kind).map_err(TerminalError);
        let frames = Frames::start(output::write_standard);
        let canvas = ratatui::Terminal::new(CrosstermBackend::new(frames.clone())).map_err(TerminalError)?;
        Ok(Self {
            desk: Desk::new(wishes.look, &wishes.zone),
            canvas,
            keys: read_keys(),
            bell: wishes.bell,
            notify: wishes.notify,
            named: false,
            next_alert: Instant::now(),
            title: String::new(),
            stale: true,
            asked: true,
            last_frame: None,
            interrupts: catch(SignalKind::interrupt())?,
            terminations: catch(SignalKind::terminate())?,
            signs: Signs::start().map_err(TerminalError)?,
            gone: watch_terminal(),
            lost: false,
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
        self.alert(now);
        self.frames.end();
        (self.stale, self.asked, self.last_frame) = (false, false, Some(now));
        Ok(())
    }

    /// Tells with the picture that somebody named this client's user, unless that was just told.
    fn alert(&mut self, now: Instant) {
        if !std::mem::take(&mut self.named) || now < self.next_alert {
            return;
        }
        self.next_alert = now + ALERT_EVERY;
        if self.bell {
            self.frames.ring();
        }
        if self.notify {
            self.frames.notify(NAMED);
        }
    }

    /// Draws everything anew with the next picture.
    fn redraw(&mut self) -> io::Result<()> {
        let size = self.canvas.size()?;
        self.canvas.resize(Rect::new(0, 0, size.width, size.height))?;
        (self.stale, self.asked) = (true, true);
        Ok(())
    }

    /// Returns when the next picture may be drawn; `None` for at once.
    fn next_frame(&self) -> Option<Instant> {
        self.last_frame.map(|last| last + if self.asked { FRAME } else { FRAME_UNASKED })
    }

    fn take(&mut self, event: TerminalEvent) -> io::Result<()> {
        (self.stale, self.asked) = (true, true);
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
        job::stop()?;
        self.resume()
    }

    fn resume(&mut self) -> io::Result<()> {
        self.modes.resume()?;
        self.title.clear();
        self.redraw()
    }

    /// The terminal is gone; that is told once, since being told twice means to leave without a goodbye.
    fn lose(&mut self) -> Option<Event> {
        (!std::mem::replace(&mut self.lost, true)).then_some(Event::Terminate)
    }

    /// Waits until there is something to do; returns what the client is to hear, if that is it.
    async fn wait(&mut self) -> io::Result<Option<Event>> {
        let counting = self.desk.screen.is_counting();
        let frame = self.next_frame().unwrap_or_else(Instant::now).into();
        let stale = self.stale;
        let written = self.frames.written();
        tokio::select! {
            Some(event) = self.keys.recv() => {
                self.take(event)?;
                // What was typed or pasted in one go is one picture.
                while let Ok(event) = self.keys.try_recv() {
                    self.take(event)?;
                }
            }
            _ = self.interrupts.recv() => {
                self.desk.screen.withdraw_question();
                return Ok(Some(Event::Interrupt));
            }
            _ = self.terminations.recv() => return Ok(Some(Event::Terminate)),
            sign = self.signs.next() => match sign {
                Sign::Stop => self.suspend()?,
                Sign::Continue => self.resume()?,
                Sign::End => return Ok(self.lose()),
            },
            Some(()) = self.gone.recv() => return Ok(self.lose()),
            () = async { tokio::time::sleep_until(frame).await; written.await }, if stale && !self.lost => {}
            () = tokio::time::sleep(Duration::from_millis(250)), if counting && !stale => self.stale = true,
        }
        Ok(None)
    }
}

impl Front for Terminal {
    fn show(&mut self, tab: TabId, show: &Show) -> io::Result<()> {
        self.frames.failure()?;
        self.named |= self.desk.show(tab, show);
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
            let due = self.stale
                && !self.lost
                && self.next_frame().is_none_or(|at| at <= Instant::now())
                && self.frames.is_written();
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

/// Waits for the end of the terminal. It is no key, and whoever is in another session than the terminal gets no signal.
fn watch_terminal() -> mpsc::Receiver<()> {
    let (sender, gone) = mpsc::channel(1);
    std::thread::spawn(move || {
        let input = io::stdin();
        loop {
            // Nothing is asked for: what ends the wait is what is always told, that the other end is closed.
            match poll(&mut [PollFd::new(&input, PollFlags::empty())], None) {
                Err(Errno::INTR) | Ok(0) => {}
                // Without a terminal to watch there is nobody to tell.
                Err(_) => return,
                Ok(_) => {
                    let _ = sender.blocking_send(());
                    return;
                }
            }
        }
    });
    gone
}
