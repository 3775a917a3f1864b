//! What can go wrong between a client and its server, and what a person can do about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use chat_core::frame::FrameError;
use chat_core::known_servers::ServerAddress;
use chat_core::noise::{Fingerprint, NoiseError};
use chat_core::packet::PacketType;
use chat_core::rsa::{GenerateError, KeyTextError, MismatchError};

use crate::pins::PinsError;

/// Why there is no connection, or no longer one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The host name leads nowhere.
    #[error("cannot find the host of {address}")]
    Resolve {
        /// What was asked for.
        address: ServerAddress,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody takes the connection.
    #[error("cannot connect to {address}")]
    Unreachable {
        /// What was asked for.
        address: ServerAddress,
        /// What the system said of the last address tried.
        source: io::Error,
    },
    /// Somebody took the connection and then said nothing that this client understands.
    #[error("{address} takes connections, but did not answer as a chat server within {} s", waited.as_secs())]
    NoGreeting {
        /// What was asked for.
        address: ServerAddress,
        /// How long the client waited.
        waited: Duration,
    },
    /// The server took the connection, said why it cannot serve it, and closed it.
    #[error("the server turned the connection away: {0}")]
    TurnedAway(String),
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The network lost the connection.
    #[error("the connection was lost")]
    Lost(#[source] io::Error),
    /// Nothing came for so long that nobody can be there any more, not even the answer to a PING.
    #[error("nothing was heard of the server for {} s", .0.as_secs())]
    Silent(Duration),
    /// The server refused to switch encryption.
    #[error("the server refuses to switch encryption: {0}")]
    SwitchRefused(String),
    /// The server did not answer a request to turn encryption on or off.
    #[error("the server did not answer the request to switch encryption within {} s", .0.as_secs())]
    NoSwitch(Duration),
    /// An original server, which has no encryption worth the name, where modern encryption was asked for.
    #[error("{0} is an original chat server: it cannot encrypt in a way that protects anything")]
    Original(ServerAddress),
    /// A server of the January 2026 revision was found out, which has only its own cipher, and modern encryption was wanted.
    #[error(
        "{0} is a chat server of the original's January 2026 revision: it cannot encrypt in a way that protects anything"
    )]
    January(ServerAddress),
    /// A connection without encryption was asked for, and the January 2026 revision always encrypts.
    #[error("{0} is spoken to as the original's January 2026 revision, which cannot do without encryption")]
    AlwaysEncrypts(ServerAddress),
    /// Something was to be sent that the January 2026 revision has no packet for.
    #[error("the original's January 2026 revision has no {}", .0.name())]
    NotInJanuary(PacketType),
    /// A server of ours that does not offer modern encryption.
    #[error("the server at {0} does not offer modern encryption")]
    NoNoise(ServerAddress),
    /// The server at a pinned address hides that it is one of ours. That is what an attacker would do who wants to be
    /// taken for an original server, so it is refused like a changed key.
    #[error("{address} should prove the pinned identity {pinned}, but offers no modern encryption at all")]
    Stripped {
        /// What was asked for.
        address: ServerAddress,
        /// Who should be there.
        pinned: Fingerprint,
    },
    /// An identity is expected at this address, and the January 2026 revision was asked for, which proves none.
    #[error("{address} should prove the identity {pinned}, which the January 2026 revision cannot")]
    ProvesNothing {
        /// What was asked for.
        address: ServerAddress,
        /// Who should be there.
        pinned: Fingerprint,
    },
    /// The server proved another identity than the pinned one.
    #[error("the identity of {address} has changed: pinned {pinned}, offered {offered}")]
    ChangedIdentity {
        /// What was asked for.
        address: ServerAddress,
        /// Who should be there.
        pinned: Fingerprint,
        /// Who is.
        offered: Fingerprint,
    },
    /// An identity was demanded for this connection, and it is not to be encrypted in the way that proves one.
    #[error("only modern encryption can prove the demanded identity {0}")]
    Unprovable(Fingerprint),
    /// The server proved another identity than the one that was demanded for this connection.
    #[error("the server is not the demanded one: demanded {demanded}, offered {offered}")]
    NotDemanded {
        /// Who was asked for.
        demanded: Fingerprint,
        /// Who is there.
        offered: Fingerprint,
    },
    /// Whether the server is the right one cannot be decided.
    #[error("cannot tell whether this is the right server")]
    Pins(#[source] PinsError),
    /// The server broke the protocol.
    #[error("the server broke the protocol")]
    Misbehaved(#[source] Misbehaviour),
    /// The client's own classic keys are unusable.
    #[error("the classic keys of this client are unusable")]
    OwnKeys(#[source] OwnKeysError),
    /// What is to be sent is longer, as it is encrypted, than what a server takes.
    #[error("too long for one packet")]
    TooLong(#[source] FrameError),
    /// The connection is encrypted already, or a switch is under way.
    #[error("encryption cannot be switched now")]
    Busy,
    /// The cipher failed on this side.
    #[error("cannot encrypt")]
    Cipher(#[source] NoiseError),
}

/// What a server did that no server may do. The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// A length field that no packet can have.
    #[error("it sent something that is not a packet")]
    Frame(#[source] FrameError),
    /// The encryption handshake or an encrypted packet does not verify.
    #[error("its encryption does not verify")]
    Noise(#[source] NoiseError),
    /// Modern encryption was asked for and something else came.
    #[error("it answered the request for modern encryption with something else")]
    WrongKey,
    /// The classic key in its answer is malformed or too large.
    #[error("its classic key is unusable")]
    BadClassicKey(#[source] KeyTextError),
    /// The exchange of keys of the January 2026 revision was answered with something that is no key.
    #[error("it answered the exchange of keys with something else")]
    NoKeys,
    /// Its key for the cipher of the January 2026 revision has longer numbers than any of that revision has.
    #[error("its key is too long for the cipher of the January 2026 revision")]
    LongKey,
    /// A packet outside the secure channel while it was in force.
    #[error("it sent {0:?} outside the secure channel")]
    OutsideSecure(PacketType),
    /// A SECURE packet while no secure channel was in force.
    #[error("it sent a secure packet without a secure channel")]
    SecureWhilePlain,
    /// Packets inside the secure channel behind the reply that ends it.
    #[error("it went on in the secure channel after ending it")]
    BehindTheEnd,
    /// A switch of encryption that nobody asked for.
    #[error("it switched encryption ({0:?}) unasked")]
    Unasked(PacketType),
}

/// Why the client's own classic keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnKeysError {
    /// A key file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A key file is not one.
    #[error("{} is not a key file", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: KeyTextError,
    },
    /// The two files do not belong together.
    #[error("the two keys in {} do not belong together", directory.display())]
    Mismatch {
        /// Where they are.
        directory: PathBuf,
        /// Why not.
        source: MismatchError,
    },
    /// The cipher of the January 2026 revision needs every modulus to be above 0x10FFFF and below 2^64.
    #[error("the January 2026 revision needs a key with every n from 1114112 to 18446744073709551615")]
    Unfit,
    /// No keys could be made.
    #[error("no key could be made")]
    Generate(#[source] GenerateError),
}

impl LinkError {
    /// Tells whether trying again later may help: the network or the server's machine may come back. It never helps
    /// against a server that is not the right one or does not follow the protocol.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Resolve { .. }
            | Self::Unreachable { .. }
            | Self::NoGreeting { .. }
            | Self::TurnedAway(_)
            | Self::Closed
            | Self::Lost(_)
            | Self::Silent(_)
            | Self::NoSwitch(_) => true,
            Self::SwitchRefused(_)
            | Self::Original(_)
            | Self::January(_)
            | Self::AlwaysEncrypts(_)
            | Self::NotInJanuary(_)
            | Self::NoNoise(_)
            | Self::Stripped { .. }
            | Self::ProvesNothing { .. }
            | Self::ChangedIdentity { .. }
            | Self::Unprovable(_)
            | Self::NotDemanded { .. }
            | Self::Pins(_)
            | Self::Misbehaved(_)
            | Self::OwnKeys(_)
            | Self::TooLong(_)
            | Self::Busy
            | Self::Cipher(_) => false,
        }
    }

    /// Returns what a person can do about it, one line each; commands in it exist.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        let forget = |address: &ServerAddress| {
            format!(
                "if you know that this server was set up anew: chat-client forget {} {}",
                address.host(),
                address.port()
            )
        };
        match self {
            Self::Resolve { .. } => vec!["check the name; an IP address works too".to_owned()],
            Self::Unreachable { .. } => {
                vec!["is a server running there? chat-deploy status lists those it deployed".to_owned()]
            }
            Self::NoGreeting { .. } => vec![
                "it may be another kind of service, or speak the other revision of the original chat: --dialect says which"
                    .to_owned(),
            ],
            Self::Original(_) => vec![
                "--encryption classic uses its own cipher, which anyone who listens can break; --encryption off none".to_owned(),
            ],
            Self::January(_) => vec![
                "--dialect 2026 speaks it, with its own cipher, which anyone who listens can break".to_owned(),
            ],
            Self::AlwaysEncrypts(_) => vec![
                "leave out --encryption off; its cipher can be broken by anyone who listens all the same".to_owned(),
            ],
            Self::Misbehaved(Misbehaviour::NoKeys) => vec![
                "it is no server of the January 2026 revision: leave out --dialect 2026".to_owned(),
            ],
            Self::NoNoise(_) => vec!["--encryption off connects without protection".to_owned()],
            Self::Stripped { address, .. } => vec![
                "somebody between you and the server may be hiding its encryption; try another network".to_owned(),
                forget(address),
            ],
            Self::ProvesNothing { address, .. } => {
                vec!["leave out --dialect 2026: a server with an identity speaks the other".to_owned(), forget(address)]
            }
            Self::ChangedIdentity { address, .. } => vec![
                "somebody may be pretending to be the server: ask who runs it for the fingerprint".to_owned(),
                forget(address),
            ],
            Self::Unprovable(_) => vec!["leave out --encryption or --identity".to_owned()],
            Self::NotDemanded { .. } => {
                vec!["ask who runs the server for its fingerprint (chat-server identity)".to_owned()]
            }
            Self::Misbehaved(Misbehaviour::Frame(_)) => {
                vec!["is it a chat server? check the port: another kind of service looks like this".to_owned()]
            }
            Self::TooLong(_) => vec![
                "send it in parts; the original's ciphers make six bytes of each".to_owned(),
            ],
            Self::Pins(error) => vec![error.hint()],
            _ => Vec::new(),
        }
    }
}

impl From<PinsError> for LinkError {
    fn from(error: PinsError) -> Self {
        Self::Pins(error)
    }
}

impl From<Misbehaviour> for LinkError {
    fn from(error: Misbehaviour) -> Self {
        Self::Misbehaved(error)
    }
}

impl From<OwnKeysError> for LinkError {
    fn from(error: OwnKeysError) -> Self {
        Self::OwnKeys(error)
    }
}

/// Writes an error and its causes on one line.
#[must_use]
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = without_number(error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&without_number(error.to_string()));
        cause = error.source();
    }
    text
}

/// Takes off the number that the system has for what it says.
fn without_number(mut text: String) -> String {
    if let Some(at) = text.rfind(" (os error ").filter(|_| text.ends_with(')')) {
        text.truncate(at);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_has_no_number() {
        let absent = LinkError::Lost(io::Error::from_raw_os_error(2));
        assert_eq!(error_chain(&absent), "the connection was lost: No such file or directory");
    }
}
