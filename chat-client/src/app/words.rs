//! How the client words what it knows, in one place.

use crate::link::{Basis, Peer, Protection};

/// Says how a connection is protected, and what that is worth.
pub(super) fn describe(protection: &Protection) -> String {
    match protection {
        Protection::Plain => "not encrypted: anybody on the way can read and change everything".to_owned(),
        Protection::Classic => {
            "classic encryption: the original's cipher, which anybody who listens can break".to_owned()
        }
        Protection::Noise { identity, basis } => {
            let basis = match basis {
                Basis::Pinned => "the server proved its pinned identity",
                Basis::FirstContact => "first contact, from now on only this identity is accepted here:",
                Basis::Demanded => "the server proved the expected identity",
                Basis::Unverified => "nobody has checked the server's identity",
            };
            format!("encrypted with Noise; {basis} {identity}")
        }
    }
}

/// Says what kind of server answers.
pub(super) fn describe_peer(peer: &Peer) -> String {
    match peer {
        Peer::Ours(hello) if hello.agent.is_empty() => "a chat server".to_owned(),
        Peer::Ours(hello) => hello.agent.chars().take(64).collect(),
        Peer::Original => "an original chat server".to_owned(),
        Peer::January => "a chat server of the January 2026 revision".to_owned(),
    }
}
