//! The framing part of the golden vectors: packets, impossible lengths, and the packet log's hexdumps.

#![expect(clippy::unwrap_used, reason = "tests may fail loudly: there a panic is the report")]

use chat_core::frame::{FrameError, HEADER_LEN, MAX_PACKET_LEN, packet, split_frame};
use chat_core::hexdump::hexdump;
use chat_core::packet::PacketType;
use chat_core::packet_log::{Direction, Entry, Keeper};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

#[derive(Deserialize)]
struct Vectors {
    framing: Vec<Framing>,
    framing_rules: Rules,
    hexdump: Vec<Dump>,
}

#[derive(Deserialize)]
struct Framing {
    #[serde(rename = "type")]
    code: u8,
    type_name: Option<String>,
    body: Option<String>,
    body_repeat: Option<(String, usize)>,
    length: usize,
    packet_hex: Option<String>,
    packet_sha256: Option<String>,
}

#[derive(Deserialize)]
struct Rules {
    header_len: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    header_hex: String,
}

#[derive(Deserialize)]
struct Dump {
    packet_hex: String,
    hexdump: String,
    describe: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../tests/vectors/protocol-vectors.json")).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()
}

#[test]
fn every_packet_is_written_and_read_byte_for_byte() {
    let rows = vectors().framing;
    assert!(!rows.is_empty());
    for row in rows {
        let kind = PacketType::new(row.code);
        if let Some(name) = &row.type_name {
            assert_eq!(kind.name(), name);
        }
        let body = match (row.body, row.body_repeat) {
            (Some(body), _) => body,
            (None, Some((unit, times))) => unit.repeat(times),
            (None, None) => panic!("a row of type {} has no body", row.code),
        };
        let written = packet(kind, body.as_bytes()).unwrap();
        assert_eq!(written.len(), row.length);
        match (row.packet_hex, row.packet_sha256) {
            (Some(expected), _) => assert_eq!(hex(&written), expected),
            (None, Some(expected)) => assert_eq!(hex(&Sha256::digest(&written)), expected),
            (None, None) => panic!("a row of type {} has no packet", row.code),
        }
        let read = split_frame(&written, MAX_PACKET_LEN).unwrap().unwrap();
        assert_eq!((read.kind, read.body, read.wire_len()), (kind, body.as_bytes(), row.length));
    }
}

#[test]
fn impossible_lengths_are_refused() {
    let rules = vectors().framing_rules;
    assert_eq!(rules.header_len, HEADER_LEN);
    let outcomes: Vec<_> = rules
        .cases
        .iter()
        .map(|case| split_frame(&unhex(&case.header_hex), MAX_PACKET_LEN).map(|frame| frame.map(|f| f.kind)))
        .collect();
    let giant = FrameError::TooLong { len: 0xffff_ffff, max: MAX_PACKET_LEN };
    assert_eq!(
        outcomes,
        [
            Err(FrameError::TooShort(0)),
            Err(FrameError::TooShort(4)),
            Ok(Some(PacketType::MESSAGE)),
            Err(giant)
        ]
    );
}

#[test]
fn packets_are_dumped_and_described_as_the_original_does() {
    let rows = vectors().hexdump;
    assert!(!rows.is_empty());
    for row in rows {
        let bytes = unhex(&row.packet_hex);
        assert_eq!(hexdump(&bytes), row.hexdump);
        let frame = split_frame(&bytes, MAX_PACKET_LEN).unwrap().unwrap();
        let entry = Entry {
            timestamp: "",
            keeper: Keeper::Client,
            direction: Direction::Received,
            kind: frame.kind,
            wire_body: frame.body,
            decrypted_body: None,
        };
        assert_eq!(entry.describe(), row.describe);
    }
}
