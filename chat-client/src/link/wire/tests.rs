//! The client's side of the protocol against a scripted server, without sockets.

use chat_core::frame::{FrameBuffer, HEADER_LEN, MAX_PACKET_LEN, MAX_REQUEST_LEN, packet};
use chat_core::noise::{Identity, NoiseError, respond};
use chat_core::packet::PacketType as T;
use proptest::prelude::*;

use super::super::classic::KeySource;
use super::*;

const AGENT: &str = "chat-client/test";
const SERVER_HELLO: &str = "protocol=2\nagent=chat-server/test\ncaps=noise,notice,ping\n";
const CONNECTED: &[u8] = b"Server: Client-1 has connected to the server\n";

/// A server of ours, as far as the wire is concerned.
struct Server {
    identity: Identity,
    channel: Option<Channel>,
    inbound: FrameBuffer,
    inner: FrameBuffer,
}

impl Server {
    fn new() -> Self {
        Self {
            identity: Identity::generate().unwrap(),
            channel: None,
            inbound: FrameBuffer::default(),
            inner: FrameBuffer::default(),
        }
    }

    /// Reads what the client sent: types and bodies, unwrapped.
    fn read(&mut self, wire: &mut Wire) -> Vec<(T, Vec<u8>)> {
        self.inbound.extend(wire.outbound());
        wire.sent(wire.outbound().len());
        let mut seen = Vec::new();
        while let Some(frame) = self.inbound.next_frame(MAX_PACKET_LEN).unwrap() {
            match &mut self.channel {
                Some(channel) => {
                    assert_eq!(frame.kind, T::SECURE, "sent outside the secure channel");
                    let mut plain = Vec::new();
                    channel.open(frame.body, &mut plain).unwrap();
                    self.inner.extend(&plain);
                    while let Some(frame) = self.inner.next_frame(MAX_PACKET_LEN).unwrap() {
                        seen.push((frame.kind, frame.body.to_vec()));
                    }
                }
                None => seen.push((frame.kind, frame.body.to_vec())),
            }
        }
        seen
    }

    /// Answers an offer of the client; the channel is in force from the next packet on.
    fn answer(&mut self, client_hello: &[u8], server_hello: &[u8], offer: &[u8]) -> Vec<u8> {
        let prologue = noise::prologue(client_hello, server_hello);
        let offer = std::str::from_utf8(offer).unwrap();
        let (channel, key) = respond(&self.identity, &prologue, offer).unwrap();
        self.channel = Some(channel);
        let body = format!("Server: Encryption turned on for Client-1\n:{key}");
        packet(T::ENCRYPTION_ON, body.as_bytes()).unwrap()
    }

    fn seal(&mut self, packets: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.channel.as_mut().unwrap().seal(packets, &mut out).unwrap();
        out
    }
}

/// Takes everything that can be taken, as short texts; a verdict is always that the server is the right one.
fn drain(wire: &mut Wire) -> Result<Vec<String>, LinkError> {
    let mut seen = Vec::new();
    while let Some(signal) = wire.poll()? {
        seen.push(match signal {
            Signal::Packet { kind, text } => format!("{} {}", kind.name(), text.trim_end()),
            Signal::Hello(hello) => format!("hello {}", hello.agent),
            Signal::Offer { channel, .. } => {
                wire.enter_secure(channel)?;
                "secure".to_owned()
            }
            Signal::ClassicOn { .. } => "classic".to_owned(),
            Signal::Exchanged => "exchanged".to_owned(),
            Signal::Off { .. } => "off".to_owned(),
            Signal::Pong(token) => format!("pong {token}"),
            Signal::Unreadable(kind) => format!("unreadable {}", kind.name()),
        });
    }
    Ok(seen)
}

fn greeted() -> (Wire, Server, Vec<u8>) {
    let (mut wire, mut server) = (Wire::new(AGENT).unwrap(), Server::new());
    let hello = server.read(&mut wire).remove(0).1;
    wire.receive(&packet(T::HELLO, SERVER_HELLO.as_bytes()).unwrap());
    wire.receive(&packet(T::CONNECT, CONNECTED).unwrap());
    assert_eq!(drain(&mut wire).unwrap().len(), 2);
    (wire, server, hello)
}

fn secured() -> (Wire, Server) {
    let (mut wire, mut server, hello) = greeted();
    wire.start_noise().unwrap();
    let offer = server.read(&mut wire).remove(0).1;
    let answer = server.answer(&hello, SERVER_HELLO.as_bytes(), &offer);
    wire.receive(&answer);
    assert_eq!(drain(&mut wire).unwrap(), ["secure"]);
    (wire, server)
}

fn misbehaviour(result: Result<Vec<String>, LinkError>) -> String {
    match result {
        Err(LinkError::Misbehaved(misbehaviour)) => format!("{misbehaviour:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_packets_are_hello_and_connect_back_to_back() {
    let (mut wire, mut server) = (Wire::new(AGENT).unwrap(), Server::new());
    let sent = server.read(&mut wire);
    assert_eq!(
        sent[0],
        (T::HELLO, b"protocol=2\nagent=chat-client/test\ncaps=noise,notice,ping,roster\n".to_vec())
    );
    assert_eq!(sent[1..], [(T::CONNECT, vec![])]);
}

#[test]
fn hello_counts_only_before_the_connect_reply_and_once() {
    let hello = packet(T::HELLO, SERVER_HELLO.as_bytes()).unwrap();
    let check = |packets: &[&[u8]], expected: &[&str]| {
        let mut wire = Wire::new(AGENT).unwrap();
        packets.iter().for_each(|packet| wire.receive(packet));
        assert_eq!(drain(&mut wire).unwrap(), expected);
    };
    let connected = packet(T::CONNECT, CONNECTED).unwrap();
    let text = "CONNECT Server: Client-1 has connected to the server";
    check(&[&hello, &connected], &["hello chat-server/test", text]);
    check(&[&hello, &hello, &connected], &["hello chat-server/test", text]);
    check(&[&connected, &hello], &[text]);
    check(&[&packet(T::HELLO, b"agent=x\n").unwrap(), &connected], &[text]);
    let chat = packet(T::MESSAGE, b"a: b\n").unwrap();
    check(&[&chat, &hello, &connected], &["MESSAGE a: b", "hello chat-server/test", text]);
}

#[test]
fn what_is_queued_during_the_switch_leaves_only_inside_the_channel() {
    let (mut wire, mut server, hello) = greeted();
    wire.start_noise().unwrap();
    wire.send(T::MESSAGE, b"secret\n").unwrap();
    assert!(matches!(wire.start_noise(), Err(LinkError::Busy)));
    assert!(matches!(wire.start_off(), Err(LinkError::Busy)));
    let sent = server.read(&mut wire);
    assert_eq!(sent.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [T::ENCRYPTION_ON]);
    wire.receive(&server.answer(&hello, SERVER_HELLO.as_bytes(), &sent[0].1));
    assert_eq!(drain(&mut wire).unwrap(), ["secure"]);
    assert_eq!(server.read(&mut wire), [(T::MESSAGE, b"secret\n".to_vec())]);
}

#[test]
fn nothing_is_read_or_sent_before_the_verdict() {
    let (mut wire, mut server, hello) = greeted();
    wire.start_noise().unwrap();
    wire.send(T::JOIN, b"").unwrap();
    let offer = server.read(&mut wire).remove(0).1;
    wire.receive(&server.answer(&hello, SERVER_HELLO.as_bytes(), &offer));
    let behind = server.seal(&packet(T::MESSAGE, b"a: b\n").unwrap());
    wire.receive(&behind);
    let Some(Signal::Offer { channel, fingerprint, .. }) = wire.poll().unwrap() else { panic!() };
    assert_eq!(fingerprint, server.identity.fingerprint());
    assert!(wire.poll().unwrap().is_none() && wire.outbound().is_empty());
    wire.enter_secure(channel).unwrap();
    assert_eq!(drain(&mut wire).unwrap(), ["MESSAGE a: b"]);
    assert_eq!(server.read(&mut wire), [(T::JOIN, vec![])]);
}

#[test]
fn the_secure_channel_ends_as_it_began() {
    let (mut wire, mut server) = secured();
    assert!(matches!(wire.start_noise(), Err(LinkError::Busy)));
    assert!(matches!(wire.start_classic(OwnKeys::load(&KeySource::Fresh).unwrap()), Err(LinkError::Busy)));
    wire.start_off().unwrap();
    wire.send(T::MESSAGE, b"plain again\n").unwrap();
    assert_eq!(server.read(&mut wire), [(T::ENCRYPTION_OFF, vec![])]);
    let off =
        server.seal(&packet(T::ENCRYPTION_OFF, b"Server: Encryption turned off for Client-1\n").unwrap());
    wire.receive(&off);
    wire.receive(&packet(T::MESSAGE, b"a: b\n").unwrap());
    assert_eq!(drain(&mut wire).unwrap(), ["off", "MESSAGE a: b"]);
    server.channel = None;
    assert_eq!(server.read(&mut wire), [(T::MESSAGE, b"plain again\n".to_vec())]);
}

#[test]
fn an_answer_that_is_not_noise_ends_the_connection() {
    let check = |key: &str, expected: &str| {
        let (mut wire, _, _) = greeted();
        wire.start_noise().unwrap();
        let body = format!("Server: Encryption turned on for Client-1\n{key}");
        wire.receive(&packet(T::ENCRYPTION_ON, body.as_bytes()).unwrap());
        assert!(misbehaviour(drain(&mut wire)).starts_with(expected), "{key}");
    };
    check(":3233,17:3127,3", "WrongKey");
    check("", "WrongKey");
    check(":noise:AAAA", "Noise(BadOffer");
    check(&format!(":noise:{}", "A".repeat(128)), "Noise(Handshake");
}

#[test]
fn a_hello_changed_on_the_way_fails_the_handshake() {
    let (mut wire, mut server, hello) = greeted();
    wire.start_noise().unwrap();
    let offer = server.read(&mut wire).remove(0).1;
    wire.receive(&server.answer(&hello, b"protocol=2\nagent=other\ncaps=noise\n", &offer));
    assert!(matches!(
        drain(&mut wire),
        Err(LinkError::Misbehaved(Misbehaviour::Noise(NoiseError::Handshake(_))))
    ));
}

#[test]
fn whatever_breaks_the_secure_channel_ends_the_connection() {
    let message = packet(T::MESSAGE, b"a: b\n").unwrap();
    let check = |bytes: &dyn Fn(&mut Server) -> Vec<u8>, expected: &str| {
        let (mut wire, mut server) = secured();
        wire.receive(&bytes(&mut server));
        assert!(misbehaviour(drain(&mut wire)).starts_with(expected), "{expected}");
    };
    check(&|_| message.clone(), "OutsideSecure(MESSAGE");
    check(&|_| packet(T::new(99), b"").unwrap(), "OutsideSecure");
    check(&|_| packet(T::SECURE, &[0; 40]).unwrap(), "Noise(BadRecord");
    check(&|_| packet(T::SECURE, b"short").unwrap(), "Noise(BadRecordSize");
    check(
        &|server| {
            let mut sealed = server.seal(&message);
            *sealed.last_mut().unwrap() ^= 1;
            sealed
        },
        "Noise(BadRecord",
    );
    check(&|server| server.seal(&packet(T::ENCRYPTION_OFF, b"x\n").unwrap()), "Unasked(ENCRYPTION_OFF");
    check(
        &|server| server.seal(&packet(T::ENCRYPTION_ON, b"Server: x\n:1").unwrap()),
        "Unasked(ENCRYPTION_ON",
    );
    check(&|server| server.seal(&packet(T::SECURE, b"nested").unwrap()), "SecureWhilePlain");
    check(&|server| server.seal(&[0, 0, 0, 1, 1]), "Frame(TooShort");
}

#[test]
fn plain_bytes_behind_the_switch_and_sealed_ones_behind_its_end_are_refused() {
    let message = packet(T::MESSAGE, b"a: b\n").unwrap();
    let (mut wire, mut server, hello) = greeted();
    wire.start_noise().unwrap();
    let offer = server.read(&mut wire).remove(0).1;
    let answer = server.answer(&hello, SERVER_HELLO.as_bytes(), &offer);
    wire.receive(&[answer, message.clone()].concat());
    assert!(misbehaviour(drain(&mut wire)).starts_with("OutsideSecure"));

    let (mut wire, mut server) = secured();
    wire.start_off().unwrap();
    let off = packet(T::ENCRYPTION_OFF, b"Server: Encryption turned off for Client-1\n").unwrap();
    wire.receive(&server.seal(&[off.clone(), message.clone()].concat()));
    assert!(misbehaviour(drain(&mut wire)).starts_with("BehindTheEnd"));

    let (mut wire, mut server) = secured();
    wire.start_off().unwrap();
    let sealed = [server.seal(&off), server.seal(&message)].concat();
    wire.receive(&sealed);
    assert!(misbehaviour(drain(&mut wire)).starts_with("SecureWhilePlain"));
}

#[test]
fn nobody_switches_encryption_unasked() {
    for (kind, body) in [
        (T::ENCRYPTION_ON, &b"Server: Encryption turned on for Client-1\n:3233,17"[..]),
        (T::ENCRYPTION_OFF, b"Server: Encryption turned off for Client-1\n"),
    ] {
        let (mut wire, _, _) = greeted();
        wire.receive(&packet(kind, body).unwrap());
        assert!(misbehaviour(drain(&mut wire)).starts_with("Unasked"));
    }
}

#[test]
fn classic_encryption_switches_exactly_at_the_reply() {
    let (mut wire, mut server, _) = greeted();
    let server_keys = || OwnKeys::load(&KeySource::Fresh).unwrap();
    let reply = |keys: &OwnKeys| format!("Server: Encryption turned on for Client-1\n:{}", keys.offer());

    wire.start_classic(server_keys()).unwrap();
    let client_key = server.read(&mut wire).remove(0).1;
    let keys = server_keys();
    wire.receive(&packet(T::ENCRYPTION_ON, reply(&keys).as_bytes()).unwrap());
    let first = keys.complete(std::str::from_utf8(&client_key).unwrap()).unwrap();
    wire.receive(&packet(T::MESSAGE, &first.encrypt("a: π\n".as_bytes())).unwrap());
    wire.receive(&packet(T::MESSAGE, b"a: not encrypted\n").unwrap());
    wire.receive(&packet(T::USERLIST, b"").unwrap());
    assert_eq!(drain(&mut wire).unwrap(), ["classic", "MESSAGE a: π", "unreadable MESSAGE", "USERLIST "]);

    // New keys while it is on: what was queued before the reply is under the old key, the reply under the new one.
    wire.start_classic(server_keys()).unwrap();
    let request = server.read(&mut wire).remove(0).1;
    let new_client_key = first.decrypt(&request).unwrap();
    let keys = server_keys();
    let text = reply(&keys);
    let second = keys.complete(std::str::from_utf8(&new_client_key).unwrap()).unwrap();
    wire.receive(&packet(T::MESSAGE, &first.encrypt(b"a: old\n")).unwrap());
    wire.receive(&packet(T::ENCRYPTION_ON, &second.encrypt(text.as_bytes())).unwrap());
    wire.receive(&packet(T::MESSAGE, &second.encrypt(b"a: new\n")).unwrap());
    assert_eq!(drain(&mut wire).unwrap(), ["MESSAGE a: old", "classic", "MESSAGE a: new"]);
    wire.send(T::MESSAGE, b"hello\n").unwrap();
    assert_eq!(second.decrypt(&server.read(&mut wire)[0].1).unwrap(), b"hello\n");
}

#[test]
fn a_ping_is_answered_in_kind_and_never_to_an_original_server() {
    let request = packet(T::PING, &ping::request(7)).unwrap();
    let (mut wire, mut server) = secured();
    let sealed = server.seal(&request);
    wire.receive(&sealed);
    assert!(drain(&mut wire).unwrap().is_empty());
    assert_eq!(server.read(&mut wire), [(T::PING, ping::reply_to(&ping::request(7)).unwrap())]);

    let mut original = Wire::new(AGENT).unwrap();
    original.sent(original.outbound().len());
    original.receive(&packet(T::CONNECT, CONNECTED).unwrap());
    original.receive(&request);
    original.receive(&packet(T::NOTICE, b"code=bad-key\ntext=x\n").unwrap());
    original.receive(&packet(T::ROSTER, b"+a\n").unwrap());
    assert_eq!(drain(&mut original).unwrap().len(), 1, "nor are its NOTICE and ROSTER heard");
    assert!(original.outbound().is_empty());
}

#[test]
fn a_server_that_asks_and_does_not_read_gets_few_answers() {
    let flood = packet(T::PING, &ping::request(7)).unwrap().repeat(1000);
    let (mut wire, mut server, _) = greeted();
    for _ in 0..2 {
        wire.receive(&flood);
        assert!(drain(&mut wire).unwrap().is_empty());
        assert_eq!(server.read(&mut wire).len(), MAX_PONGS, "and as many again once those are sent");
    }
    wire.start_off().unwrap();
    wire.receive(&flood);
    assert!(drain(&mut wire).unwrap().is_empty());
    assert!(wire.held.len() <= MAX_PONGS);
}

#[test]
fn bytes_leave_in_order_however_few_are_taken_at_a_time() {
    let (mut wire, mut expected) = (Wire::new(AGENT).unwrap(), Vec::new());
    wire.sent(wire.outbound().len());
    let mut taken = Vec::new();
    for size in (1..=50).chain(std::iter::repeat_n(7, 2000)) {
        if expected.len() < 5000 {
            let body = vec![u8::try_from(size).unwrap(); size];
            wire.send(T::MESSAGE, &body).unwrap();
            expected.extend(packet(T::MESSAGE, &body).unwrap());
        }
        let part = wire.outbound()[..size.min(wire.outbound().len())].to_vec();
        wire.sent(part.len());
        taken.extend(part);
    }
    assert!(taken == expected && wire.unsent_bytes() == 0 && wire.outbound.is_empty());
}

#[test]
fn changes_of_the_user_list_are_heard_from_a_server_of_ours() {
    let (mut wire, _, _) = greeted();
    wire.receive(&packet(T::ROSTER, b"+a\n").unwrap());
    assert_eq!(drain(&mut wire).unwrap(), ["ROSTER +a"]);
}

#[test]
fn strange_packets_are_ignored_or_dropped_and_the_connection_goes_on() {
    let (mut wire, _, _) = greeted();
    for (kind, body) in
        [(99, &b"\xff"[..]), (20, b"+a\n"), (105, b"quote"), (0, b""), (11, b"\xff\xfe"), (11, b"a: ok\n")]
    {
        wire.receive(&packet(T::new(kind), body).unwrap());
    }
    let seen = drain(&mut wire).unwrap();
    assert_eq!(seen, ["unreadable MESSAGE", "MESSAGE a: ok"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_segmentation_gives_the_same_signals(
        texts in proptest::collection::vec("[a-z ]{0,200}", 1..6),
        joined in any::<bool>(),
        size in 1_usize..64,
    ) {
        let (mut wire, mut server) = secured();
        let packets: Vec<_> =
            texts.iter().map(|text| packet(T::MESSAGE, text.as_bytes()).unwrap()).collect();
        // Joined into one record, or each packet torn over several.
        let stream = if joined {
            server.seal(&packets.concat())
        } else {
            packets.concat().chunks(7).flat_map(|part| server.seal(part)).collect()
        };
        let mut seen = Vec::new();
        for piece in stream.chunks(size) {
            wire.receive(piece);
            seen.extend(drain(&mut wire).unwrap());
        }
        let expected: Vec<_> = texts.iter().map(|text| format!("MESSAGE {}", text.trim_end())).collect();
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), secure in any::<bool>()) {
        let mut wire = if secure { secured().0 } else { greeted().0 };
        wire.receive(&bytes);
        let _ = drain(&mut wire);
    }
}

#[test]
fn a_packet_that_no_server_takes_is_refused_and_the_connection_goes_on() {
    let (mut wire, mut server, _) = greeted();
    let most = MAX_REQUEST_LEN - HEADER_LEN;
    assert!(matches!(wire.send(T::MESSAGE, &vec![b'x'; most + 1]), Err(LinkError::TooLong(_))));
    wire.send(T::MESSAGE, &vec![b'x'; most]).unwrap();
    assert_eq!(server.read(&mut wire).len(), 1);
    // As it is encrypted, it counts.
    wire.start_classic(OwnKeys::load(&KeySource::Fresh).unwrap()).unwrap();
    server.read(&mut wire);
    let key = OwnKeys::load(&KeySource::Fresh).unwrap();
    let reply = format!("Server: Encryption turned on for Client-1\n:{}", key.offer());
    wire.receive(&packet(T::ENCRYPTION_ON, reply.as_bytes()).unwrap());
    assert_eq!(drain(&mut wire).unwrap(), ["classic"]);
    assert!(matches!(wire.send(T::MESSAGE, &vec![b'x'; most / 2]), Err(LinkError::TooLong(_))));
    wire.send(T::MESSAGE, &vec![b'x'; most / 10]).unwrap();
}
