//! The golden data in `vectors/protocol-vectors.json`, recorded from the original at work.

use std::collections::BTreeMap;

use serde::Deserialize;

const FILE: &str = include_str!("../vectors/protocol-vectors.json");

/// What the tests here read of the file.
#[derive(Debug, Deserialize)]
pub struct Vectors {
    /// Key pairs by name; their private parts are public knowledge.
    pub keys: BTreeMap<String, Key>,
    /// Transcripts of whole conversations.
    pub sessions: Vec<Session>,
}

/// A classic key pair, as its files and as ENCRYPTION_ON carries it.
#[derive(Debug, Deserialize)]
pub struct Key {
    /// The text of `publickey.txt`.
    pub public_file: String,
    /// The text of `privatekey.txt`.
    pub private_file: String,
    /// The public key in ENCRYPTION_ON.
    pub public_wire: String,
}

/// What two clients and the original server said to each other.
#[derive(Debug, Deserialize)]
pub struct Session {
    /// Its name in the file.
    pub name: String,
    /// The name of the server's key.
    pub server_key: String,
    /// Everything that happened; the order counts within one connection.
    pub events: Vec<Event>,
}

/// One packet, or the beginning or end of a connection.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    /// Counts what the clients did; events of one step belong together.
    pub step: u32,
    /// Which client: `A` or `B`.
    pub conn: String,
    /// Who sent it.
    pub dir: Direction,
    /// The bytes on the wire, in hexadecimal; empty where a connection begins or ends.
    pub hex: String,
    /// What it is about.
    pub meaning: String,
}

/// Who sent a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Direction {
    /// A client.
    #[serde(rename = "c2s")]
    FromClient,
    /// The server.
    #[serde(rename = "s2c")]
    FromServer,
}

impl Vectors {
    /// Reads the file.
    #[must_use]
    pub fn load() -> Self {
        serde_json::from_str(FILE).expect("the golden data is readable")
    }

    /// Finds a key by its name.
    #[must_use]
    pub fn key(&self, name: &str) -> &Key {
        self.keys.get(name).expect("the golden data has this key")
    }

    /// Finds a transcript by its name.
    #[must_use]
    pub fn session(&self, name: &str) -> &Session {
        self.sessions.iter().find(|session| session.name == name).expect("the golden data has this session")
    }
}

impl Event {
    /// Returns the bytes on the wire.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        decode_hex(&self.hex)
    }
}

/// Reads hexadecimal digits; white space between bytes is allowed.
#[must_use]
pub fn decode_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| u8::try_from(c.to_digit(16).expect("a hexadecimal digit")).expect("a digit is below 16"))
        .collect();
    assert!(digits.len().is_multiple_of(2), "a digit is missing in {text:?}");
    digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()
}
