//! `/encryption`, and what each kind of server makes of it.

use super::command::EncryptionChoice;
use super::{App, Asked, Effect, Phase, words};
use crate::link::{Peer, Protection, Switch};

impl App {
    pub(super) fn show_encryption(&mut self) {
        if let Some(session) = self.session() {
            let text = words::describe(&session.protection);
            self.note(text);
        }
    }

    pub(super) fn encrypt(&mut self, choice: EncryptionChoice) {
        let Some(session) = self.session() else { return };
        let original = session.peer == Peer::Original;
        if session.peer == Peer::January {
            return self.keep_encryption(choice);
        }
        match (choice, session.protection) {
            (EncryptionChoice::Off, Protection::Plain) => self.note("encryption is off already"),
            (EncryptionChoice::Off, _) => self.switch(Switch::Off),
            (EncryptionChoice::On | EncryptionChoice::Noise, Protection::Noise { .. }) => {
                self.show_encryption();
            }
            (EncryptionChoice::Classic, Protection::Noise { .. })
            | (EncryptionChoice::Noise, Protection::Classic) => {
                self.fail("another encryption is on");
                self.hint("/encryption off first");
            }
            (EncryptionChoice::On, Protection::Classic) if !original => {
                self.fail("classic encryption is on, and this server knows better");
                self.hint("/encryption off, then /encryption on");
            }
            (EncryptionChoice::On | EncryptionChoice::Noise, Protection::Plain) if !original => {
                self.switch(Switch::Noise);
            }
            (EncryptionChoice::On, Protection::Plain) if self.config.interactive => {
                self.note(
                    "an original server knows only its own cipher, which anybody who listens can break",
                );
                self.ask(Asked::Classic, "turn classic encryption on? [y/N] ", false);
            }
            (EncryptionChoice::On | EncryptionChoice::Noise, Protection::Plain) => {
                self.fail("an original server cannot encrypt in a way that protects anything");
                self.hint("/encryption classic uses its own cipher, which anybody who listens can break");
            }
            (EncryptionChoice::On | EncryptionChoice::Classic, _) => self.switch(Switch::Classic),
        }
    }

    /// Says why encryption stays as it is: the January 2026 revision knows one, and never goes without.
    fn keep_encryption(&mut self, choice: EncryptionChoice) {
        match choice {
            EncryptionChoice::On | EncryptionChoice::Classic => self.show_encryption(),
            EncryptionChoice::Off => self.fail("this server's encryption cannot be turned off"),
            EncryptionChoice::Noise => self.fail("this server knows only its own cipher"),
        }
    }

    pub(super) fn switch(&mut self, to: Switch) {
        if let Phase::Open(session) = &mut self.phase {
            session.switching = true;
            self.emit(Effect::Switch(to));
        }
    }
}
