//! The RSA part of the golden vectors: keys, sizes, ciphertexts and the edges of decryption.
//!
//! The rows of `block_encode` are checked beside the code, in `rsa/hazmat/code_points.rs`.

#![expect(clippy::unwrap_used, reason = "tests may fail loudly: there a panic is the report")]

use std::collections::HashMap;

use chat_core::rsa::hazmat::{CipherError, Decryptor, Encryptor};
use chat_core::rsa::{BigUint, KeyLimits, KeyPair, KeyTextError, Place, PrivateKey, PublicKey, PublicPair};
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Vectors {
    keys: HashMap<String, Key>,
    size_rule: Vec<SizeRule>,
    rsa_classic: Vec<Classic>,
    rsa_byte_tables: ByteTables,
    rsa_cyclic_bytes: CyclicBytes,
    decrypt_edge: Vec<Edge>,
    key_wire_parse: Vec<WireParse>,
}

#[derive(Deserialize)]
struct Key {
    pairs: Vec<Pair>,
    public_file: String,
    private_file: String,
    public_wire: String,
    sizes: Vec<usize>,
}

#[derive(Deserialize)]
struct Pair {
    p: String,
    q: String,
    n: String,
    e: String,
    d: String,
}

#[derive(Deserialize)]
struct SizeRule {
    n: String,
    size: usize,
}

#[derive(Deserialize)]
struct Classic {
    name: String,
    key: String,
    plain_utf8_hex: String,
    cipher_wire_hex: String,
    cipher_codepoints: usize,
    original_decrypt_equals_plain: bool,
}

#[derive(Deserialize)]
struct ByteTables {
    tables: Vec<ByteTable>,
}

#[derive(Deserialize)]
struct ByteTable {
    key: String,
    pair: usize,
    table_all_256_bytes_wire_hex: Option<String>,
    sha256_of_wire: String,
}

#[derive(Deserialize)]
struct CyclicBytes {
    key: String,
    plain_hex: String,
    cipher_wire_hex: String,
}

#[derive(Deserialize)]
struct Edge {
    name: String,
    key: String,
    cipher_wire_hex: String,
    residues: Vec<String>,
}

#[derive(Deserialize)]
struct WireParse {
    text: String,
    ok: bool,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../tests/vectors/protocol-vectors.json")).unwrap()
}

fn number(text: &str) -> BigUint {
    text.parse().unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn public(key: &Key) -> PublicKey {
    PublicKey::parse_wire(&key.public_wire, &KeyLimits::PEER).unwrap()
}

fn private(key: &Key) -> PrivateKey {
    PrivateKey::from_file_text(&key.private_file, &KeyLimits::LOCAL).unwrap()
}

fn key_pair(key: &Key) -> KeyPair {
    KeyPair::from_halves(public(key), private(key)).unwrap()
}

fn encrypt(key: &PublicKey, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Encryptor::new(key).encrypt(plain, &mut out);
    out
}

#[test]
fn keys_read_and_write_as_the_original_does() {
    for (name, key) in vectors().keys {
        let (public, private) = (public(&key), private(&key));
        assert_eq!(public.to_wire(), key.public_wire, "{name}");
        assert_eq!(public.to_file_text(), key.public_file, "{name}");
        assert_eq!(private.to_file_text().as_str(), key.private_file, "{name}");
        assert_eq!(
            PublicKey::from_file_text(&key.public_file, &KeyLimits::PEER),
            Ok(public.clone()),
            "{name}"
        );
        let sizes: Vec<usize> = public.pairs().iter().map(PublicPair::block_size).collect();
        assert_eq!(sizes, key.sizes, "{name}");
        KeyPair::from_halves(public, private).unwrap();
    }
}

#[test]
fn exponents_follow_from_the_primes() {
    for (name, key) in vectors().keys {
        for pair in key.pairs {
            let made = KeyPair::from_primes(&[(number(&pair.p), number(&pair.q))]).unwrap();
            let (public, private) = (&made.public().pairs()[0], &made.private().pairs()[0]);
            assert_eq!(public.n(), &number(&pair.n), "{name}");
            // The original takes the smallest exponent. The rows with 65537 were made differently.
            if pair.e != "65537" {
                assert_eq!((public.e(), private.d()), (&number(&pair.e), &number(&pair.d)), "{name}");
            }
        }
    }
}

#[test]
fn size_rule() {
    for row in vectors().size_rule {
        match PublicPair::new(number(&row.n), BigUint::from(3u8)) {
            Some(pair) => assert_eq!(pair.block_size(), row.size, "{}", row.n),
            None => assert!(number(&row.n) < BigUint::from(256u32), "{}", row.n),
        }
    }
}

#[test]
fn classic_ciphertexts_both_ways() {
    let vectors = vectors();
    for row in &vectors.rsa_classic {
        let key = &vectors.keys[&row.key];
        let (plain, wire) = (unhex(&row.plain_utf8_hex), unhex(&row.cipher_wire_hex));
        assert_eq!(encrypt(&public(key), &plain), wire, "{}", row.name);
        assert_eq!(
            std::str::from_utf8(&wire).unwrap().chars().count(),
            row.cipher_codepoints,
            "{}",
            row.name
        );
        assert_eq!(plain.is_ascii(), row.original_decrypt_equals_plain, "{}", row.name);
        for decryptor in [Decryptor::new(&key_pair(key)), Decryptor::from_private(&private(key))] {
            let mut out = Vec::new();
            decryptor.decrypt(&wire, plain.len(), &mut out).unwrap();
            assert_eq!(out, plain, "{}", row.name);
        }
    }
}

#[test]
fn byte_tables() {
    let vectors = vectors();
    let all: Vec<u8> = (0..=255).collect();
    for row in &vectors.rsa_byte_tables.tables {
        let pair = public(&vectors.keys[&row.key]).pairs()[row.pair].clone();
        let key = PublicKey::new(vec![pair]).unwrap();
        let wire = encrypt(&key, &all);
        assert_eq!(Sha256::digest(&wire)[..], unhex(&row.sha256_of_wire), "{} {}", row.key, row.pair);
        if let Some(expected) = &row.table_all_256_bytes_wire_hex {
            assert_eq!(wire, unhex(expected), "{} {}", row.key, row.pair);
        }
    }
}

#[test]
fn cycle_of_pairs() {
    let vectors = vectors();
    let row = &vectors.rsa_cyclic_bytes;
    let key = public(&vectors.keys[&row.key]);
    assert_eq!(encrypt(&key, &unhex(&row.plain_hex)), unhex(&row.cipher_wire_hex));
}

/// Rows in which the original accepts, or drops for other reasons, what no encryption produces. Ours refuses them
/// all, except the one whose bytes merely are not text: that is for the caller, who checks UTF-8.
#[test]
fn decryption_is_strict() {
    let vectors = vectors();
    for row in &vectors.decrypt_edge {
        let expected = match row.name.as_str() {
            "truncated_last_block" => Err(CipherError::Incomplete { block: 4 }),
            "single_codepoint" => Err(CipherError::Incomplete { block: 0 }),
            "extra_tail" => Err(CipherError::Incomplete { block: 5 }),
            "codepoint_above_255" => Err(CipherError::CodePointTooLarge { offset: 0 }),
            "value_ge_n" => Err(CipherError::NotBelowModulus { block: 0 }),
            "residue_256" | "residue_surrogate" | "residue_10ffff" | "residue_110000" => {
                Err(CipherError::NotAByte { block: 0 })
            }
            "plaintext_seen_as_cipher" => Err(CipherError::NotAByte { block: 0 }),
            "latin1_bytes_not_utf8_text" => Ok(vec![0xff]),
            other => panic!("new row {other}"),
        };
        if let Ok(bytes) = &expected {
            assert_eq!(row.residues, bytes.iter().map(u8::to_string).collect::<Vec<_>>());
            assert!(std::str::from_utf8(bytes).is_err());
        }
        let key = &vectors.keys[&row.key];
        for decryptor in [Decryptor::new(&key_pair(key)), Decryptor::from_private(&private(key))] {
            let mut out = b"before".to_vec();
            let result = decryptor.decrypt(&unhex(&row.cipher_wire_hex), 100, &mut out);
            assert_eq!(result.map(|()| out[6..].to_vec()), expected, "{}", row.name);
            assert!(expected.is_ok() || out == b"before", "{}: output after an error", row.name);
        }
    }
}

/// Rows that the original's `int()` accepts and section 5.3 tells us to refuse.
const LENIENT: [&str; 7] = ["1,2,3", " 35 , 5 ", "-5,3", "0,1", "1_000,3", "+7,3", "1,2\n"];

#[test]
fn wire_form_is_strict() {
    for row in vectors().key_wire_parse {
        let ours = PublicKey::parse_wire(&row.text, &KeyLimits::PEER);
        let expected = row.ok && !LENIENT.contains(&row.text.as_str());
        assert_eq!(ours.is_ok(), expected, "{:?}: {ours:?}", row.text);
        if let Ok(key) = ours {
            assert_eq!(key.to_wire(), row.text);
        }
    }
}

#[test]
fn limits_are_checked_before_numbers_are_built() {
    let limits = KeyLimits::PEER;
    let parse = |text: &str| PublicKey::parse_wire(text, &limits).unwrap_err();
    let giant = "9".repeat(1 << 20);
    let start = std::time::Instant::now();
    for _ in 0..1000 {
        let n = KeyTextError::TooLong { place: Place::Pair(1), name: 'n', max_bits: 512 };
        assert_eq!(parse(&format!("{giant},3")), n);
        let e = KeyTextError::TooLong { place: Place::Pair(1), name: 'e', max_bits: 64 };
        assert_eq!(parse(&format!("3233,{giant}")), e);
    }
    // Reading one such number takes seconds; a thousand refusals take about a tenth of one.
    assert!(start.elapsed().as_secs() < 20);
    assert_eq!(parse(&["3233,17"; 65].join(":")), KeyTextError::TooManyPairs { max: 64 });
    assert_eq!(parse(&":".repeat(1 << 20)), KeyTextError::TooManyPairs { max: 64 });
    let too_many_bits = BigUint::from(1u8) << 512;
    assert!(PublicKey::parse_wire(&format!("{},3", &too_many_bits - 1u8), &limits).is_ok());
    assert!(PublicKey::parse_wire(&format!("{too_many_bits},3"), &limits).is_err());
}
