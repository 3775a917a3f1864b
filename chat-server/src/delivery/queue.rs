//! What waits for one connection whose socket is full.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::{Buf as _, Bytes};
use mio::net::TcpStream;

/// Most pieces handed to the kernel with one call.
const SLICES: usize = 64;

/// What a piece costs beside its bytes, so that many small ones count as what they are.
const PIECE_BYTES: usize = 64;

/// How many bytes of memory everything takes that waits for connections; clones count together. What several of them share
/// counts once. It is atomic because [`Bytes`] may be dropped anywhere; here all is on one thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Total(Arc<AtomicUsize>);

/// Bytes that wait, counted until the last piece of them is dropped.
struct Kept {
    bytes: Box<[u8]>,
    total: Total,
}

impl Total {
    /// Returns the number of bytes.
    pub(super) fn get(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// Copies bytes that have to wait, and counts them as long as somebody keeps a piece of them.
    pub(super) fn keep(&self, bytes: &[u8]) -> Bytes {
        self.0.fetch_add(bytes.len(), Relaxed);
        Bytes::from_owner(Kept { bytes: bytes.into(), total: self.clone() })
    }
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.total.0.fetch_sub(self.bytes.len(), Relaxed);
    }
}

/// Bytes in order, in pieces that other connections may share. What waits counts in the total of all queues until it is
/// written or dropped.
pub(super) struct Queue {
    pieces: VecDeque<Bytes>,
    bytes: usize,
    /// Which piece is a user list that the next one replaces; none once its writing has begun.
    list: Option<usize>,
    total: Total,
}

impl Queue {
    /// Makes an empty queue that counts in `total`.
    pub(super) fn new(total: Total) -> Self {
        Self { pieces: VecDeque::new(), bytes: 0, list: None, total }
    }

    /// Returns how many bytes wait, with what keeping them costs.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns how many bytes the next user list replaces.
    pub(super) fn replaceable_bytes(&self) -> usize {
        self.list.and_then(|place| self.pieces.get(place)).map_or(0, |list| list.len() + PIECE_BYTES)
    }

    /// Adds bytes at the end.
    pub(super) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.bytes += piece.len() + PIECE_BYTES;
            self.total.0.fetch_add(PIECE_BYTES, Relaxed);
            self.pieces.push_back(piece);
        }
    }

    /// Adds a user list at the end, in place of the last one that was added so and still waits: of several that others have
    /// caused, a slow reader needs only the last.
    pub(super) fn push_list(&mut self, piece: Bytes) {
        if let Some(older) = self.list.take().and_then(|place| self.pieces.remove(place)) {
            self.forget(1, older.len());
        }
        self.list = (!piece.is_empty()).then_some(self.pieces.len());
        self.push(piece);
    }

    /// Writes as much as the socket takes; tells whether that was everything.
    ///
    /// # Errors
    ///
    /// The socket's error, if the connection is gone.
    pub(super) fn write_to(&mut self, mut socket: &TcpStream) -> io::Result<bool> {
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut used = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                *slice = IoSlice::new(piece);
                used += 1;
            }
            match socket.write_vectored(slices.get(..used).unwrap_or_default()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn advance(&mut self, written: usize) {
        let (mut left, mut pieces) = (written, 0);
        while let Some(first) = self.pieces.front_mut() {
            if first.len() > left {
                first.advance(left);
                self.list = self.list.filter(|&place| place > 0 || left == 0);
                break;
            }
            left -= first.len();
            pieces += 1;
            self.pieces.pop_front();
            self.list = self.list.and_then(|place| place.checked_sub(1));
        }
        self.forget(pieces, written);
    }

    /// Counts `bytes` less, and what keeping so many pieces cost.
    fn forget(&mut self, pieces: usize, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes + pieces * PIECE_BYTES);
        self.total.0.fetch_sub(pieces * PIECE_BYTES, Relaxed);
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.forget(self.pieces.len(), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advancing_crosses_pieces_and_counts_bytes() {
        let total = Total::default();
        let (mut queue, mut other) = (Queue::new(total.clone()), Queue::new(total.clone()));
        for piece in [&b"abc"[..], b"", b"de", b"f"] {
            queue.push(total.keep(piece));
        }
        other.push(total.keep(b"xyz"));
        assert_eq!((queue.bytes(), total.get()), (6 + 3 * PIECE_BYTES, 9 + 4 * PIECE_BYTES));
        queue.advance(4);
        assert_eq!(queue.pieces.front().map(|piece| &piece[..]), Some(&b"e"[..]));
        assert_eq!((queue.bytes(), total.get()), (2 + 2 * PIECE_BYTES, 2 + 1 + 3 + 3 * PIECE_BYTES));
        queue.advance(2);
        assert_eq!((queue.bytes(), queue.pieces.len(), total.get()), (0, 0, 3 + PIECE_BYTES));
        drop(other);
        assert_eq!(total.get(), 0);
    }

    #[test]
    fn what_many_share_counts_once() {
        let total = Total::default();
        let shared = total.keep(&[0; 1000]);
        let mut queues: Vec<_> = (0..10).map(|_| Queue::new(total.clone())).collect();
        for queue in &mut queues {
            queue.push(shared.slice(500..));
            assert_eq!(queue.bytes(), 500 + PIECE_BYTES);
        }
        drop(shared);
        assert_eq!(total.get(), 1000 + 10 * PIECE_BYTES);
        queues.truncate(1);
        assert_eq!(total.get(), 1000 + PIECE_BYTES);
        queues.clear();
        assert_eq!(total.get(), 0);
    }

    #[track_caller]
    fn check(queue: &Queue, expected: &[&str]) {
        let waiting: Vec<_> = queue.pieces.iter().map(|piece| std::str::from_utf8(piece).unwrap()).collect();
        assert_eq!(waiting, expected);
        let bytes: usize = expected.iter().map(|piece| piece.len() + PIECE_BYTES).sum();
        assert_eq!((queue.bytes(), queue.total.get()), (bytes, expected.len() * PIECE_BYTES));
    }

    #[test]
    fn a_list_replaces_the_one_that_waits_unless_its_writing_has_begun() {
        let mut queue = Queue::new(Total::default());
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        queue.push(text("join a"));
        queue.push_list(text("[a]"));
        queue.push(text("join b"));
        queue.push_list(text("[a:b]"));
        check(&queue, &["join a", "join b", "[a:b]"]);
        queue.advance("join ajoin b".len());
        queue.push_list(text("[a:b:c]"));
        check(&queue, &["[a:b:c]"]);
        queue.advance(1);
        queue.push_list(text("[a]"));
        queue.push_list(text("[b]"));
        queue.push(text("x"));
        let written = "a:b:c]".len();
        assert_eq!(queue.bytes(), written + "[b]x".len() + 3 * PIECE_BYTES);
        queue.advance(written + "[b]".len());
        queue.push_list(text("[]"));
        check(&queue, &["x", "[]"]);
    }
}
