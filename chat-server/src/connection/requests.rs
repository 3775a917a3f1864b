//! What each request of a client does.

use std::time::Duration;

use chat_core::hello::Hello;
use chat_core::names::Username;
use chat_core::noise;
use chat_core::notice::NoticeCode;
use chat_core::packet::{Credentials, PacketType, Request, RequestError};
use chat_core::secret::Secret;
use chat_core::{ping, text};

use super::work::Work;
use super::{Connection, Ending, Ours, Step};
use crate::accounts::{AccountsError, LoginOutcome, RegisterOutcome};
use crate::metrics::{Dropped, LoginResult, RegistrationResult};
use crate::room::Event;

impl Connection {
    /// Acts on one packet in clear.
    pub(super) fn handle_plain(&mut self, kind: PacketType, body: &[u8]) -> Result<Step, Ending> {
        let first = self.note_first_packet();
        let request = match Request::decode(kind, body) {
            Ok(request) => request,
            Err(error) => {
                tracing::debug!(client = %self.key.client, %error, "dropped a packet");
                self.hub.metrics.count_dropped(Dropped::Malformed);
                // A HELLO that cannot be read is like any type nobody knows: no answer.
                if error != RequestError::BadHello {
                    self.notice(NoticeCode::Malformed, &error.to_string());
                }
                return Ok(Step::Next);
            }
        };
        let key = self.key;
        match request {
            Request::Connect => self.apply(Event::Connect),
            Request::Join => self.apply(Event::Join),
            Request::Leave => self.apply(Event::Leave),
            Request::Logout => self.apply(Event::Logout),
            Request::WhoAmI => self.apply(Event::WhoAmI(self.peer)),
            Request::Message(message) => return Ok(self.message(message)),
            Request::Date(zone) => {
                self.date_or_time(kind, self.hub.clock.date_text(zone).map(|t| text::date(&t)))
            }
            Request::Time(zone) => {
                self.date_or_time(kind, self.hub.clock.time_text(zone).map(|t| text::time(&t)))
            }
            Request::Register(credentials) => return Ok(self.check_registration(credentials)),
            Request::Login(credentials) => return Ok(self.check_login(credentials)),
            Request::EncryptionOn(offer) => return Ok(self.turn_encryption_on(offer)),
            Request::EncryptionOff => return Ok(self.turn_encryption_off()),
            Request::Hello(hello) => {
                if first {
                    self.greet(&hello, body);
                }
            }
            Request::Ping(body) => {
                if let Some(reply) = ping::reply_to(body).filter(|_| self.ours.is_some()) {
                    self.hub.reply(key, PacketType::PING, reply);
                }
            }
            Request::Disconnect => {
                self.hub.reply(
                    key,
                    PacketType::DISCONNECT,
                    text::disconnected(&self.hub.display(key.client)),
                );
                return Err(Ending::Goodbye);
            }
            Request::Ignored(_) => {}
        }
        Ok(Step::Next)
    }

    /// Notes that the client has sent a packet; tells whether it is the first.
    pub(super) fn note_first_packet(&mut self) -> bool {
        let first = !std::mem::replace(&mut self.spoke, true);
        if first {
            self.presence.greeted();
            self.hub.hear(self.key);
        }
        first
    }

    /// Answers a HELLO in first place; the client speaks our extensions from now on.
    fn greet(&mut self, hello: &Hello, body: &[u8]) {
        tracing::debug!(client = %self.key.client, agent = ?hello.agent, "hello");
        let prologue = noise::prologue(body, self.hub.hello.as_bytes());
        self.ours = Some(Box::new(Ours { caps: hello.caps, prologue }));
        self.presence.understands(hello.caps);
        if hello.caps.roster {
            self.hub.send_changes(self.key);
        }
        if hello.caps.notice {
            self.hub.send_notices(self.key);
        }
        self.hub.reply(self.key, PacketType::HELLO, &self.hub.hello);
    }

    fn message(&mut self, message: &str) -> Step {
        let longest = self.hub.limits().max_message_bytes;
        if message.len() > longest {
            self.hub.metrics.count_dropped(Dropped::TooLong);
            self.notice(NoticeCode::Malformed, &format!("A message has at most {longest} bytes."));
            return Step::Next;
        }
        let wait = if self.exempt { Duration::ZERO } else { self.hub.wait_to_say(message) };
        if !wait.is_zero() {
            return Step::Wait(Work::Speak(message.to_owned(), wait));
        }
        self.apply(Event::Message(message));
        Step::Next
    }

    fn date_or_time(&self, kind: PacketType, answer: Option<String>) {
        match answer {
            Some(text) => self.hub.reply(self.key, kind, text),
            None => {
                self.notice(NoticeCode::BadZone, "That is not a time zone; try one such as Europe/Paris.")
            }
        }
    }

    /// Checks what can be checked of a registration without the accounts.
    fn check_registration(&self, credentials: Credentials<'_>) -> Step {
        let limit = self.hub.limits().max_name_bytes;
        let why = match Username::parse(credentials.name) {
            Ok(name) if name.as_str().len() <= limit => {
                return Step::Wait(Work::Register(name, Secret::new(credentials.password)));
            }
            Ok(_) => format!("a name has at most {limit} bytes"),
            Err(error) => error.to_string(),
        };
        // The only refusal an original client can show is that the name is taken; ours is told why, first.
        self.hub.metrics.count_registration(RegistrationResult::BadName);
        self.notice(NoticeCode::BadName, &format!("That name cannot be used: {why}."));
        self.answer(PacketType::REGISTER, text::taken(credentials.name));
        Step::Next
    }

    /// Answers a registration that the accounts have decided on.
    pub(super) fn registered(&self, name: &Username, outcome: Result<RegisterOutcome, AccountsError>) {
        let client = self.key.client;
        self.hub.metrics.count_registration(registration_result(&outcome));
        match outcome {
            Ok(RegisterOutcome::Registered) => {
                tracing::info!(%client, name = ?name.as_str(), "registered");
                self.answer(PacketType::REGISTER, text::registered(name.as_str()));
            }
            Ok(RegisterOutcome::Taken) => self.answer(PacketType::REGISTER, text::taken(name.as_str())),
            Ok(RegisterOutcome::BadPassword) => {
                self.notice(NoticeCode::BadPassword, "A password has 1 to 1024 bytes.");
                self.answer(PacketType::REGISTER, text::taken(name.as_str()));
            }
            Ok(RegisterOutcome::Full) => {
                self.notice(NoticeCode::Unavailable, "This server takes no more accounts.")
            }
            Ok(RegisterOutcome::RateLimited { retry_after }) => {
                let minutes = retry_after.as_secs().div_ceil(60);
                let text = format!("Too many registrations from your address; try again in {minutes} min.");
                self.notice(NoticeCode::RateLimited, &text);
            }
            Ok(RegisterOutcome::Busy) => {
                self.notice(NoticeCode::Unavailable, "The server is busy; try again.")
            }
            Err(error) => self.account_failure(&error),
        }
    }

    /// A name that could never be registered has no account: nothing to look up, nothing to tell apart.
    fn check_login(&self, credentials: Credentials<'_>) -> Step {
        match Username::parse(credentials.name) {
            Ok(name) => Step::Wait(Work::LogIn(name, Secret::new(credentials.password))),
            Err(_) => {
                self.hub.metrics.count_login(LoginResult::Refused);
                self.answer(PacketType::LOGIN, text::login_refused(credentials.name));
                Step::Next
            }
        }
    }

    /// Answers a login that the accounts have decided on.
    pub(super) fn logged_in(&mut self, name: &Username, outcome: Result<LoginOutcome, AccountsError>) {
        let client = self.key.client;
        match outcome {
            Ok(LoginOutcome::Accepted) => {
                tracing::info!(%client, name = ?name.as_str(), "password accepted");
                self.apply(Event::Login(name, true));
                let is_theirs = self.hub.user(client).as_ref() == Some(name);
                self.hub.metrics.count_login(if is_theirs {
                    LoginResult::Accepted
                } else {
                    LoginResult::InUse
                });
                if is_theirs && self.hub.is_january(self.key) {
                    self.send_profile();
                }
            }
            Ok(LoginOutcome::Refused) => {
                tracing::info!(%client, name = ?name.as_str(), peer = %self.peer.ip(), "login refused");
                self.hub.metrics.count_login(LoginResult::Refused);
                self.apply(Event::Login(name, false));
            }
            Ok(LoginOutcome::Busy) => {
                self.hub.metrics.count_login(LoginResult::Busy);
                self.notice(NoticeCode::Unavailable, "The server is busy; try again.");
                self.answer(PacketType::LOGIN, text::login_refused(name.as_str()));
            }
            Err(error) => {
                self.hub.metrics.count_login(LoginResult::Failed);
                self.account_failure(&error);
                self.answer(PacketType::LOGIN, text::login_refused(name.as_str()));
            }
        }
    }

    fn account_failure(&self, error: &AccountsError) {
        let source = std::error::Error::source(error);
        if self.hub.may_log_failure() {
            tracing::error!(%error, source = source.map(tracing::field::display), "accounts");
        }
        self.notice(NoticeCode::Unavailable, "Accounts cannot be used right now; chatting goes on.");
    }

    fn answer(&self, kind: PacketType, text: impl AsRef<[u8]>) {
        self.hub.reply(self.key, kind, text);
    }
}

/// Returns what a registration counts as.
fn registration_result(outcome: &Result<RegisterOutcome, AccountsError>) -> RegistrationResult {
    match outcome {
        Ok(RegisterOutcome::Registered) => RegistrationResult::Registered,
        Ok(RegisterOutcome::Taken) => RegistrationResult::Taken,
        Ok(RegisterOutcome::BadPassword) => RegistrationResult::BadPassword,
        Ok(RegisterOutcome::Full) => RegistrationResult::Full,
        Ok(RegisterOutcome::RateLimited { .. }) => RegistrationResult::RateLimited,
        Ok(RegisterOutcome::Busy) => RegistrationResult::Busy,
        Err(_) => RegistrationResult::Failed,
    }
}
