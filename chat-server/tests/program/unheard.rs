//! Nobody is sent anything before their first packet, which tells the dialect they understand.

use chat_core::january;
use chat_core::packet::PacketType;
use chat_core::rsa::{KeyPair, KeySpec};

use crate::process::{Connection, ServerProcess};

/// A room where much is said while somebody is there who has said nothing.
fn beginning(server: &ServerProcess) -> (Connection, Connection) {
    let mut ada = Connection::open(server.address).unwrap();
    let unheard = Connection::open(server.address).unwrap();
    // Whoever comes third is accepted after the second.
    let mut third = Connection::open(server.address).unwrap();
    third.send(PacketType::CONNECT, "").unwrap();
    third.receive(PacketType::CONNECT).unwrap();
    for (kind, body) in [(PacketType::JOIN, ""), (PacketType::MESSAGE, "hello\n")] {
        ada.send(kind, body).unwrap();
        ada.receive(kind).unwrap();
    }
    (ada, unheard)
}

#[test]
fn the_first_thing_a_january_client_receives_is_the_key() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(home.path());
    let (mut ada, mut january) = beginning(&server);
    let keys = KeyPair::generate(&KeySpec::bits(1, 32).unwrap()).unwrap();
    january.send(january::EXCHANGE_KEYS, &keys.public().to_wire()).unwrap();
    let (kind, body) = january.receive_any().unwrap();
    assert_eq!(kind, january::EXCHANGE_KEYS);
    assert!(body.iter().all(|byte| byte.is_ascii_digit() || b",:".contains(byte)), "{body:?}");
    ada.send(PacketType::MESSAGE, "again\n").unwrap();
    // Nine is MESSAGE in that dialect.
    assert_eq!(january.receive_any().unwrap().0, PacketType::new(9));
}

#[test]
fn an_october_client_hears_everything_from_its_first_packet_on() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(home.path());
    let (mut ada, mut october) = beginning(&server);
    october.send(PacketType::CONNECT, "").unwrap();
    let answer = "Server: Client-2 has connected to the server\n";
    assert_eq!(october.receive_any().unwrap(), (PacketType::CONNECT, answer.as_bytes().to_vec()));
    ada.send(PacketType::MESSAGE, "again\n").unwrap();
    assert_eq!(october.receive_any().unwrap(), (PacketType::MESSAGE, b"Client-1: again\n".to_vec()));
}
