//! What the server and the network do: openings, packets, losses.

use std::time::Instant;

use chat_core::notice::{Notice, NoticeCode};
use chat_core::packet::PacketType;
use chat_core::{january, roster, text};

use super::gate::{Failure, Gate};
use super::requests::{Request, Settled, Ticket};
use super::session::{Login, Resume, Session};
use super::{
    AccountRequest, App, Asked, Effect, Exit, LEAVE_PATIENCE, MAX_ATTEMPTS_IN_PIPE, Phase, STEADY, Show,
    error_chain, words,
};
use crate::link::{Encryption, Incoming, LinkError, Protection};
use crate::replies::Reply;

/// What follows from a text of the server, beside what it says.
#[derive(Debug, Default)]
struct Conclusions {
    /// It refuses something: how that is said.
    refusal: Option<String>,
    /// Whose login has succeeded.
    logged_in: Option<String>,
    /// Requests that have not.
    failed: Vec<Request>,
}

impl App {
    pub(super) fn opened(&mut self, now: Instant, session: Session, greeting: String) {
        self.note(format!(
            "connected to {}, {}; {}",
            self.destination.address,
            words::describe_peer(&session.peer),
            words::describe(&session.protection)
        ));
        let resume = match std::mem::replace(&mut self.phase, Phase::Open(session)) {
            Phase::Opening(resume) => resume,
            _ => None,
        };
        self.show(Show::Text { kind: PacketType::CONNECT, text: greeting });
        match resume {
            Some(resume) => self.resume(now, resume),
            None => self.begin(now),
        }
    }

    /// Does what is to be done on every new connection.
    fn begin(&mut self, now: Instant) {
        if self.config.join {
            self.enter_if_outside(now);
        }
        let Some(account) = self.config.login.clone() else { return };
        if let Phase::Open(session) = &mut self.phase
            && !self.config.interactive
        {
            session.gate = Some(Gate::at_start(account.user.clone()));
        }
        // The keyring or a person may still be asked since the connection before.
        if self.asked.is_none() {
            self.identify(now, AccountRequest::Login, account);
        }
    }

    fn resume(&mut self, now: Instant, resume: Resume) {
        let Resume { begins, joined, login, lost, .. } = resume;
        let seconds = now.saturating_duration_since(lost).as_secs_f64().ceil();
        self.note(format!("back after {seconds} s; what others said meanwhile has not come here"));
        if begins {
            return self.begin(now);
        }
        // That a password may go out in the clear was agreed to for the connection that is lost.
        let plain_agreed = self.config.allow_plain_passwords;
        if let (Some(login), Phase::Open(session)) = (login, &mut self.phase) {
            let login = Login { plain_agreed, ..login };
            session.gate = Some(Gate::after_loss(login.clone()));
            self.send_credentials(now, AccountRequest::Login, login);
        }
        if joined {
            self.enter_if_outside(now);
        }
    }

    /// Enters the room, unless this client is there already, or has just given up the connection.
    fn enter_if_outside(&mut self, now: Instant) {
        if matches!(&self.phase, Phase::Open(session) if !session.joined) {
            self.request(now, PacketType::JOIN, String::new(), Request::Join);
        }
    }

    pub(super) fn open_failed(&mut self, now: Instant, error: &LinkError) {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Opening(Some(resume)) if error.is_transient() => self.wait(now, resume, error),
            Phase::Opening(None)
                if matches!(error, LinkError::Original(_))
                    && self.config.interactive
                    && self.destination.encryption == Encryption::Auto =>
            {
                self.note(error_chain(error));
                self.note(
                    "its own cipher (classic) can be broken by anybody who listens; off encrypts nothing",
                );
                self.ask(Asked::Original, "connect with classic, off, or not at all? [c/o/N] ", false);
            }
            Phase::Opening(None) if matches!(error, LinkError::January(_)) && self.config.interactive => {
                self.note(error_chain(error));
                self.note("its own cipher can be broken by anybody who listens");
                self.ask(Asked::January, "connect all the same? [y/N] ", false);
            }
            Phase::Opening(Some(_)) => {
                match error {
                    LinkError::NotDemanded { demanded, offered } if self.destination.identity.is_none() => {
                        self.fail(format!(
                            "the server is not the one from before: that was {demanded}, this is {offered}"
                        ));
                        let address = self.destination.address.clone();
                        let (pinned, offered) = (*demanded, *offered);
                        for hint in (LinkError::ChangedIdentity { address, pinned, offered }).hints() {
                            self.hint(hint);
                        }
                    }
                    _ => self.fail_with(error),
                }
                self.without_connection();
            }
            _ => {
                self.fail_with(error);
                self.without_connection();
            }
        }
    }

    pub(super) fn lost(&mut self, now: Instant, error: &LinkError) {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Leaving { mut session, then, .. } => {
                // The original closes without a word now and then; what counts is whether everything was answered.
                let unanswered = session.requests.give_up();
                self.report_unanswered(&unanswered);
                self.left(then);
            }
            Phase::Open(mut session) => {
                if now.saturating_duration_since(session.since) >= STEADY {
                    self.backoff.reset();
                }
                let mut unanswered = session.requests.give_up();
                if error.is_transient() && self.config.reconnect && !session.kicked {
                    let resume = session.take_resume(now, &unanswered);
                    // These are asked for again.
                    unanswered.retain(|request| !matches!(request, Request::Login(_) | Request::Join));
                    self.report_unanswered(&unanswered);
                    // At once, but not for ever: one that goes on restarting is waited for like any other.
                    if session.restarting && self.backoff.attempts() == 0 {
                        self.backoff.next_wait();
                        self.note("the server stopped; reconnecting in case it is being restarted");
                        self.reopen(resume);
                    } else {
                        self.wait(now, resume, error);
                    }
                } else {
                    self.report_unanswered(&unanswered);
                    self.fail_with(error);
                    self.without_connection();
                }
            }
            other => self.phase = other,
        }
    }

    /// Waits for the next attempt to restore a connection, or gives up.
    fn wait(&mut self, now: Instant, mut resume: Resume, error: &LinkError) {
        if !self.config.interactive && self.backoff.attempts() >= MAX_ATTEMPTS_IN_PIPE {
            self.fail_with(error);
            self.without_connection();
            return;
        }
        let wait = self.backoff.next_wait();
        let reason = error_chain(error);
        // The status line of a screen says how long it still takes; the same reason twice a minute would drive out what was
        // said before.
        if !self.config.interactive || resume.reason.as_ref() != Some(&reason) {
            self.note(format!("{reason}; reconnecting in {:.1} s", wait.as_secs_f64()));
        }
        resume.reason = Some(reason);
        self.phase = Phase::Waiting { resume, until: now + wait };
    }

    /// Goes on without a connection: a person can type what to do, a program cannot.
    fn without_connection(&mut self) {
        self.give_up_held();
        if self.config.interactive {
            self.note("not connected; /connect tries again");
        } else {
            self.emit(Effect::Quit(Exit::Failed));
        }
    }

    /// The connection was left as intended.
    pub(super) fn left(&mut self, then: Option<Exit>) {
        self.phase = Phase::Idle;
        match then {
            Some(exit) if self.parts_later(exit) => {}
            Some(Exit::Done) => self.emit(Effect::Quit(self.exit())),
            Some(exit) => self.emit(Effect::Quit(exit)),
            None => self.note("disconnected"),
        }
    }

    pub(super) fn deadline_passed(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Open(session) => {
                let expired = session.requests.expire(now);
                self.report_unanswered(&expired);
                self.judge_logins(now, &expired);
                self.try_gate(now);
                self.show_users_if_due();
            }
            Phase::Waiting { until, resume } if *until <= now => {
                let resume = resume.clone();
                self.reopen(resume);
            }
            Phase::Leaving { session, by, then } if *by <= now => {
                let (unanswered, then) = (session.requests.give_up(), *then);
                self.report_unanswered(&unanswered);
                self.emit(Effect::Close);
                if then != Some(Exit::Interrupted) {
                    self.fail("the server did not say goodbye");
                }
                self.left(then);
            }
            _ => {}
        }
    }

    /// Takes note that the computer slept: neither its connections nor its waits are what they seem to be.
    pub(super) fn woke(&mut self) {
        match &self.phase {
            Phase::Waiting { resume, .. } => {
                let resume = resume.clone();
                self.reopen(resume);
            }
            Phase::Open(_) => self.emit(Effect::Probe),
            Phase::Idle | Phase::Opening(_) | Phase::Leaving { .. } => {}
        }
    }

    pub(super) fn not_sent(&mut self, now: Instant, ticket: Option<Ticket>, error: &LinkError) {
        let withdrawn = match (&mut self.phase, ticket) {
            (Phase::Open(session) | Phase::Leaving { session, .. }, Some(ticket)) => {
                session.requests.withdraw(ticket)
            }
            _ => None,
        };
        self.fail_with(error);
        match withdrawn {
            Some(Request::Message(text)) => self.hint(format!("it was not sent: {text}")),
            Some(Request::Login(login)) => self.account_failed(now, &login.user, Failure::NeverSent),
            _ => {}
        }
    }

    pub(super) fn not_switched(&mut self, error: &LinkError) {
        if let Phase::Open(session) = &mut self.phase {
            session.switching = false;
        }
        self.fail_with(error);
    }

    pub(super) fn incoming(&mut self, now: Instant, incoming: Incoming) {
        match incoming {
            Incoming::Packet { kind: PacketType::NOTICE, text } => self.noticed(now, &text),
            Incoming::Packet { kind: PacketType::USERLIST, text } => self.user_list(now, &text),
            Incoming::Packet { kind: PacketType::ROSTER, text } => self.user_list_changed(now, &text),
            Incoming::Packet { kind: PacketType::DISCONNECT, text } => self.said_goodbye(text),
            Incoming::Packet { kind: january::PROFILE, text } => self.profiled(now, text),
            Incoming::Packet { kind, text } => self.told(now, kind, text),
            Incoming::Switched { protection, text } => self.switched(protection, text),
            Incoming::RoundTrip(time) => {
                if let Phase::Open(session) = &mut self.phase {
                    session.round_trip = Some(time);
                }
            }
            Incoming::Unreadable(kind) => {
                self.fail(format!("a packet ({}) could not be read and was dropped", kind.name()));
            }
        }
    }

    /// A server of the January 2026 revision says who this client is, also unasked after a login.
    fn profiled(&mut self, now: Instant, text: String) {
        let asked =
            |session: &Session| session.requests.awaits(|request| matches!(request, Request::Profile));
        if matches!(&self.phase, Phase::Open(session) | Phase::Leaving { session, .. } if asked(session)) {
            self.told(now, january::PROFILE, text);
        }
    }

    fn told(&mut self, now: Instant, kind: PacketType, text: String) {
        let reply = Reply::read(kind, &text);
        let Conclusions { refusal, logged_in, failed } = self.settle(now, kind, reply.as_ref());
        self.show(Show::Text { kind, text });
        match refusal {
            // It is tried again, and what becomes of that is said.
            Some(_) if self.restores_login() => self.failed = true,
            Some(refusal) => self.fail(refusal),
            None => {}
        }
        match logged_in {
            Some(user) => self.logged_in(&user),
            None => self.judge_logins(now, &failed),
        }
        self.show_users_if_due();
    }

    /// Draws the conclusions from a text that is about to be shown.
    fn settle(&mut self, now: Instant, kind: PacketType, reply: Option<&Reply<'_>>) -> Conclusions {
        let (Phase::Open(session) | Phase::Leaving { session, .. }) = &mut self.phase else {
            return Conclusions::default();
        };
        let Settled { answered, unanswered } = session.requests.settle(now, kind, reply, &session.me);
        match reply {
            Some(Reply::Joined(who)) if session.me.is(who) => {
                (session.joined, session.entered) = (true, true)
            }
            Some(Reply::Left(who)) if session.me.is(who) => {
                (session.joined, session.me.login) = (false, None);
            }
            Some(Reply::LoggedOut(user)) if session.me.is(user) => session.me.login = None,
            _ => {}
        }
        let still_answering = answered.is_some();
        let (mut keep, mut logged_in, mut failed) = (None, None, unanswered.clone());
        match (reply, answered) {
            (Some(Reply::LoggedIn { .. }), Some(Request::Login(mut login))) => {
                let wanted = std::mem::take(&mut login.keep);
                keep = wanted.then(|| (login.user.clone(), login.password.clone()));
                logged_in = Some(login.user.clone());
                session.me.login = Some(login);
            }
            (Some(Reply::Registered(_)), Some(Request::Register { user, keep: Some(password) })) => {
                keep = Some((user, password));
            }
            (_, answered) => failed.extend(answered),
        }
        if let Phase::Leaving { by, then, .. } = &mut self.phase
            && still_answering
            && *then != Some(Exit::Interrupted)
        {
            // The server is only busy.
            *by = (*by).max(now + LEAVE_PATIENCE / 2);
        }
        self.report_unanswered(&unanswered);
        if let Some((user, password)) = keep {
            self.keep_password(&user, password);
        }
        Conclusions { refusal: self.refusal(reply), logged_in, failed }
    }

    /// Says what the server refuses, and why.
    fn refusal(&mut self, reply: Option<&Reply<'_>>) -> Option<String> {
        let (Phase::Open(session) | Phase::Leaving { session, .. }) = &mut self.phase else { return None };
        match reply {
            Some(Reply::Taken(user)) => {
                Some(format!("no account was made: the name {user} is taken, or not allowed; try another"))
            }
            // Why, it has said before.
            Some(Reply::LoginRefused(user)) if std::mem::take(&mut session.unavailable) => {
                Some(format!("the server cannot log in {user} now"))
            }
            Some(Reply::LoginRefused(user)) => Some(format!(
                "the login as {user} failed: a wrong password, no such account, or the name is in use there already"
            )),
            _ => None,
        }
    }

    fn report_unanswered(&mut self, requests: &[Request]) {
        for request in requests {
            self.fail(format!("no answer to {}", request.name()));
            match request {
                Request::Message(text) => self.hint(format!("it may not have arrived: {text}")),
                Request::Login(_) => self.hint("an original server is silent when it refuses a login"),
                Request::Date | Request::Time => {
                    self.hint("an original server is silent about time zones it does not know");
                }
                _ => {}
            }
        }
    }

    fn user_list(&mut self, now: Instant, text: &str) {
        self.users_are(now, text::split_user_list(text).map(str::to_owned).collect());
    }

    /// Changes to a list that was never sent say nothing about who is there.
    fn user_list_changed(&mut self, now: Instant, changes: &str) {
        let (Phase::Open(session) | Phase::Leaving { session, .. }) = &self.phase else { return };
        let Some(mut names) = session.users.clone() else { return };
        roster::apply(changes, &mut names);
        self.users_are(now, names);
    }

    fn users_are(&mut self, now: Instant, names: Vec<String>) {
        let (Phase::Open(session) | Phase::Leaving { session, .. }) = &mut self.phase else { return };
        session.requests.settle(now, PacketType::USERLIST, None, &session.me);
        let is_new = std::mem::take(&mut session.entered) | session.users.is_none();
        if session.users.as_ref() != Some(&names) {
            session.users = Some(names.clone());
            self.show(if is_new { Show::Users { names, asked: false } } else { Show::UsersChanged(names) });
        }
        self.show_users_if_due();
    }

    fn noticed(&mut self, now: Instant, body: &str) {
        let Some(notice) = Notice::parse(body) else { return };
        let code = NoticeCode::from_word(&notice.code);
        if self.answers_nothing(code) {
            self.note(format!("the server says: {}", notice.text));
            if let Phase::Open(session) = &mut self.phase {
                session.unavailable |= code == Some(NoticeCode::Unavailable);
                session.restarting |= code == Some(NoticeCode::Restart);
                session.kicked |= code == Some(NoticeCode::Kicked);
            }
            return;
        }
        let (Phase::Open(session) | Phase::Leaving { session, .. }) = &mut self.phase else { return };
        let refused = session.requests.refuse_oldest();
        let what = refused.as_ref().map(|request| format!("{} was refused: ", request.name()));
        self.fail(format!("{}{}", what.unwrap_or_default(), notice.text));
        self.judge_logins(now, refused.as_slice());
        self.show_users_if_due();
    }

    /// Tells whether a notice is about the connection rather than about what was asked.
    fn answers_nothing(&self, code: Option<NoticeCode>) -> bool {
        let oldest = match &self.phase {
            Phase::Open(session) | Phase::Leaving { session, .. } => session.requests.oldest(),
            _ => None,
        };
        match code {
            // Messages that come too fast are only read later; registrations are refused.
            Some(NoticeCode::RateLimited) => !matches!(oldest, Some(Request::Register { .. })),
            // The refusal of a login comes behind it: one request, one answer.
            Some(NoticeCode::Unavailable) => matches!(oldest, Some(Request::Login(_))),
            Some(NoticeCode::TooSlow | NoticeCode::Idle | NoticeCode::Full | NoticeCode::Kicked) => true,
            Some(NoticeCode::Restart) | None => true,
            _ => false,
        }
    }

    fn said_goodbye(&mut self, text: String) {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Leaving { mut session, then, .. } => {
                let unanswered = session.requests.give_up();
                self.report_unanswered(&unanswered);
                self.emit(Effect::Close);
                // Who leaves the program is gone before the original would show it.
                if then.is_none() {
                    self.show(Show::Text { kind: PacketType::DISCONNECT, text });
                }
                self.left(then);
            }
            Phase::Open(mut session) => {
                self.emit(Effect::Close);
                self.show(Show::Text { kind: PacketType::DISCONNECT, text });
                self.fail("the server ended the connection");
                let unanswered = session.requests.give_up();
                self.report_unanswered(&unanswered);
                self.without_connection();
            }
            other => self.phase = other,
        }
    }

    fn switched(&mut self, protection: Protection, text: String) {
        let kind = match protection {
            Protection::Plain => PacketType::ENCRYPTION_OFF,
            Protection::Classic | Protection::Noise { .. } => PacketType::ENCRYPTION_ON,
        };
        let mut was_asked = false;
        if let Phase::Open(session) | Phase::Leaving { session, .. } = &mut self.phase {
            session.protection = protection;
            was_asked = std::mem::take(&mut session.switching);
        }
        self.show(Show::Text { kind, text });
        // What it is from the start on was said with the connection.
        if was_asked {
            self.note(words::describe(&protection));
        }
    }
}
