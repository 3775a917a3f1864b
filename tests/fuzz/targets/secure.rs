//! Noise as a stranger speaks it: offers and replies to the handshake, SECURE bodies that nobody sealed, and a sealed
//! stream that is altered on its way.

#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use chat_core::frame::{HEADER_LEN, MAX_PACKET_LEN, split_frame};
use chat_core::noise::{Channel, Identity, Initiator, is_offer, prologue, respond};
use chat_core::packet::PacketType;
use libfuzzer_sys::fuzz_target;

static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity::from_private([7; 32]).expect("a key"));

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    /// What a client sends in ENCRYPTION_ON.
    Offer { hello: &'a [u8], text: &'a str },
    /// What a server answers to ours.
    Reply(&'a str),
    /// The file an identity is kept in.
    File(&'a str),
    /// A SECURE body made up.
    Forged(&'a [u8]),
    /// A stream of bytes through a channel, in parts, of which one is altered at one place.
    Stream { parts: Vec<&'a [u8]>, altered: Option<(u8, u16, u8)> },
}

fuzz_target!(|input: Input<'_>| {
    match input {
        Input::Offer { hello, text } => {
            let answer = respond(&IDENTITY, &prologue(hello, b""), text);
            assert!(answer.is_err() || is_offer(text));
        }
        Input::Reply(text) => {
            let (initiator, offer) = Initiator::start(&prologue(b"a", b"b")).expect("randomness");
            assert!(is_offer(&offer));
            assert!(initiator.finish(text).is_err(), "a reply that nobody made verified");
        }
        Input::File(text) => {
            if let Ok(identity) = Identity::from_file_text(text) {
                let again = Identity::from_file_text(&identity.to_file_text()).expect("what was written");
                assert_eq!(again.public(), identity.public());
            }
        }
        Input::Forged(body) => {
            let (_, mut server) = channels();
            let mut out = b"before".to_vec();
            assert!(server.open(body, &mut out).is_err(), "a body that nobody sealed verified");
            assert_eq!(out, b"before");
        }
        Input::Stream { parts, altered } => stream(&parts, altered),
    }
});

fn channels() -> (Channel, Channel) {
    let prologue = prologue(b"a", b"b");
    let (initiator, offer) = Initiator::start(&prologue).expect("randomness");
    let (server, key) = respond(&IDENTITY, &prologue, &offer).expect("our own offer");
    let (client, identity) = initiator.finish(&key).expect("our own reply");
    assert_eq!(identity, IDENTITY.fingerprint());
    (client, server)
}

fn stream(parts: &[&[u8]], altered: Option<(u8, u16, u8)>) {
    let (mut client, mut server) = channels();
    let mut received = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let mut sealed = Vec::new();
        client.seal(part, &mut sealed).expect("room for it");
        let flip = altered.filter(|&(which, _, bits)| usize::from(which) == number && bits != 0);
        if let Some((_, at, bits)) = flip
            && sealed.len() > HEADER_LEN
        {
            // The header is the framing's; the body is what has to verify.
            let at = HEADER_LEN + usize::from(at) % (sealed.len() - HEADER_LEN);
            sealed[at] ^= bits;
            let body = split_frame(&sealed, MAX_PACKET_LEN).expect("a packet").expect("all of it").body;
            let before = received.len();
            assert!(server.open(body, &mut received).is_err(), "an altered packet verified");
            assert_eq!(received.len(), before);
            return;
        }
        let mut rest = sealed.as_slice();
        while let Some(frame) = split_frame(rest, MAX_PACKET_LEN).expect("packets") {
            assert_eq!(frame.kind, PacketType::SECURE);
            server.open(frame.body, &mut received).expect("what was sealed opens");
            rest = &rest[frame.wire_len()..];
        }
        assert!(rest.is_empty());
    }
    assert_eq!(received, parts.concat());
}
