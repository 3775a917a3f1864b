//! Section 1 and the limits: any segmentation of the stream, and what a bad or slow peer can do to others: nothing.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use chat_core::frame::{HEADER_LEN, packet};
use chat_core::packet::PacketType as P;
use chat_server::{Clock, Settings};
use chat_tests::{Packet, Peer, TestServer};

/// A conversation with one answer for each request.
fn conversation() -> (Vec<u8>, Vec<Packet>) {
    let mut bytes = Vec::new();
    let mut answers = vec![Packet::new(P::CONNECT, "Server: Client-1 has connected to the server\n")];
    bytes.extend(packet(P::CONNECT, b"").unwrap());
    for text in ["", "a", "two\nlines\n", "π"] {
        bytes.extend(packet(P::MESSAGE, text.as_bytes()).unwrap());
        answers.push(Packet::new(P::MESSAGE, format!("Client-1: {text}")));
    }
    bytes.extend(packet(P::LOGIN, b"nobody:x").unwrap());
    answers.push(Packet::new(P::LOGIN, "Server: Unable to login as nobody\n"));
    bytes.extend(packet(P::MESSAGE, b"last").unwrap());
    answers.push(Packet::new(P::MESSAGE, "Client-1: last"));
    (bytes, answers)
}

#[test]
fn any_segmentation_gives_the_same_answers() {
    let (bytes, answers) = conversation();
    for size in [1, 2, 3, 4, 5, 6, 7, 13, bytes.len()] {
        let server = TestServer::start();
        let mut peer = Peer::connect(server.address());
        for piece in bytes.chunks(size) {
            peer.send_bytes(piece);
            // Long enough for the server to see most pieces on their own.
            std::thread::sleep(Duration::from_millis(1));
        }
        let came: Vec<_> = answers.iter().map(|_| peer.receive()).collect();
        assert_eq!(came, answers, "in pieces of {size} bytes");
    }
}

#[test]
fn thousands_of_packets_in_one_write_are_all_answered() {
    let server = TestServer::start();
    let mut peer = server.peer();
    peer.send_bytes(&packet(P::MESSAGE, b"x").unwrap().repeat(5_000));
    for _ in 0..5_000 {
        peer.expect(P::MESSAGE, "Client-1: x");
    }
    peer.fence();
}

#[test]
fn an_impossible_length_closes_that_connection_only() {
    let server = TestServer::start();
    let mut witness = server.peer();
    let limit = u32::try_from(Settings::default().limits.max_packet_bytes).unwrap();
    for length in [0, 1, 4, limit + 1, u32::MAX] {
        let mut peer = server.peer();
        peer.send_bytes(&length.to_be_bytes());
        peer.send_bytes(&[P::MESSAGE.code()]);
        peer.expect_end();
        witness.fence();
    }
}

#[test]
fn the_longest_packet_is_taken() {
    let server = TestServer::start_with(Clock::system(), |settings, _| {
        settings.limits.max_message_bytes = settings.limits.max_packet_bytes;
    });
    let (mut a, mut b) = (server.peer(), server.peer());
    let text = "x".repeat(Settings::default().limits.max_packet_bytes - HEADER_LEN);
    a.send(P::MESSAGE, &text);
    let relayed = format!("Client-1: {text}");
    a.expect(P::MESSAGE, &relayed);
    b.expect(P::MESSAGE, &relayed);
}

#[test]
fn what_was_sent_before_the_mistake_is_answered() {
    let server = TestServer::start();
    let mut peer = Peer::connect(server.address());
    let mut bytes = packet(P::CONNECT, b"").unwrap();
    bytes.extend([0, 0, 0, 0]);
    peer.send_bytes(&bytes);
    peer.expect(P::CONNECT, "Server: Client-1 has connected to the server\n");
    peer.expect_end();
}

#[test]
fn garbage_does_not_disturb_others() {
    let server = TestServer::start();
    let (mut a, mut b) = (server.peer(), server.peer());
    // A linear congruential generator: the same garbage every time.
    let mut state = 1_u32;
    let mut garbage = |length: usize| -> Vec<u8> {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..length).map(|_| next()).collect()
    };
    for round in 0..100 {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let mut bytes = garbage(round * 7);
        if round % 2 == 0 {
            // A believable header, so that the garbage is taken as a body of each type in turn.
            let kind = u8::try_from(round % 20).unwrap();
            bytes = packet(P::new(kind), &bytes).unwrap();
        }
        // The server may have closed at the first bytes.
        let _ = stream.write_all(&bytes);
        drop(stream);
        a.send(P::MESSAGE, "still well\n");
        assert!(sees(&mut a, "Client-1: still well\n") && sees(&mut b, "Client-1: still well\n"));
    }
}

/// Whether `text` comes, whatever the garbage made others do before it.
fn sees(peer: &mut Peer, text: &str) -> bool {
    (0..10).any(|_| peer.skip_to(P::MESSAGE).text() == text)
}

#[test]
fn who_does_not_read_is_cut_off_and_nobody_waits() {
    let server =
        TestServer::start_with(Clock::system(), |settings, _| settings.limits.outbox_bytes = 64 * 1024);
    let (mut a, mut b) = (server.peer(), server.peer());
    let mut sleeper = server.peer();
    sleeper.send(P::JOIN, "");
    sleeper.settle();
    a.settle();
    b.settle();
    let text = "x".repeat(16 * 1024);
    let started = Instant::now();
    // More than any system buffers for a connection.
    let mut left = false;
    while !left && started.elapsed() < Duration::from_secs(20) {
        a.send(P::MESSAGE, &text);
        for peer in [&mut a, &mut b] {
            let mut heard = peer.receive();
            while heard.kind != P::MESSAGE {
                left |= heard.kind == P::LEAVE && heard.text() == "Server: Client-3 left the chat room\n";
                heard = peer.receive();
            }
            assert_eq!(heard.body.len(), "Client-1: ".len() + text.len());
        }
    }
    assert!(left, "the one who does not read is still there after {:?}", started.elapsed());
    sleeper.expect_closed();
}

#[test]
fn who_reads_too_slowly_is_told_so_behind_what_waits() {
    let server = TestServer::start();
    let mut a = server.peer();
    let (mut slow, _, _) = Peer::hello(server.address());
    slow.send(P::JOIN, "");
    let text = "x".repeat(16 * 1024);
    let (mut left, started) = (false, Instant::now());
    while !left && started.elapsed() < Duration::from_secs(20) {
        a.send(P::MESSAGE, &text);
        let mut heard = a.receive();
        while heard.kind != P::MESSAGE {
            left |= heard.kind == P::LEAVE;
            heard = a.receive();
        }
    }
    assert!(left, "the one who does not read is still there");
    let notice = slow.skip_to(P::NOTICE);
    assert!(notice.text().starts_with("code=too-slow\n"), "{}", notice.text());
    slow.expect_end();
}

#[test]
fn a_crowd_that_comes_and_goes_leaves_nothing_behind() {
    let server = TestServer::start_with(Clock::system(), |settings, _| settings.limits.max_connections = 100);
    let mut witness = server.peer();
    for _ in 0..10 {
        let mut crowd: Vec<_> = (0..30).map(|_| Peer::connect(server.address())).collect();
        for peer in &mut crowd {
            peer.send(P::JOIN, "");
        }
        drop(crowd);
        for _ in 0..30 {
            let _ = witness.skip_to(P::LEAVE);
        }
    }
    witness.expect(P::USERLIST, "");
    witness.fence();
}
