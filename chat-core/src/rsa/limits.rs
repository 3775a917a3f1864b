//! What a key read from outside may be, checked on its decimal digits before any number is built.

/// Bounds on a key that is read from text. All are inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyLimits {
    /// Most pairs in one key.
    pub max_pairs: usize,
    /// Most bits in a modulus `n`, and in a private exponent `d`, which is below it.
    pub max_modulus_bits: u32,
    /// Most bits in a public exponent `e`.
    pub max_exponent_bits: u32,
}

impl KeyLimits {
    /// For keys that a peer sends.
    ///
    /// 64 pairs is what the January 2026 revision of the original ships, the most of any known key. 512 bits is
    /// the largest modulus ever seen on the wire; one more byte of modulus is up to 512 bytes of cipher table per
    /// pair. The original picks the smallest possible `e`, others take 65537, and a textbook peer with word-size
    /// moduli may take any `e` below the modulus: 64 bits cover them all and bound the work for a hostile key.
    pub const PEER: Self = Self { max_pairs: 64, max_modulus_bits: 512, max_exponent_bits: 64 };

    /// For this machine's own key files, which need no distrust but should still fail early on a wrong file.
    ///
    /// Twice 4096 bits is the modulus of the largest primes that [`primes`](super::primes) makes.
    pub const LOCAL: Self = Self { max_pairs: 4096, max_modulus_bits: 8192, max_exponent_bits: 8192 };
}

impl Default for KeyLimits {
    fn default() -> Self {
        Self::PEER
    }
}
