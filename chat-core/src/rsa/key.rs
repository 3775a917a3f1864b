//! The keys themselves and what keeps them consistent. Their texts are in `text`, their making in `generate`.

use std::fmt;

use num_bigint::BigUint;
use num_integer::Integer;
use num_traits::{One, Zero};

use super::hazmat;

/// Smallest modulus a pair may have: with 255 or less, the byte 255 would not survive.
pub(super) const MIN_MODULUS: u32 = 256;

/// One public pair: a modulus `n` above 255 and an exponent `e` of at least 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicPair {
    n: BigUint,
    e: BigUint,
}

impl PublicPair {
    /// Makes a pair, or `None` when `n` is 255 or less or `e` is zero.
    #[must_use]
    pub fn new(n: BigUint, e: BigUint) -> Option<Self> {
        (n >= BigUint::from(MIN_MODULUS) && e.bits() > 0).then_some(Self { n, e })
    }

    /// Returns the modulus, above 255.
    #[must_use]
    pub fn n(&self) -> &BigUint {
        &self.n
    }

    /// Returns the public exponent, at least 1.
    #[must_use]
    pub fn e(&self) -> &BigUint {
        &self.e
    }

    /// Returns the number of values 0 to 255 that one block of this pair takes: the modulus' length in bytes.
    #[must_use]
    pub fn block_size(&self) -> usize {
        block_size(&self.n)
    }
}

/// One private pair: modulus, private exponent and, for keys made here, the two primes.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivatePair {
    n: BigUint,
    d: BigUint,
    factors: Option<Factors>,
}

impl PrivatePair {
    /// Makes a pair from what a key file holds, or `None` when `n` is 255 or less or `d` is zero.
    #[must_use]
    pub fn new(n: BigUint, d: BigUint) -> Option<Self> {
        (n >= BigUint::from(MIN_MODULUS) && d.bits() > 0).then_some(Self { n, d, factors: None })
    }

    pub(super) fn with_factors(n: BigUint, d: BigUint, factors: Factors) -> Self {
        Self { n, d, factors: Some(factors) }
    }

    /// Returns the modulus, above 255.
    #[must_use]
    pub fn n(&self) -> &BigUint {
        &self.n
    }

    /// Returns the private exponent. Secret.
    #[must_use]
    pub fn d(&self) -> &BigUint {
        &self.d
    }

    /// Returns the two primes, known only for keys made in this process. Secret.
    #[must_use]
    pub fn primes(&self) -> Option<(&BigUint, &BigUint)> {
        self.factors.as_ref().map(|factors| (&factors.p, &factors.q))
    }

    pub(super) fn factors(&self) -> Option<&Factors> {
        self.factors.as_ref()
    }

    /// Returns the number of values 0 to 255 that one block of this pair takes: the modulus' length in bytes.
    #[must_use]
    pub fn block_size(&self) -> usize {
        block_size(&self.n)
    }
}

impl fmt::Debug for PrivatePair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivatePair").field("modulus_bits", &self.n.bits()).finish_non_exhaustive()
    }
}

/// The primes of a modulus and what the Chinese remainder theorem needs beside them.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Factors {
    pub(super) p: BigUint,
    pub(super) q: BigUint,
    /// `d mod (p - 1)`, or 1 for the prime 2.
    pub(super) dp: BigUint,
    /// `d mod (q - 1)`, or 1 for the prime 2.
    pub(super) dq: BigUint,
    /// The inverse of `q` modulo `p`.
    pub(super) q_inverse: BigUint,
}

impl Factors {
    /// Returns `None` when `p` and `q` share a factor, which two different primes never do.
    pub(super) fn new(p: BigUint, q: BigUint, d: &BigUint) -> Option<Self> {
        let (dp, dq) = (reduced(d, &p), reduced(d, &q));
        let q_inverse = q.modinv(&p)?;
        Some(Self { p, q, dp, dq, q_inverse })
    }
}

/// The public half of a key: at least one pair, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    pairs: Vec<PublicPair>,
}

impl PublicKey {
    /// Makes a key of these pairs, or `None` when there are none.
    #[must_use]
    pub fn new(pairs: Vec<PublicPair>) -> Option<Self> {
        (!pairs.is_empty()).then_some(Self { pairs })
    }

    /// Returns the pairs, at least one, in the order in which bytes go through them.
    #[must_use]
    pub fn pairs(&self) -> &[PublicPair] {
        &self.pairs
    }
}

/// The private half of a key: at least one pair, in the order of the public half.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey {
    pairs: Vec<PrivatePair>,
}

impl PrivateKey {
    /// Makes a key of these pairs, or `None` when there are none.
    #[must_use]
    pub fn new(pairs: Vec<PrivatePair>) -> Option<Self> {
        (!pairs.is_empty()).then_some(Self { pairs })
    }

    /// Returns the pairs, at least one, in the order in which bytes go through them.
    #[must_use]
    pub fn pairs(&self) -> &[PrivatePair] {
        &self.pairs
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("pairs", &self.pairs.len()).finish_non_exhaustive()
    }
}

/// A public and a private key that belong together: every byte survives encryption and decryption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    public: PublicKey,
    private: PrivateKey,
}

impl KeyPair {
    /// Joins two halves, as read from two files, and checks that they belong together.
    ///
    /// Every prime below 256 is encrypted and decrypted with every pair. RSA respects products, so this proves
    /// it for every byte.
    ///
    /// # Errors
    /// [`MismatchError`], naming the first pair that does not fit.
    pub fn from_halves(public: PublicKey, private: PrivateKey) -> Result<Self, MismatchError> {
        let (publics, privates) = (public.pairs().len(), private.pairs().len());
        if publics != privates {
            return Err(MismatchError::Count { publics, privates });
        }
        for (index, (public, private)) in public.pairs().iter().zip(private.pairs()).enumerate() {
            if public.n() != private.n() {
                return Err(MismatchError::Modulus { pair: index + 1 });
            }
            if !hazmat::restores_every_byte(public, private) {
                return Err(MismatchError::Exponents { pair: index + 1 });
            }
        }
        Ok(Self { public, private })
    }

    /// Makes a key of primes that are already there, one pair `(p, q)` per modulus, or `None` when there are none, when
    /// a modulus is 255 or less, or when its two primes are equal.
    ///
    /// Whether they are prime is not checked: of other numbers comes a key that does not decrypt what it encrypts.
    #[must_use]
    pub fn from_primes(primes: &[(BigUint, BigUint)]) -> Option<Self> {
        let pairs: Option<Vec<_>> = primes.iter().map(|(p, q)| pair_from_primes(p, q)).collect();
        pairs.filter(|pairs| !pairs.is_empty()).map(Self::from_generated)
    }

    pub(super) fn from_generated(pairs: Vec<(PublicPair, PrivatePair)>) -> Self {
        let (public, private) = pairs.into_iter().unzip();
        Self { public: PublicKey { pairs: public }, private: PrivateKey { pairs: private } }
    }

    /// Returns the half that may be told.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Returns the half that stays here.
    #[must_use]
    pub fn private(&self) -> &PrivateKey {
        &self.private
    }
}

/// Why two halves are not one key. Pairs count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MismatchError {
    /// One half has more pairs than the other.
    #[error("the public key has {publics} pairs and the private key {privates}")]
    Count {
        /// Pairs in the public half.
        publics: usize,
        /// Pairs in the private half.
        privates: usize,
    },
    /// The moduli differ.
    #[error("pair {pair} has different moduli in the public and the private key")]
    Modulus {
        /// Number of the pair.
        pair: usize,
    },
    /// Same modulus, but what `e` encrypts `d` does not decrypt.
    #[error("pair {pair} does not decrypt what it encrypts")]
    Exponents {
        /// Number of the pair.
        pair: usize,
    },
}

/// Builds both halves of one pair from two different primes whose product is above 255.
///
/// Follows the original: `e` is the smallest integer of at least 2 that has no factor in common with
/// `lambda = lcm(p - 1, q - 1)`, and `d` its inverse modulo `lambda`.
pub(super) fn pair_from_primes(p: &BigUint, q: &BigUint) -> Option<(PublicPair, PrivatePair)> {
    if p.bits() < 2 || q.bits() < 2 {
        return None;
    }
    let lambda = (p - 1u32).lcm(&(q - 1u32));
    let e = smallest_coprime(&lambda)?;
    let d = e.modinv(&lambda)?;
    let n = p * q;
    let factors = Factors::new(p.clone(), q.clone(), &d)?;
    Some((PublicPair::new(n.clone(), e)?, PrivatePair::with_factors(n, d, factors)))
}

/// Returns an exponent as small as possible with the same powers as `d` modulo a prime.
fn reduced(d: &BigUint, prime: &BigUint) -> BigUint {
    let reduced = d % (prime - 1u32);
    // Modulo 2 every exponent reduces to zero, and zero to the power of zero is not zero.
    if reduced.is_zero() { BigUint::one() } else { reduced }
}

fn smallest_coprime(lambda: &BigUint) -> Option<BigUint> {
    (2u32..).map(BigUint::from).find(|e| e.gcd(lambda).is_one())
}

fn block_size(n: &BigUint) -> usize {
    usize::try_from(n.bits().div_ceil(8)).unwrap_or(usize::MAX)
}
