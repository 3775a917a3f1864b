//! `docs/protocol.md` against the code: every example and every table in it must be what chat-core does.

// Says to clippy that all of this is test code, helpers too.
#![cfg(test)]

use std::str::FromStr as _;

use chat_core::frame::{HEADER_LEN, MAX_PACKET_LEN, packet, split_frame};
use chat_core::hello::Hello;
use chat_core::hexdump::hexdump;
use chat_core::noise::{Fingerprint, Identity, OFFER_PREFIX, is_offer};
use chat_core::notice::{Notice, NoticeCode};
use chat_core::packet::{PacketType, Request};
use chat_core::rsa::hazmat::{Decryptor, Encryptor};
use chat_core::rsa::{KeyLimits, PrivateKey, PublicKey};
use chat_core::{ping, text};
use chat_server::Settings;
use chat_tests::vectors::decode_hex;

const DOCUMENT: &str = include_str!("../../docs/protocol.md");

/// The lines of every fenced block whose tag begins with `tag`, and the rest of its tag.
fn blocks(tag: &str) -> Vec<(String, Vec<&'static str>)> {
    let mut blocks = Vec::new();
    let mut lines = DOCUMENT.lines();
    while let Some(line) = lines.next() {
        let Some(found) = line.strip_prefix("```") else { continue };
        let content: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        if let Some(rest) = found.strip_prefix(tag) {
            blocks.push((rest.trim().to_owned(), content));
        }
    }
    assert!(!blocks.is_empty(), "the document has blocks tagged {tag}");
    blocks
}

/// The cells of every table row.
fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
}

/// One example: who sends which packet with which body, and the bytes.
struct Example {
    from_client: bool,
    name: String,
    body: Vec<u8>,
    /// `n,e,d` of each pair if the body is encrypted.
    keys: Option<String>,
    bytes: Vec<u8>,
}

impl Example {
    /// Reads `client NAME "body" [with keys]`, or `hex` and bytes in place of a text, and lines of bytes below.
    fn read(lines: &[&str]) -> Self {
        let (head, dump) = lines.split_first().unwrap();
        let mut words = head.splitn(3, ' ');
        let from_client = match words.next() {
            Some("client") => true,
            Some("server") => false,
            other => panic!("{head}: {other:?} sends nothing"),
        };
        let name = words.next().unwrap().to_owned();
        let rest = words.next().unwrap();
        let (rest, keys) =
            rest.split_once(" with ").map_or((rest, None), |(rest, keys)| (rest, Some(keys.to_owned())));
        let body = match rest.strip_prefix("hex ") {
            Some(hex) => decode_hex(hex),
            None => {
                serde_json::from_str::<String>(rest).unwrap_or_else(|e| panic!("{head}: {e}")).into_bytes()
            }
        };
        Self { from_client, name, body, keys, bytes: decode_hex(&dump.concat()) }
    }

    /// Splits the keys into the public wire form and the text of a private file.
    fn halves(keys: &str) -> (PublicKey, PrivateKey) {
        let pairs: Vec<Vec<_>> = keys.split(':').map(|pair| pair.split(',').collect()).collect();
        let wire: Vec<_> = pairs.iter().map(|pair| format!("{},{}", pair[0], pair[1])).collect();
        let file: String = pairs.iter().map(|pair| format!("n={} d={}\n", pair[0], pair[2])).collect();
        (
            PublicKey::parse_wire(&wire.join(":"), &KeyLimits::PEER).unwrap(),
            PrivateKey::from_file_text(&file, &KeyLimits::PEER).unwrap(),
        )
    }

    fn check(&self) {
        let frame = split_frame(&self.bytes, MAX_PACKET_LEN).unwrap().unwrap();
        assert_eq!((frame.kind.name(), frame.wire_len()), (self.name.as_str(), self.bytes.len()));
        let mut wire_body = self.body.clone();
        if let Some(keys) = &self.keys {
            let (public, private) = Self::halves(keys);
            wire_body.clear();
            Encryptor::new(&public).encrypt(&self.body, &mut wire_body);
            let mut plain = Vec::new();
            Decryptor::from_private(&private).decrypt(frame.body, MAX_PACKET_LEN, &mut plain).unwrap();
            assert_eq!(plain, self.body, "{}", self.name);
        }
        assert_eq!(frame.body, wire_body, "{}", self.name);
        assert_eq!(packet(frame.kind, &wire_body).unwrap(), self.bytes, "{}", self.name);
        if self.from_client {
            let request = Request::decode(frame.kind, &self.body).unwrap();
            assert!(!matches!(request, Request::Ignored(_)), "{}", self.name);
        }
        self.check_body(frame.kind);
    }

    /// Bodies with an inner form are read by the code that reads them in earnest.
    fn check_body(&self, kind: PacketType) {
        let body = std::str::from_utf8(&self.body).unwrap_or_default();
        match kind {
            PacketType::HELLO => assert_eq!(Hello::parse(body).unwrap().encode(), body),
            PacketType::NOTICE => {
                assert!(NoticeCode::from_word(&Notice::parse(body).unwrap().code).is_some())
            }
            PacketType::PING if self.from_client => assert!(ping::reply_to(&self.body).is_some()),
            PacketType::PING => assert!(ping::replied_token(&self.body).is_some()),
            PacketType::ENCRYPTION_ON if is_offer(body) => {
                assert_eq!(body.len(), OFFER_PREFIX.len() + 43);
            }
            PacketType::ENCRYPTION_ON => {
                let key = if self.from_client { body } else { text::split_encryption_on(body).unwrap().1 };
                assert_eq!(PublicKey::parse_wire(key, &KeyLimits::PEER).unwrap().to_wire(), key);
            }
            _ => {}
        }
    }
}

#[test]
fn every_packet_is_what_its_first_line_says() {
    for (_, lines) in blocks("packet") {
        Example::read(&lines).check();
    }
}

#[test]
fn key_files_survive_reading_and_writing() {
    for (half, lines) in blocks("key-file") {
        let text = lines.join("\n") + "\n";
        match half.as_str() {
            "public" => {
                assert_eq!(PublicKey::from_file_text(&text, &KeyLimits::LOCAL).unwrap().to_file_text(), text);
            }
            "private" => {
                let key = PrivateKey::from_file_text(&text, &KeyLimits::LOCAL).unwrap();
                assert_eq!(key.to_file_text().as_str(), text);
            }
            other => panic!("a key file is public or private, not {other}"),
        }
    }
}

#[test]
fn hexdumps_are_those_of_their_first_line() {
    for (_, lines) in blocks("hexdump") {
        let (bytes, dump) = lines.split_first().unwrap();
        assert_eq!(hexdump(&decode_hex(bytes)), dump.join("\n") + "\n");
    }
}

#[test]
fn the_tables_hold_every_type_under_its_name() {
    let listed: Vec<(u8, String)> =
        rows().filter_map(|row| Some((row.first()?.parse().ok()?, (*row.get(1)?).to_owned()))).collect();
    // The table of a packet's header also begins with numbers: its offsets.
    let listed: Vec<_> = listed
        .into_iter()
        .filter(|(_, name)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .collect();
    let known: Vec<_> = (0..=u8::MAX)
        .filter(|code| PacketType::new(*code).name() != "UNKNOWN")
        .map(|code| (code, PacketType::new(code).name().to_owned()))
        .collect();
    let sorted = |mut list: Vec<(u8, String)>| {
        list.sort();
        list
    };
    assert_eq!(sorted(listed), sorted(known));
}

#[test]
fn the_table_of_notices_holds_known_codes() {
    let section = DOCUMENT.split("\n## ").find(|section| section.starts_with("14. ")).unwrap();
    let words: Vec<_> =
        section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(words.len(), 13);
    for word in words {
        assert!(NoticeCode::from_word(word).is_some(), "{word}");
    }
}

#[test]
fn the_limits_are_the_defaults() {
    let Settings { limits, accounts, .. } = Settings::default();
    let kib = |bytes: usize| format!("{} KiB", bytes / 1024);
    let mib = |bytes: usize| format!("{} MiB", bytes / 1024 / 1024);
    let keys = &limits.key_limits;
    for (setting, shown) in [
        ("limits.max_packet_bytes", kib(limits.max_packet_bytes)),
        ("limits.max_message_bytes", kib(limits.max_message_bytes)),
        ("limits.room_bytes_per_second", format!("{} KiB a second", limits.room_bytes_per_second / 1024)),
        ("limits.max_name_bytes", format!("{} bytes", limits.max_name_bytes)),
        ("limits.outbox_bytes", mib(limits.outbox_bytes)),
        ("limits.bytes_per_second", format!("{} KiB a second", limits.bytes_per_second / 1024)),
        ("limits.byte_burst", format!("{} KiB at once", limits.byte_burst / 1024)),
        ("accounts.registrations_per_hour", format!("{} an hour", accounts.registrations_per_hour)),
        ("accounts.free_failures", format!("{}", accounts.free_failures)),
        ("limits.idle_timeout_seconds", format!("{} minutes", limits.idle_timeout.as_secs() / 60)),
        ("limits.packet_timeout_seconds", format!("{} seconds", limits.packet_timeout.as_secs())),
        ("limits.handshake_timeout_seconds", format!("{} seconds", limits.handshake_timeout.as_secs())),
        ("limits.messages_per_second", format!("{} a second", limits.messages_per_second)),
        ("limits.message_burst", format!("{} at once", limits.message_burst)),
        ("limits.max_connections", format!("{}", limits.max_connections)),
        ("limits.max_connections_per_address", format!("{} per address", limits.max_connections_per_address)),
        ("limits.connections_per_second", format!("{} new ones a second", limits.connections_per_second)),
        ("limits.max_key_pairs", format!("{} pairs", keys.max_pairs)),
        ("limits.max_modulus_bits", format!("n of {} bits", keys.max_modulus_bits)),
        ("limits.max_exponent_bits", format!("e of {} bits", keys.max_exponent_bits)),
    ] {
        let row = rows().find(|row| row.get(2).is_some_and(|cell| cell.contains(&format!("`{setting}`"))));
        let row = row.unwrap_or_else(|| panic!("no row names {setting}"));
        assert!(row[1].contains(&shown), "{setting} is {shown}, the document says {}", row[1]);
    }
    assert_eq!((HEADER_LEN, MAX_PACKET_LEN), (5, 1024 * 1024), "as section 1 and the table say");
}

#[test]
fn every_setting_that_the_documents_name_exists() {
    let mut section = String::new();
    let mut known = Vec::new();
    for line in Settings::default().to_toml().lines() {
        match (line.strip_prefix('['), line.split_once(" = ")) {
            (Some(name), _) => section = name.trim_end_matches(']').to_owned(),
            (None, Some((name, _))) => known.push(format!("{section}.{name}")),
            (None, None) => {}
        }
    }
    let named =
        [DOCUMENT, include_str!("../../docs/security.md")].into_iter().flat_map(|text| text.split('`'));
    let named: Vec<_> =
        named.filter(|word| word.starts_with("limits.") || word.starts_with("accounts.")).collect();
    assert!(named.len() > 30, "the documents name settings: {named:?}");
    for name in named.into_iter().filter(|name| *name != "accounts.redb") {
        assert!(known.iter().any(|setting| setting == name), "there is no setting {name}");
    }
}

#[test]
fn the_fingerprint_is_that_of_the_key_beside_it() {
    // RFC 7748, section 6.1: Alice's key pair.
    let private = decode_hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    let identity = Identity::from_private(private.try_into().unwrap()).unwrap();
    let shown = DOCUMENT.split('`').find(|part| part.starts_with("SHA256:M")).unwrap();
    assert_eq!(Fingerprint::from_str(shown), Ok(identity.fingerprint()));
}
