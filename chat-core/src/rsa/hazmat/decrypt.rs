//! Decryption: the inverse tables, or one private operation per byte when only the private half is there.

use num_bigint::BigUint;
use num_traits::ToPrimitive;

use super::code_points::CodePoints;
use super::private_power;
use crate::rsa::key::{KeyPair, PrivateKey, PrivatePair, PublicPair};
use crate::rsa::modular::{Montgomery, Plain, Ring, Word, byte_powers};

/// Decrypts with our own key.
#[derive(Debug, Clone)]
pub struct Decryptor {
    pairs: Vec<PairDecryptor>,
}

/// Why a body is not one that the classic cipher produced for this key. Offsets are in bytes of the body, blocks
/// count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    /// Not UTF-8.
    #[error("the encrypted body is not UTF-8 at byte {offset}")]
    InvalidUtf8 {
        /// Where.
        offset: usize,
    },
    /// A code point above 255.
    #[error("the encrypted body has a code point above 255 at byte {offset}")]
    CodePointTooLarge {
        /// Where.
        offset: usize,
    },
    /// The body ends inside a block.
    #[error("the encrypted body ends inside block {block}")]
    Incomplete {
        /// Number of the block.
        block: usize,
    },
    /// A block is not below the modulus.
    #[error("block {block} of the encrypted body is not below the modulus")]
    NotBelowModulus {
        /// Number of the block.
        block: usize,
    },
    /// A block decrypts to a number above 255.
    #[error("block {block} of the encrypted body does not decrypt to a byte")]
    NotAByte {
        /// Number of the block.
        block: usize,
    },
    /// A block decrypts to a number that no character has.
    #[error("block {block} of the encrypted body does not decrypt to a character")]
    NotACharacter {
        /// Number of the block.
        block: usize,
    },
    /// There is more text than the caller takes, in bytes or characters, whichever the blocks stand for.
    #[error("the encrypted body holds more than {max} blocks")]
    TooLong {
        /// The caller's limit.
        max: usize,
    },
}

impl Decryptor {
    /// Works out the tables for a key of which both halves are known, so that decryption is look-ups only.
    #[must_use]
    pub fn new(key: &KeyPair) -> Self {
        Self { pairs: key.public().pairs().iter().map(PairDecryptor::from_public).collect() }
    }

    /// Makes do with the private half, at the price of one private operation per byte.
    #[must_use]
    pub fn from_private(key: &PrivateKey) -> Self {
        Self { pairs: key.pairs().iter().map(PairDecryptor::from_private).collect() }
    }

    /// Returns the memory the tables take, in bytes.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        self.pairs.iter().map(PairDecryptor::table_bytes).sum()
    }

    /// Appends the plain bytes of a whole packet body to `out`, at most `max_bytes` of them. Whether they are UTF-8 is
    /// for the caller to check. After an error `out` is as it was.
    ///
    /// # Errors
    /// [`CipherError`], for anything that [`Encryptor`](super::Encryptor) would not have made.
    pub fn decrypt(&self, body: &[u8], max_bytes: usize, out: &mut Vec<u8>) -> Result<(), CipherError> {
        let start = out.len();
        let result = self.decrypt_blocks(body, max_bytes, out);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn decrypt_blocks(&self, body: &[u8], max_bytes: usize, out: &mut Vec<u8>) -> Result<(), CipherError> {
        let mut input = CodePoints::new(body);
        let mut scratch = Vec::new();
        for (block, pair) in self.pairs.iter().cycle().enumerate() {
            if input.is_empty() {
                break;
            }
            if block == max_bytes {
                return Err(CipherError::TooLong { max: max_bytes });
            }
            out.push(pair.decrypt(&mut input, block, &mut scratch)?);
        }
        Ok(())
    }
}

/// One pair, by what is known of it and by whether its modulus fits a word.
#[derive(Debug, Clone)]
enum PairDecryptor {
    /// Both halves, `n` of at most 64 bits.
    WordTable { n: u64, size: usize, index: Index },
    /// Both halves; `n` and the 256 blocks as little-endian bytes.
    WideTable { n: Box<[u8]>, blocks: Box<[u8]>, index: Index },
    /// Only the private half.
    Private(Box<PrivatePair>),
}

impl PairDecryptor {
    fn from_public(pair: &PublicPair) -> Self {
        let size = pair.block_size();
        if let Some(ring) = pair.n().to_u64().and_then(Word::new) {
            let index = Index::new(byte_powers(&ring, pair.e()).into_iter());
            return Self::WordTable { n: ring.modulus(), size, index };
        }
        let blocks = match Montgomery::new(pair.n()) {
            Some(ring) => blocks_of(&ring, pair.e(), size),
            None => blocks_of(&Plain(pair.n()), pair.e(), size),
        };
        let index = Index::new(blocks.chunks_exact(size).map(tag));
        Self::WideTable { n: pair.n().to_bytes_le().into(), blocks: blocks.into(), index }
    }

    fn from_private(pair: &PrivatePair) -> Self {
        Self::Private(Box::new(pair.clone()))
    }

    fn table_bytes(&self) -> usize {
        match self {
            Self::WordTable { index, .. } => index.bytes(),
            Self::WideTable { blocks, index, .. } => index.bytes() + blocks.len(),
            Self::Private(_) => 0,
        }
    }

    /// Reads one block and returns its byte.
    fn decrypt(
        &self,
        input: &mut CodePoints<'_>,
        block: usize,
        scratch: &mut Vec<u8>,
    ) -> Result<u8, CipherError> {
        let incomplete = CipherError::Incomplete { block };
        let refused = |is_below: bool| match is_below {
            true => CipherError::NotAByte { block },
            false => CipherError::NotBelowModulus { block },
        };
        match self {
            Self::WordTable { n, size, index } => {
                let mut value = 0;
                for position in 0..*size {
                    value |= u64::from(input.next()?.ok_or(incomplete)?) << (8 * position);
                }
                index.find(value, |_| true).ok_or_else(|| refused(value < *n))
            }
            Self::WideTable { n, blocks, index } => {
                read_block(input, n.len(), incomplete, scratch)?;
                let fits =
                    |byte: u8| blocks.chunks_exact(n.len()).nth(byte.into()) == Some(scratch.as_slice());
                index.find(tag(scratch), fits).ok_or_else(|| refused(scratch.iter().rev().lt(n.iter().rev())))
            }
            Self::Private(pair) => {
                read_block(input, pair.block_size(), incomplete, scratch)?;
                let value = BigUint::from_bytes_le(scratch);
                if value >= *pair.n() {
                    return Err(refused(false));
                }
                private_power(pair, &value).to_u8().ok_or(refused(true))
            }
        }
    }
}

fn read_block(
    input: &mut CodePoints<'_>,
    size: usize,
    incomplete: CipherError,
    out: &mut Vec<u8>,
) -> Result<(), CipherError> {
    out.clear();
    for _ in 0..size {
        out.push(input.next()?.ok_or(incomplete)?);
    }
    Ok(())
}

/// Returns the blocks of the bytes 0 to 255 end to end, each `size` values.
fn blocks_of<R: Ring>(ring: &R, exponent: &BigUint, size: usize) -> Vec<u8> {
    let mut blocks = Vec::with_capacity(256 * size);
    for power in byte_powers(ring, exponent) {
        ring.write(&power, size, &mut blocks);
    }
    blocks
}

/// Returns what a look-up goes by: the low 64 bits of a block.
fn tag(block: &[u8]) -> u64 {
    block.first_chunk().copied().map_or(0, u64::from_le_bytes)
}

/// The bytes 0 to 255 by the low 64 bits of their blocks, sorted into 256 buckets so that a look-up compares one or
/// two.
#[derive(Debug, Clone)]
struct Index {
    /// Where each bucket starts in `entries`, and where the last one ends: 257 positions.
    starts: Box<[u16]>,
    entries: Box<[(u64, u8)]>,
}

impl Index {
    /// Takes the tags of the bytes 0 to 255 in this order.
    fn new(tags: impl Iterator<Item = u64>) -> Self {
        let mut entries: Vec<(u64, u8)> = tags.zip(0..=u8::MAX).collect();
        entries.sort_by_key(|&(tag, _)| bucket(tag));
        let start = |number| entries.partition_point(|&(tag, _)| bucket(tag) < number) as u16;
        Self { starts: (0..=256).map(start).collect(), entries: entries.into() }
    }

    /// Returns the byte with this tag, when `fits` agrees.
    fn find(&self, wanted: u64, fits: impl Fn(u8) -> bool) -> Option<u8> {
        let number = bucket(wanted);
        let Some(&[start, end]) = self.starts.get(number..number + 2) else { return None };
        let entries = self.entries.get(usize::from(start)..usize::from(end))?;
        entries.iter().find(|&&(tag, byte)| tag == wanted && fits(byte)).map(|&(_, byte)| byte)
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.starts) + size_of_val(&*self.entries)
    }
}

/// Returns a bucket from 0 to 255. It need not resist anybody: the entries all come from our own key, and a bucket
/// holds 256 of them at worst.
fn bucket(tag: u64) -> usize {
    // Multiplication by 2^64 over the golden ratio carries every bit of the tag into the top eight.
    (tag.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
}
