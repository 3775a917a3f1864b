//! What must hold for any key and any input: round trips, strict reading, and no panic on anything.

#![expect(clippy::unwrap_used, reason = "tests may fail loudly: there a panic is the report")]

use chat_core::rsa::hazmat::{self, Decryptor, Encryptor};
use chat_core::rsa::{BigUint, KeyLimits, KeyPair, KeySpec, PrivateKey, PublicKey, PublicPair};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Keys of one to five pairs, with moduli from 10 bits (just above a byte) past 64 (just above a word) to 160.
fn key() -> impl Strategy<Value = KeyPair> {
    let bits = prop_oneof![10..24u64, 60..70u64, Just(160)];
    (1..=5usize, bits, any::<u64>()).prop_map(|(pairs, bits, seed)| {
        let spec = KeySpec::bits(if bits < 16 { 1 } else { pairs }, bits).unwrap();
        KeyPair::generate_with(&spec, &mut StdRng::seed_from_u64(seed)).unwrap()
    })
}

/// Keys that nobody can decrypt with: odd and even moduli, any exponent.
fn strange_key() -> impl Strategy<Value = PublicKey> {
    let number = || prop::collection::vec(prop_oneof![any::<u32>(), Just(0), Just(u32::MAX)], 1..6);
    let pair = (number(), number())
        .prop_map(|(n, e)| PublicPair::new(BigUint::new(n) + 256u32, BigUint::new(e) + 1u32).unwrap());
    prop::collection::vec(pair, 1..4).prop_map(|pairs| PublicKey::new(pairs).unwrap())
}

fn encrypt(key: &PublicKey, plain: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    Encryptor::new(key).encrypt(plain, &mut wire);
    wire
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_byte_survives(key in key(), plain in prop::collection::vec(any::<u8>(), 0..200)) {
        let wire = encrypt(key.public(), &plain);
        prop_assert!(std::str::from_utf8(&wire).is_ok());
        for decryptor in [Decryptor::new(&key), Decryptor::from_private(key.private())] {
            let mut out = Vec::new();
            decryptor.decrypt(&wire, plain.len(), &mut out).unwrap();
            prop_assert_eq!(&out, &plain);
        }
    }

    #[test]
    fn tables_agree_with_the_definition(key in strange_key(), plain in prop::collection::vec(any::<u8>(), 0..40)) {
        // Section 5.1 of the protocol, word by word.
        let mut expected = String::new();
        for (index, &byte) in plain.iter().enumerate() {
            let pair = &key.pairs()[index % key.pairs().len()];
            let block = BigUint::from(byte).modpow(pair.e(), pair.n());
            let mut values = block.to_bytes_le();
            values.resize(pair.n().bits().div_ceil(8) as usize, 0);
            expected.extend(values.into_iter().map(char::from));
        }
        let encryptor = Encryptor::new(&key);
        prop_assert_eq!(encrypt(&key, &plain), expected.as_bytes());
        prop_assert_eq!(encryptor.encrypted_len(&plain), expected.len());
        prop_assert!(encryptor.table_bytes() <= Encryptor::table_bytes_at_most(&key));
    }

    #[test]
    fn powers_agree_with_num_bigint(key in strange_key(), m in any::<[u8; 40]>()) {
        let m = BigUint::from_bytes_le(&m);
        for pair in key.pairs() {
            prop_assert_eq!(hazmat::public_power(pair, &m), m.modpow(pair.e(), pair.n()));
        }
    }

    #[test]
    fn decryption_takes_only_what_encryption_makes(
        key in key(),
        plain in prop::collection::vec(any::<u8>(), 0..20),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in 0..4usize,
    ) {
        let mut wire = encrypt(key.public(), &plain);
        for (position, byte) in edits.iter().filter(|_| !plain.is_empty()) {
            let position = position.index(wire.len());
            wire[position] = *byte;
        }
        wire.truncate(wire.len().saturating_sub(cut));
        let (mut out, mut slow_out) = (b"before".to_vec(), b"before".to_vec());
        let result = Decryptor::new(&key).decrypt(&wire, 100, &mut out);
        let slow_result = Decryptor::from_private(key.private()).decrypt(&wire, 100, &mut slow_out);
        prop_assert_eq!(result, slow_result);
        prop_assert_eq!(&out, &slow_out);
        match result {
            Ok(()) => prop_assert_eq!(encrypt(key.public(), &out[6..]), wire),
            Err(_) => prop_assert_eq!(out, b"before"),
        }
    }

    #[test]
    fn decryption_survives_anything(key in key(), body in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut out = Vec::new();
        let _ = Decryptor::new(&key).decrypt(&body, 100, &mut out);
        let text = String::from_utf8_lossy(&body);
        let _ = Decryptor::new(&key).decrypt(text.as_bytes(), 100, &mut out);
        prop_assert!(out.len() <= 200);
    }

    #[test]
    fn key_texts_round_trip(key in key()) {
        let (public, private, limits) = (key.public(), key.private(), KeyLimits::LOCAL);
        prop_assert_eq!(&PublicKey::parse_wire(&public.to_wire(), &limits).unwrap(), public);
        prop_assert_eq!(&PublicKey::from_file_text(&public.to_file_text(), &limits).unwrap(), public);
        let read = PrivateKey::from_file_text(&private.to_file_text(), &limits).unwrap();
        prop_assert_eq!(read.to_file_text(), private.to_file_text());
        let read = KeyPair::from_halves(public.clone(), read).unwrap();
        prop_assert!(read.private().pairs().iter().all(|pair| pair.primes().is_none()));
    }

    #[test]
    fn the_fast_private_operation_agrees_with_the_plain_one(key in key(), seed in any::<[u8; 32]>()) {
        for pair in key.private().pairs() {
            let c = BigUint::from_bytes_le(&seed) % pair.n();
            prop_assert_eq!(hazmat::private_power(pair, &c), c.modpow(pair.d(), pair.n()));
        }
    }

    #[test]
    fn private_keys_do_not_print(key in key()) {
        let printed = format!("{key:?} {:?} {:?}", key.private(), key.private().pairs());
        for pair in key.private().pairs() {
            let (p, q) = pair.primes().unwrap();
            for secret in [pair.d(), p, q].into_iter().filter(|secret| secret.bits() > 30) {
                prop_assert!(!printed.contains(&secret.to_string()));
            }
        }
    }
}

proptest! {
    #[test]
    fn parsers_survive_anything(text in "\\PC*", nearly in "[ned=0-9,: \n\r_+-]{0,80}") {
        for text in [text, nearly] {
            let limits = KeyLimits::PEER;
            let wire = PublicKey::parse_wire(&text, &limits);
            let well_formed = !text.is_empty() && text.split(':').all(|pair| {
                let numbers: Vec<&str> = pair.split(',').collect();
                numbers.len() == 2
                    && numbers.iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
            });
            prop_assert!(well_formed || wire.is_err(), "{text:?}");
            let _ = PublicKey::from_file_text(&text, &limits);
            let _ = PrivateKey::from_file_text(&text, &limits);
        }
    }

    #[test]
    fn well_formed_keys_within_the_limits_are_read(
        pairs in prop::collection::vec((256..u64::MAX, 1..u64::MAX), 1..=64),
    ) {
        let wire: Vec<String> = pairs.iter().map(|(n, e)| format!("{n},{e}")).collect();
        let wire = wire.join(":");
        let key = PublicKey::parse_wire(&wire, &KeyLimits::PEER).unwrap();
        prop_assert_eq!(key.to_wire(), wire);
    }
}
