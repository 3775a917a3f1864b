//! Arithmetic modulo a number of at most 64 bits, with 128-bit products.

use super::{Ring, write_digits};

/// Numbers modulo a word, which is never zero.
#[derive(Debug, Clone, Copy)]
pub(in crate::rsa) struct Word {
    n: u64,
}

impl Word {
    /// Returns the ring modulo `n`, or `None` for zero.
    pub(in crate::rsa) fn new(n: u64) -> Option<Self> {
        (n > 0).then_some(Self { n })
    }

    pub(in crate::rsa) fn modulus(&self) -> u64 {
        self.n
    }

    /// Returns `a * b mod n` for any `a` and `b`.
    pub(in crate::rsa) fn product(&self, a: u64, b: u64) -> u64 {
        // A division of 64 bits is several times cheaper than one of 128.
        match a.checked_mul(b) {
            Some(product) => product % self.n,
            None => (u128::from(a) * u128::from(b) % u128::from(self.n)) as u64,
        }
    }
}

impl Ring for Word {
    type Value = u64;

    fn small(&self, value: u8) -> u64 {
        u64::from(value) % self.n
    }

    fn multiply(&self, a: &u64, b: &u64) -> u64 {
        self.product(*a, *b)
    }

    fn power(&self, base: &u64, exponent: &[u64]) -> u64 {
        let bits =
            exponent.iter().rev().flat_map(|digit| (0..64).rev().map(move |bit| digit >> bit & 1 == 1));
        let mut result = 1 % self.n;
        for bit in bits.skip_while(|bit| !bit) {
            result = self.product(result, result);
            if bit {
                result = self.product(result, *base);
            }
        }
        result
    }

    fn write(&self, value: &u64, size: usize, out: &mut Vec<u8>) {
        write_digits(std::iter::once(*value), size, out);
    }
}
