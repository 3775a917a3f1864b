//! The Miller-Rabin test: exact for words, with random bases above.

use num_bigint::{BigRng010, BigUint};
use rand::CryptoRng;

use crate::rsa::modular::{Montgomery, Ring, Word};

/// Rounds for a number that anybody may have chosen. Each passes a composite number with a probability of at most a
/// quarter, so all of them do with at most 2^-128.
pub(super) const ROUNDS_FOR_ANY: u32 = 64;

/// Returns how many rounds a *randomly drawn* number of this size, in bits, needs.
///
/// Most composite numbers fail nearly every base, so few rounds suffice for numbers that nobody chose: the bound of
/// Damgård, Landrock and Pomerance puts the error below 2^-128 from 3, 6, 12 and 29 rounds on at 2048, 1024, 512 and
/// 256 bits. These are a few more, because candidates follow one another from a random start instead of being drawn
/// one by one; below 256 bits, where it costs little, the worst case is assumed.
///
/// # Source
/// "Average case error estimates for the strong probable prime test", Mathematics of Computation 61 (1993).
pub(super) fn rounds_for_random(bits: u64) -> u32 {
    match bits {
        2048.. => 4,
        1024.. => 8,
        512.. => 16,
        256.. => 32,
        _ => ROUNDS_FOR_ANY,
    }
}

/// Tells whether a word is prime, exactly: no composite word passes these twelve bases, and none of 32 bits the first
/// three of the other list.
///
/// # Source
/// Jaeschke, "On strong pseudoprimes to several bases" (1993); Sorenson and Webster, "Strong pseudoprimes to twelve
/// prime bases" (2015).
pub(super) fn is_prime_word(n: u64) -> bool {
    const SMALL: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    const FOR_32_BITS: [u64; 3] = [2, 7, 61];
    if n < 2 {
        return false;
    }
    if let Some(factor) = SMALL.iter().find(|&factor| n.is_multiple_of(*factor)) {
        return n == *factor;
    }
    let bases: &[u64] = if n <= u64::from(u32::MAX) { &FOR_32_BITS } else { &SMALL };
    let Some(ring) = Word::new(n) else { return false };
    let twos = (n - 1).trailing_zeros();
    let odd = (n - 1) >> twos;
    bases.iter().all(|base| {
        let mut power = ring.power(&(base % n), &[odd]);
        if power <= 1 || power == n - 1 {
            return true;
        }
        (1..twos).any(|_| {
            power = ring.product(power, power);
            power == n - 1
        })
    })
}

/// Runs `rounds` rounds with random bases on a number of more than 64 bits.
pub(super) fn passes<R: CryptoRng + ?Sized>(n: &BigUint, rounds: u32, rng: &mut R) -> bool {
    let Some(ring) = Montgomery::new(n) else { return false };
    let minus_one = ring.minus_one();
    let n_minus_1 = n - 1u32;
    let twos = n_minus_1.trailing_zeros().unwrap_or(0);
    let odd = (&n_minus_1 >> twos).to_u64_digits();
    let mut product = ring.buffer();
    (0..rounds).all(|_| {
        // From 2 to n - 2.
        let base = ring.enter(&rng.random_biguint_range(&BigUint::from(2u32), &n_minus_1));
        let mut power = ring.power(&base, &odd);
        if power == ring.one() || power == minus_one {
            return true;
        }
        (1..twos).any(|_| {
            ring.square(&mut power, &mut product);
            power == minus_one
        })
    })
}
