//! Nothing is said under another name: what is said waits while a login that it depends on is unanswered.
//!
//! A program that names its user, and whoever was logged in when the connection was lost, wants to be heard as that user or
//! not at all. After a loss that the server has not noticed yet it still has the old connection, and refuses the login; so
//! that is tried again for a while.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::requests::Request;
use super::session::Login;
use super::{AccountRequest, App, Exit, Phase};

/// How long to wait before each further attempt to log in after a lost connection; a server of ours takes a minute and a
/// half to notice that nobody is there any more.
const WAITS_SECONDS: [u64; 7] = [1, 2, 4, 8, 16, 30, 60];

/// A login that is waited for.
#[derive(Debug)]
pub(super) struct Gate {
    user: String,
    /// What waits for it.
    pub(super) unsent: VecDeque<String>,
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

impl Gate {
    /// A login that a program begins with.
    pub(super) fn at_start(user: String) -> Self {
        Self { user, unsent: VecDeque::new(), after: After::Start }
    }

    /// A login that was there before the connection was lost, and what was said since.
    pub(super) fn after_loss(login: Login, unsent: VecDeque<String>) -> Self {
        Self { user: login.user.clone(), unsent, after: After::Loss { login, refused: 0, retry: None } }
    }

    /// Returns what waits, and the login to try again when this connection, too, is lost.
    pub(super) fn into_parts(self) -> (VecDeque<String>, Option<Login>) {
        let login = match self.after {
            After::Start => None,
            After::Loss { login, .. } => Some(login),
        };
        (self.unsent, login)
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
    /// Lets what waited for a login go.
    pub(super) fn logged_in(&mut self, now: Instant) {
        let Some(gate) = self.take_gate() else { return };
        for text in gate.unsent {
            self.say(now, &text);
        }
    }

    /// Takes note of logins among the requests that were refused or stay unanswered.
    pub(super) fn judge_gate(&mut self, now: Instant, failed: &[Request]) {
        if self.config.interactive && failed.iter().any(|request| matches!(request, Request::Login(_))) {
            self.give_up_held();
        }
        let Phase::Open(session) = &mut self.phase else { return };
        let Some(gate) = &mut session.gate else { return };
        let is_it = |request: &Request| matches!(request, Request::Login(login) if login.user == gate.user);
        if matches!(gate.after, After::Start) || !failed.iter().any(is_it) {
            return;
        }
        let user = gate.user.clone();
        if let Some(wait) = gate.refused(now) {
            self.note(format!(
                "not logged in as {user} yet: the server may still have the lost connection; trying again in {} s",
                wait.as_secs()
            ));
            return;
        }
        let unsent = self.take_gate().map(|gate| gate.unsent).unwrap_or_default();
        self.go_on_without(now, &user, unsent);
    }

    /// Logs in again if it is time to.
    pub(super) fn try_gate(&mut self, now: Instant) {
        let Phase::Open(session) = &mut self.phase else { return };
        let Some(Gate { after: After::Loss { login, retry, .. }, .. }) = &mut session.gate else { return };
        if retry.take_if(|due| *due <= now).is_some() {
            let login = login.clone();
            self.send_credentials(now, AccountRequest::Login, login);
        }
    }

    /// Tells whether a program's first login is under way.
    pub(super) fn begins_with_login(&self) -> bool {
        let Phase::Open(session) = &self.phase else { return false };
        session.gate.as_ref().is_some_and(|gate| matches!(gate.after, After::Start))
    }

    /// Tells whether a login is being restored after a loss.
    pub(super) fn restores_login(&self) -> bool {
        let Phase::Open(session) = &self.phase else { return false };
        session.gate.as_ref().is_some_and(|gate| matches!(gate.after, After::Loss { .. }))
    }

    /// Gives up the login that a program begins with if nothing is under way any more that could bring it about. What came in
    /// the way has been said.
    pub(super) fn judge_start(&mut self, now: Instant) {
        let Phase::Open(session) = &self.phase else { return };
        if let Some(Gate { user, after: After::Start, .. }) = &session.gate
            && self.asked.is_none()
            && session.requests.newest_login().is_none()
        {
            let user = user.clone();
            self.go_on_without(now, &user, VecDeque::new());
        }
    }

    /// Goes on without the login: a program is not to be heard under another name, a person decides.
    pub(super) fn go_on_without(&mut self, now: Instant, user: &str, unsent: VecDeque<String>) {
        self.report_unsent(unsent);
        if self.config.interactive {
            self.fail(format!("not logged in as {user} any more: what you say now comes from another name"));
            self.hint(format!("/login {user} tries again"));
        } else {
            self.fail(format!("not logged in as {user}: nothing is said under another name"));
            // Nor is what it had said already.
            self.held.clear();
            self.leave(now, Exit::Failed);
        }
    }

    /// Tells of messages that will not be sent, so that they can be said again.
    pub(super) fn report_unsent(&mut self, unsent: VecDeque<String>) {
        for text in unsent {
            self.fail(format!("never sent: {text}"));
        }
    }

    /// Returns the messages that wait, and for what, if what is said now has to wait.
    pub(super) fn unsent(&mut self) -> Option<(&mut VecDeque<String>, &'static str)> {
        match &mut self.phase {
            Phase::Opening(Some(resume)) | Phase::Waiting { resume, .. } => {
                Some((&mut resume.unsent, "the connection is back"))
            }
            Phase::Open(session) => Some((&mut session.gate.as_mut()?.unsent, "you are logged in again")),
            _ => None,
        }
    }

    /// Takes the messages that wait for a connection or a login, which is given up.
    pub(super) fn take_unsent(&mut self) -> VecDeque<String> {
        self.unsent().map(|(unsent, _)| std::mem::take(unsent)).unwrap_or_default()
    }

    fn take_gate(&mut self) -> Option<Gate> {
        match &mut self.phase {
            Phase::Open(session) => session.gate.take(),
            _ => None,
        }
    }
}
