//! What the client knows while it is connected: who it is there, who is in the room, what is unanswered.

use std::time::{Duration, Instant};

use chat_core::noise::Fingerprint;
use chat_core::packet::PacketType;
use chat_core::secret::Secret;

use super::gate::Gate;
use super::requests::{Request, Requests};
use crate::link::{Dialect, Encryption, Peer, Protection};
use crate::replies::Reply;

/// How long a server of ours may take to answer; it slows down logins that fail too often.
const PATIENCE_OURS: Duration = Duration::from_secs(30);
/// How long an original server may take: it is silent where it refuses, and nobody should wait for that.
const PATIENCE_ORIGINAL: Duration = Duration::from_secs(5);

/// Who this client is on the server.
#[derive(Clone, Debug, Default)]
pub(super) struct Me {
    client: Option<String>,
    pub(super) login: Option<Login>,
}

/// An account, and what logs in to it again after a lost connection.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: Secret,
    /// The person agreed that the password goes over a connection without encryption.
    pub(super) plain_agreed: bool,
    /// The keyring is to keep the password once the server has accepted it.
    pub(super) keep: bool,
}

impl Me {
    /// Takes the client name from the server's greeting.
    pub(super) fn new(greeting: &str) -> Self {
        let client = match Reply::read(PacketType::CONNECT, greeting) {
            Some(Reply::Connected(name)) => Some(name.to_owned()),
            _ => None,
        };
        Self { client, login: None }
    }

    /// Returns what this client's user is called: by the login if there is one.
    pub(super) fn name(&self) -> Option<&str> {
        self.login.as_ref().map(|login| login.user.as_str()).or(self.client.as_deref())
    }

    /// Tells whether a client name is this client's. A server that gave none is believed to speak of this client.
    pub(super) fn is_client(&self, name: &str) -> bool {
        self.client.as_ref().is_none_or(|client| client == name)
    }

    /// Tells whether a client or user name is this client's.
    pub(super) fn is(&self, name: &str) -> bool {
        self.is_client(name) || self.login.as_ref().is_some_and(|login| login.user == name)
    }
}

/// One connection, from its greeting to its end.
#[derive(Debug)]
pub(super) struct Session {
    /// When the connection was there.
    pub(super) since: Instant,
    pub(super) peer: Peer,
    pub(super) protection: Protection,
    /// A switch of encryption is under way.
    pub(super) switching: bool,
    pub(super) me: Me,
    pub(super) joined: bool,
    /// It has just come into the room: the list of who is there is news.
    pub(super) entered: bool,
    /// Who is in the room, once the server has said so.
    pub(super) users: Option<Vec<String>>,
    pub(super) requests: Requests,
    /// A login that what is said waits for.
    pub(super) gate: Option<Gate>,
    /// How long the server took to answer when it was last asked.
    pub(super) round_trip: Option<Duration>,
    /// The server has said that it ends and comes back.
    pub(super) restarting: bool,
    /// Whoever runs the server has ended the connection.
    pub(super) kicked: bool,
    /// The server has said that it cannot look at the login now that it is about to refuse.
    pub(super) unavailable: bool,
}

impl Session {
    pub(super) fn new(
        since: Instant,
        peer: Peer,
        protection: Protection,
        greeting: &str,
        round_trip: Option<Duration>,
    ) -> Self {
        let patience = match peer {
            Peer::Ours(_) => PATIENCE_OURS,
            Peer::Original | Peer::January => PATIENCE_ORIGINAL,
        };
        Self {
            since,
            // Whoever has exchanged keys is in the room.
            joined: peer == Peer::January,
            entered: false,
            peer,
            protection,
            switching: false,
            me: Me::new(greeting),
            users: None,
            requests: Requests::new(patience),
            gate: None,
            round_trip,
            restarting: false,
            kicked: false,
            unavailable: false,
        }
    }

    /// Returns who the server proved to be, if it did.
    pub(super) fn identity(&self) -> Option<Fingerprint> {
        match self.protection {
            Protection::Noise { identity, .. } => Some(identity),
            Protection::Classic | Protection::Plain => None,
        }
    }

    /// Returns when the login that is waited for is to be tried again: not while one is unanswered.
    pub(super) fn retry(&self) -> Option<Instant> {
        let due = self.gate.as_ref().and_then(Gate::deadline);
        due.filter(|_| self.requests.newest_login().is_none())
    }

    /// Takes what is to be restored on the next connection: what was there, and what was asked for and not answered.
    pub(super) fn take_resume(&mut self, now: Instant, unanswered: &[Request]) -> Resume {
        let mut newest_first = unanswered.iter().rev();
        // What was asked for last counts: whoever has logged out is not logged in again.
        let login = newest_first.clone().find_map(|request| match request {
            Request::Login(login) => Some(Some(login.clone())),
            Request::Logout { .. } | Request::Leave => Some(None),
            _ => None,
        });
        let joined = newest_first.find_map(|request| match request {
            Request::Join => Some(true),
            Request::Leave => Some(false),
            _ => None,
        });
        let begins = login.is_none() && self.gate.as_ref().is_some_and(Gate::is_at_start);
        let awaited = self.gate.take().and_then(Gate::into_login);
        Resume {
            begins,
            dialect: match self.peer {
                Peer::Ours(_) | Peer::Original => Dialect::October,
                Peer::January => Dialect::January,
            },
            identity: self.identity(),
            encryption: match self.protection {
                Protection::Noise { .. } => Encryption::Noise,
                Protection::Classic => Encryption::Classic,
                Protection::Plain => Encryption::Off,
            },
            joined: joined.unwrap_or(self.joined),
            login: login.unwrap_or_else(|| self.me.login.clone().or(awaited)),
            lost: now,
            reason: None,
        }
    }
}

/// What a lost connection had, to be restored on the next one.
#[derive(Clone, Debug)]
pub(super) struct Resume {
    /// The login that a program begins with had not even been sent.
    pub(super) begins: bool,
    /// What it turned out to be.
    pub(super) dialect: Dialect,
    /// The same again: never less.
    pub(super) encryption: Encryption,
    /// Who the server proved to be, and must prove to be again.
    pub(super) identity: Option<Fingerprint>,
    pub(super) joined: bool,
    pub(super) login: Option<Login>,
    /// When it was lost.
    pub(super) lost: Instant,
    /// Why it is not back yet, as was said last.
    pub(super) reason: Option<String>,
}
