//! Making keys and reading their texts: primes against an independent check, key options, and what errors say.

#![expect(clippy::unwrap_used, reason = "tests may fail loudly: there a panic is the report")]

use std::collections::HashSet;

use chat_core::rsa::hazmat::{Decryptor, Encryptor};
use chat_core::rsa::primes::{self, PrimeError};
use chat_core::rsa::{
    BigUint, GenerateError, KeyLimits, KeyPair, KeySpec, MismatchError, PrivateKey, PrivatePair, PublicKey,
    PublicPair,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

fn number(text: &str) -> BigUint {
    text.parse().unwrap()
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(2026)
}

/// Miller-Rabin once more, written from the textbook on nothing but num-bigint, with the primes below 100 as bases.
fn is_prime_by_the_book(n: &BigUint) -> bool {
    let bases: Vec<u32> = (2..100).filter(|n| (2..*n).all(|factor| n % factor != 0)).collect();
    if let Some(base) = bases.iter().find(|&base| n % base == BigUint::ZERO) {
        return *n == BigUint::from(*base);
    }
    let minus_one = n - 1u32;
    let twos = minus_one.trailing_zeros().unwrap();
    bases.iter().all(|&base| {
        let start = BigUint::from(base).modpow(&(&minus_one >> twos), n);
        let chain = std::iter::successors(Some(start.clone()), |power| Some(power * power % n));
        start == BigUint::from(1u8) || chain.take(twos as usize).any(|power| power == minus_one)
    })
}

#[test]
fn small_numbers_are_told_apart() {
    let found = (0u32..20_000).filter(|n| primes::is_prime(&BigUint::from(*n), &mut rng())).count();
    assert_eq!(found, 2262);
}

#[test]
fn known_primes_and_impostors() {
    let one = BigUint::from(1u8);
    for exponent in [31, 61, 89, 127, 521, 607, 1279] {
        assert!(primes::is_prime(&((&one << exponent) - 1u32), &mut rng()), "2^{exponent} - 1");
    }
    let largest_word_prime = (&one << 64) - 59u32;
    assert!(primes::is_prime(&largest_word_prime, &mut rng()));
    assert!(primes::is_prime(&((&one << 64) + 13u32), &mut rng()));
    for impostor in [
        // Carmichael numbers, which fool Fermat's test with every base.
        "561",
        "1729",
        "340561",
        "9746347772161",
        "1590231231043178376951698401",
        // The smallest numbers that fool Miller-Rabin with the first 1, 4, 9, 12 and 13 primes as bases.
        "2047",
        "3215031751",
        "3825123056546413051",
        "318665857834031151167461",
        "3317044064679887385961981",
        // A square and a product of two large primes.
        "340282366920938460843936948965011886881",
        "680564733841876926926749214863536422910",
    ] {
        assert!(!primes::is_prime(&number(impostor), &mut rng()), "{impostor}");
    }
    let product = ((&one << 521) - 1u32) * ((&one << 607) - 1u32);
    assert!(!primes::is_prime(&product, &mut rng()));
}

#[test]
fn random_primes_are_prime_and_have_their_size() {
    for bits in (8..=130).chain([255, 256, 511, 512, 600]) {
        let prime = primes::random(bits, &mut StdRng::seed_from_u64(bits)).unwrap();
        assert_eq!(prime.bits(), bits);
        assert!(is_prime_by_the_book(&prime), "{prime}");
    }
    for bits in [0, 7, 4097, u64::MAX] {
        assert_eq!(primes::random(bits, &mut rng()), Err(PrimeError::Size { bits }));
    }
}

#[test]
fn random_primes_of_a_range_include_both_ends() {
    let range = number("11")..=number("23");
    let found: HashSet<String> = (0..200)
        .map(|seed| primes::random_in(range.clone(), &mut StdRng::seed_from_u64(seed)).unwrap().to_string())
        .collect();
    assert_eq!(found, ["11", "13", "17", "19", "23"].map(String::from).into());
    // Two neighbouring primes around 2^64, and one range on either side of it.
    for (min, max) in [
        ("18446744073709551557", "18446744073709551629"),
        ("18446744073709551616", "18446744073709551629"),
        ("18446744073709551557", "18446744073709551557"),
        ("18446744073709500000", "18446744073799999999"),
    ] {
        let prime = primes::random_in(number(min)..=number(max), &mut rng()).unwrap();
        assert!(prime >= number(min) && prime <= number(max) && is_prime_by_the_book(&prime), "{prime}");
    }
    for (min, max) in [("24", "28"), ("0", "1"), ("18446744073709551558", "18446744073709551628"), ("9", "5")]
    {
        let result = primes::random_in(number(min)..=number(max), &mut rng());
        assert_eq!(result, Err(PrimeError::NoneInRange), "{min} to {max}");
    }
}

#[test]
fn moduli_have_exactly_the_bits_asked_for() {
    for bits in (9..=140).chain([256, 512]) {
        let spec = KeySpec::bits(1, bits).unwrap();
        let key = KeyPair::generate_with(&spec, &mut StdRng::seed_from_u64(bits)).unwrap();
        assert_eq!(key.public().pairs()[0].n().bits(), bits);
        KeyPair::from_halves(key.public().clone(), key.private().clone()).unwrap();
    }
}

#[test]
fn the_default_key_of_the_server() {
    let key = KeyPair::generate(&KeySpec::bits(16, 32).unwrap()).unwrap();
    let moduli: HashSet<String> = key.public().pairs().iter().map(|pair| pair.n().to_string()).collect();
    assert_eq!(moduli.len(), 16);
    assert!(key.public().pairs().iter().all(|pair| *pair.n() > BigUint::from(0x0010_ffffu32)));
}

#[test]
fn primes_come_from_the_range() {
    let (min, max) = (number("100"), number("10000"));
    let spec = KeySpec::primes_in(64, min.clone()..=max.clone()).unwrap();
    let key = KeyPair::generate_with(&spec, &mut rng()).unwrap();
    for (public, private) in key.public().pairs().iter().zip(key.private().pairs()) {
        let (p, q) = private.primes().unwrap();
        assert_ne!(p, q);
        assert_eq!(p * q, *public.n());
        for prime in [p, q] {
            assert!(*prime >= min && *prime <= max && is_prime_by_the_book(prime), "{prime}");
        }
    }
}

#[test]
fn ranges_are_used_up_but_not_overdrawn() {
    // 13, 17, 19 and 23 make six moduli, of which 13 * 17 and 13 * 19 are too small.
    let spec = |pairs| KeySpec::primes_in(pairs, number("13")..=number("23")).unwrap();
    let key = KeyPair::generate_with(&spec(4), &mut rng()).unwrap();
    let moduli: HashSet<String> = key.public().pairs().iter().map(|pair| pair.n().to_string()).collect();
    assert_eq!(moduli, ["299", "323", "391", "437"].map(String::from).into());
    let error = KeyPair::generate_with(&spec(5), &mut rng()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the primes in the range make only 4 of the 5 different moduli above 255 needed"
    );
    for (min, max) in [("24", "28"), ("23", "28"), ("2", "13"), ("30", "20")] {
        let spec = KeySpec::primes_in(1, number(min)..=number(max)).unwrap();
        let error = KeyPair::generate_with(&spec, &mut rng()).unwrap_err();
        assert!(
            matches!(error, GenerateError::TooFewModuli { wanted: 1, possible: 0 }),
            "{min} to {max}: {error}"
        );
    }
}

#[test]
fn what_cannot_be_made_is_refused() {
    let text = |result: Result<KeySpec, GenerateError>| result.unwrap_err().to_string();
    assert_eq!(text(KeySpec::bits(0, 32)), "a key of 0 pairs is outside the 1 to 4096 pairs supported");
    assert_eq!(text(KeySpec::bits(5000, 32)), "a key of 5000 pairs is outside the 1 to 4096 pairs supported");
    assert_eq!(text(KeySpec::bits(1, 8)), "a modulus of 8 bits is outside the 9 to 8192 bits supported");
    assert_eq!(
        text(KeySpec::bits(1, 8193)),
        "a modulus of 8193 bits is outside the 9 to 8192 bits supported"
    );
    let giant = BigUint::from(1u8) << 5000;
    let spec = KeySpec::primes_in(1, BigUint::ZERO..=giant).unwrap();
    let error = KeyPair::generate_with(&spec, &mut rng()).unwrap_err();
    assert!(matches!(error, GenerateError::Primes(PrimeError::Size { bits: 5001 })), "{error:?}");
}

#[test]
fn exponents_are_the_originals() {
    // Section 5.5 of the protocol: p = 61, q = 53 and p = 59, q = 53.
    let primes = [(number("61"), number("53")), (number("59"), number("53"))];
    let key = KeyPair::from_primes(&primes).unwrap();
    assert_eq!(key.public().to_file_text(), "n=3233 e=7\nn=3127 e=3\n");
    assert_eq!(key.private().to_file_text().as_str(), "n=3233 d=223\nn=3127 d=503\n");
    let refused = |p: &str, q: &str| KeyPair::from_primes(&[(number(p), number(q))]).is_none();
    assert!(refused("61", "61") && refused("13", "17") && refused("0", "1000") && refused("1", "1000"));
    assert!(KeyPair::from_primes(&[]).is_none());
}

#[test]
fn halves_that_do_not_belong_together() {
    let join = |public: &str, private: &str| {
        let public = PublicKey::from_file_text(public, &KeyLimits::LOCAL).unwrap();
        KeyPair::from_halves(public, PrivateKey::from_file_text(private, &KeyLimits::LOCAL).unwrap())
    };
    assert!(join("n=3233 e=17\nn=3127 e=3\n", "n=3233 d=413\nn=3127 d=503\n").is_ok());
    assert_eq!(
        join("n=3233 e=17\nn=3127 e=3\n", "n=3233 d=413\n").unwrap_err(),
        MismatchError::Count { publics: 2, privates: 1 }
    );
    assert_eq!(join("n=3233 e=17", "n=3127 d=503").unwrap_err(), MismatchError::Modulus { pair: 1 });
    assert_eq!(
        join("n=3233 e=17\nn=3127 e=3\n", "n=3233 d=413\nn=3127 d=505\n").unwrap_err(),
        MismatchError::Exponents { pair: 2 }
    );
}

#[test]
fn blocks_that_share_their_lowest_64_bits_are_told_apart() {
    // The 65th power of an even byte ends in 65 zero bits, and up to 235 it is smaller than the modulus.
    let e = BigUint::from(65u8);
    let spec = KeySpec::bits(1, 512).unwrap();
    let key = (0..)
        .map(|seed| KeyPair::generate_with(&spec, &mut StdRng::seed_from_u64(seed)).unwrap())
        .find_map(|key| {
            let (p, q) = key.private().pairs()[0].primes().unwrap();
            let d = e.modinv(&((p - 1u8) * (q - 1u8)))?;
            let public = PublicKey::new(vec![PublicPair::new(p * q, e.clone()).unwrap()]).unwrap();
            let private = PrivateKey::new(vec![PrivatePair::new(p * q, d).unwrap()]).unwrap();
            Some(KeyPair::from_halves(public, private).unwrap())
        })
        .unwrap();
    let (plain, mut wire, mut out): (Vec<u8>, _, _) = ((0..=255).collect(), Vec::new(), Vec::new());
    Encryptor::new(key.public()).encrypt(&plain, &mut wire);
    Decryptor::new(&key).decrypt(&wire, plain.len(), &mut out).unwrap();
    assert_eq!(out, plain);
}

#[test]
fn errors_name_the_place() {
    let wire = |text: &str| PublicKey::parse_wire(text, &KeyLimits::PEER).unwrap_err().to_string();
    assert_eq!(wire(""), "the key is empty");
    assert_eq!(wire("3233,17:x,3"), "pair 2 is not of the form <decimal>,<decimal>");
    assert_eq!(wire("255,17"), "pair 1: the modulus must be above 255 and the exponent above 0");
    assert_eq!(wire("3233,0"), "pair 1: the modulus must be above 255 and the exponent above 0");
    assert_eq!(wire(&format!("3233,{}", u128::MAX)), "pair 1: e has more than 64 bits");
    let file = |text: &str| PublicKey::from_file_text(text, &KeyLimits::LOCAL).unwrap_err().to_string();
    for line in
        ["", "n=3233", "n=3233  e=17", " n=3233 e=17", "n=3233 e=17 ", "n=3233 d=17", "e=17 n=3233", "# note"]
    {
        assert_eq!(
            file(&format!("n=3127 e=3\n{line}\n")),
            "line 2 is not of the form n=<decimal> e=<decimal>"
        );
    }
    assert_eq!(file("n=3127 e=3\r\n"), "line 1 is not of the form n=<decimal> e=<decimal>");
    let private = PrivateKey::from_file_text("n=3233 e=413", &KeyLimits::LOCAL).unwrap_err().to_string();
    assert_eq!(private, "line 1 is not of the form n=<decimal> d=<decimal>");
}

#[test]
fn a_modulus_with_the_prime_two_decrypts_the_same_by_its_primes_and_by_its_tables() {
    let key = KeyPair::from_primes(&[(number("2"), number("139")), (number("139"), number("2"))]).unwrap();
    let every_byte: Vec<u8> = (0..=u8::MAX).flat_map(|byte| [byte, byte]).collect();
    let mut body = Vec::new();
    Encryptor::new(key.public()).encrypt(&every_byte, &mut body);
    for decryptor in [Decryptor::new(&key), Decryptor::from_private(key.private())] {
        let mut plain = Vec::new();
        decryptor.decrypt(&body, every_byte.len(), &mut plain).unwrap();
        assert_eq!(plain, every_byte);
    }
}
