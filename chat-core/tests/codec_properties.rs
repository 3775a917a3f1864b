//! Properties of everything that reads bytes from a peer, but for RSA: no input panics, and what was written is read back.

use chat_core::frame::{FrameBuffer, MAX_PACKET_LEN, packet, split_frame, write_frame};
use chat_core::hello::{Caps, Hello};
use chat_core::hexdump::hexdump;
use chat_core::known_servers::{KnownServers, ServerAddress};
use chat_core::names::Username;
use chat_core::noise::{Fingerprint, Identity, Initiator, respond};
use chat_core::notice::Notice;
use chat_core::packet::{PacketType, Request};
use chat_core::{ping, text};
use proptest::prelude::*;

/// Cuts bytes at the given places, taken modulo what is left.
fn pieces<'a>(mut bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for cut in cuts {
        let (piece, rest) = bytes.split_at(cut % (bytes.len() + 1));
        pieces.push(piece);
        bytes = rest;
    }
    pieces.push(bytes);
    pieces
}

proptest! {
    #[test]
    fn any_segmentation_gives_the_same_packets(
        packets in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..200)), 0..20),
        cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        let mut stream = Vec::new();
        for (kind, body) in &packets {
            write_frame(&mut stream, PacketType::new(*kind), body).unwrap();
        }
        let (mut buffer, mut read) = (FrameBuffer::default(), Vec::new());
        for piece in pieces(&stream, &cuts) {
            buffer.extend(piece);
            while let Some(frame) = buffer.next_frame(MAX_PACKET_LEN).unwrap() {
                read.push((frame.kind.code(), frame.body.to_vec()));
            }
        }
        prop_assert_eq!(read, packets);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), limit in 0_usize..400) {
        if let Ok(Some(frame)) = split_frame(&bytes, limit) {
            prop_assert!(frame.wire_len() <= limit && frame.wire_len() <= bytes.len());
        }
        for kind in 0..=255 {
            let _ = Request::decode(PacketType::new(kind), &bytes);
        }
        let _ = ping::reply_to(&bytes);
        let _ = ping::replied_token(&bytes);
        prop_assert_eq!(hexdump(&bytes).lines().count(), bytes.len().div_ceil(16));
    }

    #[test]
    fn no_text_makes_a_reader_panic(input in any::<String>()) {
        let _ = Hello::parse(&input);
        let _ = Notice::parse(&input);
        let _ = text::split_encryption_on(&input);
        let _ = text::split_user_list(&input).count();
        let _ = input.parse::<Fingerprint>();
        let _ = Identity::from_file_text(&input);
        let _ = respond(&Identity::from_private([1; 32]).unwrap(), b"", &input);
        let _ = Initiator::start(b"").unwrap().0.finish(&input);
        if let Ok(known) = input.parse::<KnownServers>() {
            prop_assert_eq!(known.to_string().parse::<KnownServers>(), Ok(known));
        }
    }

    #[test]
    fn a_secure_channel_opens_only_what_was_sealed(
        plain in prop::collection::vec(any::<u8>(), 0..2000),
        damage in any::<(usize, u8)>(),
    ) {
        let identity = Identity::from_private([7; 32]).unwrap();
        let (initiator, offer) = Initiator::start(b"p").unwrap();
        let (mut server, key) = respond(&identity, b"p", &offer).unwrap();
        let (mut client, _) = initiator.finish(&key).unwrap();
        let mut wire = Vec::new();
        client.seal(&plain, &mut wire).unwrap();
        let Some(frame) = split_frame(&wire, MAX_PACKET_LEN).unwrap() else {
            prop_assert!(plain.is_empty());
            return Ok(());
        };
        let mut body = frame.body.to_vec();
        let (at, flip) = (damage.0 % body.len(), damage.1.max(1));
        body[at] ^= flip;
        let mut out = Vec::new();
        prop_assert!(server.open(&body, &mut out).is_err());
        prop_assert!(out.is_empty());
        prop_assert!(server.open(frame.body, &mut out).is_ok(), "a forgery does not harm the real packet");
        prop_assert_eq!(out, plain);
    }

    #[test]
    fn hellos_survive_the_wire(agent in "[ -~]{0,80}", noise: bool, notice: bool, ping: bool, roster: bool) {
        let hello = Hello { protocol: 2, agent, caps: Caps { noise, notice, ping, roster } };
        prop_assert_eq!(Hello::parse(&hello.encode()), Some(hello));
    }

    #[test]
    fn pins_survive_the_file(servers in prop::collection::vec(("[a-z][a-z0-9.-]{0,20}[a-z]|::1", any::<u16>(), any::<[u8; 32]>()), 0..10)) {
        let mut known = KnownServers::default();
        for (host, port, key) in &servers {
            known.pin(ServerAddress::new(host, *port), Fingerprint::of(key));
        }
        let read: KnownServers = known.to_string().parse().unwrap();
        for (host, port, key) in servers.iter().rev().take(1) {
            prop_assert_eq!(read.lookup(&ServerAddress::new(host, *port)), Some(Fingerprint::of(key)));
        }
        prop_assert_eq!(read, known);
    }

    /// Whatever the names, a list splits into the names it was made of, and an ENCRYPTION_ON text ends where its key begins.
    #[test]
    fn valid_names_never_break_a_text(names in prop::collection::vec(any::<String>(), 0..8)) {
        let mut valid: Vec<_> = names.iter().filter_map(|name| Username::parse(name).ok()).collect();
        let list = text::user_list(valid.iter().map(Username::as_str));
        valid.sort();
        let expected: Vec<_> = valid.iter().map(Username::as_str).collect();
        prop_assert_eq!(text::split_user_list(&list).collect::<Vec<_>>(), expected);
        for name in valid {
            let body = text::encryption_on(&text::Display::User(name), "3233,17");
            prop_assert_eq!(text::split_encryption_on(&body).map(|(_, key)| key), Some("3233,17"));
            prop_assert!(packet(PacketType::ENCRYPTION_ON, body.as_bytes()).is_ok());
        }
    }
}
