//! What there is: the host, whether its server answers, and what is pinned for it here. Looks, and changes nothing.

use std::time::Duration;

use chat_client::pins::PinsError;
use chat_core::known_servers::{KnownServers, ServerAddress};

use crate::health::{Health, HealthCheck};
use crate::host::{Host, HostError, HostState};
use crate::pins::Pins;

/// How long a running server may take to answer before it counts as sick.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// An instance as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The host.
    pub host: HostState,
    /// What a running server answered, or why it did not.
    pub health: Option<Result<Health, String>>,
    /// Where the server is reached with the configuration it has.
    pub address: Option<ServerAddress>,
    /// The user's pins.
    pub pins: KnownServers,
}

/// The instance could not be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObserveError {
    /// The host did not answer.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The pins could not be read.
    #[error(transparent)]
    Pins(#[from] PinsError),
}

/// Looks at an instance whose host was seen in `state` a moment ago.
///
/// # Errors
///
/// [`ObserveError`]. A server that does not answer is an observation, not an error.
pub fn observe(
    host: &dyn Host,
    state: HostState,
    health: &dyn HealthCheck,
    pins: &dyn Pins,
) -> Result<Observed, ObserveError> {
    let address = state.config.as_ref().map(|config| host.reach(config));
    let health = match (&state.process, &address) {
        (Some(_), Some(address)) => {
            Some(health.check(address, state.identity, ANSWER_WITHIN).map_err(|unwell| root_cause(&unwell)))
        }
        _ => None,
    };
    Ok(Observed { host: state, health, address, pins: pins.read()? })
}

/// Returns the last cause of an error, which alone is short enough for a line about many things.
fn root_cause(mut error: &dyn std::error::Error) -> String {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}
