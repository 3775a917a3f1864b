//! The health check: whether a server of ours answers at an address, end to end, and who it is.

use std::time::Duration;

use chat_core::known_servers::ServerAddress;
use chat_core::noise::Fingerprint;
use chat_core::packet::PacketType;
use tokio::time::timeout;

use crate::link::{
    self, Dialect, Encryption, Incoming, KeySource, LinkError, Opened, Peer, Protection, Target, Timeouts,
    Trust,
};
use crate::replies::Reply;

const AGENT: &str = concat!("chat-probe/", env!("CARGO_PKG_VERSION"));

/// A healthy server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What the server calls itself, such as `chat-server/0.1.0`. It is the peer's text: not fit for a terminal as it is.
    pub agent: String,
    /// The identity it proved.
    pub fingerprint: Fingerprint,
    /// How long it took to answer the first packets.
    pub round_trip: Duration,
}

/// Why a server is not healthy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// It is not there, does not speak the protocol or is not the expected one.
    #[error("the chat server at {address} does not answer as it should")]
    Link {
        /// Where it should be.
        address: ServerAddress,
        /// What happened.
        source: LinkError,
    },
    /// It was too slow.
    #[error("the chat server at {address} did not answer within {} s", waited.as_secs_f32())]
    TimedOut {
        /// Where it should be.
        address: ServerAddress,
        /// How long the probe waited.
        waited: Duration,
    },
    /// It answers, but not with what a server says.
    #[error("the chat server at {address} answers CONNECT with something else than a greeting")]
    NoGreeting {
        /// Where it should be.
        address: ServerAddress,
    },
}

impl ProbeError {
    /// Tells whether asking again later may help, as it does while a server is starting.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Link { source, .. } => source.is_transient(),
            Self::TimedOut { .. } => true,
            Self::NoGreeting { .. } => false,
        }
    }
}

/// Asks a server for its identity over the chat protocol: TCP, HELLO, CONNECT, Noise, CONNECT again inside, goodbye.
///
/// `expected` is the only identity to accept; without it any is taken and returned, and believed by nobody yet. Pins are
/// neither read nor written. Takes at most `deadline`.
///
/// # Errors
///
/// [`ProbeError`].
pub async fn probe(
    address: &ServerAddress,
    expected: Option<Fingerprint>,
    deadline: Duration,
) -> Result<Probe, ProbeError> {
    let target = Target {
        address: address.clone(),
        agent: AGENT.to_owned(),
        dialect: Dialect::October,
        encryption: Encryption::Noise,
        trust: Trust { pins: None, demanded: expected },
        classic_keys: KeySource::Fresh,
        timeouts: Timeouts::default(),
    };
    let asked = timeout(deadline, ask(&target)).await;
    asked.map_err(|_| ProbeError::TimedOut { address: address.clone(), waited: deadline })?
}

async fn ask(target: &Target) -> Result<Probe, ProbeError> {
    let address = &target.address;
    let failed = |source| ProbeError::Link { address: address.clone(), source };
    let Opened { mut link, peer, protection, greeting, round_trip } =
        link::open(target).await.map_err(failed)?;
    let (Peer::Ours(hello), Protection::Noise { identity, .. }) = (peer, protection) else {
        return Err(failed(LinkError::NoNoise(address.clone())));
    };
    if Reply::read(PacketType::CONNECT, &greeting).is_none() {
        return Err(ProbeError::NoGreeting { address: address.clone() });
    }
    // A probe is no visitor: it leaves before it answers, so that nobody waits for its connection to time out.
    link.send(PacketType::DISCONNECT, b"").map_err(failed)?;
    while !matches!(link.next().await, Err(_) | Ok(Incoming::Packet { kind: PacketType::DISCONNECT, .. })) {}
    Ok(Probe { agent: hello.agent, fingerprint: identity, round_trip })
}
