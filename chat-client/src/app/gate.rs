//! Nothing is said under another name: which login what is said waits for, and what follows when one comes to nothing. What
//! waits is in `held`.
//!
//! A program that names its user, and whoever was logged in when the connection was lost, wants to be heard as that user or
//! not at all. After a loss that the server has not noticed yet it still has the old connection, and refuses the login; so
//! that is tried again for a while.

use std::time::{Duration, Instant};

use super::requests::Request;
use super::session::Login;
use super::{AccountRequest, App, Exit, Phase};

/// How long to wait before each further attempt to log in after a lost connection; a server of ours takes a minute and a
/// half to notice that nobody is there any more.
const WAITS_SECONDS: [u64; 7] = [1, 2, 4, 8, 16, 30, 60];

/// A login that is waited for. It is under way, or will be tried again.
#[derive(Debug)]
pub(super) struct Gate {
    user: String,
    after: After,
}

/// What the login came after.
#[derive(Debug)]
enum After {
    /// The program's start.
    Start,
    /// A lost connection: so many attempts were refused; the next one is due, unless one is under way.
    Loss { login: Login, refused: usize, retry: Option<Instant> },
}

/// How a login comes to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server refused it, or does not answer.
    Refused,
    /// It was not sent: there is no password, no connection, or none over which it may go.
    NeverSent,
}

impl Gate {
    /// A login that a program begins with.
    pub(super) fn at_start(user: String) -> Self {
        Self { user, after: After::Start }
    }

    /// A login that was there before the connection was lost.
    pub(super) fn after_loss(login: Login) -> Self {
        Self { user: login.user.clone(), after: After::Loss { login, refused: 0, retry: None } }
    }

    /// Tells whether a program begins with it.
    pub(super) fn is_at_start(&self) -> bool {
        matches!(self.after, After::Start)
    }

    /// Returns the login to try again when this connection, too, is lost.
    pub(super) fn into_login(self) -> Option<Login> {
        match self.after {
            After::Start => None,
            After::Loss { login, .. } => Some(login),
        }
    }

    /// Returns when the login is to be tried again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.after {
            After::Start => None,
            After::Loss { retry, .. } => retry,
        }
    }

    /// Counts a refusal; returns how long to wait before the next attempt, if there should be one.
    fn refused(&mut self, now: Instant) -> Option<Duration> {
        let After::Loss { refused, retry, .. } = &mut self.after else { return None };
        let wait = WAITS_SECONDS.get(*refused).copied().map(Duration::from_secs);
        *refused += 1;
        *retry = wait.map(|wait| now + wait);
        wait
    }
}

impl App {
    /// Lets go what waited for this user's login.
    pub(super) fn logged_in(&mut self, user: &str) {
        self.forget_unavailable();
        self.take_gate(|gate| gate.user == user);
    }

    /// Takes note of logins among requests that the server refused or does not answer. The newest counts: what was said
    /// stands behind that.
    pub(super) fn judge_logins(&mut self, now: Instant, failed: &[Request]) {
        let newest = failed.iter().rev().find_map(|request| match request {
            Request::Login(login) => Some(login.user.as_str()),
            _ => None,
        });
        if let Some(user) = newest {
            self.forget_unavailable();
            self.account_failed(now, user, Failure::Refused);
        }
    }

    /// Takes note that a login comes to nothing, or a registration that was never sent, in whatever way: all that fail end
    /// here. What stands behind it is given up, unless it stands behind something newer by now, or the login is tried again.
    pub(super) fn account_failed(&mut self, now: Instant, user: &str, failure: Failure) {
        let logs_in = self.logs_in();
        let is_user = self.is_logged_in_as(user);
        let Some(gate) = self.gate() else {
            // What was typed stands behind a question that is open, or else behind a newer login; and whoever is that user
            // already is heard as that user.
            let is_refused_in_vain = failure == Failure::Refused && (logs_in || is_user);
            if !is_refused_in_vain && self.asked.is_none() {
                self.give_up_typed();
            }
            return;
        };
        // Something that was not sent, and was tried by hand, leaves the waiting as it is.
        let goes_on = logs_in || (failure == Failure::NeverSent && gate.deadline().is_some());
        if goes_on || gate.user != user {
            return;
        }
        let wait = if failure == Failure::Refused { gate.refused(now) } else { None };
        match wait {
            Some(wait) => self.note(format!(
                "not logged in as {user} yet: the server may still have the lost connection; trying again in {} s",
                wait.as_secs()
            )),
            None => self.go_on_without(now, user),
        }
    }

    /// Gives up what stood behind a question that has nothing to do with a login, unless it waits for one.
    pub(super) fn give_up_asked(&mut self) {
        if !self.logs_in() && !self.is_gated() {
            self.give_up_typed();
        }
    }

    /// No longer waits for a login if another name is chosen, or none: what was to be said under the first never is. Tells
    /// whether there was one.
    pub(super) fn abandon_gate(&mut self, chosen: Option<&str>) -> bool {
        let Some(gate) = self.take_gate(|gate| Some(gate.user.as_str()) != chosen) else { return false };
        self.note(format!("no longer trying to log in as {}", gate.user));
        self.give_up_held();
        true
    }

    /// Logs in again if it is time to. While a login is unanswered it is not: that answer decides.
    pub(super) fn try_gate(&mut self, now: Instant) {
        if self.logs_in() {
            return;
        }
        let Some(Gate { after: After::Loss { login, retry, .. }, .. }) = self.gate() else { return };
        if retry.take_if(|due| *due <= now).is_some() {
            let login = login.clone();
            self.send_credentials(now, AccountRequest::Login, login);
        }
    }

    /// Tells whether what is said has to wait for a login.
    pub(super) fn is_gated(&self) -> bool {
        matches!(&self.phase, Phase::Open(session) if session.gate.is_some())
    }

    /// Tells whether a login is unanswered.
    pub(super) fn logs_in(&self) -> bool {
        matches!(&self.phase, Phase::Open(session) if session.requests.newest_login().is_some())
    }

    /// Tells whether a program's first login is under way.
    pub(super) fn begins_with_login(&self) -> bool {
        matches!(&self.phase, Phase::Open(session) if session.gate.as_ref().is_some_and(Gate::is_at_start))
    }

    /// Tells whether a login is being restored after a loss.
    pub(super) fn restores_login(&self) -> bool {
        let Phase::Open(session) = &self.phase else { return false };
        session.gate.as_ref().is_some_and(|gate| matches!(gate.after, After::Loss { .. }))
    }

    /// Goes on without the login: a program is not to be heard under another name, a person decides.
    fn go_on_without(&mut self, now: Instant, user: &str) {
        self.take_gate(|_| true);
        self.give_up_typed();
        if self.config.interactive {
            self.fail(format!("not logged in as {user} any more: what you say now comes from another name"));
            self.hint(format!("/login {user} tries again"));
        } else {
            self.fail(format!("not logged in as {user}: nothing is said under another name"));
            self.leave(now, Exit::Failed);
        }
    }

    fn is_logged_in_as(&self, user: &str) -> bool {
        let Phase::Open(session) = &self.phase else { return false };
        session.me.login.as_ref().is_some_and(|login| login.user == user)
    }

    /// What the server said of the login before has nothing to do with the next.
    fn forget_unavailable(&mut self) {
        if let Phase::Open(session) = &mut self.phase {
            session.unavailable = false;
        }
    }

    fn gate(&mut self) -> Option<&mut Gate> {
        match &mut self.phase {
            Phase::Open(session) => session.gate.as_mut(),
            _ => None,
        }
    }

    fn take_gate(&mut self, is_such: impl FnOnce(&mut Gate) -> bool) -> Option<Gate> {
        match &mut self.phase {
            Phase::Open(session) => session.gate.take_if(is_such),
            _ => None,
        }
    }
}
