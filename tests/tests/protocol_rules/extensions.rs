//! Part II: HELLO, Noise, NOTICE and PING, and that an original client never sees any of it.

use chat_core::frame::packet;
use chat_core::hello::Hello;
use chat_core::noise::{Identity, Initiator, prologue};
use chat_core::notice::Notice;
use chat_core::packet::PacketType as P;
use chat_tests::vectors::Vectors;
use chat_tests::{Cipher, Peer, TestServer};

use crate::encryption::{Chatter, listen};

const HELLO: &str = "protocol=2\nagent=test/0\ncaps=noise,notice,ping\n";

#[test]
fn hello_is_answered_before_anything_else() {
    let server = TestServer::start();
    let mut peer = Peer::connect(server.address());
    let mut bytes = packet(P::HELLO, HELLO.as_bytes()).unwrap();
    bytes.extend(packet(P::CONNECT, b"").unwrap());
    peer.send_bytes(&bytes);
    let hello = peer.receive();
    assert_eq!(hello.kind, P::HELLO);
    let hello = Hello::parse(hello.text()).unwrap();
    assert_eq!((hello.protocol, hello.caps), (2, chat_core::hello::Caps::ALL));
    assert!(hello.agent.starts_with("chat-server/"), "{}", hello.agent);
    peer.expect(P::CONNECT, "Server: Client-1 has connected to the server\n");
}

#[test]
fn hello_counts_only_as_the_first_packet_and_only_once() {
    let server = TestServer::start();
    let mut late = server.peer();
    late.send(P::HELLO, HELLO);
    late.fence();
    late.send(P::PING, [0, 1]);
    late.send(P::DATE, "Nope/Zone");
    late.fence();
    let (mut twice, _, _) = Peer::hello(server.address());
    twice.send(P::HELLO, HELLO);
    twice.fence();
    let mut unreadable = Peer::connect(server.address());
    unreadable.send(P::HELLO, "agent=test/0\n");
    unreadable.send(P::HELLO, HELLO);
    unreadable.fence();
}

#[test]
fn an_original_client_never_receives_a_type_above_14() {
    let server = TestServer::start();
    let mut old = server.peer();
    let (mut new, _, _) = Peer::hello(server.address());
    for (kind, body) in [
        (P::PING, &[0, 1, 2][..]),
        (P::DATE, b"Nope/Zone"),
        (P::MESSAGE, b"\xff"),
        (P::LOGIN, b"no separator"),
        (P::ENCRYPTION_ON, b"0,0"),
        (P::ENCRYPTION_ON, b"noise:hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo"),
        (P::SECURE, b"what?"),
        (P::NOTICE, b"code=idle\ntext=x\n"),
        (P::ROSTER, b"+alice\n"),
    ] {
        old.send(kind, body);
        old.fence();
    }
    new.send(P::PING, [0, 1, 2]);
    new.expect(P::PING, [1, 1, 2]);
    old.fence();
}

#[test]
fn a_notice_says_what_the_original_is_silent_about() {
    let server = TestServer::start();
    let (mut peer, _, _) = Peer::hello(server.address());
    for (kind, body, code) in [
        (P::DATE, &b"Nope/Zone"[..], "bad-zone"),
        (P::TIME, b"", "bad-zone"),
        (P::MESSAGE, b"\xff", "malformed"),
        (P::REGISTER, b"no separator", "malformed"),
        (P::LOGIN, b"no separator", "malformed"),
        (P::ENCRYPTION_ON, b"0,0", "bad-key"),
        (P::ENCRYPTION_ON, b"noise:short", "bad-key"),
        (P::REGISTER, b"alice:", "bad-password"),
    ] {
        peer.send(kind, body);
        let notice = peer.skip_to(P::NOTICE);
        let notice = Notice::parse(notice.text()).unwrap();
        assert_eq!(notice.code, code, "{kind:?} {:?}", String::from_utf8_lossy(body));
        assert!(!notice.text.is_empty());
        peer.settle();
    }
    peer.send(P::REGISTER, "Server:pw");
    let answers = [peer.receive(), peer.receive()];
    assert!(answers.iter().any(|answer| answer.text() == "Server: The username Server is already taken\n"));
    assert!(
        answers.iter().any(|answer| answer.kind == P::NOTICE && answer.text().starts_with("code=bad-name\n"))
    );
}

#[test]
fn a_notice_goes_only_to_who_asked_for_it() {
    let server = TestServer::start();
    let mut peer = Peer::connect(server.address());
    peer.send(P::HELLO, "protocol=2\nagent=test/0\ncaps=ping\n");
    assert_eq!(peer.receive().kind, P::HELLO);
    peer.send(P::DATE, "Nope/Zone");
    peer.fence();
}

#[test]
fn a_ping_comes_back_in_its_turn() {
    let server = TestServer::start();
    let (mut peer, _, _) = Peer::hello(server.address());
    peer.send(P::WHOAMI, "");
    peer.send(P::PING, [0; 64]);
    peer.send(P::CONNECT, "");
    assert_eq!(peer.receive().kind, P::WHOAMI);
    let mut reply = [0; 64];
    reply[0] = 1;
    peer.expect(P::PING, reply);
    assert_eq!(peer.receive().kind, P::CONNECT);
    peer.send(P::PING, [1, 2, 3]);
    peer.fence();
}

#[test]
fn noise_proves_the_identity_in_the_data_directory() {
    let server = TestServer::start();
    let (mut peer, ours, theirs) = Peer::hello(server.address());
    let fingerprint = peer.encrypt_noise(&ours, &theirs);
    let identity = std::fs::read_to_string(server.data().join("identity")).unwrap();
    assert_eq!(fingerprint, Identity::from_file_text(&identity).unwrap().fingerprint());
    let mut plain = server.peer();
    peer.send(P::MESSAGE, "π\n");
    peer.expect(P::MESSAGE, "Client-1: π\n");
    plain.expect(P::MESSAGE, "Client-1: π\n");
    peer.encrypt_off();
    peer.send(P::MESSAGE, "plain again\n");
    peer.expect(P::MESSAGE, "Client-1: plain again\n");
}

#[test]
fn switching_noise_in_the_middle_of_broadcasts_garbles_nothing() {
    let server = TestServer::start();
    let (mut peer, ours, theirs) = Peer::hello(server.address());
    peer.settle();
    let _chatter = Chatter::start(&server, 3);
    for _ in 0..60 {
        let _ = peer.encrypt_noise(&ours, &theirs);
        listen(&mut peer);
        peer.encrypt_off();
        listen(&mut peer);
    }
}

#[test]
fn a_packet_may_span_secure_packets_and_one_may_carry_several() {
    let server = TestServer::start();
    let (peer, ours, theirs) = Peer::hello(server.address());
    let (mut peer, mut channel) = secure(peer, &ours, &theirs);
    let mut stream = packet(P::MESSAGE, b"first").unwrap();
    stream.extend(packet(P::MESSAGE, b"second").unwrap());
    for piece in stream.chunks(3).chain([&packet(P::MESSAGE, b"third").unwrap().repeat(3)[..]]) {
        let mut sealed = Vec::new();
        channel.seal(piece, &mut sealed).unwrap();
        peer.send_bytes(&sealed);
    }
    peer.set_cipher(Cipher::noise(channel));
    for text in ["first", "second", "third", "third", "third"] {
        peer.expect(P::MESSAGE, format!("Client-1: {text}"));
    }
}

#[test]
fn anything_but_valid_secure_packets_closes_a_secure_connection() {
    let server = TestServer::start();
    let mut witness = server.peer();
    for spoil in [altered, replayed, plain, short, unknown] {
        let (peer, ours, theirs) = Peer::hello(server.address());
        let (mut peer, mut channel) = secure(peer, &ours, &theirs);
        let mut sealed = Vec::new();
        channel.seal(&packet(P::PING, &[0]).unwrap(), &mut sealed).unwrap();
        let sealed = spoil(sealed);
        peer.send_bytes(&sealed);
        peer.set_cipher(Cipher::noise(channel));
        peer.expect_closed();
        witness.fence();
    }
}

fn altered(mut sealed: Vec<u8>) -> Vec<u8> {
    *sealed.last_mut().unwrap() ^= 1;
    sealed
}

fn replayed(sealed: Vec<u8>) -> Vec<u8> {
    sealed.repeat(2)
}

fn plain(_: Vec<u8>) -> Vec<u8> {
    packet(P::MESSAGE, b"plain\n").unwrap()
}

fn short(_: Vec<u8>) -> Vec<u8> {
    packet(P::SECURE, &[0; 15]).unwrap()
}

fn unknown(_: Vec<u8>) -> Vec<u8> {
    packet(P::new(200), b"").unwrap()
}

#[test]
fn plain_bytes_behind_the_switch_close_the_connection() {
    let server = TestServer::start();
    let (mut peer, ours, theirs) = Peer::hello(server.address());
    let mut witness = server.peer();
    let (_, offer) = Initiator::start(&prologue(&ours, &theirs)).unwrap();
    let mut bytes = packet(P::ENCRYPTION_ON, offer.as_bytes()).unwrap();
    bytes.extend(packet(P::MESSAGE, b"injected\n").unwrap());
    peer.send_bytes(&bytes);
    peer.expect_closed();
    witness.fence();
}

#[test]
fn there_is_no_second_handshake_within_a_secure_connection() {
    let server = TestServer::start();
    let (mut peer, ours, theirs) = Peer::hello(server.address());
    let _ = peer.encrypt_noise(&ours, &theirs);
    let (_, offer) = Initiator::start(&prologue(&ours, &theirs)).unwrap();
    for key in [offer.as_str(), Vectors::load().key("k64").public_wire.as_str()] {
        peer.send(P::ENCRYPTION_ON, key);
        let notice = peer.receive();
        assert!(notice.kind == P::NOTICE && notice.text().starts_with("code=bad-key\n"), "{notice:?}");
    }
    peer.fence();
}

#[test]
fn an_altered_hello_fails_the_handshake() {
    let server = TestServer::start();
    let (mut peer, ours, theirs) = Peer::hello(server.address());
    let forged = String::from_utf8(ours).unwrap().replace("noise,", "");
    let (initiator, offer) = Initiator::start(&prologue(forged.as_bytes(), &theirs)).unwrap();
    peer.send(P::ENCRYPTION_ON, offer);
    let reply = peer.receive();
    let (_, key) = chat_core::text::split_encryption_on(reply.text()).unwrap();
    assert!(initiator.finish(key).is_err());
}

#[test]
fn noise_without_hello_is_refused_and_classic_with_hello_is_not() {
    let server = TestServer::start();
    let mut old = server.peer();
    let (_, offer) = Initiator::start(&prologue(b"", b"")).unwrap();
    old.send(P::ENCRYPTION_ON, offer);
    old.fence();
    let (mut new, _, _) = Peer::hello(server.address());
    new.encrypt_classic(Vectors::load().key("k64"));
    new.send(P::MESSAGE, "π\n");
    new.expect(P::MESSAGE, "Client-2: π\n");
}

/// Makes the channel and hands it out, for tests that do to it what a peer would not.
fn secure(mut peer: Peer, ours: &[u8], theirs: &[u8]) -> (Peer, chat_core::noise::Channel) {
    let (initiator, offer) = Initiator::start(&prologue(ours, theirs)).unwrap();
    peer.send(P::ENCRYPTION_ON, offer);
    let reply = peer.skip_to(P::ENCRYPTION_ON);
    let (_, key) = chat_core::text::split_encryption_on(reply.text()).unwrap();
    let (channel, _) = initiator.finish(key).unwrap();
    (peer, channel)
}
