//! How the client is used, and where it connects to. Where each setting comes from is in module `settings`.

use std::collections::BTreeMap;

use chat_core::known_servers::ServerAddress;
use chat_core::noise::Fingerprint;

use super::command::Account;
use crate::link::{Dialect, Encryption};

/// How the client is used.
#[derive(Clone, Debug)]
pub struct Config {
    /// A person sits at a terminal and can be asked.
    pub interactive: bool,
    /// A person can be asked for a password, whoever reads what is said.
    pub asks: bool,
    /// There is a full screen, which has commands of its own.
    pub screen: bool,
    /// Reconnect when the connection is lost.
    pub reconnect: bool,
    /// Send passwords over connections without encryption, without asking.
    pub allow_plain_passwords: bool,
    /// Look into the keyring for a password that is missing.
    pub keyring: bool,
    /// Which dialect to speak with servers that have no name.
    pub dialect: Dialect,
    /// How to encrypt with them.
    pub encryption: Encryption,
    /// Who they must prove to be.
    pub identity: Option<Fingerprint>,
    /// The time zone of `/date` and `/time`.
    pub zone: String,
    /// Where the client connects to at the start, and `/connect` without an argument leads at first.
    pub destination: Destination,
    /// Servers by name, in lower case.
    pub servers: BTreeMap<String, Destination>,
    /// Whom to log in as, once connected.
    pub login: Option<Account>,
    /// Enter the room, once connected.
    pub join: bool,
}

/// A server, and how to connect to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Where it is.
    pub address: ServerAddress,
    /// Which dialect to speak.
    pub dialect: Dialect,
    /// How to encrypt.
    pub encryption: Encryption,
    /// Who it must prove to be, whatever the pins say.
    pub identity: Option<Fingerprint>,
}
