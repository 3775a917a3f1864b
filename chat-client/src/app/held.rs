//! What comes too early: what is typed while the connection is made or restored, a question is open or a login unanswered,
//! and what a program had said when the connection was lost. It is obeyed in order as soon as it can be, or named if that
//! never comes. `gate` says which login it waits for.

use std::time::Instant;

use super::command::{self, Account, Command, Line};
use super::{App, Asked, Event, Phase};

/// So many lines wait at most.
const MAX_HELD: usize = 100;

impl App {
    /// Tells whether something has to wait: for a connection, a login or the answer to a question, or for what waits already.
    pub(super) fn comes_too_early(&self, event: &Event) -> bool {
        let is_lost = matches!(self.phase, Phase::Opening(Some(_)) | Phase::Waiting { .. });
        match event {
            // While a login is tried again and again, a command may say what is to become of it.
            Event::Line(line) if self.config.interactive && self.is_gated() && self.asked.is_none() => {
                is_message(line)
            }
            Event::Line(line) if self.config.interactive => self.is_behind() && self.waits_its_turn(line),
            Event::Line(line) if matches!(self.phase, Phase::Opening(None)) => needs_connection(line),
            // A program cannot be told to say it again.
            Event::Line(_) | Event::EndOfInput => !self.config.interactive && (is_lost || self.is_gated()),
            _ => false,
        }
    }

    /// Tells whether what a person types now has to come after something else.
    fn is_behind(&self) -> bool {
        let has_no_connection = matches!(self.phase, Phase::Opening(_) | Phase::Waiting { .. });
        has_no_connection || self.asked.is_some() || self.logs_in() || !self.held.is_empty()
    }

    /// Tells whether a line has to. What is asked of nobody else need not, once there is a connection.
    fn waits_its_turn(&self, line: &str) -> bool {
        let is_open = matches!(self.phase, Phase::Open(_));
        needs_connection(line) && !(is_open && is_local(line))
    }

    /// Holds it back.
    pub(super) fn hold(&mut self, event: Event) {
        if self.config.interactive {
            self.interrupted = None;
            if self.awaits_password() && is_line(&event, is_message) {
                // It may be the password, typed ahead: neither said nor repeated.
                self.fail("not taken: wait for the question");
                return;
            }
            if self.held.len() >= MAX_HELD {
                self.fail(format!("not sent: {MAX_HELD} lines wait already"));
                return;
            }
            let what = self.awaited();
            self.note(format!("kept until {what}"));
            if is_line(&event, command::asks_for_password) {
                self.hint(
                    "messages are not taken until the password is asked for; /disconnect gives this up",
                );
            }
        }
        self.held.push_back(event);
    }

    /// Says what the next line waits for.
    fn awaited(&self) -> &'static str {
        match (&self.asked, &self.phase) {
            (Some(Asked::Keyring { .. }), _) => "the keyring has answered",
            (Some(_), _) => "the question is answered",
            (None, Phase::Opening(None)) => "the connection is there",
            (None, Phase::Opening(Some(_)) | Phase::Waiting { .. }) => "the connection is back",
            (None, _) if self.is_gated() => "you are logged in again",
            (None, _) => "what came before is done",
        }
    }

    /// Tells whether a password is asked for, or will be soon: what is typed before the question is there may be it.
    pub(super) fn awaits_password(&self) -> bool {
        let lacks_password = |account: &Account| account.password.is_none();
        let is_asked = match &self.asked {
            Some(Asked::Password { .. } | Asked::Keyring { .. }) => true,
            Some(Asked::PlainPassword(_, account)) => lacks_password(account),
            Some(Asked::Original | Asked::January | Asked::Classic) | None => false,
        };
        let begins = matches!(self.phase, Phase::Opening(None))
            && self.config.login.as_ref().is_some_and(lacks_password);
        is_asked || begins || self.held.iter().any(|held| is_line(held, command::asks_for_password))
    }

    /// Obeys what was held back, as far as that is possible by now.
    ///
    /// What was said behind a login is to be heard under its name: it waits for the answer, and is given up along with the login.
    pub(super) fn release(&mut self, now: Instant) {
        while self.may_release() {
            match self.held.pop_front() {
                Some(held) if matches!(self.phase, Phase::Idle) => self.name_held(&held),
                Some(held) => self.react(now, held),
                None => return,
            }
        }
    }

    fn may_release(&self) -> bool {
        let is_settled = match self.phase {
            Phase::Open(_) => !self.is_gated() && !self.logs_in(),
            // Nothing will come of it.
            Phase::Idle => true,
            Phase::Opening(_) | Phase::Waiting { .. } | Phase::Leaving { .. } => false,
        };
        is_settled && self.wants_line()
    }

    /// Gives up what was held back, and names it.
    pub(super) fn give_up_held(&mut self) {
        while let Some(held) = self.held.pop_front() {
            self.name_held(&held);
        }
    }

    /// Gives up what a person typed behind something that came to nothing, up to the next that changes under which name one is
    /// heard: the rest stands behind that. What a program says is not about that.
    pub(super) fn give_up_typed(&mut self) {
        if !self.config.interactive {
            return;
        }
        while let Some(held) = self.held.pop_front_if(|held| !is_line(held, changes_name)) {
            self.name_held(&held);
        }
    }

    /// Says what would be lost by leaving now, unless the person has been told so.
    pub fn object(&mut self) -> Option<String> {
        let waiting = self.waiting();
        if !self.config.interactive || waiting <= std::mem::replace(&mut self.warned, waiting) {
            return None;
        }
        let messages = if waiting == 1 { "1 message was" } else { &format!("{waiting} messages were") };
        Some(format!("{messages} not sent yet"))
    }

    /// Returns how many messages wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        self.held.iter().filter(|held| is_line(held, is_message)).count()
    }

    fn name_held(&mut self, held: &Event) {
        let Event::Line(line) = held else { return };
        match command::read(line) {
            Ok(Line::Message(text)) => self.fail(format!("never sent: {text}")),
            // Not all of it: there may be a password in it.
            _ => {
                let name = line.split_whitespace().next().unwrap_or_default();
                self.fail(format!("not done: {name}"));
            }
        }
    }
}

fn is_line(event: &Event, is_such: impl Fn(&str) -> bool) -> bool {
    matches!(event, Event::Line(line) if is_such(line))
}

fn is_message(line: &str) -> bool {
    matches!(command::read(line), Ok(Line::Message(text)) if !text.is_empty())
}

/// Tells whether one is heard under another name behind a line. Behind a registration one is not.
fn changes_name(line: &str) -> bool {
    matches!(command::read(line), Ok(Line::Command(Command::Login(_) | Command::Logout | Command::Leave)))
}

/// Tells whether a line asks nothing of the server, and not who is logged in.
fn is_local(line: &str) -> bool {
    matches!(
        command::read(line),
        Ok(Line::Command(Command::Encryption(None) | Command::Users | Command::Forget(Some(_))))
    )
}

/// Tells whether nothing can become of a line without a connection.
fn needs_connection(line: &str) -> bool {
    match command::read(line) {
        Ok(Line::Message(text)) => !text.is_empty(),
        Ok(Line::Command(command)) => !matches!(
            command,
            Command::Connect(_)
                | Command::Disconnect
                | Command::Help(_)
                | Command::Screen(_)
                | Command::Close
                | Command::Exit
        ),
        Err(_) => false,
    }
}
