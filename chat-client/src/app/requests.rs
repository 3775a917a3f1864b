//! What was asked of the server and is not answered yet.
//!
//! A server answers one client's requests in order, so an answer also says that those asked earlier will never get one:
//! an original server is silent where it refuses. A program in a pipe is told the truth by this, and `/exit` waits for it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chat_core::january;
use chat_core::packet::PacketType;
use chat_core::secret::Secret;

use super::session::{Login, Me};
use crate::replies::Reply;

/// What an answer to one request looks like.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Join,
    Leave,
    Register {
        user: String,
        /// The password, if the keyring is to keep it.
        keep: Option<Secret>,
    },
    Login(Login),
    Logout {
        user: String,
    },
    /// A message, and how it begins.
    Message(String),
    WhoAmI,
    Profile,
    Date,
    Time,
    /// The user list that follows an answer; see [`Request::then`].
    UserList,
    /// Not sent at all: the person wants to see the user list once what was asked before is answered.
    ShowUsers,
}

impl Request {
    /// Names the request as the person knows it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Join => "/join",
            Self::Leave => "/leave",
            Self::Register { .. } => "/register",
            Self::Login(_) => "/login",
            Self::Logout { .. } => "/logout",
            Self::Message(_) => "a message",
            Self::WhoAmI => "/whoami",
            Self::Profile => "/profile",
            Self::Date => "/date",
            Self::Time => "/time",
            Self::UserList | Self::ShowUsers => "the user list",
        }
    }

    fn is_sent(&self) -> bool {
        !matches!(self, Self::ShowUsers)
    }

    fn is_answered_by(&self, kind: PacketType, reply: Option<&Reply<'_>>, me: &Me) -> bool {
        match (self, reply) {
            (Self::WhoAmI, _) => kind == PacketType::WHOAMI,
            (Self::Profile, _) => kind == january::PROFILE,
            (Self::Date, _) => kind == PacketType::DATE,
            (Self::Time, _) => kind == PacketType::TIME,
            (Self::UserList, _) => kind == PacketType::USERLIST,
            (Self::Join, Some(Reply::Joined(who))) | (Self::Leave, Some(Reply::Left(who))) => me.is(who),
            (Self::Register { user, .. }, Some(Reply::Registered(of) | Reply::Taken(of))) => user == of,
            (Self::Login(login), Some(Reply::LoggedIn { client, user })) => {
                me.is_client(client) && login.user == *user
            }
            (Self::Login(login), Some(Reply::LoginRefused(of))) => login.user == *of,
            (Self::Logout { user }, Some(Reply::LoggedOut(of))) => user == of,
            (Self::Message(_), Some(Reply::Message { sender })) => me.is(sender),
            _ => false,
        }
    }

    /// Returns what the server still sends after this answer.
    fn then(&self, reply: Option<&Reply<'_>>) -> Option<Self> {
        let list_follows = matches!(
            reply,
            Some(Reply::Joined(_) | Reply::Left(_) | Reply::LoggedIn { .. } | Reply::LoggedOut(_))
        );
        list_follows.then_some(Self::UserList)
    }
}

/// Which request an effect sends, so that it can be said which was not sent after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// What an answer settled.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// The request it answers, if it is an answer to one.
    pub(super) answered: Option<Request>,
    /// Requests made before it, which will never be answered.
    pub(super) unanswered: Vec<Request>,
}

/// A request that is unanswered.
#[derive(Debug)]
struct Waiting {
    request: Request,
    asked: Instant,
    ticket: Ticket,
}

/// The unanswered requests, oldest first.
#[derive(Debug)]
pub(super) struct Requests {
    waiting: VecDeque<Waiting>,
    added: u64,
    patience: Duration,
    /// When the server last answered something: one that is busy with earlier requests is not silent about later ones.
    answered: Option<Instant>,
}

impl Requests {
    /// Begins with nothing asked. Requests should be answered within `patience`.
    pub(super) fn new(patience: Duration) -> Self {
        Self { waiting: VecDeque::new(), added: 0, patience, answered: None }
    }

    pub(super) fn add(&mut self, request: Request, now: Instant) -> Ticket {
        self.added += 1;
        let ticket = Ticket(self.added);
        self.waiting.push_back(Waiting { request, asked: now, ticket });
        ticket
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Tells whether there is such a request.
    pub(super) fn awaits(&self, is_such: impl Fn(&Request) -> bool) -> bool {
        self.waiting.iter().any(|waiting| is_such(&waiting.request))
    }

    /// Returns the login that was asked for last.
    pub(super) fn newest_login(&self) -> Option<&Login> {
        self.waiting.iter().rev().find_map(|waiting| match &waiting.request {
            Request::Login(login) => Some(login),
            _ => None,
        })
    }

    /// Returns when the oldest request has waited long enough.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let asked = self.waiting.front()?.asked;
        Some(self.answered.map_or(asked, |answered| answered.max(asked)) + self.patience)
    }

    /// Finds the request that a packet answers.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        kind: PacketType,
        reply: Option<&Reply<'_>>,
        me: &Me,
    ) -> Settled {
        // Somebody else's coming and going also brings a user list; it counts only where one is due.
        let due = |(i, request): (usize, &Request)| i == 0 || !matches!(request, Request::UserList);
        let mut requests = self.waiting.iter().map(|waiting| &waiting.request).enumerate();
        let found =
            requests.position(|(i, request)| due((i, request)) && request.is_answered_by(kind, reply, me));
        let Some(place) = found else { return Settled::default() };
        let unanswered = self.waiting.drain(..place).map(|waiting| waiting.request).collect();
        let Some(Waiting { request, ticket, .. }) = self.waiting.pop_front() else {
            return Settled::default();
        };
        self.answered = Some(now);
        if let Some(rest) = request.then(reply) {
            self.waiting.push_front(Waiting { request: rest, asked: now, ticket });
        }
        Settled { answered: Some(request), unanswered: keep_sent(unanswered) }
    }

    /// Returns the oldest request that was sent.
    pub(super) fn oldest(&self) -> Option<&Request> {
        self.waiting.iter().map(|waiting| &waiting.request).find(|request| request.is_sent())
    }

    /// Takes the oldest request out because the server refused it without saying which.
    pub(super) fn refuse_oldest(&mut self) -> Option<Request> {
        let place = self.waiting.iter().position(|waiting| waiting.request.is_sent())?;
        self.waiting.remove(place).map(|waiting| waiting.request)
    }

    /// Takes back a request that was not sent after all.
    pub(super) fn withdraw(&mut self, ticket: Ticket) -> Option<Request> {
        let place = self.waiting.iter().position(|waiting| waiting.ticket == ticket)?;
        self.waiting.remove(place).map(|waiting| waiting.request)
    }

    /// Takes out what has waited long enough.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Request> {
        let mut expired = Vec::new();
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            expired.extend(self.waiting.pop_front().map(|waiting| waiting.request));
        }
        keep_sent(expired)
    }

    /// Takes out everything: no answers will come.
    pub(super) fn give_up(&mut self) -> Vec<Request> {
        keep_sent(self.waiting.drain(..).map(|waiting| waiting.request).collect())
    }

    /// Takes out a wish to see the user list that is due now.
    pub(super) fn take_show_users(&mut self) -> bool {
        let due = self.waiting.front().is_some_and(|waiting| !waiting.request.is_sent());
        if due {
            self.waiting.pop_front();
        }
        due
    }
}

/// A missing user list is no unanswered request: the request itself was answered.
fn keep_sent(mut requests: Vec<Request>) -> Vec<Request> {
    requests.retain(|request| !matches!(request, Request::UserList | Request::ShowUsers));
    requests
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn waiting(requests: impl IntoIterator<Item = Request>) -> Requests {
        let mut waiting = Requests::new(PATIENCE);
        for request in requests {
            waiting.add(request, Instant::now());
        }
        waiting
    }

    fn login(user: &str) -> Request {
        Request::Login(Login {
            user: user.to_owned(),
            password: Secret::new("x"),
            plain_agreed: false,
            keep: false,
        })
    }

    /// Feeds packets; returns what each settled: `+` answered, `-` unanswered.
    fn settle(requests: &mut Requests, me: &Me, packets: &[(PacketType, &str)]) -> Vec<String> {
        packets
            .iter()
            .map(|(kind, text)| {
                let reply = Reply::read(*kind, text);
                let settled = requests.settle(Instant::now(), *kind, reply.as_ref(), me);
                let unanswered = settled.unanswered.iter().map(|request| format!("-{}", request.name()));
                let answered = settled.answered.iter().map(|request| format!("+{}", request.name()));
                unanswered.chain(answered).collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    #[test]
    fn answers_are_told_from_what_others_do() {
        let me = Me::new("Server: Client-2 has connected to the server\n");
        let mut requests = waiting([Request::Join, Request::Message("hello".to_owned())]);
        let settled = settle(
            &mut requests,
            &me,
            &[
                (PacketType::JOIN, "Server: Client-3 joined the chat room\n"),
                (PacketType::USERLIST, "Client-3"),
                (PacketType::JOIN, "Server: Client-2 joined the chat room\n"),
                (PacketType::USERLIST, "Client-2:Client-3"),
                (PacketType::MESSAGE, "Client-3: hello\n"),
                (PacketType::MESSAGE, "Client-2: hello\n"),
            ],
        );
        assert_eq!(settled, ["", "", "+/join", "+the user list", "", "+a message"]);
        assert_eq!(requests.len(), 0);
    }

    #[test]
    fn an_answer_shows_what_stays_unanswered() {
        let me = Me::new("Server: Client-1 has connected to the server\n");
        let mut requests = waiting([login("alice"), Request::Date, Request::WhoAmI]);
        let settled = settle(&mut requests, &me, &[(PacketType::WHOAMI, "Server: whoami results\n...")]);
        assert_eq!(settled, ["-/login -/date +/whoami"]);
    }

    #[test]
    fn logging_in_brings_a_user_list_and_being_refused_does_not() {
        let me = Me::new("Server: Client-1 has connected to the server\n");
        let mut requests = waiting([login("alice"), login("bob")]);
        let settled = settle(
            &mut requests,
            &me,
            &[
                (PacketType::LOGIN, "Server: Client-9 logged in as alice\n"),
                (PacketType::LOGIN, "Server: Unable to login as alice\n"),
                (PacketType::LOGIN, "Server: Client-1 logged in as bob\n"),
                (PacketType::USERLIST, ""),
            ],
        );
        assert_eq!(settled, ["", "+/login", "+/login", "+the user list"]);
    }

    #[test]
    fn only_requests_that_were_sent_count_as_unanswered() {
        let mut requests = waiting([Request::ShowUsers, Request::Time, Request::UserList]);
        assert!(requests.take_show_users() && !requests.take_show_users());
        assert!(requests.expire(Instant::now()).is_empty());
        let late = requests.expire(Instant::now() + PATIENCE * 2);
        assert_eq!(late.iter().map(Request::name).collect::<Vec<_>>(), ["/time"]);
        assert!(requests.give_up().is_empty());
    }
}
