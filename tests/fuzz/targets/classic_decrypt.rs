//! The classic cipher's decryption of whatever a stranger sends: the tables and the arithmetic agree, what they accept
//! is what the cipher would have made, and what it made is restored. The same for the cipher over characters.

#![no_main]

use std::sync::LazyLock;

use chat_core::rsa::hazmat::{CharacterDecryptor, CharacterEncryptor, CipherError, Decryptor, Encryptor};
use chat_core::rsa::{BigUint, KeyPair};
use libfuzzer_sys::fuzz_target;

const MAX_BYTES: usize = 512;

struct Ciphers {
    encryptor: Encryptor,
    tables: Decryptor,
    arithmetic: Decryptor,
}

/// Keys with moduli of all the kinds that are treated differently: of a word, wide, and even.
static KEYS: LazyLock<[Ciphers; 3]> = LazyLock::new(|| {
    let mersenne = |bits: u32| (BigUint::from(1_u8) << bits) - 1_u8;
    let small = |prime: u32| BigUint::from(prime);
    let words =
        vec![(small(61), small(53)), (small(65_537), small(257)), (mersenne(31), small(4_294_967_291))];
    let wide = vec![(mersenne(61), mersenne(89)), (small(61), small(53)), (mersenne(107), mersenne(127))];
    let even = vec![(small(2), small(139)), (small(2), mersenne(89))];
    [words, wide, even].map(|primes| {
        let key = KeyPair::from_primes(&primes).expect("primes");
        Ciphers {
            encryptor: Encryptor::new(key.public()),
            tables: Decryptor::new(&key),
            arithmetic: Decryptor::from_private(key.private()),
        }
    })
});

/// The cipher of the January 2026 revision, with moduli of three and of eight bytes.
static CHARACTERS: LazyLock<(CharacterEncryptor, CharacterDecryptor)> = LazyLock::new(|| {
    let [p, q, r, s] = [8689_u32, 1447, 4_081_546_877, 3_384_787_859].map(BigUint::from);
    let key = KeyPair::from_primes(&[(p, q), (r, s)]).expect("primes");
    let encryptor = CharacterEncryptor::new(key.public()).expect("short numbers");
    (encryptor, CharacterDecryptor::new(key.private()).expect("moduli for all characters"))
});

fuzz_target!(|input: (u8, &[u8])| {
    let (which, body) = input;
    characters(body);
    let key = &KEYS[usize::from(which) % KEYS.len()];
    let plain = decrypt(&key.tables, body);
    assert_eq!(plain, decrypt(&key.arithmetic, body), "tables and arithmetic agree");
    if let Ok(plain) = plain {
        assert_eq!(encrypt(&key.encryptor, &plain), body, "only what the cipher makes is accepted");
    }
    let body = &body[..body.len().min(MAX_BYTES)];
    assert_eq!(decrypt(&key.tables, &encrypt(&key.encryptor, body)).as_deref(), Ok(body));
});

fn encrypt(cipher: &Encryptor, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    cipher.encrypt(plain, &mut out);
    assert_eq!(out.len(), cipher.encrypted_len(plain));
    out
}

fn decrypt(cipher: &Decryptor, body: &[u8]) -> Result<Vec<u8>, CipherError> {
    let mut out = b"before".to_vec();
    let result = cipher.decrypt(body, MAX_BYTES, &mut out);
    let plain = out.split_off(6);
    assert_eq!(out, b"before");
    match result {
        Ok(()) => Ok(plain),
        Err(error) => {
            assert!(plain.is_empty(), "nothing is left of what was refused");
            Err(error)
        }
    }
}

fn characters(body: &[u8]) {
    let (encryptor, decryptor) = &*CHARACTERS;
    let encrypted = |text: &str| {
        let mut out = Vec::new();
        encryptor.encrypt(text, &mut out);
        out
    };
    if let Ok(text) = decryptor.decrypt(body, MAX_BYTES) {
        assert_eq!(encrypted(&text), body, "only what the cipher makes is accepted");
    }
    if let Ok(text) = std::str::from_utf8(body) {
        assert_eq!(decryptor.decrypt(&encrypted(text), body.len()).as_deref(), Ok(text));
    }
}
