//! Encryption: one table of 256 finished blocks per pair.

use num_traits::ToPrimitive;

use super::code_points;
use crate::rsa::key::{PublicKey, PublicPair};
use crate::rsa::modular::{Montgomery, Plain, Ring, Word, byte_powers};

/// Encrypts with somebody's public key.
#[derive(Debug, Clone)]
pub struct Encryptor {
    tables: Tables,
}

/// What each byte becomes under each pair: the block as it goes onto the wire.
#[derive(Debug, Clone)]
enum Tables {
    /// Blocks that fit a word: of moduli up to 32 bits, as keys for the original have.
    Short(Vec<ShortTable>),
    /// Blocks of any length.
    Long(Vec<LongTable>),
}

/// The blocks of one pair, each in a word, least significant byte first. They are copied as words, whatever their length; a
/// server does this for every byte and every classic client.
#[derive(Debug, Clone)]
struct ShortTable {
    words: [u64; 256],
    /// Values in a block.
    size: usize,
}

#[derive(Debug, Clone)]
struct LongTable {
    /// The 256 blocks end to end.
    blocks: Box<[u8]>,
    /// Where the block of each byte starts, and where the last one ends: 257 offsets.
    starts: Box<[u32]>,
}

/// Most values in a block that fits a word: each takes one byte on the wire or two.
const SHORT_SIZE: usize = 4;

impl Encryptor {
    /// Works out the tables for a key: tenths of a millisecond for keys like the original's, and for the costliest
    /// that [`KeyLimits::PEER`](crate::rsa::KeyLimits::PEER) lets in, tens of milliseconds, twice as many again if its
    /// moduli are even. A server should not keep others waiting for that; docs/performance.md has the figures.
    #[must_use]
    pub fn new(key: &PublicKey) -> Self {
        let tables: Vec<_> = key.pairs().iter().map(LongTable::new).collect();
        let short = |(pair, table): (&PublicPair, &LongTable)| ShortTable::new(pair.block_size(), table);
        let tables = match key.pairs().iter().zip(&tables).map(short).collect() {
            Some(short) => Tables::Short(short),
            None => Tables::Long(tables),
        };
        Self { tables }
    }

    /// Returns the memory the tables take, in bytes.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        match &self.tables {
            Tables::Short(tables) => size_of_val(tables.as_slice()),
            Tables::Long(tables) => {
                tables.iter().map(|table| table.blocks.len() + size_of_val(&*table.starts)).sum()
            }
        }
    }

    /// Returns the most memory, in bytes, that the tables of a key can take, without working them out.
    #[must_use]
    pub fn table_bytes_at_most(key: &PublicKey) -> usize {
        let long = |pair: &PublicPair| 256 * 2 * pair.block_size() + 257 * size_of::<u32>();
        let per_pair = |pair: &PublicPair| long(pair).max(size_of::<ShortTable>());
        key.pairs().iter().map(per_pair).sum()
    }

    /// Returns the exact length in bytes that `plain` will have encrypted.
    #[must_use]
    pub fn encrypted_len(&self, plain: &[u8]) -> usize {
        match &self.tables {
            Tables::Short(tables) => {
                plain.iter().zip(tables.iter().cycle()).map(|(&byte, table)| table.block(byte).1).sum()
            }
            Tables::Long(tables) => {
                plain.iter().zip(tables.iter().cycle()).map(|(&byte, table)| table.block(byte).len()).sum()
            }
        }
    }

    /// Appends the block of one byte, the `index`th of a packet body.
    pub(super) fn push_block(&self, index: usize, byte: u8, out: &mut Vec<u8>) {
        match &self.tables {
            Tables::Short(tables) => {
                if let Some(table) = tables.get(index % tables.len().max(1)) {
                    let (word, length) = table.block(byte);
                    out.extend_from_slice(word.to_le_bytes().get(..length).unwrap_or_default());
                }
            }
            Tables::Long(tables) => {
                if let Some(table) = tables.get(index % tables.len().max(1)) {
                    out.extend_from_slice(table.block(byte));
                }
            }
        }
    }

    /// Appends the encrypted form of a whole packet body to `out`. The first byte goes through the first pair.
    pub fn encrypt(&self, plain: &[u8], out: &mut Vec<u8>) {
        match &self.tables {
            Tables::Short(tables) => encrypt_short(tables, plain, out),
            Tables::Long(tables) => {
                for (&byte, table) in plain.iter().zip(tables.iter().cycle()) {
                    out.extend_from_slice(table.block(byte));
                }
            }
        }
    }
}

/// Copies every block as a word, and goes on where the block ends.
fn encrypt_short(tables: &[ShortTable], plain: &[u8], out: &mut Vec<u8>) {
    let mut end = out.len();
    out.resize(end + plain.len() * size_of::<u64>(), 0);
    for round in plain.chunks(tables.len().max(1)) {
        for (&byte, table) in round.iter().zip(tables) {
            let (word, length) = table.block(byte);
            if let Some(place) = out.get_mut(end..).and_then(<[u8]>::first_chunk_mut) {
                *place = word.to_le_bytes();
            }
            end += length;
        }
    }
    out.truncate(end);
}

impl ShortTable {
    /// Copies a table whose blocks have `size` values; `None` if they may not fit a word.
    fn new(size: usize, table: &LongTable) -> Option<Self> {
        let mut words = [0; 256];
        for (byte, word) in (0..=u8::MAX).zip(words.iter_mut()) {
            let mut bytes = [0; size_of::<u64>()];
            let block = table.block(byte);
            bytes.get_mut(..block.len())?.copy_from_slice(block);
            *word = u64::from_le_bytes(bytes);
        }
        (size <= SHORT_SIZE).then_some(Self { words, size })
    }

    /// Returns the block of a byte, and its length: a byte for each value, and one more for each that takes two, the first
    /// of which has its two highest bits set.
    fn block(&self, byte: u8) -> (u64, usize) {
        const ONES: u64 = 0x0101_0101_0101_0101;
        let word = self.words.get(usize::from(byte)).copied().unwrap_or_default();
        let firsts = word >> 7 & word >> 6 & ONES;
        // The highest byte of the product is the sum of all bytes.
        let doubles = firsts.wrapping_mul(ONES) >> 56;
        (word, self.size + doubles as usize)
    }
}

impl LongTable {
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
