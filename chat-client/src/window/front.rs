//! What the client shows and hears in a window: the desk is shared by the thread that talks with servers and the one that
//! draws.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eframe::egui::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use crate::app::command::ScreenCommand;
use crate::app::{Event, Question, Show, Status};
use crate::desk::Desk;
use crate::driver::{self, TabId};
use crate::screen::Act;

/// What comes is drawn sixty times a second at most.
const FRAME: Duration = Duration::from_micros(16_667);

/// What both threads know.
#[derive(Debug)]
pub(super) struct State {
    pub(super) desk: Desk,
    /// Somebody was named whom the person should hear of.
    pub(super) called: bool,
    /// The client has ended: nothing is to be shown any more.
    pub(super) ended: bool,
}

impl State {
    /// Does what the person wants; `tab` was in view when it was wanted.
    pub(super) fn perform(&mut self, tab: TabId, acts: Vec<Act>) {
        for act in acts {
            // A window is neither suspended nor torn.
            let _ = self.desk.perform(tab, act);
        }
    }
}

/// The desk as both threads reach it.
#[derive(Debug)]
pub(super) struct Shared {
    // A std mutex: held to take something in or to draw it, never while anybody waits.
    state: Mutex<State>,
    heard: Notify,
    context: Context,
}

impl Shared {
    pub(super) fn new(desk: Desk, context: Context) -> Self {
        Self { state: Mutex::new(State { desk, called: false, ended: false }), heard: Notify::new(), context }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // What a thread that panicked left behind can still be shown; it ends the program all the same.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the client hear what the desk has for it.
    pub(super) fn wake(&self) {
        self.heard.notify_one();
    }

    /// Tells the client something, in the tab in view.
    pub(super) fn tell(&self, event: Event) {
        let mut state = self.lock();
        let tab = state.desk.screen.tab();
        state.desk.told.push_back((tab, event));
        drop(state);
        self.wake();
    }

    /// Changes what is shown.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.lock());
        self.context.request_repaint_after(FRAME);
        changed
    }
}

/// Says that the client has ended when it is dropped, also by a panic.
#[derive(Debug)]
pub(super) struct Ending(pub(super) Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.context.request_repaint();
    }
}

/// The window, as those see it who talk with servers.
#[derive(Debug)]
pub struct Window {
    shared: Arc<Shared>,
    interrupts: Option<Signal>,
    terminations: Option<Signal>,
}

impl Window {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, interrupts: None, terminations: None }
    }

    /// Listens to the signals that end a program, too. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// What the system said when signals cannot be received.
    pub fn listen(mut self) -> io::Result<Self> {
        self.interrupts = Some(signal(SignalKind::interrupt())?);
        self.terminations = Some(signal(SignalKind::terminate())?);
        Ok(self)
    }
}

impl driver::Front for Window {
    fn show(&mut self, tab: TabId, show: &Show) -> io::Result<()> {
        self.shared.change(|state| state.called |= state.desk.show(tab, show));
        Ok(())
    }

    fn follow(&mut self, tab: TabId, status: Status) {
        self.shared.change(|state| state.desk.screen.follow(tab, status));
    }

    fn close(&mut self, tab: TabId) {
        self.shared.change(|state| state.desk.screen.close(tab));
    }

    fn command(&mut self, tab: TabId, command: ScreenCommand) {
        self.shared.change(|state| state.desk.command(tab, &command));
    }

    fn want_line(&mut self, tab: TabId) {
        self.shared.lock().desk.want_line(tab);
    }

    fn ask(&mut self, tab: TabId, question: Question) {
        self.shared.change(|state| state.desk.screen.ask(tab, &question));
    }

    fn room(&self) -> impl Future<Output = ()> + 'static {
        // What is not in view costs nothing but memory, and that is bounded.
        std::future::ready(())
    }

    async fn next(&mut self) -> (TabId, Event) {
        loop {
            if let Some(told) = self.shared.lock().desk.told.pop_front() {
                return told;
            }
            let event = tokio::select! {
                () = self.shared.heard.notified() => continue,
                () = caught(&mut self.interrupts) => Event::Interrupt,
                () = caught(&mut self.terminations) => Event::Terminate,
            };
            let tab = self.shared.lock().desk.screen.tab();
            return (tab, event);
        }
    }
}

async fn caught(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
