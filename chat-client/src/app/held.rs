//! What comes too early: lines that people type while the connection is being made, and what a program had said when it was
//! lost. It is obeyed in order as soon as it can be, or named if that never comes.

use std::time::Instant;

use super::command::{self, Command, Line};
use super::input::MAX_UNSENT;
use super::{App, Event, Phase};

impl App {
    /// Tells whether something has to wait for a connection, for the answer to a question that it has crossed, or for what waits
    /// already.
    pub(super) fn comes_too_early(&self, event: &Event) -> bool {
        let is_behind = self.asked.is_some() || !self.held.is_empty();
        match (event, &self.phase) {
            (Event::Line(line), _) if self.config.interactive && is_behind => needs_connection(line),
            (Event::Line(line), Phase::Opening(None)) => needs_connection(line),
            // People are told that a lost connection is being restored; a program cannot be told to say it again.
            (Event::Line(_) | Event::EndOfInput, Phase::Opening(Some(_)) | Phase::Waiting { .. }) => {
                !self.config.interactive
            }
            _ => false,
        }
    }

    /// Holds it back.
    pub(super) fn hold(&mut self, event: Event) {
        if self.config.interactive {
            self.interrupted = None;
            if self.held.len() >= MAX_UNSENT {
                self.fail(format!("not sent: {MAX_UNSENT} lines wait already"));
                return;
            }
            self.note(match &self.phase {
                _ if self.asked.is_some() => "kept until the question is answered",
                Phase::Opening(_) => "kept until the connection is there",
                _ => "kept until what came before is done",
            });
        }
        self.held.push_back(event);
    }

    /// Obeys what was held back, as far as that is possible by now.
    ///
    /// What was said behind a login is to be heard under its name: it waits for the answer, and is given up along with the login.
    pub(super) fn release(&mut self, now: Instant) {
        while !matches!(self.phase, Phase::Opening(_)) && !self.logs_in() && self.wants_line() {
            match self.held.pop_front() {
                Some(held) if matches!(self.phase, Phase::Idle) => self.name_held(&held),
                Some(held) => self.react(now, held),
                None => return,
            }
        }
    }

    fn logs_in(&self) -> bool {
        matches!(&self.phase, Phase::Open(session) if session.requests.newest_login().is_some())
    }

    /// Gives up what was held back, and names it.
    pub(super) fn give_up_held(&mut self) {
        while let Some(held) = self.held.pop_front() {
            self.name_held(&held);
        }
    }

    /// Returns how many of the lines that are held back are messages.
    pub(super) fn held_messages(&self) -> usize {
        let is_message = |event: &&Event| match event {
            Event::Line(line) => matches!(command::read(line), Ok(Line::Message(_))),
            _ => false,
        };
        self.held.iter().filter(is_message).count()
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
