//! Prime numbers: a test, and random primes by size or from a range.
//!
//! Below 2^64 the test is exact. Above, a composite number passes [`is_prime`] with a probability of at most
//! 2^-128, whoever chose it. The Miller-Rabin test itself is in `miller_rabin`, the sieve in `sieve`.

mod miller_rabin;
mod sieve;

use std::ops::RangeInclusive;

use num_bigint::{BigRng010, BigUint};
use num_traits::{One, ToPrimitive};
use rand::CryptoRng;

/// Fewest bits of a prime from [`random`].
pub const MIN_BITS: u64 = 8;

/// Most bits of a prime from [`random`] or [`random_in`]. A modulus of two such primes has 8192 bits, beyond any
/// published recommendation.
pub const MAX_BITS: u64 = 4096;

/// Widest range whose primes are listed instead of sampled, which makes the choice exactly uniform and tells
/// precisely when there are too few.
const MAX_LISTED_SPAN: u64 = 1 << 16;

/// Why there is no such prime.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrimeError {
    /// The size is outside [`MIN_BITS`] to [`MAX_BITS`].
    #[error("a prime of {bits} bits is outside the {MIN_BITS} to {MAX_BITS} bits supported")]
    Size {
        /// The size asked for, in bits.
        bits: u64,
    },
    /// The range holds no prime, or so few that none was found.
    #[error("there is no prime in the range")]
    NoneInRange,
}

/// Tells whether a number is prime, using random bases from `rng` for numbers of more than 64 bits.
#[must_use]
pub fn is_prime<R: CryptoRng + ?Sized>(n: &BigUint, rng: &mut R) -> bool {
    if let Some(word) = n.to_u64() {
        return miller_rabin::is_prime_word(word);
    }
    let small_factor = sieve::primes_below(256).into_iter().any(|prime| n % prime == BigUint::ZERO);
    !small_factor && miller_rabin::passes(n, miller_rabin::ROUNDS_FOR_ANY, rng)
}

/// Returns a random prime of exactly `bits` bits.
///
/// # Errors
/// [`PrimeError::Size`] unless `bits` lies between [`MIN_BITS`] and [`MAX_BITS`].
pub fn random<R: CryptoRng + ?Sized>(bits: u64, rng: &mut R) -> Result<BigUint, PrimeError> {
    if !(MIN_BITS..=MAX_BITS).contains(&bits) {
        return Err(PrimeError::Size { bits });
    }
    let min = BigUint::one() << (bits - 1);
    let max = (BigUint::one() << bits) - 1u32;
    random_in(min..=max, rng)
}

/// Returns a random prime from a range, both ends included.
///
/// # Errors
/// [`PrimeError::Size`] when the range reaches above [`MAX_BITS`]; [`PrimeError::NoneInRange`].
pub fn random_in<R: CryptoRng + ?Sized>(
    range: RangeInclusive<BigUint>,
    rng: &mut R,
) -> Result<BigUint, PrimeError> {
    PrimeSource::new(range, rng)?.pick(rng)
}

/// A range to take random primes from, again and again.
pub(super) enum PrimeSource {
    /// All primes of a narrow range, ascending.
    Listed(Vec<BigUint>),
    /// A range too wide to list.
    Wide(RangeInclusive<BigUint>),
}

impl PrimeSource {
    pub(super) fn new<R: CryptoRng + ?Sized>(
        range: RangeInclusive<BigUint>,
        rng: &mut R,
    ) -> Result<Self, PrimeError> {
        let (min, max) = (range.start(), range.end());
        if max.bits() > MAX_BITS {
            return Err(PrimeError::Size { bits: max.bits() });
        }
        let span = if min > max { 0 } else { (max - min).to_u64().unwrap_or(u64::MAX) };
        if span > MAX_LISTED_SPAN {
            return Ok(Self::Wide(range));
        }
        let numbers = (0..=span).map(|offset| min + offset).filter(|number| number <= max);
        Ok(Self::Listed(numbers.filter(|number| is_prime(number, rng)).collect()))
    }

    /// Returns a prime of the range: each with the same probability where they are listed or fit a word. Above that a
    /// prime is the likelier the longer the gap below it, which tells an attacker nothing worth having.
    pub(super) fn pick<R: CryptoRng + ?Sized>(&self, rng: &mut R) -> Result<BigUint, PrimeError> {
        match self {
            Self::Wide(range) => search(range, rng),
            Self::Listed(primes) if primes.is_empty() => Err(PrimeError::NoneInRange),
            Self::Listed(primes) => {
                let index = rng.random_biguint_below(&BigUint::from(primes.len())).to_usize().unwrap_or(0);
                primes.get(index).cloned().ok_or(PrimeError::NoneInRange)
            }
        }
    }
}

/// Draws numbers of the range until one, or for more than 64 bits one shortly above it, is prime.
fn search<R: CryptoRng + ?Sized>(
    range: &RangeInclusive<BigUint>,
    rng: &mut R,
) -> Result<BigUint, PrimeError> {
    let (min, max) = (range.start(), range.end());
    // A number of this many bits is prime with a probability of 1.4 / bits, so this many failures do not happen in a
    // range that has its share of primes.
    for _ in 0..100 * max.bits() {
        let start = rng.random_biguint_range(min, &(max + 1u32));
        let prime = match start.to_u64() {
            Some(word) => miller_rabin::is_prime_word(word).then_some(start),
            None => first_prime(&(start | BigUint::one()), rng),
        };
        if let Some(prime) = prime.filter(|prime| prime <= max) {
            return Ok(prime);
        }
    }
    Err(PrimeError::NoneInRange)
}

/// Returns the first prime of the stretch that begins with `start`, an odd random number of more than 64 bits.
fn first_prime<R: CryptoRng + ?Sized>(start: &BigUint, rng: &mut R) -> Option<BigUint> {
    let bits = start.bits();
    // Testing a candidate costs about the cube of its size and sieving by one more prime only the size itself, so the
    // larger the number the more primes pay; the divisor was found by measuring.
    let small_primes = sieve::primes_below((bits * bits / 64).clamp(256, 1 << 16) as u32);
    // About a dozen primes lie among this many odd numbers.
    let length = 4 * bits as usize;
    let rounds = miller_rabin::rounds_for_random(bits);
    sieve::candidates(start, length, &small_primes).find(|number| miller_rabin::passes(number, rounds, rng))
}
