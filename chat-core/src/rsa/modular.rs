//! Arithmetic modulo one number: in words when the modulus fits one, Montgomery's when it is odd, plain otherwise.

mod montgomery;
mod word;

use num_bigint::BigUint;
use num_traits::ToPrimitive;

pub(super) use montgomery::Montgomery;
pub(super) use word::Word;

/// Numbers modulo some `n`, kept in whatever form multiplies fastest.
pub(super) trait Ring {
    /// A number modulo `n`.
    type Value: Clone;

    /// Brings a small number into the ring.
    fn small(&self, value: u8) -> Self::Value;

    /// Multiplies two values.
    fn multiply(&self, a: &Self::Value, b: &Self::Value) -> Self::Value;

    /// Raises `base` to a power given as little-endian 64-bit digits.
    fn power(&self, base: &Self::Value, exponent: &[u64]) -> Self::Value;

    /// Appends the value as exactly `size` bytes, least significant first.
    fn write(&self, value: &Self::Value, size: usize, out: &mut Vec<u8>);
}

/// Numbers modulo any `n`, slowly: for even moduli of more than a word, which no sane key has.
pub(super) struct Plain<'a>(pub(super) &'a BigUint);

impl Ring for Plain<'_> {
    type Value = BigUint;

    fn small(&self, value: u8) -> BigUint {
        BigUint::from(value) % self.0
    }

    fn multiply(&self, a: &BigUint, b: &BigUint) -> BigUint {
        a * b % self.0
    }

    fn power(&self, base: &BigUint, exponent: &[u64]) -> BigUint {
        base.modpow(&from_digits(exponent), self.0)
    }

    fn write(&self, value: &BigUint, size: usize, out: &mut Vec<u8>) {
        write_digits(value.iter_u64_digits(), size, out);
    }
}

/// Returns `base^exponent mod n`, for any `n` above zero.
pub(super) fn power(base: &BigUint, exponent: &BigUint, n: &BigUint) -> BigUint {
    if let Some(ring) = n.to_u64().and_then(Word::new) {
        let base = (base % n).to_u64().unwrap_or(0);
        return BigUint::from(ring.power(&base, &exponent.to_u64_digits()));
    }
    match Montgomery::new(n) {
        Some(ring) => ring.leave(&ring.power(&ring.enter(base), &exponent.to_u64_digits())),
        None => base.modpow(exponent, n),
    }
}

/// Returns `value^exponent` for every byte value, in order: 256 of them.
///
/// Powers respect products, so only the 54 primes below 256 are raised to the power and the rest multiplied from
/// them. That keeps the cost of a key that somebody else chose to a quarter.
pub(super) fn byte_powers<R: Ring>(ring: &R, exponent: &BigUint) -> Vec<R::Value> {
    let exponent = exponent.to_u64_digits();
    let mut powers: Vec<R::Value> = Vec::with_capacity(256);
    for value in 0..=u8::MAX {
        // A product below 256 has a factor below 16.
        let factor = (2..16).find(|&factor| factor < value && value.is_multiple_of(factor));
        let known = factor
            .and_then(|factor| powers.get(usize::from(factor)).zip(powers.get(usize::from(value / factor))));
        let power = match known {
            Some((a, b)) => ring.multiply(a, b),
            None => ring.power(&ring.small(value), &exponent),
        };
        powers.push(power);
    }
    powers
}

fn from_digits(digits: &[u64]) -> BigUint {
    BigUint::new(digits.iter().flat_map(|&digit| [digit as u32, (digit >> 32) as u32]).collect())
}

/// Appends little-endian digits as exactly `size` bytes, padding with zeros and dropping what lies above.
fn write_digits(digits: impl Iterator<Item = u64>, size: usize, out: &mut Vec<u8>) {
    let end = out.len() + size;
    for digit in digits {
        out.extend_from_slice(&digit.to_le_bytes());
    }
    out.resize(end, 0);
}
