//! The last bytes of a stream, for output of any length of which the end matters.

use std::collections::VecDeque;
use std::io;

/// Keeps the last bytes that are written to it.
pub(super) struct Tail {
    bytes: VecDeque<u8>,
    limit_bytes: usize,
    is_cut: bool,
}

impl Tail {
    /// Makes one that keeps this many bytes at most.
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { bytes: VecDeque::new(), limit_bytes, is_cut: false }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let surplus = self.bytes.len().saturating_sub(self.limit_bytes);
        self.is_cut |= surplus > 0;
        self.bytes.drain(..surplus);
    }

    /// Returns all that was kept.
    pub(super) fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes.make_contiguous()).into_owned()
    }

    /// Returns the lines that were kept whole.
    pub(super) fn lines(&mut self) -> Vec<String> {
        let is_cut = self.is_cut;
        self.text().lines().skip(usize::from(is_cut)).map(str::to_owned).collect()
    }
}

impl io::Write for Tail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_stay_whole() {
        let mut tail = Tail::new(10);
        for line in ["one\n", "two\n", "three\n"] {
            tail.push(line.as_bytes());
        }
        assert_eq!(tail.text(), "two\nthree\n");
        // How much of the first one is missing is not known.
        assert_eq!(tail.lines(), ["three"]);
        let mut short = Tail::new(10);
        short.push(b"one\ntwo\n");
        assert_eq!(short.lines(), ["one", "two"]);
    }
}
