//! Encryption: one table of 256 finished blocks per pair.

use num_traits::ToPrimitive;

use super::code_points;
use crate::rsa::key::{PublicKey, PublicPair};
use crate::rsa::modular::{Montgomery, Plain, Ring, Word, byte_powers};

/// Encrypts with somebody's public key.
#[derive(Debug, Clone)]
pub struct Encryptor {
    tables: Vec<Table>,
}

/// What each byte becomes under one pair: the block as it goes onto the wire.
#[derive(Debug, Clone)]
struct Table {
    /// The 256 blocks end to end.
    blocks: Box<[u8]>,
    /// Where the block of each byte starts, and where the last one ends: 257 offsets.
    starts: Box<[u32]>,
}

impl Encryptor {
    /// Works out the tables for a key: tenths of a millisecond for keys like the original's, and for the costliest
    /// that [`KeyLimits::PEER`](crate::rsa::KeyLimits::PEER) lets in, tens of milliseconds, twice as many again if its
    /// moduli are even. A server should not keep others waiting for that; docs/performance.md has the figures.
    #[must_use]
    pub fn new(key: &PublicKey) -> Self {
        Self { tables: key.pairs().iter().map(Table::new).collect() }
    }

    /// Returns the memory the tables take, in bytes.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        self.tables.iter().map(|table| table.blocks.len() + size_of_val(&*table.starts)).sum()
    }

    /// Returns the most memory, in bytes, that the tables of a key can take, without working them out.
    #[must_use]
    pub fn table_bytes_at_most(key: &PublicKey) -> usize {
        let per_pair = |pair: &PublicPair| 256 * 2 * pair.block_size() + 257 * size_of::<u32>();
        key.pairs().iter().map(per_pair).sum()
    }

    /// Returns the exact length in bytes that `plain` will have encrypted.
    #[must_use]
    pub fn encrypted_len(&self, plain: &[u8]) -> usize {
        self.blocks(plain).map(<[u8]>::len).sum()
    }

    /// Appends the encrypted form of a whole packet body to `out`. The first byte goes through the first pair.
    pub fn encrypt(&self, plain: &[u8], out: &mut Vec<u8>) {
        for block in self.blocks(plain) {
            out.extend_from_slice(block);
        }
    }

    fn blocks(&self, plain: &[u8]) -> impl Iterator<Item = &[u8]> {
        plain.iter().zip(self.tables.iter().cycle()).map(|(&byte, table)| table.block(byte))
    }
}

impl Table {
    fn new(pair: &PublicPair) -> Self {
        match (pair.n().to_u64().and_then(Word::new), Montgomery::new(pair.n())) {
            (Some(ring), _) => Self::in_ring(&ring, pair),
            (None, Some(ring)) => Self::in_ring(&ring, pair),
            (None, None) => Self::in_ring(&Plain(pair.n()), pair),
        }
    }

    fn in_ring<R: Ring>(ring: &R, pair: &PublicPair) -> Self {
        let size = pair.block_size();
        let mut blocks = Vec::with_capacity(256 * 3 * size / 2);
        let mut starts = Vec::with_capacity(257);
        let mut values = Vec::with_capacity(size);
        for power in byte_powers(ring, pair.e()) {
            starts.push(offset(&blocks));
            values.clear();
            ring.write(&power, size, &mut values);
            code_points::push_all(&values, &mut blocks);
        }
        starts.push(offset(&blocks));
        Self { blocks: blocks.into(), starts: starts.into() }
    }

    fn block(&self, byte: u8) -> &[u8] {
        let start = usize::from(byte);
        let range = match self.starts.get(start..start + 2) {
            Some(&[start, end]) => start as usize..end as usize,
            _ => 0..0,
        };
        self.blocks.get(range).unwrap_or_default()
    }
}

fn offset(blocks: &[u8]) -> u32 {
    u32::try_from(blocks.len()).unwrap_or(u32::MAX)
}
