//! Pins the server's identity for the user, so that `chat-client` trusts no other at that address; and forgets it.
//!
//! The identity comes from the host, not from whoever answered at the address.

use chat_core::known_servers::ServerAddress;

use super::Outcome;
use crate::apply::{ApplyError, Engine};

/// Pins the identity.
///
/// # Errors
///
/// [`ApplyError::NoIdentity`], the host's, or the pins'.
pub fn run(engine: &Engine<'_>, address: &ServerAddress) -> Outcome {
    let identity = engine.host.identity()?.ok_or(ApplyError::NoIdentity)?;
    engine.pins.pin(address, identity)?;
    Ok(Some(format!("{address} {identity}")))
}

/// Forgets the identity pinned for an address.
///
/// # Errors
///
/// The pins'.
pub fn forget(engine: &Engine<'_>, address: &ServerAddress) -> Outcome {
    engine.pins.forget(address)?;
    Ok(None)
}
