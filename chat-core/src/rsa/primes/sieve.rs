//! Sieving: small primes, and stretches of large numbers from which their multiples are struck.

use num_bigint::BigUint;
use num_traits::ToPrimitive;

/// Returns the primes below `limit`, ascending, by the sieve of Eratosthenes.
pub(super) fn primes_below(limit: u32) -> Vec<u32> {
    let mut struck = vec![false; limit as usize];
    let mut primes = Vec::new();
    for number in 2..limit {
        if struck.get(number as usize) == Some(&false) {
            primes.push(number);
            strike(&mut struck, u64::from(number) * u64::from(number), number);
        }
    }
    primes
}

/// Returns the odd numbers from `start` on, an odd number of more than 64 bits, that have no factor among `primes`;
/// `length` odd numbers are looked at.
pub(super) fn candidates(start: &BigUint, length: usize, primes: &[u32]) -> impl Iterator<Item = BigUint> {
    let mut struck = vec![false; length];
    for &prime in primes.iter().filter(|&&prime| prime != 2) {
        let residue = (start % prime).to_u32().unwrap_or(0);
        // start + 2 * first is the first multiple: half of what is missing, or of that plus one more odd prime.
        let missing = (prime - residue) % prime;
        let first = if missing.is_multiple_of(2) { missing / 2 } else { (missing + prime) / 2 };
        strike(&mut struck, u64::from(first), prime);
    }
    let left = struck.into_iter().enumerate().filter(|(_, struck)| !struck);
    left.map(move |(index, _)| start + 2 * index)
}

/// Strikes every `step`th entry from `first` on.
fn strike(struck: &mut [bool], first: u64, step: u32) {
    let Ok(first) = usize::try_from(first) else { return };
    for entry in struck.iter_mut().skip(first).step_by(step as usize) {
        *entry = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_primes() {
        assert!(primes_below(2).is_empty());
        assert_eq!(primes_below(32), [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31]);
        assert_eq!(primes_below(1 << 16).len(), 6542);
    }

    #[test]
    fn candidates_are_the_numbers_without_a_small_factor() {
        let primes = primes_below(100);
        for start in ["18446744073709551617", "340282366920938463463374607431768211507"] {
            let start: BigUint = start.parse().unwrap();
            let expected: Vec<BigUint> = (0..500u32)
                .map(|index| &start + 2 * index)
                .filter(|number| primes.iter().all(|prime| number % prime != BigUint::ZERO))
                .collect();
            assert_eq!(candidates(&start, 500, &primes).collect::<Vec<_>>(), expected);
        }
    }
}
