//! The limits that hold for everybody but this machine itself, tried by taking its exemption away.

use std::time::{Duration, Instant};

use chat_core::frame::packet;
use chat_core::packet::PacketType as P;
use chat_server::{Clock, Settings};
use chat_tests::vectors::Vectors;
use chat_tests::{Peer, TestServer};

/// A server that treats this machine as any other and takes ten packets a second after the first five.
fn strict() -> TestServer {
    strict_with(|_| {})
}

fn strict_with(prepare: impl FnOnce(&mut Settings)) -> TestServer {
    TestServer::start_with(Clock::system(), |settings, _| {
        settings.limits.exempt.clear();
        settings.limits.messages_per_second = 10;
        settings.limits.message_burst = 5;
        settings.accounts.free_failures = 1_000;
        prepare(settings);
    })
}

fn long_messages() -> TestServer {
    TestServer::start_with(Clock::system(), |settings, _| settings.limits.max_message_bytes = 240 * 1024)
}

/// Sends the same request fifteen times and returns how long the answers took.
fn fifteen(peer: &mut Peer, kind: P, body: &str) -> Duration {
    let started = Instant::now();
    for _ in 0..15 {
        peer.send(kind, body);
    }
    for _ in 0..15 {
        peer.skip_to(kind);
    }
    started.elapsed()
}

/// Five at once and ten a second make at least a second less what the connection saved up while it was set up.
const AT_LEAST: Duration = Duration::from_millis(800);

#[test]
fn packets_are_counted_in_the_open_and_inside_secure_packets() {
    let server = strict();
    let mut open = Peer::connect(server.address());
    assert!(fifteen(&mut open, P::WHOAMI, "") >= AT_LEAST);
    let (mut secure, ours, theirs) = Peer::hello(server.address());
    secure.encrypt_noise(&ours, &theirs);
    assert!(fifteen(&mut secure, P::WHOAMI, "") >= AT_LEAST);
}

#[test]
fn connecting_again_brings_no_new_budget() {
    let server = strict_with(|settings| settings.limits.rate_shares_per_address = 1);
    let started = Instant::now();
    for _ in 0..5 {
        let mut peer = Peer::connect(server.address());
        for _ in 0..3 {
            peer.send(P::WHOAMI, "");
            peer.skip_to(P::WHOAMI);
        }
        peer.vanish();
    }
    assert!(started.elapsed() >= AT_LEAST);
}

#[test]
fn an_address_connects_no_faster_than_it_may() {
    let server = strict_with(|settings| {
        settings.limits.max_connections_per_address = 2;
        settings.limits.connections_per_second = 1;
    });
    for _ in 0..2 {
        let mut peer = Peer::connect(server.address());
        peer.send(P::DISCONNECT, "");
        peer.skip_to(P::DISCONNECT);
        peer.expect_end();
    }
    Peer::connect(server.address()).expect_closed();
}

#[test]
fn requests_that_take_time_are_counted_too() {
    let server = strict();
    assert!(fifteen(&mut Peer::connect(server.address()), P::LOGIN, "nobody:x") >= AT_LEAST);
}

#[test]
fn whoever_is_gone_is_gone_whatever_was_still_to_be_done_for_them() {
    let server = strict_with(|settings| {
        settings.limits.message_burst = 1_000;
        settings.accounts.free_failures = 0;
    });
    let mut witness = Peer::connect(server.address());
    let mut gone = Peer::connect(server.address());
    witness.send(P::CONNECT, "");
    witness.skip_to(P::CONNECT);
    let mut last_words = packet(P::JOIN, b"").unwrap();
    // Minutes of waiting, since every login that fails makes the next one wait longer.
    last_words.extend(packet(P::LOGIN, b"victim:guess").unwrap().repeat(40));
    gone.send_bytes(&last_words);
    witness.expect(P::JOIN, "Server: Client-2 joined the chat room\n");
    witness.expect(P::USERLIST, "Client-2");
    gone.vanish();
    witness.expect(P::LEAVE, "Server: Client-2 left the chat room\n");
    witness.expect(P::USERLIST, "");
}

#[test]
fn a_message_too_long_for_a_classic_key_is_left_out_and_the_next_one_comes() {
    let server = long_messages();
    let (mut sender, mut classic) = (server.peer(), server.peer());
    classic.encrypt_classic(Vectors::load().key("k512"));
    let long = "x".repeat(240 * 1024);
    sender.send(P::MESSAGE, &long);
    sender.send(P::MESSAGE, "short");
    sender.expect(P::MESSAGE, format!("Client-1: {long}"));
    sender.expect(P::MESSAGE, "Client-1: short");
    classic.expect(P::MESSAGE, "Client-1: short");
}

#[test]
fn a_message_beyond_the_limit_is_dropped_and_its_sender_told() {
    let server = TestServer::start();
    let (mut ours, _, _) = Peer::hello(server.address());
    let longest = "x".repeat(16 * 1024);
    ours.send(P::MESSAGE, format!("{longest}x"));
    let notice = ours.receive();
    assert_eq!(notice.text(), "code=malformed\ntext=A message has at most 16384 bytes.\n");
    ours.send(P::MESSAGE, &longest);
    ours.expect(P::MESSAGE, format!("Client-1: {longest}"));
}

#[test]
fn who_says_more_than_the_room_can_hear_waits_its_turn_and_loses_nothing() {
    let server = TestServer::start_with(Clock::system(), |settings, _| {
        settings.limits.exempt.clear();
        settings.limits.room_bytes_per_second = 128 * 1024;
        // A quarter of it may be said at once.
        settings.limits.outbox_bytes = 512 * 1024;
        settings.limits.byte_burst = 16 << 20;
    });
    let mut peers = [server.peer(), server.peer()];
    let text = "x".repeat(16 * 1024);
    let started = Instant::now();
    for peer in &mut peers {
        (0..8).for_each(|_| peer.send(P::MESSAGE, &text));
    }
    for peer in &mut peers {
        (0..16).for_each(|_| drop(peer.skip_to(P::MESSAGE)));
    }
    assert!(started.elapsed() >= AT_LEAST, "256 KiB, of which 128 were free");
}

#[test]
fn a_key_that_would_take_too_long_is_refused() {
    let server = TestServer::start();
    let k512 = Vectors::load().key("k512").public_wire.clone();
    let modulus = k512.split(',').next().unwrap();
    let dear = vec![format!("{modulus},{}", u64::MAX); 64].join(":");
    let mut peer = server.peer();
    for refused in [dear.as_str(), "65536,3"] {
        peer.send(P::ENCRYPTION_ON, refused);
        peer.send(P::MESSAGE, "still plain");
        peer.expect(P::MESSAGE, "Client-1: still plain");
    }
}

#[test]
fn a_packet_that_never_ends_is_not_waited_for() {
    let server = TestServer::start_with(Clock::system(), |settings, _| {
        settings.limits.packet_timeout = Duration::from_secs(1);
    });
    let mut patient = server.peer();
    let mut stuck = server.peer();
    // Signs of life do not help if the packet does not end.
    stuck.send_bytes(&[0, 0, 1, 0, P::MESSAGE.code(), b'.']);
    stuck.expect_closed();
    patient.fence();
}
