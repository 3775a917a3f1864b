//! Runs the state machines, one per server: their effects become packets, questions and lines, and what comes back becomes
//! events.
//!
//! One task, no locks. The person or program is behind [`Front`]: `lines` for pipes, `terminal` for people. `connection` is
//! what one state machine has of the network, `sleep` notices that the computer slept.

mod connection;
mod sleep;

use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use chat_core::packet::PacketType;
use chat_core::secret::Secret;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use self::connection::Connection;
use self::sleep::SleepWatch;
use crate::app::command::ScreenCommand;
use crate::app::{App, Destination, Effect, Event, Exit, Question, Show, Status};
use crate::keyring;
use crate::link::{Incoming, Link, Target};

/// How often to look whether the computer slept.
const SLEEP_WATCH_EVERY: Duration = Duration::from_secs(5);
/// So many answers of the keyring wait to be heard.
const ERRANDS: usize = 4;
/// A person talks with this many servers at most.
const MAX_TABS: usize = 16;
/// So much of what was said while servers were left is kept for the end.
const MAX_LAST_WORDS: usize = 1000;

/// One of the servers that are talked with, counted from 0; no number is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TabId(pub u32);

impl TabId {
    /// The one that is there from the start; in a pipe there is no other.
    pub const FIRST: Self = Self(0);
}

/// Who or what uses the client.
pub trait Front {
    /// Shows something.
    ///
    /// # Errors
    ///
    /// What the system said when it could not be written.
    fn show(&mut self, tab: TabId, show: &Show) -> io::Result<()>;

    /// Takes note of how things stand now; the first time also of the tab.
    fn follow(&mut self, _tab: TabId, _status: Status) {}

    /// Takes note that a tab is closed.
    fn close(&mut self, _tab: TabId) {}

    /// Does what only a screen can do. Only called on those that [say](crate::app::Config::screen) that they are one.
    fn command(&mut self, _tab: TabId, _command: ScreenCommand) {}

    /// Begins to wait for a line, unless that is so already.
    fn want_line(&mut self, tab: TabId);

    /// Asks a question. The next line is its answer, also if one is waited for already.
    fn ask(&mut self, tab: TabId, question: Question);

    /// Waits until more can be shown; until then nothing more is read from the servers.
    fn room(&self) -> impl Future<Output = ()> + 'static;

    /// Waits for the next line, answer, interrupt or end of input. May be dropped and called again at any time.
    fn next(&mut self) -> impl Future<Output = (TabId, Event)>;
}

/// How it all ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How the program ends.
    pub exit: Exit,
    /// What went wrong while servers were left, such as messages that were never sent: a screen that is gone by now shows
    /// it no more.
    pub last_words: Vec<Show>,
}

/// Drives `app`, and those it opens beside it, until they end. `target` says how to connect; where to and how to encrypt is
/// the app's to choose.
///
/// # Errors
///
/// What the system said when something could not be shown. A reader who went away ([`io::ErrorKind::BrokenPipe`]) is
/// none: the program then ends as if it had been told to.
pub async fn run(app: App, target: Target, front: &mut impl Front, first: Event) -> io::Result<Ended> {
    let (errands, mut finished) = mpsc::channel(ERRANDS);
    let mut tabs = Tabs::new(app, target, first, errands);
    let mut sleep_watch = SleepWatch::new(Instant::now(), SystemTime::now());
    loop {
        match tabs.react(front) {
            Ok(None) => {}
            Ok(Some(exit)) => return Ok(tabs.ended(exit)),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(tabs.ended(Exit::Done)),
            Err(error) => return Err(error),
        }
        tabs.tell(front);
        let deadline = tabs.deadline();
        let (room, stopping) = (front.room(), tabs.is_stopping());
        let event = tokio::select! {
            event = front.next() => Some(event),
            Some(event) = finished.recv() => Some(event),
            () = tokio::time::sleep(SLEEP_WATCH_EVERY) => None,
            event = async {
                // While nothing is read from the servers, no time counts against them. Stopping waits for nobody.
                if !stopping {
                    room.await;
                }
                tokio::select! {
                    event = tabs.next() => Some(event),
                    () = due(deadline) => None,
                }
            } => {
                if event.is_none() {
                    tabs.pass_deadlines(Instant::now());
                }
                event
            }
        };
        if sleep_watch.slept(Instant::now(), SystemTime::now()) {
            tabs.wake();
        }
        tabs.events.extend(event);
    }
}

async fn due(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => pending().await,
    }
}

/// One server that is talked with.
struct Tab {
    id: TabId,
    app: App,
    connection: Connection,
    /// What the front knows of it is not how things stand.
    stale: bool,
}

impl Tab {
    async fn next(&mut self) -> (TabId, Event) {
        (self.id, self.connection.next().await)
    }
}

/// All of them, and what they have not heard yet.
struct Tabs {
    tabs: Vec<Tab>,
    events: VecDeque<(TabId, Event)>,
    opened: u32,
    /// How the program ends, once it has been told to.
    exit: Option<Exit>,
    /// How all have been told to leave, once one of them does for good.
    leaving: Option<Exit>,
    /// Whose turn it is to be listened to first.
    turn: usize,
    last_words: Vec<Show>,
    /// Where those who ask the keyring bring its answers.
    errands: mpsc::Sender<(TabId, Event)>,
}

impl Tabs {
    fn new(app: App, target: Target, first: Event, errands: mpsc::Sender<(TabId, Event)>) -> Self {
        let events = VecDeque::new();
        let (tabs, last_words) = (Vec::new(), Vec::new());
        let mut tabs =
            Self { tabs, events, opened: 0, exit: None, leaving: None, turn: 0, last_words, errands };
        tabs.open(app, target, first);
        tabs
    }

    fn open(&mut self, app: App, target: Target, first: Event) {
        let id = TabId(self.opened);
        self.opened += 1;
        self.tabs.push(Tab { id, app, connection: Connection::new(target), stale: true });
        self.events.push_back((id, first));
    }

    /// Lets the state machines hear what happened; returns how the program ends, if it does.
    fn react(&mut self, front: &mut impl Front) -> io::Result<Option<Exit>> {
        while let Some((id, event)) = self.events.pop_front() {
            let Some(tab) = self.tabs.iter_mut().find(|tab| tab.id == id) else { continue };
            // Messages change nothing that a status line shows, and there may be thousands in a second.
            tab.stale |=
                !matches!(event, Event::Incoming(Incoming::Packet { kind: PacketType::MESSAGE, .. }));
            let was_leaving = tab.app.is_leaving();
            let effects = tab.app.handle(Instant::now(), event);
            if was_leaving
                || tab.app.is_leaving()
                || effects.iter().any(|effect| matches!(effect, Effect::Quit(_)))
            {
                self.remember(id, &effects);
            }
            for effect in effects {
                if let Some(exit) = self.perform(id, effect, front)? {
                    return Ok(Some(exit));
                }
            }
            let tab = self.tabs.iter().find(|tab| tab.id == id);
            if let Some(exit) = tab.and_then(|tab| tab.app.leaves()) {
                self.take_along(id, exit);
            }
        }
        Ok(None)
    }

    /// Takes note of what went wrong while a server is left.
    fn remember(&mut self, id: TabId, effects: &[Effect]) {
        let Some(tab) = self.tabs.iter().find(|tab| tab.id == id) else { return };
        let place = if self.opened > 1 { format!("{}: ", tab.app.status().place()) } else { String::new() };
        let words = effects.iter().filter_map(|effect| match effect {
            Effect::Show(Show::Error(text)) => Some(Show::Error(format!("{place}{text}"))),
            Effect::Show(Show::Hint(text)) => Some(Show::Hint(text.clone())),
            _ => None,
        });
        let room = MAX_LAST_WORDS.saturating_sub(self.last_words.len());
        self.last_words.extend(words.take(room));
    }

    fn ended(self, exit: Exit) -> Ended {
        Ended { exit, last_words: self.last_words }
    }

    /// Tells the front how things stand, and who wants a line.
    fn tell(&mut self, front: &mut impl Front) {
        for tab in &mut self.tabs {
            if std::mem::take(&mut tab.stale) {
                front.follow(tab.id, tab.app.status());
            }
            if tab.app.wants_line() && !tab.connection.is_congested() {
                front.want_line(tab.id);
            }
        }
    }

    fn perform(&mut self, id: TabId, effect: Effect, front: &mut impl Front) -> io::Result<Option<Exit>> {
        let Some(tab) = self.tabs.iter_mut().find(|tab| tab.id == id) else { return Ok(None) };
        let connection = &mut tab.connection;
        let sent = match effect {
            Effect::Send { ticket, kind, text } => connection
                .link(|link| link.send(kind, text.as_bytes()))
                .map_err(|error| Event::NotSent(ticket, error)),
            Effect::SendCredentials { ticket, kind, user, password } => {
                let body = Secret::new(format!("{user}:{}", password.expose()));
                let sent = connection.link(|link| link.send(kind, body.expose().as_bytes()));
                sent.map_err(|error| Event::NotSent(Some(ticket), error))
            }
            Effect::Switch(to) => connection.link(|link| link.switch(to)).map_err(Event::NotSwitched),
            Effect::Probe => connection.link(Link::probe).map_err(|error| Event::NotSent(None, error)),
            Effect::Show(show) => return front.show(id, &show).map(|()| None),
            Effect::Keyring(place, errand) => {
                let errands = self.errands.clone();
                tokio::spawn(async move {
                    let outcome = keyring::run(place.clone(), errand).await;
                    // Nobody wants to know any more once the program ends.
                    let _ = errands.send((id, Event::Keyring(place, outcome))).await;
                });
                Ok(())
            }
            Effect::Ask(question) => {
                front.ask(id, question);
                Ok(())
            }
            Effect::Open(destination) => {
                connection.open(destination);
                Ok(())
            }
            Effect::Close => {
                connection.close();
                Ok(())
            }
            Effect::Screen(command) => {
                front.command(id, command);
                Ok(())
            }
            Effect::OpenBeside(destination) => {
                return self.open_beside(id, destination, front).map(|()| None);
            }
            Effect::LeaveAll => return self.leave_all(id, front).map(|()| None),
            Effect::Quit(exit) => return Ok(self.quit(id, exit, front)),
        };
        self.events.extend(sent.err().map(|event| (id, event)));
        Ok(None)
    }

    fn open_beside(&mut self, id: TabId, destination: Destination, front: &mut impl Front) -> io::Result<()> {
        if self.tabs.len() >= MAX_TABS {
            let text = format!("{MAX_TABS} servers are talked with already; /close leaves one");
            return front.show(id, &Show::Error(text));
        }
        if let Some(tab) = self.tabs.iter_mut().find(|tab| tab.id == id) {
            let (app, target) = (tab.app.beside(destination), tab.connection.target().clone());
            self.open(app, target, Event::Start { connect: true });
        }
        Ok(())
    }

    /// Leaves all servers if none objects; otherwise says, where that was asked for, why not.
    fn leave_all(&mut self, id: TabId, front: &mut impl Front) -> io::Result<()> {
        let alone = self.tabs.len() == 1;
        let mut objections = Vec::new();
        for tab in &mut self.tabs {
            let place = if alone { String::new() } else { format!("{}: ", tab.app.status().place()) };
            objections.extend(tab.app.object().map(|objection| format!("{place}{objection}")));
        }
        if objections.is_empty() {
            // The others are taken along.
            self.events.push_back((id, Event::Leave));
            return Ok(());
        }
        for objection in objections {
            front.show(id, &Show::Error(objection))?;
        }
        front.show(id, &Show::Hint("/exit again leaves without them".to_owned()))
    }

    /// Closes a tab; returns how the program ends if it was the last. If it was more than the tab that was to end, the
    /// others leave as well.
    fn quit(&mut self, id: TabId, exit: Exit, front: &mut impl Front) -> Option<Exit> {
        self.tabs.retain(|tab| tab.id != id);
        front.close(id);
        if exit != Exit::Closed {
            self.exit = Some(exit);
            self.take_along(id, exit);
        }
        self.tabs.is_empty().then(|| self.exit.unwrap_or(Exit::Done))
    }

    /// Has all others leave as well, at once: nobody waits for one server to say goodbye to the next. They hear it a second
    /// time only if it has become urgent.
    fn take_along(&mut self, id: TabId, exit: Exit) {
        if self.leaving == Some(exit) || (self.leaving.is_some() && exit != Exit::Interrupted) {
            return;
        }
        self.leaving = Some(exit);
        for tab in self.tabs.iter().filter(|tab| tab.id != id) {
            let leave = if exit == Exit::Interrupted { Event::Terminate } else { Event::Leave };
            self.events.push_back((tab.id, leave));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.tabs.iter().filter_map(|tab| tab.app.deadline()).min()
    }

    fn pass_deadlines(&mut self, now: Instant) {
        let due = self.tabs.iter().filter(|tab| tab.app.deadline().is_some_and(|deadline| deadline <= now));
        self.events.extend(due.map(|tab| (tab.id, Event::Deadline)));
    }

    fn wake(&mut self) {
        self.events.extend(self.tabs.iter().map(|tab| (tab.id, Event::Woke)));
    }

    fn is_stopping(&self) -> bool {
        self.tabs.iter().any(|tab| tab.app.is_stopping())
    }

    /// Waits for what happens on any of the connections next. A server that never stops talking keeps nobody from being
    /// heard. May be dropped and called again at any time.
    async fn next(&mut self) -> (TabId, Event) {
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn.checked_rem(self.tabs.len()).unwrap_or_default();
        let mut waiting: Vec<_> = self.tabs.iter_mut().map(|tab| Box::pin(tab.next())).collect();
        waiting.rotate_left(first);
        poll_fn(|context| {
            let ready = waiting.iter_mut().find_map(|next| match next.as_mut().poll(context) {
                Poll::Ready(event) => Some(event),
                Poll::Pending => None,
            });
            ready.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

#[cfg(test)]
mod tests;
