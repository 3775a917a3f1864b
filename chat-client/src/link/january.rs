//! The January 2026 revision of the original as a client speaks it: the keys it begins with, and the two directions.
//!
//! The dialect is `chat_core::january`, the cipher `chat_core::rsa` and its `hazmat`: it protects as little as the classic
//! one. What comes out of here, and goes in, has the numbers and texts of October 2025.

use chat_core::frame::MAX_PACKET_LEN;
use chat_core::january;
use chat_core::packet::PacketType;
use chat_core::rsa::hazmat::{CharacterDecryptor, CharacterEncryptor};
use chat_core::rsa::{KeyLimits, PublicKey};

use super::classic::KeySource;
use super::error::{Misbehaviour, OwnKeysError};

/// Bits of each modulus of a fresh key: the fewest that hold every character in as few bytes.
const FRESH_MODULUS_BITS: u64 = 24;

/// This client's keys, offered to the server, whose own are still to come.
#[derive(Debug)]
pub(super) struct OwnKeys {
    offer: String,
    decryptor: CharacterDecryptor,
}

/// A connection that has exchanged keys.
#[derive(Debug)]
pub(super) struct January {
    encryptor: CharacterEncryptor,
    decryptor: CharacterDecryptor,
    /// What the server calls this client, once it has said so.
    name: Option<String>,
    /// The answer to this client's CONNECT has come.
    greeted: bool,
}

/// What a packet of the server is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// One of ours, with its text.
    Known(PacketType, String),
    /// One of ours whose body cannot be decrypted.
    Unreadable(PacketType),
    /// Nothing that means anything.
    Unknown,
}

impl OwnKeys {
    /// Makes or reads the keys.
    ///
    /// # Errors
    ///
    /// [`OwnKeysError`].
    pub(super) fn load(source: &KeySource) -> Result<Self, OwnKeysError> {
        let pair = source.load(FRESH_MODULUS_BITS)?;
        let decryptor = CharacterDecryptor::new(pair.private()).ok_or(OwnKeysError::Unfit)?;
        Ok(Self { offer: pair.public().to_wire(), decryptor })
    }

    /// Returns the body of the exchange of keys.
    pub(super) fn offer(&self) -> &str {
        &self.offer
    }

    /// Takes the keys into use, together with the server's: the body of its answer, which is of type `kind`.
    ///
    /// # Errors
    ///
    /// [`Misbehaviour::NoKeys`], [`Misbehaviour::BadClassicKey`] and [`Misbehaviour::LongKey`].
    pub(super) fn complete(self, kind: PacketType, body: &[u8]) -> Result<January, Misbehaviour> {
        let key = str::from_utf8(body).ok().filter(|_| january::is_key_exchange(kind, body));
        let key = PublicKey::parse_wire(key.ok_or(Misbehaviour::NoKeys)?, &KeyLimits::PEER)
            .map_err(Misbehaviour::BadClassicKey)?;
        let encryptor = CharacterEncryptor::new(&key).ok_or(Misbehaviour::LongKey)?;
        Ok(January { encryptor, decryptor: self.decryptor, name: None, greeted: false })
    }
}

impl January {
    /// Returns a request of ours as the server understands it; `None` if it knows no such request.
    pub(super) fn seal(&self, kind: PacketType, body: &[u8]) -> Option<(PacketType, Vec<u8>)> {
        let kind = january::to_server(kind)?;
        let mut sealed = Vec::new();
        self.encryptor.encrypt(&String::from_utf8_lossy(body), &mut sealed);
        Some((kind, sealed))
    }

    /// Reads a packet of the server.
    pub(super) fn open(&mut self, kind: PacketType, body: &[u8]) -> Packet {
        let Some(ours) = january::to_ours(kind) else { return Packet::Unknown };
        let Ok(text) = self.decryptor.decrypt(body, MAX_PACKET_LEN) else { return Packet::Unreadable(ours) };
        if ours == january::PROFILE && self.name.is_none() {
            self.name = january::client_name(&text).map(str::to_owned);
        }
        let own = ours == PacketType::CONNECT && self.is_own(&text);
        self.greeted |= own;
        match january::from_server(kind, &text, own) {
            Some((kind, text)) => Packet::Known(kind, text.into_owned()),
            None => Packet::Unknown,
        }
    }

    /// Tells whether a CONNECT, which everybody is told of, is this client's.
    fn is_own(&self, text: &str) -> bool {
        let is_mine = |name: &String| january::is_connect_of(name, text);
        // A server that does not say who this client is answers in order: nobody else's is likelier to come first.
        !self.greeted && self.name.as_ref().is_none_or(is_mine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two ends that have exchanged keys; what one seals the other can open, if its number is right.
    fn pair() -> (January, January) {
        let [ours, theirs] = [(); 2].map(|()| OwnKeys::load(&KeySource::Fresh).unwrap());
        let [offer, answer] = [&ours, &theirs].map(|keys| keys.offer().to_owned());
        let complete =
            |keys: OwnKeys, key: &str| keys.complete(january::EXCHANGE_KEYS, key.as_bytes()).unwrap();
        (complete(ours, &answer), complete(theirs, &offer))
    }

    fn told(to: &mut January, by: &January, kind: PacketType, text: &str) -> Packet {
        let (kind, body) = by.seal(kind, text.as_bytes()).unwrap();
        to.open(kind, &body)
    }

    fn known(kind: PacketType, text: &str) -> Packet {
        Packet::Known(kind, text.to_owned())
    }

    #[test]
    fn every_character_arrives_and_coming_and_going_is_ours() {
        let (mut client, server) = pair();
        let text = "Server: π \u{10ffff} 😀\n";
        assert_eq!(told(&mut client, &server, PacketType::MESSAGE, text), known(PacketType::MESSAGE, text));
        let connected = |name: &str| format!("Server: {name} has connected to the server\n");
        let profile = "client_name=Client-2:client_ip=::1:client_port=1:logged_in=False:username=None";
        assert_eq!(told(&mut client, &server, january::PROFILE, profile), known(january::PROFILE, profile));
        let joined = |name: &str| known(PacketType::JOIN, &format!("Server: {name} joined the chat room\n"));
        let told_of =
            |client: &mut January, name: &str| told(client, &server, PacketType::CONNECT, &connected(name));
        assert_eq!(told_of(&mut client, "Client-1"), joined("Client-1"));
        assert_eq!(told_of(&mut client, "Client-2"), known(PacketType::CONNECT, &connected("Client-2")));
        // Whoever is called so later is somebody else.
        assert_eq!(told_of(&mut client, "Client-2"), joined("Client-2"));
    }

    #[test]
    fn without_a_profile_the_first_greeting_is_ones_own() {
        let (mut client, server) = pair();
        let text = "Server: Client-7 has connected to the server\n";
        assert_eq!(told(&mut client, &server, PacketType::CONNECT, text), known(PacketType::CONNECT, text));
    }

    #[test]
    fn what_the_revision_lacks_is_neither_sent_nor_understood() {
        let (mut client, _) = pair();
        for kind in [PacketType::JOIN, PacketType::LEAVE, PacketType::PING, PacketType::ENCRYPTION_OFF] {
            assert_eq!(client.seal(kind, b""), None);
        }
        assert_eq!(client.open(PacketType::new(13), b""), Packet::Unknown);
        assert_eq!(client.open(january::EXCHANGE_KEYS, b"3233,17"), Packet::Unknown);
        assert_eq!(client.open(PacketType::new(9), b"in clear"), Packet::Unreadable(PacketType::MESSAGE));
    }

    #[test]
    fn an_answer_without_usable_keys_is_refused() {
        let check = |kind: u8, body: &[u8], expected: &str| {
            let keys = OwnKeys::load(&KeySource::Fresh).unwrap();
            let error = keys.complete(PacketType::new(kind), body).unwrap_err();
            assert!(format!("{error:?}").starts_with(expected), "{error:?}");
        };
        check(1, b"Server: Client-1 has connected to the server\n", "NoKeys");
        check(1, b"\xff", "NoKeys");
        check(2, b"3233,17", "NoKeys");
        check(1, b"0,17", "BadClassicKey");
        check(1, b"18446744073709551617,3", "LongKey");
    }
}
