//! What waits for one connection whose socket is full.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf as _, Bytes};
use tokio::net::TcpStream;

/// Most pieces handed to the kernel with one call.
const SLICES: usize = 64;

/// Bytes in order, in pieces that other connections may share.
#[derive(Default)]
pub(super) struct Queue {
    pieces: VecDeque<Bytes>,
    bytes: usize,
}

impl Queue {
    /// Returns how many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds bytes at the end.
    pub(super) fn push(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        if !piece.is_empty() {
            self.pieces.push_back(piece);
        }
    }

    /// Writes as much as the socket takes; tells whether that was everything.
    ///
    /// # Errors
    ///
    /// The socket's error, if the connection is gone.
    pub(super) fn write_to(&mut self, socket: &TcpStream) -> io::Result<bool> {
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut used = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                *slice = IoSlice::new(piece);
                used += 1;
            }
            match socket.try_write_vectored(slices.get(..used).unwrap_or_default()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn advance(&mut self, mut count: usize) {
        self.bytes = self.bytes.saturating_sub(count);
        while let Some(first) = self.pieces.front_mut() {
            if first.len() > count {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advancing_crosses_pieces_and_counts_bytes() {
        let mut queue = Queue::default();
        for piece in [&b"abc"[..], b"", b"de", b"f"] {
            queue.push(Bytes::copy_from_slice(piece));
        }
        assert_eq!((queue.bytes(), queue.pieces.len()), (6, 3));
        queue.advance(4);
        assert_eq!((queue.bytes(), queue.pieces.front().map(|piece| &piece[..])), (2, Some(&b"e"[..])));
        queue.advance(2);
        assert_eq!((queue.bytes(), queue.pieces.len()), (0, 0));
    }
}
