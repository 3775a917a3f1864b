//! Time that jumps, as it does for a server that was stopped; and packets inside SECURE packets that never end.

use std::time::Duration;

use chat_core::hello::Hello;
use chat_core::noise::{self, Initiator};
use chat_core::packet::PacketType;
use chat_core::{ping, text};

use crate::process::{Connection, ServerProcess};

fn greeted(server: &ServerProcess) -> (Connection, String, String) {
    let mut connection = Connection::open(server.address).unwrap();
    let ours = Hello::new("test").encode();
    connection.send(PacketType::HELLO, &ours).unwrap();
    let theirs = connection.receive(PacketType::HELLO).unwrap();
    (connection, ours, theirs)
}

#[test]
fn time_in_which_the_server_was_stopped_is_no_silence_of_its_clients() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start_with(home.path(), &[("CHAT_LIMITS_IDLE_TIMEOUT_SECONDS", "6")]);
    let (mut client, ..) = greeted(&server);
    server.signal("STOP");
    std::thread::sleep(Duration::from_secs(8));
    server.signal("CONT");
    // It is asked whether it is there, as after any other silence, and is when it says so.
    let asked = client.receive_any().unwrap();
    assert_eq!(asked.0, PacketType::PING, "{asked:?}");
    let answer = ping::reply_to(&asked.1).unwrap();
    client.send(PacketType::PING, std::str::from_utf8(&answer).unwrap()).unwrap();
    client.send(PacketType::CONNECT, "").unwrap();
    client.receive(PacketType::CONNECT).unwrap();
}

#[test]
fn a_packet_that_never_ends_is_not_waited_for_inside_secure_packets_either() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start_with(home.path(), &[("CHAT_LIMITS_PACKET_TIMEOUT_SECONDS", "2")]);
    let (mut client, ours, theirs) = greeted(&server);
    let (initiator, offer) = Initiator::start(&noise::prologue(ours.as_bytes(), theirs.as_bytes())).unwrap();
    client.send(PacketType::ENCRYPTION_ON, &offer).unwrap();
    let answer = client.receive(PacketType::ENCRYPTION_ON).unwrap();
    let (mut channel, _) = initiator.finish(text::split_encryption_on(&answer).unwrap().1).unwrap();
    // Every SECURE packet is whole; the packet inside them is not, however long one goes on.
    let mut sealed = Vec::new();
    channel.seal(b"\0\0\x01\0\x0b", &mut sealed).unwrap();
    client.send_bytes(&sealed).unwrap();
    let started = std::time::Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(200));
        let mut sealed = Vec::new();
        channel.seal(b"x", &mut sealed).unwrap();
        if client.send_bytes(&sealed).is_err() {
            break;
        }
    }
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    let (_, log) = server.stop("TERM");
    assert!(log.contains("closed: a packet took too long"), "{log}");
}
