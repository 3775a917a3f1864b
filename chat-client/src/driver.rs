//! Runs the state machine: its effects become packets, questions and lines, and what comes back becomes events.
//!
//! One task, no locks. The person or program is behind [`Front`]: `lines` for pipes, `terminal` for people.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime};

use chat_core::packet::PacketType;
use chat_core::secret::Secret;
use tokio::time::sleep_until;

use crate::app::command::ScreenCommand;
use crate::app::{App, Destination, Effect, Event, Exit, Question, Show, Status};
use crate::link::{self, Incoming, Link, LinkError, Opened, Target};

/// How often to look whether the computer slept.
const SLEEP_WATCH_EVERY: Duration = Duration::from_secs(5);
/// A wall clock is set right by less than this.
const SLEPT: Duration = Duration::from_secs(10);

/// Who or what uses the client.
pub trait Front {
    /// Shows something.
    ///
    /// # Errors
    ///
    /// What the system said when it could not be written.
    fn show(&mut self, show: &Show) -> io::Result<()>;

    /// Takes note of how things stand now.
    fn follow(&mut self, _status: Status) {}

    /// Does what only a screen can do. Only called on those that [say](crate::app::Config::screen) that they are one.
    fn command(&mut self, _command: ScreenCommand) {}

    /// Begins to wait for a line, unless that is so already.
    fn want_line(&mut self);

    /// Asks a question. Only called while no line is waited for.
    fn ask(&mut self, question: Question);

    /// Waits until more can be shown; until then nothing more is read from the server.
    fn room(&self) -> impl Future<Output = ()> + 'static;

    /// Waits for the next line, answer, interrupt or end of input. May be dropped and called again at any time.
    fn next(&mut self) -> impl Future<Output = Event>;
}

/// Drives `app` until it ends. `target` says how to connect; its address and encryption are the app's to choose.
///
/// # Errors
///
/// What the system said when something could not be shown. A reader who went away ([`io::ErrorKind::BrokenPipe`]) is
/// none: the program then ends as if it had been told to.
pub async fn run(mut app: App, target: Target, front: &mut impl Front, first: Event) -> io::Result<Exit> {
    let mut connection = Connection { target, state: State::None };
    let mut events = VecDeque::from([first]);
    let mut stale = true;
    let mut sleep_watch = SleepWatch::new(Instant::now(), SystemTime::now());
    loop {
        while let Some(event) = events.pop_front() {
            // Messages change nothing that a status line shows, and there may be thousands in a second.
            stale |= !matches!(event, Event::Incoming(Incoming::Packet { kind: PacketType::MESSAGE, .. }));
            for effect in app.handle(Instant::now(), event) {
                match perform(effect, &mut connection, front, &mut events) {
                    Ok(None) => {}
                    Ok(Some(exit)) => return Ok(exit),
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Done),
                    Err(error) => return Err(error),
                }
            }
        }
        if std::mem::take(&mut stale) {
            front.follow(app.status());
        }
        if app.wants_line() && !connection.is_congested() {
            front.want_line();
        }
        let deadline = app.deadline().map(tokio::time::Instant::from_std);
        let (room, stopping) = (front.room(), app.is_stopping());
        let event = tokio::select! {
            event = front.next() => Some(event),
            () = tokio::time::sleep(SLEEP_WATCH_EVERY) => None,
            event = async {
                // While nothing is read from the server, no time counts against it. Stopping waits for nobody.
                if !stopping {
                    room.await;
                }
                tokio::select! {
                    event = connection.next() => event,
                    () = due(deadline) => Event::Deadline,
                }
            } => Some(event),
        };
        if sleep_watch.slept(Instant::now(), SystemTime::now()) {
            events.push_back(Event::Woke);
        }
        events.extend(event);
    }
}

/// Notices that the computer slept: then the wall clock goes on, and the clock that waits are measured with stands still.
struct SleepWatch {
    steady: Instant,
    wall: SystemTime,
}

impl SleepWatch {
    fn new(steady: Instant, wall: SystemTime) -> Self {
        Self { steady, wall }
    }

    /// Tells whether the computer slept since it was last asked. A wall clock that was set may look like that, and does
    /// no harm.
    fn slept(&mut self, steady: Instant, wall: SystemTime) -> bool {
        let awake = steady.saturating_duration_since(self.steady);
        let passed = wall.duration_since(self.wall).unwrap_or_default();
        (self.steady, self.wall) = (steady, wall);
        passed > awake + SLEPT
    }
}

async fn due(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

fn perform(
    effect: Effect,
    connection: &mut Connection,
    front: &mut impl Front,
    events: &mut VecDeque<Event>,
) -> io::Result<Option<Exit>> {
    let sent = match effect {
        Effect::Show(show) => {
            front.show(&show)?;
            Ok(())
        }
        Effect::Ask(question) => {
            front.ask(question);
            Ok(())
        }
        Effect::Open(Destination { address, encryption, identity }) => {
            connection.target.address = address;
            connection.target.encryption = encryption;
            connection.target.trust.demanded = identity;
            connection.open();
            Ok(())
        }
        Effect::Send { kind, text } => connection.link(|link| link.send(kind, text.as_bytes())),
        Effect::SendCredentials { kind, user, password } => {
            let body = Secret::new(format!("{user}:{}", password.expose()));
            connection.link(|link| link.send(kind, body.expose().as_bytes()))
        }
        Effect::Switch(to) => connection.link(|link| link.switch(to)),
        Effect::Probe => connection.link(Link::probe),
        Effect::Close => {
            connection.state = State::None;
            Ok(())
        }
        Effect::Screen(command) => {
            front.command(command);
            Ok(())
        }
        Effect::Quit(exit) => return Ok(Some(exit)),
    };
    if let Err(error) = sent {
        events.push_back(Event::NotSent(error));
    }
    Ok(None)
}

/// The one connection there is, or its making.
struct Connection {
    target: Target,
    state: State,
}

enum State {
    None,
    Opening(Pin<Box<dyn Future<Output = Result<Opened, LinkError>>>>),
    Open(Box<Link>),
}

impl Connection {
    fn open(&mut self) {
        let target = self.target.clone();
        self.state = State::Opening(Box::pin(async move { link::open(&target).await }));
    }

    /// Does something with the link; a request that crosses the loss of the connection is dropped, and the app hears of
    /// the loss next.
    fn link(&mut self, act: impl FnOnce(&mut Link) -> Result<(), LinkError>) -> Result<(), LinkError> {
        match &mut self.state {
            State::Open(link) => act(link),
            State::None | State::Opening(_) => Ok(()),
        }
    }

    fn is_congested(&self) -> bool {
        matches!(&self.state, State::Open(link) if link.is_congested())
    }

    async fn next(&mut self) -> Event {
        let (state, event) = match &mut self.state {
            State::None => return pending().await,
            State::Opening(opening) => match opening.await {
                Ok(Opened { link, peer, protection, greeting, round_trip }) => {
                    (State::Open(Box::new(link)), Event::Opened { peer, protection, greeting, round_trip })
                }
                Err(error) => (State::None, Event::OpenFailed(error)),
            },
            State::Open(link) => match link.next().await {
                Ok(incoming) => return Event::Incoming(incoming),
                Err(error) => (State::None, Event::Lost(error)),
            },
        };
        self.state = state;
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_is_time_that_only_the_wall_clock_has_seen() {
        let (steady, wall) = (Instant::now(), SystemTime::now());
        let mut watch = SleepWatch::new(steady, wall);
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        assert!(!watch.slept(steady + minute, wall + minute + second));
        assert!(watch.slept(steady + minute + second, wall + 3 * minute));
        assert!(!watch.slept(steady + minute + second, wall + 3 * minute));
        assert!(!watch.slept(steady + minute, wall));
    }
}
