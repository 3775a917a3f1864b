//! How things stand, for whoever draws a status line.

use std::time::{Duration, Instant};

use chat_core::known_servers::ServerAddress;

use super::{App, Destination, Phase};
use crate::link::Protection;

/// How things stand. Names are in it as they came: whoever shows them makes them safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The server, or the one `/connect` leads to.
    pub address: ServerAddress,
    /// What the settings call it.
    pub name: Option<String>,
    /// How far the connection is.
    pub stage: Stage,
    /// What this client's user is called there.
    pub me: Option<String>,
    /// Whether this client is in the room.
    pub joined: bool,
    /// How the connection is protected, if there is one.
    pub protection: Option<Protection>,
    /// How long the server took to answer when it was last asked.
    pub round_trip: Option<Duration>,
    /// Who is in the room, once the server has said so.
    pub users: Option<Vec<String>>,
    /// A password is asked for, or will be soon: what is typed before the question is there may be it.
    pub awaits_password: bool,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// There is none.
    Offline,
    /// It is being made.
    Connecting,
    /// It was lost and is being made again.
    Restoring,
    /// It was lost, and is made again at this time.
    Waiting {
        /// When.
        until: Instant,
    },
    /// It is there.
    Online,
    /// It is being left.
    Leaving,
}

impl Status {
    /// Returns what the person calls the server: its name in the settings, or else its address.
    #[must_use]
    pub fn place(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.address.to_string())
    }
}

impl App {
    /// Says how things stand.
    #[must_use]
    pub fn status(&self) -> Status {
        let stage = match &self.phase {
            Phase::Idle => Stage::Offline,
            Phase::Opening(None) => Stage::Connecting,
            Phase::Opening(Some(_)) => Stage::Restoring,
            Phase::Waiting { until, .. } => Stage::Waiting { until: *until },
            Phase::Open(_) => Stage::Online,
            Phase::Leaving { .. } => Stage::Leaving,
        };
        let session = match &self.phase {
            Phase::Open(session) | Phase::Leaving { session, .. } => Some(session),
            Phase::Idle | Phase::Opening(_) | Phase::Waiting { .. } => None,
        };
        Status {
            address: self.destination.address.clone(),
            name: self.name().map(str::to_owned),
            stage,
            me: session.and_then(|session| session.me.name()).map(str::to_owned),
            joined: session.is_some_and(|session| session.joined),
            protection: session.map(|session| session.protection),
            round_trip: session.and_then(|session| session.round_trip),
            users: session.and_then(|session| session.users.clone()),
            awaits_password: self.awaits_password(),
        }
    }

    /// Returns what the settings call the server.
    fn name(&self) -> Option<&str> {
        let named = |(_, server): &(&String, &Destination)| server.address == self.destination.address;
        self.config.servers.iter().find(named).map(|(name, _)| name.as_str())
    }
}
