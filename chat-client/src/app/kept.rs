//! Passwords in the keyring: looked for where one is missing, kept once the server has accepted it and only if that was
//! asked for. The keyring itself is `crate::keyring`.

use std::time::Instant;

use chat_core::secret::Secret;

use super::gate::Failure;
use super::session::Login;
use super::{AccountRequest, App, Asked, Effect, Exit, Phase};
use crate::keyring::{Errand, KeyringError, Outcome, Place};

impl App {
    /// Looks for the password of somebody who wants to log in. Nothing else is obeyed until the keyring has answered.
    pub(super) fn look_for_password(&mut self, user: String, plain_agreed: bool) {
        let place = self.place(user);
        self.asked = Some(Asked::Keyring { place: place.clone(), plain_agreed });
        self.ask_keyring(place, Errand::Find);
    }

    /// Has no use any more for what the keyring was asked: the server that it was for is left.
    pub(super) fn ask_keyring_no_more(&mut self) {
        self.asked.take_if(|asked| matches!(asked, Asked::Keyring { .. }));
    }

    /// Keeps a password that the server has accepted.
    pub(super) fn keep_password(&mut self, user: &str, password: Secret) {
        let place = self.place(user.to_owned());
        self.ask_keyring(place, Errand::Keep(password));
    }

    /// Removes the password of a user, or of the one who is logged in.
    pub(super) fn forget_password(&mut self, user: Option<String>) {
        let Some(session) = self.session() else { return };
        let Some(user) = user.or_else(|| Some(session.me.login.as_ref()?.user.clone())) else {
            self.fail("whose password? nobody is logged in");
            self.hint("/forget alice");
            return;
        };
        let place = self.place(user);
        self.ask_keyring(place, Errand::Forget);
    }

    /// Takes the keyring's answer.
    pub(super) fn keyring_answered(&mut self, now: Instant, place: Place, outcome: Outcome) {
        self.errands = self.errands.saturating_sub(1);
        let Place { user, server, .. } = &place;
        match outcome {
            Outcome::Found(found) => self.looked_for_password(now, place, found),
            Outcome::Kept(Ok(())) => self.note(format!(
                "the keyring keeps the password of {user} for {server}; /forget {user} removes it"
            )),
            Outcome::Kept(Err(error)) => self.keyring_failed("the password is not kept", &error),
            Outcome::Forgotten(Ok(true)) => {
                self.note(format!("the keyring has forgotten the password of {user} for {server}"));
            }
            Outcome::Forgotten(Ok(false)) => {
                self.fail(format!("the keyring has no password of {user} for {server}"));
            }
            Outcome::Forgotten(Err(error)) => self.keyring_failed("the password is not forgotten", &error),
        }
        if self.errands == 0
            && let Some(exit) = self.parting.take()
        {
            self.left(Some(exit));
        }
    }

    /// Tells whether the program has to wait for the keyring before it ends: what is to be kept must not be lost.
    pub(super) fn parts_later(&mut self, exit: Exit) -> bool {
        let later = self.errands > 0 && exit != Exit::Interrupted;
        if later {
            self.parting = Some(exit);
        }
        later
    }

    fn ask_keyring(&mut self, place: Place, errand: Errand) {
        self.errands += 1;
        self.emit(Effect::Keyring(place, errand));
    }

    fn looked_for_password(
        &mut self,
        now: Instant,
        place: Place,
        found: Result<Option<Secret>, KeyringError>,
    ) {
        // Somebody who gave up waiting, or another connection, has no use for it.
        let plain_agreed = match &self.asked {
            Some(Asked::Keyring { place: awaited, plain_agreed }) if *awaited == place => *plain_agreed,
            _ => return,
        };
        self.asked = None;
        if self.place(place.user.clone()) != place {
            self.fail("not sent: the connection is not the one for which the password was looked for");
            return self.account_failed(now, &place.user, Failure::NeverSent);
        }
        let user = place.user;
        match found {
            Ok(Some(password)) => {
                let login = Login { user, password, plain_agreed, keep: false };
                self.send_credentials(now, AccountRequest::Login, login);
            }
            Ok(None) if self.config.interactive => self.ask_password(user, plain_agreed),
            Ok(None) => {
                self.fail(format!("the keyring has no password of {user} for {}", place.server));
                self.hint(format!("/login {user} --keep on a terminal asks for it and keeps it"));
                self.account_failed(now, &user, Failure::NeverSent);
            }
            Err(error) if self.config.interactive => {
                // Most people have never asked for a keyring; that there is none is no news to them.
                if !error.is_absence() {
                    self.note(error.to_string());
                }
                self.ask_password(user, plain_agreed);
            }
            Err(error) => {
                self.keyring_failed("not logged in", &error);
                self.account_failed(now, &user, Failure::NeverSent);
            }
        }
    }

    fn ask_password(&mut self, user: String, plain_agreed: bool) {
        let prompt = format!("password of {user}: ");
        let request = AccountRequest::Login;
        let asked = Asked::Password { request, user, plain_agreed, keep: false, first: None };
        self.ask(asked, prompt, true);
    }

    fn keyring_failed(&mut self, what: &str, error: &KeyringError) {
        self.fail(format!("{what}: {error}"));
        self.hint(error.hint());
    }

    fn place(&self, user: String) -> Place {
        let identity = match &self.phase {
            Phase::Open(session) | Phase::Leaving { session, .. } => session.identity(),
            Phase::Idle | Phase::Opening(_) | Phase::Waiting { .. } => None,
        };
        Place { server: self.destination.address.clone(), identity, user }
    }
}
