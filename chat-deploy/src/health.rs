//! The health check: does the server at an address speak the chat protocol, with the identity it should have?
//!
//! A process that runs is no proof, nor is an open port; the protocol spoken from where the user sits is. The trait is
//! what the engine sees, `chat_client::probe` what is behind it.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use chat_core::known_servers::ServerAddress;
use chat_core::noise::Fingerprint;
use tokio::runtime::{Builder, Runtime};

/// What a healthy server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// How the server names itself, as `chat-server/0.1.0`.
    pub agent: String,
    /// The identity it proved.
    pub identity: Fingerprint,
    /// How long one request took.
    pub round_trip: Duration,
}

/// A server that did not answer as it should.
#[derive(Debug)]
pub struct Unwell {
    /// What it did instead.
    pub cause: Box<dyn Error + Send + Sync>,
    /// Whether it may do better in a moment, as one that is starting does.
    pub is_transient: bool,
}

// It adds nothing to say of its own, so it shows as its cause does.
impl fmt::Display for Unwell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl Error for Unwell {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}

/// Asks a server how it is.
pub trait HealthCheck {
    /// Connects and speaks the protocol, within `deadline`.
    ///
    /// # Errors
    ///
    /// [`Unwell`], whatever came in the way; among it another identity than `expected`.
    fn check(
        &self,
        address: &ServerAddress,
        expected: Option<Fingerprint>,
        deadline: Duration,
    ) -> Result<Health, Unwell>;
}

/// The health check over the network. The engine around it waits for each answer, so a runtime of one thread that runs
/// only meanwhile is all it takes.
#[derive(Debug)]
pub struct ChatProbe(Runtime);

impl ChatProbe {
    /// Makes the probe.
    ///
    /// # Errors
    ///
    /// The system's, if it gives us nothing to wait with.
    pub fn new() -> io::Result<Self> {
        Builder::new_current_thread().enable_all().build().map(Self)
    }
}

impl HealthCheck for ChatProbe {
    fn check(
        &self,
        address: &ServerAddress,
        expected: Option<Fingerprint>,
        deadline: Duration,
    ) -> Result<Health, Unwell> {
        match self.0.block_on(chat_client::probe(address, expected, deadline)) {
            Ok(probe) => Ok(Health {
                // The peer's own words, and bound for a terminal.
                agent: probe.agent.chars().filter(|c| !c.is_control()).collect(),
                identity: probe.fingerprint,
                round_trip: probe.round_trip,
            }),
            Err(error) => Err(Unwell { is_transient: error.is_transient(), cause: Box::new(error) }),
        }
    }
}
