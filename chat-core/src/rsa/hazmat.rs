//! **Hazardous: unpadded, deterministic RSA on single bytes. It protects nothing against anybody who tries.**
//!
//! This is the original program's cipher, "classic" in the commands, here because the original speaks nothing
//! else. Each byte is encrypted on its own and always to the same block, so whoever holds the public key (it
//! travels in the clear) encrypts all 256 bytes once and reads everything; nothing is authenticated either. It
//! keeps a text from the casual glance and no more, at any key size. Use `noise` for protection.
//!
//! The same weakness makes it fast: 256 plaintexts per pair fit in a table, so [`Encryptor`] copies blocks out of
//! one and [`Decryptor`] looks blocks up in one, with no arithmetic per byte. Look-ups by secret values leak
//! through timing, which for this cipher makes no difference.

mod characters;
mod code_points;
mod decrypt;
mod encrypt;

use num_bigint::BigUint;

use super::key::{PrivatePair, PublicPair};
use super::modular;

pub use characters::{CharacterDecryptor, CharacterEncryptor, LAST_IN_TABLES};
pub use decrypt::{CipherError, Decryptor};
pub use encrypt::Encryptor;

/// Returns `m^e mod n`, the raw public operation.
#[must_use]
pub fn public_power(pair: &PublicPair, m: &BigUint) -> BigUint {
    modular::power(m, pair.e(), pair.n())
}

/// Returns `c^d mod n`, the raw private operation: by the Chinese remainder theorem when the primes are known, which
/// takes a quarter of the time.
#[must_use]
pub fn private_power(pair: &PrivatePair, c: &BigUint) -> BigUint {
    let Some(factors) = pair.factors() else { return modular::power(c, pair.d(), pair.n()) };
    let mod_p = modular::power(c, &factors.dp, &factors.p);
    let mod_q = modular::power(c, &factors.dq, &factors.q);
    // Adding p times enough keeps the difference from going below zero.
    let difference = mod_p + &factors.p - &mod_q % &factors.p;
    let multiple = difference * &factors.q_inverse % &factors.p;
    mod_q + multiple * &factors.q
}

/// Tells whether `private` restores every byte that `public` encrypts.
pub(super) fn restores_every_byte(public: &PublicPair, private: &PrivatePair) -> bool {
    let is_prime = |m: u32| (2..m).all(|factor| !m.is_multiple_of(factor));
    (2u32..256).filter(|&m| is_prime(m)).map(BigUint::from).all(|m| {
        let c = public_power(public, &m);
        private_power(private, &c) == m
    })
}
