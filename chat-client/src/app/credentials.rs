//! A password's way from a command or a question to the server: what is missing is asked for, and nothing leaves over a
//! connection that would show it, unless that was agreed to. Where passwords are kept is `kept`'s.

use std::time::Instant;

use chat_core::packet::PacketType;

use super::command::Account;
use super::gate::Failure;
use super::requests::Request;
use super::session::Login;
use super::{AccountRequest, App, Asked, Effect};
use crate::link::Protection;

impl App {
    /// Begins REGISTER or LOGIN: asks for what is missing, and before a password goes out in the clear.
    pub(super) fn identify(&mut self, now: Instant, request: AccountRequest, account: Account) {
        // Before anything is asked: what waits for another name must not be there when it is answered.
        if request == AccountRequest::Login {
            self.abandon_gate(Some(&account.user));
        }
        let asks = self.config.asks;
        let Some(session) = self.session() else {
            return self.account_failed(now, &account.user, Failure::NeverSent);
        };
        if session.protection == Protection::Plain && !self.config.allow_plain_passwords && asks {
            self.note("this connection is not encrypted: anybody on the way could read the password");
            self.ask(Asked::PlainPassword(request, account), "send it anyway? [y/N] ", false);
            return;
        }
        self.complete_account(now, request, account, self.config.allow_plain_passwords);
    }

    /// Asks for the password if it is missing. `plain_agreed` says that it may go out in the clear.
    pub(super) fn complete_account(
        &mut self,
        now: Instant,
        request: AccountRequest,
        account: Account,
        plain_agreed: bool,
    ) {
        let Account { user, password, keep } = account;
        match password {
            Some(password) => {
                self.send_credentials(now, request, Login { user, password, plain_agreed, keep });
            }
            // Who wants one kept has another in mind than the one that is.
            None if request == AccountRequest::Login && self.config.keyring && !keep => {
                self.look_for_password(user, plain_agreed);
            }
            None if self.config.asks => {
                let prompt = format!("password of {user}: ");
                self.ask(Asked::Password { request, user, plain_agreed, keep, first: None }, prompt, true);
            }
            None => {
                if self.begins_with_login() {
                    self.fail("a password is needed");
                    self.hint(
                        "--password-fd, --password-command, --password-keyring or CHAT_CLIENT_PASSWORD gives it",
                    );
                } else {
                    self.fail("a password is needed: it is the rest of the line, spaces included");
                }
                self.account_failed(now, &user, Failure::NeverSent);
            }
        }
    }

    /// Sends REGISTER or LOGIN, unless the connection would show the password. All passwords leave through here.
    pub(super) fn send_credentials(&mut self, now: Instant, request: AccountRequest, login: Login) {
        if !self.may_send_password(login.plain_agreed) {
            return self.account_failed(now, &login.user, Failure::NeverSent);
        }
        if request == AccountRequest::Login {
            self.abandon_gate(Some(&login.user));
        }
        let Some(session) = self.session() else { return };
        let (user, password) = (login.user.clone(), login.password.clone());
        let (kind, waiting) = match request {
            AccountRequest::Register => {
                let keep = login.keep.then(|| password.clone());
                (PacketType::REGISTER, Request::Register { user: user.clone(), keep })
            }
            AccountRequest::Login => (PacketType::LOGIN, Request::Login(login)),
        };
        let ticket = session.requests.add(waiting, now);
        self.emit(Effect::SendCredentials { ticket, kind, user, password });
    }

    /// Looks at the connection as it is at this moment; says so if no password may go over it.
    fn may_send_password(&mut self, plain_agreed: bool) -> bool {
        let Some(session) = self.session() else { return false };
        if session.switching {
            self.fail("not sent: encryption is being switched; try again in a moment");
            return false;
        }
        if session.protection == Protection::Plain && !plain_agreed {
            self.fail("not sent: a password over a connection without encryption");
            self.hint("--allow-plain-passwords sends it; anybody on the way can read it");
            return false;
        }
        true
    }
}
