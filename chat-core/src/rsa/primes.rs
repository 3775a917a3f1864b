//! Prime numbers: the Miller-Rabin test, and random primes by size or from a range.
//!
//! Below 2^64 the test is exact. Above, a composite number passes [`is_prime`] with a probability of at most
//! 2^-128, whoever chose it.

use std::ops::RangeInclusive;

use num_bigint::{BigRng010, BigUint};
use num_traits::{One, ToPrimitive};
use rand::CryptoRng;

use super::modular::{Montgomery, Ring, Word};

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
    // Each round passes a composite number with a probability of at most a quarter.
    const ROUNDS: u32 = 64;
    match n.to_u64() {
        Some(word) => is_prime_word(word),
        None => has_no_small_factor(n) && passes_miller_rabin(n, ROUNDS, rng),
    }
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
        if min > max || max - min > BigUint::from(MAX_LISTED_SPAN) {
            return if min > max { Ok(Self::Listed(Vec::new())) } else { Ok(Self::Wide(range)) };
        }
        let mut primes = Vec::new();
        let mut candidate = min.clone();
        while candidate <= *max {
            if is_prime(&candidate, rng) {
                primes.push(candidate.clone());
            }
            candidate += 1u32;
        }
        Ok(Self::Listed(primes))
    }

    /// Returns a prime of the range: uniformly for lists and words, by incremental search above.
    pub(super) fn pick<R: CryptoRng + ?Sized>(&self, rng: &mut R) -> Result<BigUint, PrimeError> {
        match self {
            Self::Listed(primes) => {
                if primes.is_empty() {
                    return Err(PrimeError::NoneInRange);
                }
                let index = rng.random_biguint_below(&BigUint::from(primes.len())).to_usize().unwrap_or(0);
                primes.get(index).cloned().ok_or(PrimeError::NoneInRange)
            }
            Self::Wide(range) => search(range, rng),
        }
    }
}

/// Tries random numbers of the range until one is prime.
fn search<R: CryptoRng + ?Sized>(
    range: &RangeInclusive<BigUint>,
    rng: &mut R,
) -> Result<BigUint, PrimeError> {
    let (min, max) = (range.start(), range.end());
    // One number in about 0.7 * bits is prime, so this many failures mean that the range has none to speak of.
    for _ in 0..100 * max.bits() {
        let mut candidate = rng.random_biguint_range(min, &(max + 1u32));
        candidate.set_bit(0, true);
        if candidate > *max {
            continue;
        }
        let prime = match candidate.to_u64() {
            Some(word) => is_prime_word(word),
            None => {
                has_no_small_factor(&candidate)
                    && passes_miller_rabin(&candidate, rounds_for_random(candidate.bits()), rng)
            }
        };
        if prime {
            return Ok(candidate);
        }
    }
    Err(PrimeError::NoneInRange)
}

/// Returns how many rounds a *randomly drawn* number of this size needs.
///
/// Most composite numbers fail nearly every base, so few rounds suffice for numbers that nobody chose: the bound of
/// Damgård, Landrock and Pomerance (1993) puts the error below 2^-128 from 3, 6 and 12 rounds on at 2048, 1024 and
/// 512 bits. These are a few more, and below 512 bits the worst case is assumed.
fn rounds_for_random(bits: u64) -> u32 {
    match bits {
        2048.. => 4,
        1024.. => 8,
        512.. => 16,
        _ => 64,
    }
}

/// Tells whether a word is prime, exactly: no composite number below 3.3 * 10^24 passes these twelve bases.
///
/// # Source
/// Sorenson and Webster, "Strong pseudoprimes to twelve prime bases" (2015).
fn is_prime_word(n: u64) -> bool {
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if n < 2 {
        return false;
    }
    if let Some(base) = BASES.iter().find(|&base| n.is_multiple_of(*base)) {
        return n == *base;
    }
    let Some(ring) = Word::new(n) else { return false };
    let twos = (n - 1).trailing_zeros();
    let odd = (n - 1) >> twos;
    BASES.iter().all(|base| {
        let mut power = ring.power(base, &[odd]);
        if power == 1 || power == n - 1 {
            return true;
        }
        (1..twos).any(|_| {
            power = ring.product(power, power);
            power == n - 1
        })
    })
}

/// Trial division by the primes below 256; `n` is larger than any of them.
fn has_no_small_factor(n: &BigUint) -> bool {
    (2u32..256).all(|factor| n % factor != BigUint::ZERO)
}

/// Runs `rounds` rounds of Miller-Rabin with random bases on a number of more than 64 bits.
fn passes_miller_rabin<R: CryptoRng + ?Sized>(n: &BigUint, rounds: u32, rng: &mut R) -> bool {
    let Some(ring) = Montgomery::new(n) else { return false };
    let minus_one = ring.minus_one();
    let n_minus_1 = n - 1u32;
    let twos = n_minus_1.trailing_zeros().unwrap_or(0);
    let odd = (&n_minus_1 >> twos).to_u64_digits();
    let mut scratch = minus_one.clone();
    (0..rounds).all(|_| {
        // From 2 to n - 2.
        let base = ring.enter(&rng.random_biguint_range(&BigUint::from(2u32), &n_minus_1));
        let mut power = ring.power(&base, &odd);
        if power == ring.one() || power == minus_one {
            return true;
        }
        (1..twos).any(|_| {
            ring.square(&mut power, &mut scratch);
            power == minus_one
        })
    })
}
