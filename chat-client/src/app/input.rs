//! What the person or the pipe wants: lines, commands, answers to questions.

use std::time::{Duration, Instant};

use chat_core::frame::{HEADER_LEN, MAX_REQUEST_LEN};
use chat_core::january;
use chat_core::known_servers::ServerAddress;
use chat_core::packet::PacketType;
use chat_core::secret::Secret;

use super::command::{self, Command, CommandError, Line};
use super::gate::Failure;
use super::requests::Request;
use super::session::{Login, Session};
use super::{
    AccountRequest, App, Asked, Config, Destination, Effect, Exit, INTERRUPTED_PATIENCE, LEAVE_PATIENCE,
    Phase, Show,
};
use crate::DEFAULT_PORT;
use crate::link::{Dialect, Encryption, Peer, Switch};

/// The longest message, in bytes. The original's ciphers make it longer, so there `link` may refuse a shorter one.
const MAX_MESSAGE_BYTES: usize = MAX_REQUEST_LEN - HEADER_LEN - "\n".len();

/// So soon after the first a second Ctrl-C leaves.
const AGAIN_WITHIN: Duration = Duration::from_secs(5);

/// So much of a message is repeated when it may not have arrived.
const REMINDER_CHARS: usize = 60;

impl App {
    pub(super) fn obey(&mut self, now: Instant, line: &str) {
        self.interrupted = None;
        let before = self.refused.take();
        match command::read(line) {
            // Return on an empty line is a habit of people; a program that sends one means it.
            Ok(Line::Message(text)) if text.is_empty() && self.config.interactive => {}
            Ok(Line::Message(text)) => self.say(now, &text),
            Ok(Line::Command(command)) => self.run(now, command),
            Err(error) => self.refuse(error, before.as_ref()),
        }
    }

    /// Says what is wrong with a line. A screen leaves it to be corrected, and whoever types on without looking adds to it:
    /// what was wrong with the line `before` as well is then said in short.
    fn refuse(&mut self, error: CommandError, before: Option<&CommandError>) {
        if self.config.screen && before == Some(&error) {
            self.fail(format!("{error} (Ctrl-U deletes the line)"));
        } else {
            self.fail(error.to_string());
            self.hint("/help lists the commands; // sends a line that begins with a slash");
            if self.config.screen {
                self.hint("the line is still there to be corrected; Ctrl-U deletes it");
            }
        }
        self.refused = Some(error);
    }

    fn run(&mut self, now: Instant, command: Command) {
        match command {
            Command::Connect(address) => self.connect(address),
            Command::Disconnect => self.disconnect(now),
            Command::Encryption(None) => self.show_encryption(),
            Command::Encryption(Some(choice)) => self.encrypt(choice),
            Command::Join => self.enter(now),
            Command::Leave => self.leave_room(now),
            Command::Register(account) => self.identify(now, AccountRequest::Register, account),
            Command::Login(account) => self.identify(now, AccountRequest::Login, account),
            Command::Forget(user) => self.forget_password(user),
            Command::Logout => self.log_out(now),
            Command::WhoAmI => self.request(now, PacketType::WHOAMI, String::new(), Request::WhoAmI),
            Command::Profile => self.ask_profile(now),
            Command::Date(zone) => {
                let zone = zone.unwrap_or_else(|| self.config.zone.clone());
                self.request(now, PacketType::DATE, zone, Request::Date);
            }
            Command::Time(zone) => {
                let zone = zone.unwrap_or_else(|| self.config.zone.clone());
                self.request(now, PacketType::TIME, zone, Request::Time);
            }
            Command::Users => self.list_users(now),
            Command::Help(name) => match command::help(name.as_deref()) {
                Some(text) => self.show(Show::Help(text)),
                None => self.fail(format!("there is no command {}", name.unwrap_or_default())),
            },
            Command::Screen(command) if self.config.screen => self.emit(Effect::Screen(command)),
            Command::Screen(_) => self.fail("only the full screen can do that"),
            Command::Close if self.config.screen => self.close(now),
            Command::Close => self.fail("only the full screen can do that"),
            Command::Exit => self.leave_all(now),
        }
    }

    /// Returns the open connection; says so if there is none.
    pub(super) fn session(&mut self) -> Option<&mut Session> {
        match self.phase {
            Phase::Open(_) => {}
            Phase::Opening(Some(_)) | Phase::Waiting { .. } => {
                self.fail("not sent: the connection is being restored");
            }
            Phase::Idle | Phase::Opening(None) | Phase::Leaving { .. } => {
                self.fail("not connected");
                self.hint("/connect host port connects to a server");
            }
        }
        match &mut self.phase {
            Phase::Open(session) => Some(session),
            _ => None,
        }
    }

    /// Returns whether the server speaks the January 2026 revision, which lacks some of what there is elsewhere; `None`
    /// without a connection, which is then said.
    fn speaks_january(&mut self) -> Option<bool> {
        self.session().map(|session| session.peer == Peer::January)
    }

    fn enter(&mut self, now: Instant) {
        match self.speaks_january() {
            Some(true) => self.note("in the room already: on this server everybody who is connected is"),
            Some(false) => self.request(now, PacketType::JOIN, String::new(), Request::Join),
            None => {}
        }
    }

    fn leave_room(&mut self, now: Instant) {
        match self.speaks_january() {
            Some(true) => {
                self.fail("on this server everybody who is connected is in the room");
                self.hint("/logout gives the name free, /disconnect leaves");
            }
            Some(false) => {
                // The server logs out whoever leaves the room.
                self.abandon_gate(None);
                self.request(now, PacketType::LEAVE, String::new(), Request::Leave);
            }
            None => {}
        }
    }

    fn ask_profile(&mut self, now: Instant) {
        match self.speaks_january() {
            Some(true) => self.request(now, january::PROFILE, String::new(), Request::Profile),
            Some(false) => {
                self.fail("only servers of the January 2026 revision know profiles");
                self.hint("/whoami asks this one for the same");
            }
            None => {}
        }
    }

    pub(super) fn request(&mut self, now: Instant, kind: PacketType, text: String, request: Request) {
        let Some(session) = self.session() else { return };
        let ticket = Some(session.requests.add(request, now));
        self.emit(Effect::Send { ticket, kind, text });
    }

    pub(super) fn say(&mut self, now: Instant, text: &str) {
        if text.len() > MAX_MESSAGE_BYTES {
            self.fail(format!("not sent: a message has at most {MAX_MESSAGE_BYTES} bytes"));
            if self.config.screen {
                self.hint("Up brings it back, to be sent in parts");
            }
            return;
        }
        let beginning = text.chars().take(REMINDER_CHARS).collect();
        // The original's input box ends every message with a line feed, and old clients show it as it comes.
        self.request(now, PacketType::MESSAGE, format!("{text}\n"), Request::Message(beginning));
    }

    fn connect(&mut self, address: Option<ServerAddress>) {
        // Without an address it means: now, rather than when the wait is over, and otherwise the same.
        if let (None, Phase::Waiting { resume, .. }) = (&address, &self.phase) {
            let resume = resume.clone();
            return self.reopen(resume);
        }
        match (&self.phase, address) {
            (Phase::Opening(None) | Phase::Open(_) | Phase::Leaving { .. }, Some(address))
                if self.config.screen =>
            {
                let destination = self.destination(address);
                self.emit(Effect::OpenBeside(destination));
            }
            (Phase::Opening(None), _) => {
                self.fail(format!("connecting to {} already", self.destination.address));
                self.hint("/disconnect stops that");
            }
            (Phase::Open(_) | Phase::Leaving { .. }, _) => {
                self.fail(format!("already connected to {}", self.destination.address));
                self.hint("/disconnect first");
            }
            (Phase::Opening(Some(_)) | Phase::Waiting { .. }, address) => {
                self.emit(Effect::Close);
                self.give_up_held();
                self.connect_anew(address);
            }
            (Phase::Idle, address) => self.connect_anew(address),
        }
    }

    /// Connects in the way that the person chose this time.
    fn open_with(&mut self, dialect: Dialect, encryption: Encryption) {
        self.open(Destination { dialect, encryption, ..self.destination.clone() }, None);
    }

    fn connect_anew(&mut self, address: Option<ServerAddress>) {
        if let Some(address) = address {
            let destination = self.destination(address);
            // Who is to be logged in at one server is nobody at another.
            if self.tried
                && destination.address != self.destination.address
                && self.config.login.take().is_some()
            {
                self.note(format!(
                    "the login at the start was for {}, and is not repeated here",
                    self.destination.address
                ));
            }
            self.destination = destination;
        }
        self.ask_keyring_no_more();
        self.backoff.reset();
        self.open_anew();
    }

    /// Finds what the settings say of a server; a name in them is the name of a host to everybody else.
    fn destination(&self, address: ServerAddress) -> Destination {
        let named = self.config.servers.get(address.host()).filter(|_| address.port() == DEFAULT_PORT);
        let Config { dialect, encryption, identity, .. } = self.config;
        named.cloned().unwrap_or(Destination { address, dialect, encryption, identity })
    }

    fn disconnect(&mut self, now: Instant) {
        self.give_up_held();
        self.ask_keyring_no_more();
        match &self.phase {
            Phase::Opening(_) | Phase::Waiting { .. } => {
                self.emit(Effect::Close);
                self.phase = Phase::Idle;
                self.note("no longer trying to connect");
            }
            Phase::Idle | Phase::Leaving { .. } => self.fail("not connected"),
            Phase::Open(_) => self.start_leaving(now, None),
        }
    }

    /// Leaves all servers and the program, on a screen only if none of them objects.
    pub(super) fn leave_all(&mut self, now: Instant) {
        if self.config.screen {
            self.emit(Effect::LeaveAll);
        } else if let Some(objection) = self.object() {
            self.fail(objection);
            self.hint("/exit again leaves without them");
        } else {
            self.leave(now, self.exit());
        }
    }

    /// Leaves this server only, unless something waits to be sent there.
    fn close(&mut self, now: Instant) {
        if let Some(objection) = self.object() {
            self.fail(objection);
            self.hint("/close again leaves without them");
        } else {
            self.leave(now, Exit::Closed);
        }
    }

    /// Leaves the server, if there is one, and the program.
    pub(super) fn leave(&mut self, now: Instant, exit: Exit) {
        self.give_up_held();
        match &mut self.phase {
            Phase::Idle | Phase::Opening(_) | Phase::Waiting { .. } => self.emit(Effect::Quit(exit)),
            Phase::Open(_) => self.start_leaving(now, Some(exit)),
            // Whoever wants to stop does not want to wait for the end of the input as well.
            Phase::Leaving { then: Some(Exit::Interrupted), .. } => {}
            Phase::Leaving { then, .. } => *then = Some(exit),
        }
    }

    /// Says goodbye. The server answers requests in order, so its goodbye comes after every other answer.
    fn start_leaving(&mut self, now: Instant, then: Option<Exit>) {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Open(session) => {
                self.phase = Phase::Leaving { session, by: now + LEAVE_PATIENCE, then };
                self.emit(Effect::Send { ticket: None, kind: PacketType::DISCONNECT, text: String::new() });
            }
            other => self.phase = other,
        }
    }

    pub(super) fn interrupt(&mut self, now: Instant) {
        let again = self.interrupted.replace(now).is_some_and(|before| now - before <= AGAIN_WITHIN);
        if let Some(asked) = self.asked.take() {
            self.cancelled(now, &asked, "cancelled");
            return;
        }
        match &self.phase {
            Phase::Opening(None) if self.config.interactive => {
                self.emit(Effect::Close);
                self.phase = Phase::Idle;
                self.note("stopped connecting");
            }
            _ if self.is_stopping() => self.stop(now),
            _ if self.config.interactive && !again => {
                self.note(format!(
                    "Ctrl-C again within {} s leaves, and so does /exit",
                    AGAIN_WITHIN.as_secs()
                ));
            }
            Phase::Leaving { .. } => self.emit(Effect::Quit(Exit::Interrupted)),
            _ => self.stop(now),
        }
    }

    /// A question is not answered. Whoever reads what is said sees by the exit status that something was not done.
    fn cancelled(&mut self, now: Instant, asked: &Asked, note: &str) {
        self.failed = true;
        self.note(note);
        match asked.user() {
            Some(user) => self.account_failed(now, user, Failure::NeverSent),
            None => self.give_up_asked(),
        }
    }

    /// Leaves without much waiting; asked a second time, at once.
    pub(super) fn stop(&mut self, now: Instant) {
        if self.is_stopping() {
            self.emit(Effect::Quit(Exit::Interrupted));
            return;
        }
        self.leave(now, Exit::Interrupted);
        if let Phase::Leaving { by, .. } = &mut self.phase {
            *by = now + INTERRUPTED_PATIENCE;
        }
    }

    fn log_out(&mut self, now: Instant) {
        let was_waiting = self.abandon_gate(None);
        let Some(session) = self.session() else { return };
        let login = session.requests.newest_login().or(session.me.login.as_ref());
        match login.map(|login| login.user.clone()) {
            Some(user) => self.request(now, PacketType::LOGOUT, String::new(), Request::Logout { user }),
            // The server says nothing to somebody who is not logged in.
            None if was_waiting => {}
            None => self.fail("not logged in"),
        }
    }

    fn list_users(&mut self, now: Instant) {
        if let Some(session) = self.session() {
            session.requests.add(Request::ShowUsers, now);
            self.show_users_if_due();
        }
    }

    /// Shows the user list if it was asked for and nothing that was asked before is unanswered.
    pub(super) fn show_users_if_due(&mut self) {
        let (Phase::Open(session) | Phase::Leaving { session, .. }) = &mut self.phase else { return };
        let mut lists = Vec::new();
        while session.requests.take_show_users() {
            lists.push(session.users.clone());
        }
        for list in lists {
            match list {
                Some(names) => self.show(Show::Users { names, asked: true }),
                None => {
                    self.fail("the server has not said yet who is in the chat room");
                    self.hint("it does when somebody comes or goes; /join does that");
                }
            }
        }
    }

    pub(super) fn answered(&mut self, now: Instant, answer: Option<Secret>) {
        self.interrupted = None;
        let Some(asked) = self.asked.take() else { return };
        let Some(answer) = answer.filter(|answer| !answer.is_empty()) else {
            return self.cancelled(now, &asked, "cancelled");
        };
        // A password that begins so can still be given with the command, as the rest of its line.
        if matches!(asked, Asked::Password { .. }) && command::begins(answer.expose()) {
            let note = "cancelled: that was a command, not a password; type it again";
            return self.cancelled(now, &asked, note);
        }
        let yes = matches!(answer.expose().trim(), "y" | "Y" | "yes");
        match asked {
            Asked::Original => match answer.expose().trim() {
                "c" | "classic" => self.open_with(Dialect::October, Encryption::Classic),
                "o" | "off" => self.open_with(Dialect::October, Encryption::Off),
                _ => self.note("not connected"),
            },
            Asked::January if yes => self.open_with(Dialect::January, Encryption::Classic),
            Asked::January => self.note("not connected"),
            Asked::Classic if yes => self.switch(Switch::Classic),
            Asked::PlainPassword(request, account) if yes => {
                self.complete_account(now, request, account, true);
            }
            Asked::Classic => {
                self.note("not sent");
                self.give_up_asked();
            }
            Asked::PlainPassword(_, account) => {
                self.note("not sent");
                self.account_failed(now, &account.user, Failure::NeverSent);
            }
            Asked::Password { request: AccountRequest::Register, user, plain_agreed, keep, first: None } => {
                let request = AccountRequest::Register;
                let prompt = format!("password of {user}, again: ");
                let again = Asked::Password { request, user, plain_agreed, keep, first: Some(answer) };
                self.ask(again, prompt, true);
            }
            Asked::Password { request, user, plain_agreed, keep, first: Some(first) }
                if first.expose() != answer.expose() =>
            {
                // Asked again at once: whoever goes on typing the password must not send it as a message.
                self.fail("the two passwords differ: type it again, or press Return alone to cancel");
                let prompt = format!("password of {user}: ");
                self.ask(Asked::Password { request, user, plain_agreed, keep, first: None }, prompt, true);
            }
            Asked::Password { request, user, plain_agreed, keep, .. } => {
                self.send_credentials(now, request, Login { user, password: answer, plain_agreed, keep });
            }
            Asked::Keyring { .. } => {}
        }
    }
}
