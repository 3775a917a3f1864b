//! Sections 6 and 7: the classic switch under load, and keys and bodies that must be refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use chat_core::packet::PacketType as P;
use chat_tests::vectors::{Key, Vectors};
use chat_tests::{Cipher, Packet, Peer, TestServer};

/// Peers that talk without pause until they are dropped.
pub(crate) struct Chatter {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Chatter {
    pub(crate) fn start(server: &TestServer, count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        // All are here before the first one talks.
        let peers: Vec<_> = (0..count).map(|_| server.peer()).collect();
        let threads = peers.into_iter().enumerate().map(|(number, mut peer)| {
            let stop = Arc::clone(&stop);
            let text = format!("chatter {number} π\n");
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    peer.send(P::MESSAGE, &text);
                    // Only its own message lets a peer go on, so that together they never outrun the server.
                    while !peer.skip_to(P::MESSAGE).text().ends_with(&text) {}
                    // Nor whoever works out keys meanwhile, on a busy machine without optimisation.
                    std::thread::sleep(Duration::from_micros(500));
                }
            })
        });
        Self { threads: threads.collect(), stop }
    }
}

impl Drop for Chatter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "a chatting peer failed");
        }
    }
}

/// Receives a few packets, each of which must be readable as things stand.
pub(crate) fn listen(peer: &mut Peer) {
    for _ in 0..5 {
        let Packet { kind, body } = peer.receive();
        let text = String::from_utf8(body).unwrap();
        assert!(
            kind == P::MESSAGE
                && text.starts_with("Client-")
                && text.contains(": chatter ")
                && text.ends_with(" π\n"),
            "{kind:?} {text:?}"
        );
    }
}

#[test]
fn switching_on_and_off_in_the_middle_of_broadcasts_garbles_nothing() {
    let vectors = Vectors::load();
    let server = TestServer::start();
    let mut peer = server.peer();
    let _chatter = Chatter::start(&server, 3);
    for round in 0..60 {
        let key = vectors.key(["small16", "k64"][round % 2]);
        peer.encrypt_classic(key);
        listen(&mut peer);
        peer.encrypt_off();
        listen(&mut peer);
    }
}

#[test]
fn changing_keys_in_the_middle_of_broadcasts_garbles_nothing() {
    let vectors = Vectors::load();
    let server = TestServer::start();
    let mut peer = server.peer();
    peer.encrypt_classic(vectors.key("small16"));
    let _chatter = Chatter::start(&server, 3);
    for round in 0..60 {
        peer.rekey_classic(vectors.key(["k64", "small16"][round % 2]));
        listen(&mut peer);
    }
}

#[test]
fn text_outside_ascii_and_names_survive_the_classic_cipher() {
    let vectors = Vectors::load();
    let server = TestServer::start();
    let (mut a, mut b) = (server.peer(), server.peer());
    a.encrypt_classic(vectors.key("k64"));
    a.send(P::REGISTER, "zoë:pässword");
    a.expect(P::REGISTER, "Server: The username zoë was successfully registered\n");
    b.send(P::LOGIN, "zoë:pässword");
    for peer in [&mut a, &mut b] {
        peer.expect(P::LOGIN, "Server: Client-2 logged in as zoë\n");
        peer.expect(P::USERLIST, "");
    }
    a.send(P::MESSAGE, "π 😀\n");
    a.expect(P::MESSAGE, "Client-1: π 😀\n");
    b.expect(P::MESSAGE, "Client-1: π 😀\n");
    b.encrypt_classic(vectors.key("k512"));
    b.send(P::MESSAGE, "");
    b.expect(P::MESSAGE, "zoë: ");
    a.expect(P::MESSAGE, "zoë: ");
    a.send(P::DISCONNECT, "");
    a.expect(P::DISCONNECT, "Server: Client-1 has disconnected from the server\n");
    a.expect_end();
}

#[test]
fn keys_of_64_pairs_and_of_512_bits_are_taken() {
    let vectors = Vectors::load();
    let small = vectors.key("small16");
    let many = Key {
        public_wire: [small.public_wire.as_str(); 4].join(":"),
        public_file: small.public_file.repeat(4),
        private_file: small.private_file.repeat(4),
    };
    let server = TestServer::start();
    let mut other = server.peer();
    for (number, key) in (2..).zip([&many, vectors.key("k512")]) {
        let mut peer = server.peer();
        peer.encrypt_classic(key);
        peer.send(P::MESSAGE, "long enough for more than one round through sixty-four pairs of a key\n");
        let relayed = peer.receive();
        assert!(relayed.text().starts_with(&format!("Client-{number}: long enough")), "{relayed:?}");
        assert_eq!(other.receive(), relayed);
    }
}

#[test]
fn hostile_and_malformed_keys_change_nothing() {
    let server = TestServer::start();
    let (mut a, mut b) = (server.peer(), server.peer());
    let giant = format!("{},3", "9".repeat(5_000));
    let long = vec!["3233,17"; 65].join(":");
    let wide_exponent = format!("3233,{}", "9".repeat(100));
    let keys = [
        "",
        "abc",
        "12",
        "12,",
        "1,2:",
        "1,2,3",
        " 35 , 5 ",
        "-5,3",
        "0,1",
        "0,0",
        "1,1",
        "255,3",
        "1_000,3",
        "+7,3",
        "3.5,2",
        ",",
        "::",
        "3233,17\n",
        "3233,17:",
        ":3233,17",
        "3233,17:0,5",
        "3233,0",
        "n=3233 e=17",
        "٣٢٣٣,17",
        "noise:",
        &giant,
        &long,
        &wide_exponent,
    ];
    for key in keys {
        a.send(P::ENCRYPTION_ON, key);
        a.fence();
        b.send(P::MESSAGE, "x");
        a.expect(P::MESSAGE, "Client-2: x");
        b.expect(P::MESSAGE, "Client-2: x");
    }
}

#[test]
fn bodies_the_cipher_never_makes_are_dropped() {
    let vectors = Vectors::load();
    let key = vectors.key("small16");
    let server = TestServer::start_with(chat_server::Clock::system(), |_, data| {
        chat_tests::write_server_key(data, key);
    });
    let mut a = server.peer();
    a.encrypt_classic(key);
    let malformed = [
        "5f255cc2b2673400c380381300772f1515",
        "5f",
        "cf80255cc2b2673400c380381300772f151505",
        "06c296c29c",
        "79437f",
        "1c4049",
        "6e6f7420656e6372797074656420617420616c6c0a",
        "c294c2b845",
        "ff",
    ];
    for hex in malformed {
        let body = chat_tests::vectors::decode_hex(hex);
        a.send_bytes(&chat_core::frame::packet(P::MESSAGE, &body).unwrap());
        a.fence();
    }
    a.send(P::MESSAGE, "well\n");
    a.expect(P::MESSAGE, "Client-1: well\n");
}

#[test]
fn a_packet_without_body_is_the_same_five_bytes() {
    let vectors = Vectors::load();
    let server = TestServer::start();
    let mut a = server.peer();
    a.encrypt_classic(vectors.key("k64"));
    a.send_bytes(&[0, 0, 0, 5, 6]);
    a.expect(P::LEAVE, "Server: Client-1 left the chat room\n");
    a.set_cipher(Cipher::Plain);
    a.expect(P::USERLIST, "");
}

#[test]
fn a_client_with_a_costly_key_disturbs_nobody() {
    let vectors = Vectors::load();
    let server = TestServer::start_with(chat_server::Clock::system(), |settings, _| {
        settings.limits.max_message_bytes = 200 * 1024;
    });
    let (mut a, mut b) = (server.peer(), server.peer());
    let mut costly = server.peer();
    costly.encrypt_classic(vectors.key("k512"));
    // Encrypted for that client this is more than a packet can hold.
    let text = "π".repeat(60_000);
    a.send(P::MESSAGE, &text);
    a.expect(P::MESSAGE, format!("Client-1: {text}"));
    b.expect(P::MESSAGE, format!("Client-1: {text}"));
}
