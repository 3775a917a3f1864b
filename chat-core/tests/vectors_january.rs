//! The golden vectors of the January 2026 revision: its cipher, and a session of two clients.

#![expect(clippy::unwrap_used, reason = "tests may fail loudly: there a panic is the report")]

use std::collections::HashMap;

use chat_core::frame::{MAX_PACKET_LEN, split_frame};
use chat_core::january;
use chat_core::names::{ClientId, Username};
use chat_core::rsa::hazmat::{CharacterDecryptor, CharacterEncryptor, CipherError};
use chat_core::rsa::{BigUint, KeyLimits, KeyPair, PrivateKey, PublicKey};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    keys: HashMap<String, Key>,
    rsa_codepoint: Vec<Row>,
    session: Session,
}

#[derive(Deserialize)]
struct Key {
    pairs: Vec<Pair>,
    public_wire: String,
}

#[derive(Deserialize)]
struct Pair {
    p: String,
    q: String,
}

#[derive(Deserialize)]
struct Row {
    key: String,
    plain: String,
    cipher_wire_hex: String,
}

#[derive(Deserialize)]
struct Session {
    server_key: String,
    client_keys: HashMap<String, String>,
    events: Vec<Packet>,
}

#[derive(Deserialize)]
struct Packet {
    conn: String,
    dir: String,
    hex: String,
    encrypted: Option<bool>,
    plain: Option<String>,
}

struct Ciphers {
    encryptor: CharacterEncryptor,
    decryptor: CharacterDecryptor,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../tests/vectors/protocol-2026-vectors.json")).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    hex.as_bytes().chunks(2).map(|pair| pair.iter().fold(0, |byte, &hex| byte << 4 | digit(hex))).collect()
}

fn ciphers(key: &Key) -> Ciphers {
    let primes: Vec<(BigUint, BigUint)> =
        key.pairs.iter().map(|pair| (pair.p.parse().unwrap(), pair.q.parse().unwrap())).collect();
    let pair = KeyPair::from_primes(&primes).unwrap();
    let public = PublicKey::parse_wire(&key.public_wire, &KeyLimits::PEER).unwrap();
    assert_eq!(pair.public(), &public);
    Ciphers {
        encryptor: CharacterEncryptor::new(&public).unwrap(),
        decryptor: CharacterDecryptor::new(pair.private()).unwrap(),
    }
}

#[test]
fn texts_are_encrypted_and_decrypted_character_by_character() {
    let vectors = vectors();
    assert!(vectors.rsa_codepoint.len() > 30);
    for row in &vectors.rsa_codepoint {
        let Ciphers { encryptor, decryptor } = ciphers(&vectors.keys[&row.key]);
        let mut out = Vec::new();
        encryptor.encrypt(&row.plain, &mut out);
        assert_eq!(out, bytes(&row.cipher_wire_hex), "{} {:?}", row.key, row.plain);
        assert_eq!(decryptor.decrypt(&out, 100).as_deref(), Ok(row.plain.as_str()));
    }
}

#[test]
fn a_recorded_session_reads_and_writes_the_same() {
    let vectors = vectors();
    let session = &vectors.session;
    let server = ciphers(&vectors.keys[&session.server_key]);
    let mut spoken = Vec::new();
    for packet in session.events.iter().filter(|packet| !packet.hex.is_empty()) {
        let client = ciphers(&vectors.keys[&session.client_keys[&packet.conn]]);
        let (wire, plain) = (bytes(&packet.hex), packet.plain.as_deref().unwrap());
        let frame = split_frame(&wire, MAX_PACKET_LEN).unwrap().unwrap();
        let to_server = packet.dir == "c2s";
        if to_server && !spoken.contains(&&packet.conn) {
            spoken.push(&packet.conn);
            assert!(january::is_key_exchange(frame.kind, frame.body));
        }
        if packet.encrypted != Some(true) {
            assert_eq!(frame.body, plain.as_bytes());
            continue;
        }
        let (encryptor, decryptor) = match to_server {
            true => (&server.encryptor, &server.decryptor),
            false => (&client.encryptor, &client.decryptor),
        };
        assert_eq!(decryptor.decrypt(frame.body, 1000).as_deref(), Ok(plain));
        let mut out = Vec::new();
        encryptor.encrypt(plain, &mut out);
        assert_eq!(out, frame.body);
    }
    assert_eq!(spoken.len(), 2);
}

#[test]
fn a_profile_is_worded_as_the_original_words_it() {
    let peer = "127.0.0.1:42201".parse().unwrap();
    let user = Username::parse("alice").unwrap();
    let profiles = [Some(&user), None].map(|user| january::profile(ClientId(1), peer, user));
    for profile in &profiles {
        assert!(
            vectors().session.events.iter().any(|packet| packet.plain.as_ref() == Some(profile)),
            "{profile}"
        );
    }
}

#[test]
fn what_the_cipher_does_not_make_is_refused() {
    let vectors = vectors();
    let Ciphers { encryptor, decryptor } = ciphers(&vectors.keys["head_server"]);
    let mut body = Vec::new();
    encryptor.encrypt("ab", &mut body);
    let check = |body: &[u8], expected| assert_eq!(decryptor.decrypt(body, 2), Err(expected));
    check(b"a", CipherError::Incomplete { block: 0 });
    check("\u{ff}\u{ff}\u{ff}".as_bytes(), CipherError::NotBelowModulus { block: 0 });
    check(b"\xff", CipherError::InvalidUtf8 { offset: 0 });
    assert_eq!(decryptor.decrypt(&body, 1), Err(CipherError::TooLong { max: 1 }));
    // Of the numbers below the modulus, nine of ten are no characters.
    let is_refused = |value: u32| {
        let [a, b, c, _] = value.to_le_bytes().map(char::from);
        decryptor.decrypt(String::from_iter([a, b, c]).as_bytes(), 2)
            == Err(CipherError::NotACharacter { block: 0 })
    };
    assert!((1000..1100).any(is_refused));
}

#[test]
fn keys_that_would_cost_too_much_or_lose_characters_are_not_taken() {
    let public =
        |text| CharacterEncryptor::new(&PublicKey::parse_wire(text, &KeyLimits::PEER).unwrap()).is_some();
    assert!(public("18446744073709551615,131071"));
    assert!(!public("18446744073709551616,3") && !public("18446744073709551615,131072"));
    let private = |text| {
        CharacterDecryptor::new(&PrivateKey::from_file_text(text, &KeyLimits::LOCAL).unwrap()).is_some()
    };
    assert!(
        private("n=1114112 d=3\n") && !private("n=1114111 d=3\n") && !private("n=18446744073709551616 d=3\n")
    );
    let mut out = Vec::new();
    let short = PublicKey::parse_wire("3233,17", &KeyLimits::PEER).unwrap();
    CharacterEncryptor::new(&short).unwrap().encrypt("\u{1f600}", &mut out);
    let mut expected = Vec::new();
    CharacterEncryptor::new(&short).unwrap().encrypt("?", &mut expected);
    assert_eq!(out, expected);
}
