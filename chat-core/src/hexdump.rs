//! The packet log's hexdump: sixteen bytes a line as little-endian words, the way `od -x` prints them.

use std::fmt::Write as _;

const BYTES_PER_LINE: usize = 16;

/// Dumps `bytes`, one line per sixteen, each with its offset and a line feed; nothing for no bytes.
#[must_use]
pub fn hexdump(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(BYTES_PER_LINE) * 50);
    for (line, chunk) in bytes.chunks(BYTES_PER_LINE).enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(out, "{:07x}:", line * BYTES_PER_LINE);
        for word in chunk.chunks(2) {
            let _ = match word {
                [low, high] => write!(out, " {high:02x}{low:02x}"),
                odd => write!(out, " {:02x}", odd.first().copied().unwrap_or_default()),
            };
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_little_endian_and_an_odd_byte_stands_alone() {
        assert_eq!(hexdump(&[0, 0, 0, 5, 1]), "0000000: 0000 0500 01\n");
        assert_eq!(hexdump(&[]), "");
        let two_lines = hexdump(&(0..18).collect::<Vec<u8>>());
        assert_eq!(two_lines, "0000000: 0100 0302 0504 0706 0908 0b0a 0d0c 0f0e\n0000010: 1110\n");
    }
}
