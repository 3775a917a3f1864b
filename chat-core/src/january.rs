//! The dialect of the original's January 2026 revision, whose peers are told apart by their first packet.
//!
//! It frames as ours does, but numbers the packets differently, encrypts from the start and by characters
//! ([`CharacterEncryptor`](crate::rsa::hazmat::CharacterEncryptor)), and has no room to join: whoever has exchanged keys
//! is in it. Everything else here works with the numbers and texts of October 2025; this module turns one into the other.

use std::borrow::Cow;
use std::net::SocketAddr;

use crate::names::{ClientId, Username};
use crate::packet::PacketType;

/// The exchange of keys, in both directions: the first packet of a client, never encrypted.
pub const EXCHANGE_KEYS: PacketType = PacketType::new(1);

/// Stands for PROFILE among our numbers, which have none for it. It is never on the wire.
pub const PROFILE: PacketType = PacketType::new(u8::MAX);

/// This dialect's numbers, and ours for the same. DISCONNECT has another meaning from a server, see [`to_client`].
const NUMBERS: [(u8, PacketType); 11] = [
    (2, PacketType::CONNECT),
    (3, PacketType::DISCONNECT),
    (4, PacketType::REGISTER),
    (5, PacketType::LOGIN),
    (6, PacketType::LOGOUT),
    (7, PROFILE),
    (8, PacketType::USERLIST),
    (9, PacketType::MESSAGE),
    (10, PacketType::WHOAMI),
    (11, PacketType::DATE),
    (12, PacketType::TIME),
];

const JOINED: &str = " joined the chat room\n";
const CONNECTED: &str = " has connected to the server\n";
const LEFT: &str = " left the chat room\n";
const DISCONNECTED: &str = " has disconnected from the server\n";

/// Tells whether a connection's first packet is that of a client of this dialect: type 1 with a list of keys, where others
/// send a CONNECT without a body.
#[must_use]
pub fn is_key_exchange(kind: PacketType, body: &[u8]) -> bool {
    let is_number = |digits: &[u8]| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let is_pair = |pair: &[u8]| {
        let mut numbers = pair.split(|&byte| byte == b',');
        numbers.by_ref().take(2).filter(|number| is_number(number)).count() == 2 && numbers.next().is_none()
    };
    kind == EXCHANGE_KEYS && body.split(|&byte| byte == b':').all(is_pair)
}

/// Returns our number for a packet of this dialect; `None` for the exchange of keys and what has no meaning.
#[must_use]
pub fn to_ours(kind: PacketType) -> Option<PacketType> {
    NUMBERS.iter().find(|(number, _)| *number == kind.code()).map(|(_, ours)| *ours)
}

/// Returns this dialect's number for a request of ours; `None` if it has no such request.
#[must_use]
pub fn to_server(kind: PacketType) -> Option<PacketType> {
    NUMBERS.iter().find(|(_, ours)| *ours == kind).map(|(number, _)| PacketType::new(*number))
}

/// Turns what a server of ours says into what a client of this dialect understands; `None` if that knows nothing of the
/// kind. Who joins the room has connected there, and who leaves it has disconnected.
#[must_use]
pub fn to_client(kind: PacketType, text: &str) -> Option<(PacketType, Cow<'_, str>)> {
    let reworded = |from: &str, to: &str| match text.strip_suffix(from) {
        Some(start) => Cow::Owned([start, to].concat()),
        None => Cow::Borrowed(text),
    };
    let (kind, text) = match kind {
        PacketType::JOIN => (PacketType::CONNECT, reworded(JOINED, CONNECTED)),
        PacketType::LEAVE => (PacketType::DISCONNECT, reworded(LEFT, DISCONNECTED)),
        _ => (kind, Cow::Borrowed(text)),
    };
    Some((to_server(kind)?, text))
}

/// Turns what a server of this dialect says into what a client of ours understands; `None` if it means nothing. A PROFILE
/// stays one. `own` is whether a CONNECT is the answer to the client's own, which everybody gets.
#[must_use]
pub fn from_server(kind: PacketType, text: &str, own: bool) -> Option<(PacketType, Cow<'_, str>)> {
    let reworded = |from: &str, to: &str| match text.strip_suffix(from) {
        Some(start) => Cow::Owned([start, to].concat()),
        None => Cow::Borrowed(text),
    };
    Some(match to_ours(kind)? {
        PacketType::CONNECT if !own => (PacketType::JOIN, reworded(CONNECTED, JOINED)),
        // Of somebody else, always: whoever disconnects is not answered.
        PacketType::DISCONNECT => (PacketType::LEAVE, reworded(DISCONNECTED, LEFT)),
        ours => (ours, Cow::Borrowed(text)),
    })
}

/// Writes a PROFILE: what the server knows of a client.
#[must_use]
pub fn profile(client: ClientId, peer: SocketAddr, user: Option<&Username>) -> String {
    let (ip, port) = (peer.ip().to_canonical(), peer.port());
    let (logged_in, name) = user.map_or(("False", "None"), |user| ("True", user.as_str()));
    format!("client_name={client}:client_ip={ip}:client_port={port}:logged_in={logged_in}:username={name}")
}

/// Reads from a PROFILE which client it is about: what the others are told of it, and itself at CONNECT.
#[must_use]
pub fn client_name(profile: &str) -> Option<&str> {
    let (name, _) = profile.strip_prefix("client_name=")?.split_once(':')?;
    (!name.is_empty()).then_some(name)
}

/// Tells whether the text of a CONNECT is about the client of this name.
#[must_use]
pub fn is_connect_of(client: &str, text: &str) -> bool {
    text.strip_prefix("Server: ").and_then(|rest| rest.strip_suffix(CONNECTED)) == Some(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_packet_with_keys_is_told_from_any_other() {
        let check = |kind, body: &str, expected| {
            assert_eq!(is_key_exchange(PacketType::new(kind), body.as_bytes()), expected, "{kind} {body:?}");
        };
        check(1, "3233,17", true);
        check(1, "3233,17:3127,3", true);
        for body in
            ["", "3233", "3233,", ",17", "3233,17:", ":3233,17", "3233,17,1", "3233,17\n", "-1,2", "hello"]
        {
            check(1, body, false);
        }
        check(3, "3233,17", false);
    }

    #[test]
    fn every_number_has_one_meaning() {
        for code in 0..=u8::MAX {
            let kind = PacketType::new(code);
            assert_eq!(to_ours(kind).and_then(to_server), (2..=12).contains(&code).then_some(kind));
        }
        for kind in [PacketType::NOTICE, PacketType::ENCRYPTION_ON, PacketType::SECURE, PacketType::ROSTER] {
            assert_eq!(to_client(kind, "text"), None);
        }
    }

    #[test]
    fn coming_and_going_is_reworded_both_ways() {
        let check = |ours: PacketType, text: &str, theirs: u8, expected: &str| {
            let sent = to_client(ours, text).unwrap();
            assert_eq!((sent.0.code(), &*sent.1), (theirs, expected));
            let back = from_server(sent.0, &sent.1, false).unwrap();
            assert_eq!((back.0, &*back.1), (ours, text));
        };
        check(
            PacketType::JOIN,
            "Server: Client-1 joined the chat room\n",
            2,
            "Server: Client-1 has connected to the server\n",
        );
        check(
            PacketType::LEAVE,
            "Server: alice left the chat room\n",
            3,
            "Server: alice has disconnected from the server\n",
        );
        check(PacketType::MESSAGE, "alice: I joined the chat room\n", 9, "alice: I joined the chat room\n");
        let own =
            from_server(PacketType::new(2), "Server: Client-1 has connected to the server\n", true).unwrap();
        assert_eq!((own.0, &*own.1), (PacketType::CONNECT, "Server: Client-1 has connected to the server\n"));
        assert_eq!(from_server(EXCHANGE_KEYS, "3233,17", false), None);
        assert_eq!(from_server(PacketType::new(13), "text", false), None);
    }

    #[test]
    fn a_profile_says_which_connect_is_ones_own() {
        let peer = "127.0.0.1:42201".parse().unwrap();
        let profile = profile(ClientId(1), peer, None);
        assert_eq!(from_server(PacketType::new(7), &profile, true), Some((PROFILE, profile.as_str().into())));
        assert_eq!(client_name(&profile), Some("Client-1"));
        for other in ["", "client_name=:x", "client_name=x", "name=Client-1:"] {
            assert_eq!(client_name(other), None, "{other}");
        }
        assert!(is_connect_of("Client-1", "Server: Client-1 has connected to the server\n"));
        for other in ["Server: Client-11 has connected to the server\n", "Client-1", ""] {
            assert!(!is_connect_of("Client-1", other), "{other}");
        }
    }
}
