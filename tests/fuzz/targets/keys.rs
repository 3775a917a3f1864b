//! Keys, names and pins as texts from outside: what is read is within its limits, and is written as it was read.

#![no_main]

use chat_core::known_servers::KnownServers;
use chat_core::names::{MAX_NAME_BYTES, Username};
use chat_core::noise::Fingerprint;
use chat_core::packet::Credentials;
use chat_core::rsa::hazmat::Encryptor;
use chat_core::rsa::{KeyLimits, PrivateKey, PublicKey};
use libfuzzer_sys::fuzz_target;

/// What makes tables for a key cheap enough to make here, in bits.
const MAX_BITS: u64 = 128;

fuzz_target!(|text: &str| {
    if let Ok(key) = PublicKey::parse_wire(text, &KeyLimits::PEER) {
        check_limits(&key);
        assert_eq!(PublicKey::parse_wire(&key.to_wire(), &KeyLimits::PEER), Ok(key.clone()));
        if key.pairs().len() <= 4 && key.pairs().iter().all(|pair| pair.n().bits() <= MAX_BITS) {
            let cipher = Encryptor::new(&key);
            assert!(cipher.table_bytes() <= Encryptor::table_bytes_at_most(&key));
            let mut out = Vec::new();
            cipher.encrypt(b"any bytes \xff", &mut out);
            assert!(std::str::from_utf8(&out).is_ok());
        }
    }
    if let Ok(key) = PublicKey::from_file_text(text, &KeyLimits::PEER) {
        check_limits(&key);
        assert_eq!(PublicKey::from_file_text(&key.to_file_text(), &KeyLimits::PEER), Ok(key));
    }
    if let Ok(key) = PrivateKey::from_file_text(text, &KeyLimits::LOCAL) {
        let again =
            PrivateKey::from_file_text(&key.to_file_text(), &KeyLimits::LOCAL).expect("what was written");
        assert_eq!(again.pairs().len(), key.pairs().len());
    }
    if let Ok(name) = Username::parse(text) {
        assert!(name.as_str() == text && text.len() <= MAX_NAME_BYTES && !text.contains([':', '\n']));
    }
    if let Some(credentials) = Credentials::parse(text) {
        assert_eq!(credentials.name.len() + 1 + credentials.password.len(), text.len());
    }
    if let Ok(fingerprint) = text.parse::<Fingerprint>() {
        assert_eq!(fingerprint.to_string(), text);
    }
    if let Ok(pins) = text.parse::<KnownServers>() {
        assert_eq!(pins.to_string().parse(), Ok(pins));
    }
});

fn check_limits(key: &PublicKey) {
    let limits = KeyLimits::PEER;
    assert!(key.pairs().len() <= limits.max_pairs);
    for pair in key.pairs() {
        assert!(pair.n().bits() <= limits.max_modulus_bits.into());
        assert!(pair.e().bits() <= limits.max_exponent_bits.into());
    }
}
