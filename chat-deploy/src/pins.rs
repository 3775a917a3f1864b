//! The user's pinned server identities, behind a trait so that tests need no file.
//!
//! `chat_client::pins` reads and writes the file; `chat-client` trusts what it says.

use chat_client::pins::PinsError;
use chat_core::known_servers::{KnownServers, ServerAddress};
use chat_core::noise::Fingerprint;

/// The pins of the user who deploys.
pub trait Pins {
    /// Reads all pins.
    ///
    /// # Errors
    ///
    /// [`PinsError`] if they cannot be read.
    fn read(&self) -> Result<KnownServers, PinsError>;

    /// Pins an identity for an address, in place of any other there.
    ///
    /// # Errors
    ///
    /// [`PinsError`] if the pins cannot be read or written.
    fn pin(&self, address: &ServerAddress, identity: Fingerprint) -> Result<(), PinsError>;

    /// Forgets an address; one that is not pinned is no error.
    ///
    /// # Errors
    ///
    /// [`PinsError`] if the pins cannot be read or written.
    fn forget(&self, address: &ServerAddress) -> Result<(), PinsError>;
}

impl Pins for chat_client::pins::Pins {
    fn read(&self) -> Result<KnownServers, PinsError> {
        self.read()
    }

    fn pin(&self, address: &ServerAddress, identity: Fingerprint) -> Result<(), PinsError> {
        self.pin(address, identity).map(drop)
    }

    fn forget(&self, address: &ServerAddress) -> Result<(), PinsError> {
        self.forget(address).map(drop)
    }
}
