//! The January 2026 revision over sockets: a conversation recorded from it, replayed against our server, and its clients in
//! one room with those of October 2025.

// Says to clippy that all of this is test code, helpers too.
#![cfg(test)]

use std::collections::BTreeMap;

use chat_core::packet::PacketType;
use chat_core::rsa::hazmat::{CharacterDecryptor, CharacterEncryptor};
use chat_core::rsa::{BigUint, KeyLimits, KeyPair, PublicKey};
use chat_server::Clock;
use chat_tests::vectors::{Direction, Event, Key};
use chat_tests::{Peer, TestServer, write_server_key};
use serde::Deserialize;

const FILE: &str = include_str!("../vectors/protocol-2026-vectors.json");

/// This dialect's numbers.
const EXCHANGE: PacketType = PacketType::new(1);
const CONNECT: PacketType = PacketType::new(2);
const DISCONNECT: PacketType = PacketType::new(3);
const REGISTER: PacketType = PacketType::new(4);
const LOGIN: PacketType = PacketType::new(5);
const PROFILE: PacketType = PacketType::new(7);
const USERLIST: PacketType = PacketType::new(8);
const MESSAGE: PacketType = PacketType::new(9);

#[derive(Deserialize)]
struct Vectors {
    keys: BTreeMap<String, Pairs>,
    session: Session,
}

#[derive(Deserialize)]
struct Pairs {
    pairs: Vec<Pair>,
    public_wire: String,
}

#[derive(Deserialize)]
struct Pair {
    p: String,
    q: String,
}

#[derive(Deserialize)]
struct Session {
    server_key: String,
    client_keys: BTreeMap<String, String>,
    events: Vec<Event>,
}

impl Pairs {
    fn key(&self) -> KeyPair {
        let number = |text: &str| text.parse::<BigUint>().unwrap();
        let primes: Vec<_> = self.pairs.iter().map(|pair| (number(&pair.p), number(&pair.q))).collect();
        KeyPair::from_primes(&primes).unwrap()
    }

    /// The key as the files of October 2025 hold it, which our server reads.
    fn files(&self) -> Key {
        let key = self.key();
        Key {
            public_file: key.public().to_file_text(),
            private_file: key.private().to_file_text().to_string(),
            public_wire: self.public_wire.clone(),
        }
    }
}

fn vectors() -> Vectors {
    serde_json::from_str(FILE).unwrap()
}

/// A client of the January 2026 revision.
struct January {
    peer: Peer,
    encryptor: CharacterEncryptor,
    decryptor: CharacterDecryptor,
}

impl January {
    /// Connects and exchanges keys.
    fn connect(server: &TestServer, key: &Pairs) -> Self {
        let mut peer = Peer::connect(server.address());
        peer.send(EXCHANGE, &key.public_wire);
        let reply = peer.skip_to(EXCHANGE);
        let public = PublicKey::parse_wire(reply.text(), &KeyLimits::LOCAL).unwrap();
        let encryptor = CharacterEncryptor::new(&public).unwrap();
        Self { peer, encryptor, decryptor: CharacterDecryptor::new(key.key().private()).unwrap() }
    }

    fn send(&mut self, kind: PacketType, text: &str) {
        let mut body = Vec::new();
        self.encryptor.encrypt(text, &mut body);
        self.peer.send(kind, body);
    }

    fn expect(&mut self, kind: PacketType, text: &str) {
        let packet = self.peer.receive();
        let came = self.decryptor.decrypt(&packet.body, 10_000).unwrap();
        assert_eq!((packet.kind, came.as_str()), (kind, text));
    }
}

#[test]
fn a_recorded_conversation() {
    let Vectors { keys, session } = vectors();
    let clock = Clock::fixed("2026-01-30T08:25:29Z".parse().unwrap());
    let server = TestServer::start_with(clock, |_, data| {
        write_server_key(data, &keys[&session.server_key].files());
    });
    let mut peers: BTreeMap<String, Peer> = BTreeMap::new();
    for event in &session.events {
        let (bytes, conn) = (event.bytes(), event.conn.clone());
        match event.dir {
            Direction::FromClient if bytes.is_empty() => {
                peers.insert(conn, Peer::connect(server.address()));
            }
            Direction::FromClient => peers.get_mut(&conn).unwrap().send_bytes(&bytes),
            Direction::FromServer if bytes.is_empty() => peers.remove(&conn).unwrap().expect_end(),
            Direction::FromServer => {
                let peer = peers.get_mut(&conn).unwrap();
                let packet = peer.receive();
                let sent = chat_core::frame::packet(packet.kind, &packet.body).unwrap();
                if sent == bytes {
                    continue;
                }
                // The system chose another port for the client.
                let key = keys[&session.client_keys[&conn]].key();
                let decryptor = CharacterDecryptor::new(key.private()).unwrap();
                let read = |body: &[u8]| decryptor.decrypt(body, 1000).unwrap();
                let recorded = read(bytes.get(5..).unwrap()).replace("42201", &peer.local_port().to_string());
                assert_eq!(read(&packet.body), recorded, "{event:?}");
                assert!(recorded.contains("client_port="), "{event:?}");
            }
        }
    }
    assert!(peers.is_empty(), "the recording ends with every connection closed");
}

#[test]
fn both_revisions_are_in_one_room() {
    let Vectors { keys, .. } = vectors();
    let server = TestServer::start();
    let mut old = server.peer();
    let mut new = January::connect(&server, &keys["head_A"]);

    new.send(CONNECT, "");
    old.expect(PacketType::JOIN, "Server: Client-2 joined the chat room\n");
    old.expect(PacketType::USERLIST, "Client-2");
    new.expect(CONNECT, "Server: Client-2 has connected to the server\n");
    new.expect(USERLIST, "Client-2");

    old.send(PacketType::JOIN, "");
    old.expect(PacketType::JOIN, "Server: Client-1 joined the chat room\n");
    old.expect(PacketType::USERLIST, "Client-1:Client-2");
    new.expect(CONNECT, "Server: Client-1 has connected to the server\n");
    new.expect(USERLIST, "Client-1:Client-2");

    old.send(PacketType::MESSAGE, "π and 😀\n");
    old.expect(PacketType::MESSAGE, "Client-1: π and 😀\n");
    new.expect(MESSAGE, "Client-1: π and 😀\n");
    new.send(MESSAGE, "中文\n");
    old.expect(PacketType::MESSAGE, "Client-2: 中文\n");
    new.expect(MESSAGE, "Client-2: 中文\n");

    new.send(REGISTER, "zoë:pässwörd");
    new.expect(REGISTER, "Server: The username zoë was successfully registered\n");
    old.send(PacketType::LOGIN, "zoë:pässwörd");
    old.expect(PacketType::LOGIN, "Server: Client-1 logged in as zoë\n");
    old.expect(PacketType::USERLIST, "Client-2:zoë");
    new.expect(LOGIN, "Server: Client-1 logged in as zoë\n");
    new.expect(USERLIST, "Client-2:zoë");
    new.send(LOGIN, "zoë:pässwörd");
    new.expect(LOGIN, "Server: Unable to login as zoë\n");
    new.send(PROFILE, "");
    let port = new.peer.local_port();
    let profile =
        format!("client_name=Client-2:client_ip=127.0.0.1:client_port={port}:logged_in=False:username=None");
    new.expect(PROFILE, &profile);

    old.send(PacketType::LEAVE, "");
    new.expect(DISCONNECT, "Server: zoë has disconnected from the server\n");
    new.expect(USERLIST, "Client-2");
    old.expect(PacketType::LEAVE, "Server: zoë left the chat room\n");
    old.expect(PacketType::USERLIST, "Client-2");

    new.send(DISCONNECT, "");
    new.peer.expect_end();
    old.expect(PacketType::LEAVE, "Server: Client-2 left the chat room\n");
    old.expect(PacketType::USERLIST, "");
    old.fence();
}

#[test]
fn what_such_a_client_sends_wrong_is_dropped_and_it_stays() {
    let Vectors { keys, .. } = vectors();
    let server = TestServer::start();
    let mut client = January::connect(&server, &keys["head_A"]);
    client.peer.send(MESSAGE, b"\xff\xff");
    client.peer.send(MESSAGE, "hello in clear");
    client.peer.send(EXCHANGE, "3233,17");
    client.peer.send(PacketType::HELLO, "protocol=2\n");
    client.send(MESSAGE, "hello\n");
    client.expect(MESSAGE, "Client-1: hello\n");
}

#[test]
fn a_key_that_cannot_be_served_gets_no_answer_and_changes_nothing() {
    let server = TestServer::start();
    // A modulus longer than a word, and an exponent longer than any that was shipped.
    for key in
        ["115792089237316195423570985008687907853269984665640564039457584007913129639935,3", "1670693,33"]
    {
        let mut peer = Peer::connect(server.address());
        peer.send(EXCHANGE, key);
        peer.fence();
    }
}
