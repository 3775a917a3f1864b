//! Two conversations recorded from the original, replayed against our server over sockets, byte for byte.
//!
//! Where the recording shows a fault of the original, `DEVIATIONS` says what our server sends instead, and why.

// Says to clippy that all of this is test code, helpers too.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use chat_core::frame::packet;
use chat_core::packet::PacketType;
use chat_server::Clock;
use chat_tests::vectors::{Direction, Event, Vectors};
use chat_tests::{Cipher, Packet, Peer, TestServer, write_server_key};

/// What a client receives in one step in place of what was recorded.
struct Deviation {
    session: &'static str,
    step: u32,
    client: &'static str,
    /// `{port}` stands for the client's own port.
    packets: &'static [(PacketType, &'static str)],
    /// The client's key if encryption is on.
    key: Option<&'static str>,
    reason: &'static str,
}

const LOGIN_IS_ANSWERED: &str = "the original never answers a refused login";
const LEAVE_LOGS_OUT: &str = "the original keeps the user name after LEAVE, here and there";
const OTHER_PORT: &str = "the system chose the client's port";
const UTF8: &str = "the original reads decrypted bytes as Latin-1";

const DEVIATIONS: &[Deviation] = &[
    plain2(7, "B", &[(PacketType::WHOAMI, WHOAMI_CLIENT_2)], OTHER_PORT),
    plain2(11, "B", &[(PacketType::LOGIN, "Server: Unable to login as alice\n")], LOGIN_IS_ANSWERED),
    plain2(12, "B", &[(PacketType::LOGIN, "Server: Unable to login as nobody\n")], LOGIN_IS_ANSWERED),
    plain2(14, "B", &[(PacketType::LOGIN, "Server: Unable to login as alice\n")], LOGIN_IS_ANSWERED),
    plain2(21, "A", &[(PacketType::WHOAMI, WHOAMI_ALICE)], OTHER_PORT),
    plain2(36, "B", &[(PacketType::WHOAMI, WHOAMI_CLIENT_2)], LEAVE_LOGS_OUT),
    plain2(38, "A", REJOIN_CLIENT_2, LEAVE_LOGS_OUT),
    plain2(38, "B", REJOIN_CLIENT_2, LEAVE_LOGS_OUT),
    plain2(
        40,
        "B",
        &[(PacketType::DISCONNECT, "Server: Client-2 has disconnected from the server\n")],
        LEAVE_LOGS_OUT,
    ),
    encrypted2(13, "A", "k64", &[(PacketType::MESSAGE, "alice: π\n")], UTF8),
    encrypted2(13, "B", "k512", &[(PacketType::MESSAGE, "alice: π\n")], UTF8),
    encrypted2(15, "A", "k64", &[(PacketType::WHOAMI, WHOAMI_ALICE)], OTHER_PORT),
];

const WHOAMI_CLIENT_2: &str =
    "Server: whoami results\nclient_name=Client-2\nclient_ip=127.0.0.1\nclient_port={port}\nusername=None\n";
const WHOAMI_ALICE: &str =
    "Server: whoami results\nclient_name=Client-1\nclient_ip=127.0.0.1\nclient_port={port}\nusername=alice\n";
const REJOIN_CLIENT_2: &[(PacketType, &str)] =
    &[(PacketType::JOIN, "Server: Client-2 joined the chat room\n"), (PacketType::USERLIST, "Client-2")];

const fn plain2(
    step: u32,
    client: &'static str,
    packets: &'static [(PacketType, &'static str)],
    reason: &'static str,
) -> Deviation {
    Deviation { session: "plain2", step, client, packets, key: None, reason }
}

const fn encrypted2(
    step: u32,
    client: &'static str,
    key: &'static str,
    packets: &'static [(PacketType, &'static str)],
    reason: &'static str,
) -> Deviation {
    Deviation { session: "encrypted2", step, client, packets, key: Some(key), reason }
}

/// One replay under way.
struct Replay<'a> {
    vectors: &'a Vectors,
    session: &'static str,
    server: TestServer,
    clients: BTreeMap<String, Peer>,
    /// Steps and clients whose deviation has been seen.
    deviated: BTreeSet<(u32, String)>,
}

impl Replay<'_> {
    fn client(&mut self, event: &Event) -> &mut Peer {
        self.clients.get_mut(&event.conn).unwrap_or_else(|| panic!("{event:?}: not connected"))
    }

    fn play(&mut self, event: &Event) {
        match (event.dir, event.bytes()) {
            (Direction::FromClient, bytes) if bytes.is_empty() => {
                self.clients.insert(event.conn.clone(), Peer::connect(self.server.address()));
            }
            (Direction::FromClient, bytes) => {
                self.client(event).send_bytes(&bytes);
                self.expect_deviation(event.step, "A");
                self.expect_deviation(event.step, "B");
            }
            (Direction::FromServer, bytes) if bytes.is_empty() => {
                self.clients.remove(&event.conn).expect("a client that was connected").expect_end();
            }
            (Direction::FromServer, bytes) => {
                if !self.deviated.contains(&(event.step, event.conn.clone())) {
                    let Packet { kind, body } = self.client(event).receive();
                    assert_eq!(packet(kind, &body).unwrap(), bytes, "{event:?}: {kind:?} {body:?} came");
                }
            }
        }
    }

    /// Receives what our server sends instead, if it does; the recorded packets of this step are then passed over.
    fn expect_deviation(&mut self, step: u32, client: &str) {
        let matches = |d: &&Deviation| d.session == self.session && d.step == step && d.client == client;
        let Some(deviation) = DEVIATIONS.iter().find(matches) else { return };
        let peer = self.clients.get_mut(client).expect("a client that is connected");
        let mut cipher = deviation.key.map_or(Cipher::Plain, |name| {
            let key = self.vectors.key(name);
            Cipher::classic(&key.public_wire, key)
        });
        for (kind, text) in deviation.packets {
            let text = text.replace("{port}", &peer.local_port().to_string());
            let Packet { kind: came, body } = peer.receive();
            let expected = cipher.seal(*kind, text.as_bytes());
            assert_eq!(packet(came, &body).unwrap(), expected, "step {step}, {client}: {}", deviation.reason);
        }
        self.deviated.insert((step, client.to_owned()));
    }
}

fn replay(session: &'static str) {
    let vectors = Vectors::load();
    let recorded = vectors.session(session);
    let clock = Clock::fixed("2025-10-12T23:06:01Z".parse().unwrap());
    let server = TestServer::start_with(clock, |_, data| {
        write_server_key(data, vectors.key(&recorded.server_key));
    });
    let mut replay =
        Replay { vectors: &vectors, session, server, clients: BTreeMap::new(), deviated: BTreeSet::new() };
    for event in &recorded.events {
        replay.play(event);
    }
    assert!(replay.clients.is_empty(), "the recording ends with every connection closed");
    let listed = DEVIATIONS.iter().filter(|deviation| deviation.session == session).count();
    assert_eq!(replay.deviated.len(), listed, "every deviation listed is one that happens");
}

#[test]
fn a_plain_conversation() {
    replay("plain2");
}

#[test]
fn an_encrypted_conversation() {
    replay("encrypted2");
}
