//! The cipher of the original's January 2026 revision: one block per character in place of one per byte.
//!
//! There are too many characters for tables, so the blocks of most are computed; who sends much has tables for those up to
//! U+00FF, which are the classic cipher's. Keys are therefore small ones: that revision's have moduli of 21 to 32 bits, and
//! exponents below 20.

use num_traits::ToPrimitive;

use super::CipherError;
use super::Encryptor;
use super::code_points::{self, CodePoints};
use crate::rsa::BigUint;
use crate::rsa::key::{PrivateKey, PublicKey};
use crate::rsa::modular::{Ring as _, Word};

/// The longest exponent taken of a key that somebody else chose, in bits: 65537 has so many.
const MAX_PUBLIC_EXPONENT_BITS: u64 = 17;

/// The last character whose block can be looked up.
pub const LAST_IN_TABLES: char = '\u{ff}';

/// What stands for a character whose number is not below the modulus and would be lost.
const REPLACEMENT: char = '?';

/// Encrypts texts with somebody's public key.
#[derive(Debug, Clone)]
pub struct CharacterEncryptor {
    pairs: Box<[Pair]>,
    /// Of the same key.
    tables: Option<Encryptor>,
}

/// Decrypts texts with our own key.
#[derive(Clone)]
pub struct CharacterDecryptor {
    pairs: Box<[Pair]>,
}

/// A modulus and one of its two exponents.
#[derive(Debug, Clone, Copy)]
struct Pair {
    ring: Word,
    exponent: u64,
    /// Values that a block takes.
    size: usize,
}

impl CharacterEncryptor {
    /// Takes a key, or `None` if a modulus is longer than 64 bits or an exponent longer than 17.
    #[must_use]
    pub fn new(key: &PublicKey) -> Option<Self> {
        let is_short = |e: &BigUint| e.bits() <= MAX_PUBLIC_EXPONENT_BITS;
        let pairs: Option<_> =
            key.pairs().iter().map(|p| Pair::new(p.n(), p.e()).filter(|_| is_short(p.e()))).collect();
        Some(Self { pairs: pairs?, tables: None })
    }

    /// Looks the characters up to [`LAST_IN_TABLES`] up from now on. `tables` are those of the same key.
    #[must_use]
    pub fn with_tables(self, tables: Encryptor) -> Self {
        Self { tables: Some(tables), ..self }
    }

    /// Returns the memory the tables take, in bytes.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        self.tables.as_ref().map_or(0, Encryptor::table_bytes)
    }

    /// Returns the most bytes that so many characters can become.
    #[must_use]
    pub fn encrypted_len_at_most(&self, characters: usize) -> usize {
        let longest = self.pairs.iter().map(|pair| 2 * pair.size).max().unwrap_or_default();
        characters.saturating_mul(longest)
    }

    /// Appends the encrypted form of a whole packet body to `out`. The first character goes through the first pair. One
    /// whose number is not below the modulus, which no shipped key has, becomes a `?`.
    pub fn encrypt(&self, text: &str, out: &mut Vec<u8>) {
        if let Some(tables) = self.tables.as_ref().filter(|_| text.is_ascii()) {
            return tables.encrypt(text.as_bytes(), out);
        }
        let mut values = Vec::new();
        for (index, (character, pair)) in text.chars().zip(self.pairs.iter().cycle()).enumerate() {
            if let Some(tables) = &self.tables
                && let Ok(byte) = u8::try_from(u32::from(character))
            {
                tables.push_block(index, byte, out);
                continue;
            }
            let fits = u64::from(character) < pair.ring.modulus();
            let number = u64::from(if fits { character } else { REPLACEMENT });
            values.clear();
            pair.ring.write(&pair.power(number), pair.size, &mut values);
            code_points::push_all(&values, out);
        }
    }
}

impl CharacterDecryptor {
    /// Takes a key, or `None` if a modulus is longer than 64 bits, or so short that characters would be lost.
    #[must_use]
    pub fn new(key: &PrivateKey) -> Option<Self> {
        let holds_all = |pair: &Pair| pair.ring.modulus() > u64::from(char::MAX);
        let pairs: Option<_> =
            key.pairs().iter().map(|p| Pair::new(p.n(), p.d()).filter(holds_all)).collect();
        Some(Self { pairs: pairs? })
    }

    /// Returns the most characters that a body of so many bytes can be decrypted to, without looking at it.
    #[must_use]
    pub fn characters_at_most(&self, body_bytes: usize) -> usize {
        // Every value of a block takes a byte at least.
        let shortest = self.pairs.iter().map(|pair| pair.size).min().unwrap_or(1);
        body_bytes.div_ceil(shortest.max(1))
    }

    /// Returns the text of a whole packet body, of at most `max_characters`.
    ///
    /// # Errors
    /// [`CipherError`], for anything that a [`CharacterEncryptor`] would not have made.
    pub fn decrypt(&self, body: &[u8], max_characters: usize) -> Result<String, CipherError> {
        let mut input = CodePoints::new(body);
        let mut text = String::new();
        for (block, pair) in self.pairs.iter().cycle().enumerate() {
            if input.is_empty() {
                break;
            }
            if block == max_characters {
                return Err(CipherError::TooLong { max: max_characters });
            }
            text.push(pair.decrypt(&mut input, block)?);
        }
        Ok(text)
    }
}

impl std::fmt::Debug for CharacterDecryptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CharacterDecryptor").field("pairs", &self.pairs.len()).finish_non_exhaustive()
    }
}

impl Pair {
    fn new(n: &BigUint, exponent: &BigUint) -> Option<Self> {
        let ring = Word::new(n.to_u64()?)?;
        Some(Self { ring, exponent: exponent.to_u64()?, size: usize::try_from(n.bits().div_ceil(8)).ok()? })
    }

    fn power(&self, number: u64) -> u64 {
        self.ring.power(&number, &[self.exponent])
    }

    fn decrypt(&self, input: &mut CodePoints<'_>, block: usize) -> Result<char, CipherError> {
        let mut value = 0;
        for position in 0..self.size {
            value |= u64::from(input.next()?.ok_or(CipherError::Incomplete { block })?) << (8 * position);
        }
        if value >= self.ring.modulus() {
            return Err(CipherError::NotBelowModulus { block });
        }
        let number = u32::try_from(self.power(value)).ok().and_then(char::from_u32);
        number.ok_or(CipherError::NotACharacter { block })
    }
}
