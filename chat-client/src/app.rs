//! The client's behaviour as a pure state machine: events in, effects out.
//!
//! `command` reads lines, `input` obeys them (`encryption` those about it, `credentials` those with a password), `network`
//! follows the server, `requests` knows what is unanswered. `held` is what waits: for a connection, a login or the answer to a question; `gate` says for which login.
//! Sockets, the clock, the terminal, the pipe and the window are with whoever drives this: `driver`.
//!
//! Invariant: a password leaves as an effect only over an encrypted connection, or after the person agreed.

mod backoff;
pub mod command;
mod config;
mod credentials;
mod encryption;
mod gate;
mod held;
mod input;
mod kept;
mod network;
mod requests;
mod session;
mod status;
mod words;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chat_core::packet::PacketType;
use chat_core::secret::Secret;

use self::backoff::Backoff;
use self::command::{Account, CommandError, ScreenCommand};
use self::session::{Resume, Session};
use crate::keyring::{Errand, Outcome, Place};
use crate::link::{Incoming, LinkError, Peer, Protection, Switch};

pub use self::config::{Config, Destination};
pub use self::requests::Ticket;
pub use self::status::{Stage, Status};
pub use crate::link::error_chain;

/// How many requests a program in a pipe may have unanswered at a server of ours. An original server loses packets that
/// the network splits, so there it is one.
const PIPELINED: usize = 64;
/// How long leaving may take once DISCONNECT is sent; a server that throttles logins answers late.
const LEAVE_PATIENCE: Duration = Duration::from_secs(30);
/// How long leaving may take for somebody who pressed Ctrl-C.
const INTERRUPTED_PATIENCE: Duration = Duration::from_secs(2);
/// A program in a pipe gives up after so many attempts to reconnect in a row, some four minutes.
const MAX_ATTEMPTS_IN_PIPE: u32 = 12;
/// A connection that lasted this long was a success; after shorter ones the waits before the next go on growing.
const STEADY: Duration = Duration::from_secs(30);

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The program starts, and connects at once if it was told to.
    Start {
        /// Whether to connect.
        connect: bool,
    },
    /// A line was typed or read, without its line end.
    Line(String),
    /// Something was read that cannot be a line, for this reason.
    BadLine(String),
    /// The question was answered; `None` if the person does not want to.
    Answer(Option<Secret>),
    /// There is no more input.
    EndOfInput,
    /// All servers are to be left, and what waits to be sent is given up.
    Leave,
    /// The person wants to stop (Ctrl-C).
    Interrupt,
    /// The system wants the program to end.
    Terminate,
    /// The connection is there.
    Opened {
        /// What kind of server it is.
        peer: Peer,
        /// How the connection is protected.
        protection: Protection,
        /// The server's reply to CONNECT.
        greeting: String,
        /// How long the server took to answer.
        round_trip: Duration,
    },
    /// The connection cannot be made.
    OpenFailed(LinkError),
    /// Something came from the server.
    Incoming(Incoming),
    /// Something could not be sent, which was this request if it was one; the connection goes on.
    NotSent(Option<Ticket>, LinkError),
    /// An [`Effect::Switch`] was not possible; the connection goes on as it was.
    NotSwitched(LinkError),
    /// The connection is gone.
    Lost(LinkError),
    /// An [`Effect::Keyring`] is done.
    Keyring(Place, Outcome),
    /// The time of [`App::deadline`] has come.
    Deadline,
    /// The computer slept and is awake again.
    Woke,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Show something.
    Show(Show),
    /// Open a connection; answered by [`Event::Opened`] or [`Event::OpenFailed`].
    Open(Destination),
    /// Send a packet; answered by [`Event::NotSent`] if that cannot be.
    Send {
        /// Which request it is; `None` for what awaits no answer.
        ticket: Option<Ticket>,
        /// Its type.
        kind: PacketType,
        /// Its text.
        text: String,
    },
    /// Send a packet with a name and a password; answered likewise.
    SendCredentials {
        /// Which request it is.
        ticket: Ticket,
        /// REGISTER or LOGIN.
        kind: PacketType,
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// Ask the server to switch encryption; answered by [`Event::NotSwitched`] if that cannot be.
    Switch(Switch),
    /// Ask the keyring; answered by [`Event::Keyring`], sooner or later.
    Keyring(Place, Errand),
    /// Find out soon whether the server is still there; [`Event::Lost`] follows if not.
    Probe,
    /// Close the connection, or stop opening it.
    Close,
    /// Connect to another server as well, with a state machine of its own: [`App::beside`].
    OpenBeside(Destination),
    /// Ask the person; answered by [`Event::Answer`].
    Ask(Question),
    /// Let the screen do something.
    Screen(ScreenCommand),
    /// Leave all servers, unless one [objects](App::object); answered by [`Event::Leave`].
    LeaveAll,
    /// End the program, or what belongs to this state machine.
    Quit(Exit),
}

/// Something to show. Texts of peers are in it as they came: whoever shows them makes them safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Show {
    /// A text of the server, as the original shows it.
    Text {
        /// The type it came with.
        kind: PacketType,
        /// The text.
        text: String,
    },
    /// Who is in the room.
    Users {
        /// The names.
        names: Vec<String>,
        /// The person asked; otherwise this client has just come.
        asked: bool,
    },
    /// Who is in the room now that somebody came, went or is called otherwise, which has been shown. Lists for people need
    /// not be read out each time.
    UsersChanged(Vec<String>),
    /// The answer to `/help`.
    Help(String),
    /// A remark of the program.
    Note(String),
    /// Something went wrong.
    Error(String),
    /// What can be done about it.
    Hint(String),
}

/// A question to the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What to show before the cursor.
    pub prompt: String,
    /// The answer is not to be seen or remembered.
    pub hidden: bool,
}

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All that was asked for was done.
    Done,
    /// Something was not.
    Failed,
    /// The person stopped it.
    Interrupted,
    /// Only this server was to be left; others may be talked with.
    Closed,
    /// It took longer than it may.
    TimedOut,
}

/// Which of the two requests with a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AccountRequest {
    Register,
    Login,
}

/// A question that waits for its answer.
#[derive(Debug)]
enum Asked {
    /// How to connect to an original server.
    Original,
    /// Whether to connect to a server of the January 2026 revision.
    January,
    /// Whether to use classic encryption in mid-connection.
    Classic,
    /// Whether to send a password without encryption.
    PlainPassword(AccountRequest, Account),
    /// The password; a new one is asked for twice.
    Password {
        request: AccountRequest,
        user: String,
        plain_agreed: bool,
        /// The keyring is to keep it.
        keep: bool,
        first: Option<Secret>,
    },
    /// The keyring, not the person: whether it has the password.
    Keyring { place: Place, plain_agreed: bool },
}

impl Asked {
    /// Returns whose login or registration depends on the answer.
    fn user(&self) -> Option<&str> {
        match self {
            Self::Original | Self::January | Self::Classic => None,
            Self::PlainPassword(_, account) => Some(&account.user),
            Self::Password { user, .. } | Self::Keyring { place: Place { user, .. }, .. } => Some(user),
        }
    }
}

/// Where the client is between having no connection and leaving one.
#[derive(Debug)]
enum Phase {
    /// No connection.
    Idle,
    /// Connecting, to restore a lost connection or not.
    Opening(Option<Resume>),
    /// Connected.
    Open(Session),
    /// The connection was lost; waiting for the next attempt.
    Waiting { resume: Resume, until: Instant },
    /// DISCONNECT is sent; the program ends afterwards or goes on without a connection.
    Leaving { session: Session, by: Instant, then: Option<Exit> },
}

/// The client.
#[derive(Debug)]
pub struct App {
    config: Config,
    destination: Destination,
    phase: Phase,
    asked: Option<Asked>,
    backoff: Backoff,
    /// Something asked for was not done.
    failed: bool,
    /// When Ctrl-C was pressed, if nothing was typed since.
    interrupted: Option<Instant>,
    /// What was wrong with the last line, if it was refused.
    refused: Option<CommandError>,
    /// There was a connection, or an attempt at one.
    tried: bool,
    /// The person was told that leaving loses so many messages.
    warned: usize,
    /// What came too early to be obeyed.
    held: VecDeque<Event>,
    /// What the keyring has not answered yet ...
    errands: usize,
    /// ... and how the program ends when it has.
    parting: Option<Exit>,
    effects: Vec<Effect>,
}

impl App {
    /// Makes a client without a connection. `seed` spreads the waits of many clients; any number will do.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        Self {
            destination: config.destination.clone(),
            config,
            phase: Phase::Idle,
            asked: None,
            backoff: Backoff::new(seed),
            failed: false,
            interrupted: None,
            refused: None,
            tried: false,
            warned: 0,
            held: VecDeque::new(),
            errands: 0,
            parting: None,
            effects: Vec::new(),
        }
    }

    /// Makes a client for another server, used as this one is.
    #[must_use]
    pub fn beside(&mut self, destination: Destination) -> Self {
        let seed = self.backoff.next_seed();
        // Who is to be logged in here is nobody there.
        Self::new(Config { destination, login: None, ..self.config.clone() }, seed)
    }

    /// Takes an event and returns what is to be done, in order.
    pub fn handle(&mut self, now: Instant, event: Event) -> Vec<Effect> {
        if self.comes_too_early(&event) {
            self.hold(event);
        } else {
            self.react(now, event);
        }
        self.release(now);
        self.warned = self.warned.min(self.waiting());
        std::mem::take(&mut self.effects)
    }

    fn react(&mut self, now: Instant, event: Event) {
        match event {
            Event::Start { connect: true } => self.open_anew(),
            Event::Start { connect: false } => self.welcome(),
            Event::Line(line) => self.obey(now, &line),
            Event::BadLine(reason) => self.fail(format!("not sent: {reason}")),
            Event::Answer(answer) => self.answered(now, answer),
            Event::EndOfInput if self.config.screen => self.leave_all(now),
            // Whoever ends the input is not asked whether they mean it.
            Event::EndOfInput => self.leave(now, self.exit()),
            Event::Leave => self.leave(now, self.exit()),
            Event::Interrupt => self.interrupt(now),
            Event::Terminate => self.stop(now),
            Event::Opened { peer, protection, greeting, round_trip } => {
                self.opened(now, Session::new(now, peer, protection, &greeting, Some(round_trip)), greeting);
            }
            Event::OpenFailed(error) => self.open_failed(now, &error),
            Event::Incoming(incoming) => self.incoming(now, incoming),
            Event::NotSent(ticket, error) => self.not_sent(now, ticket, &error),
            Event::NotSwitched(error) => self.not_switched(&error),
            Event::Lost(error) => self.lost(now, &error),
            Event::Keyring(place, outcome) => self.keyring_answered(now, place, outcome),
            Event::Deadline => self.deadline_passed(now),
            Event::Woke => self.woke(),
        }
    }

    /// Tells whether the next line may be read: never while a question is open, and in a pipe neither while the connection is
    /// being made nor before enough of what was sent is answered.
    #[must_use]
    pub fn wants_line(&self) -> bool {
        if self.asked.is_some() || self.parting.is_some() {
            return false;
        }
        match &self.phase {
            Phase::Idle => true,
            Phase::Open(session) if session.switching => false,
            Phase::Open(session) if session.gate.is_some() => self.config.interactive,
            Phase::Open(session) => self.config.interactive || session.requests.len() < self.window(session),
            // What a person types while there is no connection is kept.
            Phase::Opening(_) | Phase::Waiting { .. } => self.config.interactive,
            Phase::Leaving { .. } => false,
        }
    }

    /// Returns when [`Event::Deadline`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Idle | Phase::Opening(_) => None,
            Phase::Open(session) => session.requests.deadline().into_iter().chain(session.retry()).min(),
            Phase::Waiting { until, .. } => Some(*until),
            Phase::Leaving { by, .. } => Some(*by),
        }
    }

    /// Tells whether the client was told to stop and is only saying goodbye.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        matches!(self.phase, Phase::Leaving { then: Some(Exit::Interrupted), .. })
    }

    /// Tells whether the server is being left for good.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Leaving { then: Some(_), .. })
    }

    /// Returns how the program ends, once the client is leaving its server for that.
    #[must_use]
    pub fn leaves(&self) -> Option<Exit> {
        match &self.phase {
            Phase::Leaving { then, .. } => then.filter(|exit| *exit != Exit::Closed),
            _ => None,
        }
    }

    fn window(&self, session: &Session) -> usize {
        match session.peer {
            Peer::Ours(_) => PIPELINED,
            Peer::Original | Peer::January => 1,
        }
    }

    /// Says how to end if nothing else goes wrong. A person has seen what went wrong; a program reads the status.
    fn exit(&self) -> Exit {
        if self.failed && !self.config.interactive { Exit::Failed } else { Exit::Done }
    }

    fn welcome(&mut self) {
        self.note("welcome to the chat");
        self.note("/connect chat.example connects to a server; one with another port than 12345: /connect chat.example 4000");
        if !self.config.servers.is_empty() {
            let names: Vec<&str> = self.config.servers.keys().map(String::as_str).collect();
            self.note(format!("your settings name servers, which /connect knows: {}", names.join(", ")));
        }
        self.note(
            "then type: a line is a message, /join puts you on the user list, /help explains the commands",
        );
        self.note("/exit leaves");
    }

    fn emit(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    fn show(&mut self, show: Show) {
        self.emit(Effect::Show(show));
    }

    fn note(&mut self, text: impl Into<String>) {
        self.show(Show::Note(text.into()));
    }

    fn hint(&mut self, text: impl Into<String>) {
        self.show(Show::Hint(text.into()));
    }

    /// Shows an error and remembers that something failed.
    fn fail(&mut self, text: impl Into<String>) {
        self.failed = true;
        self.show(Show::Error(text.into()));
    }

    fn fail_with(&mut self, error: &LinkError) {
        self.fail(error_chain(error));
        for hint in error.hints() {
            self.hint(hint);
        }
    }

    fn ask(&mut self, asked: Asked, prompt: impl Into<String>, hidden: bool) {
        self.asked = Some(asked);
        self.emit(Effect::Ask(Question { prompt: prompt.into(), hidden }));
    }

    /// Connects to the server as it should be.
    fn open_anew(&mut self) {
        self.open(self.destination.clone(), None);
    }

    /// Connects again, to restore what was lost.
    fn reopen(&mut self, resume: Resume) {
        let Resume { dialect, encryption, .. } = resume;
        let identity = resume.identity.or(self.destination.identity);
        let address = self.destination.address.clone();
        self.open(Destination { address, dialect, encryption, identity }, Some(resume));
    }

    fn open(&mut self, destination: Destination, resume: Option<Resume>) {
        self.tried = true;
        self.phase = Phase::Opening(resume);
        self.emit(Effect::Open(destination));
    }
}

#[cfg(test)]
mod tests;
