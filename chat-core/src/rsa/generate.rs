//! Making keys: which primes may be taken, and the drawing of distinct pairs.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use num_bigint::BigUint;
use num_traits::One;
use rand::rngs::{StdRng, SysError, SysRng};
use rand::{CryptoRng, SeedableRng};

use super::key::{KeyPair, MIN_MODULUS, pair_from_primes};
use super::primes::{self, PrimeError, PrimeSource};

/// What key to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySpec {
    pairs: usize,
    /// The range of one prime of each modulus, both ends included.
    first: RangeInclusive<BigUint>,
    /// The range of the other.
    second: RangeInclusive<BigUint>,
}

impl KeySpec {
    /// Most pairs in one key.
    pub const MAX_PAIRS: usize = 4096;

    /// Fewest bits of a modulus: 255 is not enough, and it has 8.
    pub const MIN_MODULUS_BITS: u64 = 9;

    /// Most bits of a modulus.
    pub const MAX_MODULUS_BITS: u64 = 2 * primes::MAX_BITS;

    /// Asks for `pairs` pairs whose primes all lie in `range`, both ends included: the original's
    /// `keygen -kl PAIRS -min T -max T`.
    ///
    /// # Errors
    /// [`GenerateError::PairCount`] for zero or more than [`KeySpec::MAX_PAIRS`] pairs.
    pub fn primes_in(pairs: usize, range: RangeInclusive<BigUint>) -> Result<Self, GenerateError> {
        check_count(pairs)?;
        Ok(Self { pairs, first: range.clone(), second: range })
    }

    /// Asks for `pairs` pairs whose moduli have exactly `bits` bits each, made of primes of about half as many.
    ///
    /// # Errors
    /// [`GenerateError::PairCount`]; [`GenerateError::ModulusBits`] unless `bits` lies between
    /// [`KeySpec::MIN_MODULUS_BITS`] and [`KeySpec::MAX_MODULUS_BITS`].
    pub fn bits(pairs: usize, bits: u64) -> Result<Self, GenerateError> {
        check_count(pairs)?;
        if !(Self::MIN_MODULUS_BITS..=Self::MAX_MODULUS_BITS).contains(&bits) {
            return Err(GenerateError::ModulusBits { bits });
        }
        Ok(Self { pairs, first: upper_primes(bits.div_ceil(2)), second: upper_primes(bits / 2) })
    }
}

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// No pairs, or too many.
    #[error("a key of {pairs} pairs is outside the 1 to {} pairs supported", KeySpec::MAX_PAIRS)]
    PairCount {
        /// The number asked for.
        pairs: usize,
    },
    /// A modulus too small for a byte or too large to make.
    #[error(
        "a modulus of {bits} bits is outside the {} to {} bits supported",
        KeySpec::MIN_MODULUS_BITS,
        KeySpec::MAX_MODULUS_BITS
    )]
    ModulusBits {
        /// The size asked for, in bits.
        bits: u64,
    },
    /// The range of primes cannot be used.
    #[error("the range of primes cannot be used")]
    Primes(#[source] PrimeError),
    /// There are not as many different moduli above 255 as pairs are asked for.
    #[error("the primes in the range make only {possible} of the {wanted} different moduli above 255 needed")]
    TooFewModuli {
        /// Pairs asked for.
        wanted: usize,
        /// Pairs the range has, or for a wide range, those found before giving up.
        possible: usize,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness")]
    Randomness(#[source] SysError),
}

impl KeyPair {
    /// Makes a key with randomness from the operating system.
    ///
    /// # Errors
    /// [`GenerateError`].
    pub fn generate(spec: &KeySpec) -> Result<Self, GenerateError> {
        // Seeding once makes failure of the operating system an error here instead of a panic in the middle.
        let mut rng = StdRng::try_from_rng(&mut SysRng).map_err(GenerateError::Randomness)?;
        Self::generate_with(spec, &mut rng)
    }

    /// Makes a key with randomness from `rng`. No two of its moduli are equal.
    ///
    /// # Errors
    /// [`GenerateError::Primes`] and [`GenerateError::TooFewModuli`].
    pub fn generate_with<R: CryptoRng + ?Sized>(spec: &KeySpec, rng: &mut R) -> Result<Self, GenerateError> {
        let mut source = |range: &RangeInclusive<BigUint>| {
            PrimeSource::new(range.clone(), rng).map_err(GenerateError::Primes)
        };
        let first = source(&spec.first)?;
        let other = if spec.second == spec.first { None } else { Some(source(&spec.second)?) };
        let second = other.as_ref().unwrap_or(&first);
        let possible = moduli_possible(&first, second, spec.pairs);
        if let Some(possible) = possible.filter(|&possible| possible < spec.pairs) {
            return Err(GenerateError::TooFewModuli { wanted: spec.pairs, possible });
        }

        // A listed range is known to have enough, and this many draws all but certainly find them. A wide one could
        // still be nearly empty of primes, so there must be a limit.
        let mut attempts_left = 10_000 + 100 * spec.pairs;
        let mut moduli = HashSet::new();
        let mut pairs = Vec::with_capacity(spec.pairs);
        while pairs.len() < spec.pairs {
            if attempts_left == 0 {
                return Err(GenerateError::TooFewModuli { wanted: spec.pairs, possible: pairs.len() });
            }
            attempts_left -= 1;
            let p = first.pick(rng).map_err(GenerateError::Primes)?;
            let q = second.pick(rng).map_err(GenerateError::Primes)?;
            let n = &p * &q;
            if p == q || n < BigUint::from(MIN_MODULUS) || moduli.contains(&n) {
                continue;
            }
            if let Some(pair) = pair_from_primes(&p, &q) {
                moduli.insert(n);
                pairs.push(pair);
            }
        }
        Ok(Self::from_generated(pairs))
    }
}

fn check_count(pairs: usize) -> Result<(), GenerateError> {
    if (1..=KeySpec::MAX_PAIRS).contains(&pairs) { Ok(()) } else { Err(GenerateError::PairCount { pairs }) }
}

/// Returns the numbers of `bits` bits that are at least the square root of two times the smallest of them: the
/// product of two such has the sum of their bits, never one less.
fn upper_primes(bits: u64) -> RangeInclusive<BigUint> {
    let end = BigUint::one() << bits;
    let start = (BigUint::one() << (2 * bits - 1)).sqrt() + 1u32;
    start..=end - 1u32
}

/// Returns how many different moduli above 255 the primes can make, counting no further than `enough`, when they are
/// listed.
fn moduli_possible(first: &PrimeSource, second: &PrimeSource, enough: usize) -> Option<usize> {
    let (PrimeSource::Listed(first), PrimeSource::Listed(second)) = (first, second) else { return None };
    // The two ranges are either the same or the first lies above the second, so this meets every pair once.
    let pairs = first.iter().flat_map(|p| second.iter().take_while(move |q| *q < p).map(move |q| p * q));
    Some(pairs.filter(|n| *n >= BigUint::from(MIN_MODULUS)).take(enough).count())
}
