//! The classic cipher, beside textbook square-and-multiply on `num-bigint` in the same run.
//!
//! `textbook` is what the protocol's text says, done for every byte; both sides are checked to give the same bytes
//! before anything is measured. `tables` is the price of ours: what has to be worked out once per key.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run has nothing better to do than to stop")]

use std::hint::black_box;

use chat_core::rsa::hazmat::{Decryptor, Encryptor};
use chat_core::rsa::{BigUint, KeyPair, KeySpec, PublicKey, PublicPair};
use criterion::{Criterion, Throughput};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Pairs and bits per modulus: our server's default, word-size moduli, and the widest a peer may send.
const KEYS: [(usize, u64); 3] = [(16, 32), (16, 64), (1, 512)];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (pairs, bits) in KEYS {
        cipher(&mut criterion, pairs, bits);
    }
    tables(&mut criterion);
    criterion.final_summary();
}

fn cipher(criterion: &mut Criterion, pairs: usize, bits: u64) {
    let key = key(pairs, bits);
    let plain: Vec<u8> = (0..1024u32).map(|i| (i * 31 % 251) as u8).collect();
    let wire = textbook_encrypt(&key, &plain);
    let (encryptor, decryptor) = (Encryptor::new(key.public()), Decryptor::new(&key));
    let mut out = Vec::new();
    encryptor.encrypt(&plain, &mut out);
    assert_eq!(out, wire, "ours and the textbook's ciphertext differ");
    out.clear();
    decryptor.decrypt(&wire, plain.len(), &mut out).unwrap();
    assert_eq!(out, plain);
    assert_eq!(textbook_decrypt(&key, &wire), plain);

    let noun = if pairs == 1 { "pair" } else { "pairs" };
    let mut group = criterion.benchmark_group(format!("classic/{pairs} {noun} of {bits} bits"));
    group.throughput(Throughput::Bytes(plain.len() as u64));
    group.bench_function("encrypt/ours", |bencher| {
        bencher.iter(|| {
            out.clear();
            encryptor.encrypt(black_box(&plain), &mut out);
            out.len()
        });
    });
    group.bench_function("encrypt/textbook", |bencher| {
        bencher.iter(|| textbook_encrypt(&key, black_box(&plain)));
    });
    let mut out = Vec::new();
    group.bench_function("decrypt/ours", |bencher| {
        bencher.iter(|| {
            out.clear();
            decryptor.decrypt(black_box(&wire), plain.len(), &mut out).unwrap();
            out.len()
        });
    });
    group.sample_size(10);
    group.bench_function("decrypt/textbook", |bencher| {
        bencher.iter(|| textbook_decrypt(&key, black_box(&wire)));
    });
    group.finish();
}

/// What the encryptor's tables cost per key: usual keys first, then the worst that the limits let a peer send.
fn tables(criterion: &mut Criterion) {
    let largest_exponent = BigUint::from(u64::MAX);
    let keys = [
        ("16 pairs of 32 bits", key(16, 32).public().clone()),
        ("64 pairs of 32 bits", key(64, 32).public().clone()),
        ("1 pair of 512 bits, e = 65537", with_exponent(&key(1, 512), &BigUint::from(65_537u32))),
        ("64 pairs of 512 bits, e = 65537", with_exponent(&key(64, 512), &BigUint::from(65_537u32))),
        ("64 pairs of 512 bits, e = 2^64 - 1", with_exponent(&key(64, 512), &largest_exponent)),
    ];
    let mut group = criterion.benchmark_group("classic/tables");
    group.sample_size(20);
    for (name, key) in keys {
        group.bench_function(name, |bencher| bencher.iter(|| Encryptor::new(black_box(&key)).table_bytes()));
    }
    group.finish();
}

fn key(pairs: usize, bits: u64) -> KeyPair {
    KeyPair::generate_with(&KeySpec::bits(pairs, bits).unwrap(), &mut StdRng::seed_from_u64(bits)).unwrap()
}

fn with_exponent(key: &KeyPair, e: &BigUint) -> PublicKey {
    let pairs = key.public().pairs().iter().map(|pair| PublicPair::new(pair.n().clone(), e.clone()).unwrap());
    PublicKey::new(pairs.collect()).unwrap()
}

fn square_and_multiply(base: &BigUint, exponent: &BigUint, n: &BigUint) -> BigUint {
    let mut result = BigUint::from(1u8);
    for bit in (0..exponent.bits()).rev() {
        result = &result * &result % n;
        if exponent.bit(bit) {
            result = result * base % n;
        }
    }
    result
}

fn textbook_encrypt(key: &KeyPair, plain: &[u8]) -> Vec<u8> {
    let mut wire = String::new();
    for (&byte, pair) in plain.iter().zip(key.public().pairs().iter().cycle()) {
        let block = square_and_multiply(&BigUint::from(byte), pair.e(), pair.n());
        let mut values = block.to_bytes_le();
        values.resize(pair.block_size(), 0);
        wire.extend(values.into_iter().map(char::from));
    }
    wire.into_bytes()
}

fn textbook_decrypt(key: &KeyPair, wire: &[u8]) -> Vec<u8> {
    let mut values = std::str::from_utf8(wire).unwrap().chars().map(|value| u8::try_from(value).unwrap());
    let mut plain = Vec::new();
    for pair in key.private().pairs().iter().cycle() {
        let block: Vec<u8> = values.by_ref().take(pair.block_size()).collect();
        if block.is_empty() {
            break;
        }
        let m = square_and_multiply(&BigUint::from_bytes_le(&block), pair.d(), pair.n());
        plain.push(u8::try_from(m).unwrap());
    }
    plain
}
