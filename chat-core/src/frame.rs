//! Framing: cutting a byte stream into packets and writing packets.
//!
//! A packet is a 4-byte big-endian length (counting the whole packet), one type byte and the body. What a body means
//! is `packet`'s business; ciphers replace bodies and live in `rsa` and `noise`.

use std::fmt;

use crate::packet::PacketType;

/// Bytes of the header: four of length and one of type.
pub const HEADER_LEN: usize = 5;

/// The largest packet any peer of ours takes, in bytes (1 MiB), header included.
///
/// The original has no limit; its clients stay below a few KiB, but a 512-bit classic key turns a byte of text into up
/// to 128 on the wire, so a long message needs room. Servers configure a lower limit, never a higher one.
pub const MAX_PACKET_LEN: usize = 1 << 20;

/// The longest packet that a client of ours sends, in bytes: servers of ours take no longer ones from clients, unless they are
/// set up otherwise.
pub const MAX_REQUEST_LEN: usize = 256 * 1024;

/// One packet, borrowed from the bytes it was read from; printing it shows no body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What kind of packet it is.
    pub kind: PacketType,
    /// The body as it stood on the wire: text, or ciphertext once encryption is on.
    pub body: &'a [u8],
}

impl Frame<'_> {
    /// Returns how many bytes the packet takes on the wire, header included.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        HEADER_LEN + self.body.len()
    }
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A body may be a message or hold a password, and frames end up in logs.
        f.debug_struct("Frame").field("kind", &self.kind).field("body_bytes", &self.body.len()).finish()
    }
}

/// A length field that no packet can have; the stream cannot be resynchronised and the connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is smaller than the header it counts.
    #[error("packet length {0} is below the {HEADER_LEN} bytes of its own header")]
    TooShort(u32),
    /// The length is above what the reader or writer takes.
    #[error("packet length {len} is above the limit of {max} bytes")]
    TooLong {
        /// The length asked for, in bytes.
        len: usize,
        /// The limit in force, in bytes.
        max: usize,
    },
}

/// Reads the packet at the start of `input`, or `None` while it is incomplete.
///
/// A length is judged as soon as its four bytes are there, so a refused packet is never buffered.
///
/// # Errors
///
/// [`FrameError`] if the length field is below [`HEADER_LEN`] or above `max_packet_len` (bytes).
pub fn split_frame(input: &[u8], max_packet_len: usize) -> Result<Option<Frame<'_>>, FrameError> {
    let Some((length, rest)) = input.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length);
    let len = usize::try_from(length).unwrap_or(usize::MAX);
    if len < HEADER_LEN {
        return Err(FrameError::TooShort(length));
    }
    if len > max_packet_len {
        return Err(FrameError::TooLong { len, max: max_packet_len });
    }
    let Some((&kind, rest)) = rest.split_first() else { return Ok(None) };
    Ok(rest.get(..len - HEADER_LEN).map(|body| Frame { kind: PacketType::new(kind), body }))
}

/// Appends one packet to `out`.
///
/// # Errors
///
/// [`FrameError::TooLong`] if the packet would be larger than [`MAX_PACKET_LEN`]; `out` is then unchanged.
pub fn write_frame(out: &mut Vec<u8>, kind: PacketType, body: &[u8]) -> Result<(), FrameError> {
    let len = HEADER_LEN + body.len();
    let too_long = FrameError::TooLong { len, max: MAX_PACKET_LEN };
    let length = u32::try_from(len).map_err(|_| too_long)?;
    if len > MAX_PACKET_LEN {
        return Err(too_long);
    }
    out.reserve(len);
    out.extend_from_slice(&length.to_be_bytes());
    out.push(kind.code());
    out.extend_from_slice(body);
    Ok(())
}

/// Returns one packet as bytes of its own.
///
/// # Errors
///
/// As [`write_frame`].
pub fn packet(kind: PacketType, body: &[u8]) -> Result<Vec<u8>, FrameError> {
    let mut out = Vec::new();
    write_frame(&mut out, kind, body)?;
    Ok(out)
}

/// The bytes of a stream that have arrived and are not yet taken as packets.
///
/// Holds at most one incomplete packet beyond what was last pushed, so its memory is bounded by the packet limit plus
/// one read. An empty buffer holds no memory.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    taken: usize,
}

impl FrameBuffer {
    /// Appends bytes as they came from the stream.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.compact();
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next complete packet, or `None` if more bytes are needed.
    ///
    /// # Errors
    ///
    /// As [`split_frame`]; the stream is then unusable.
    pub fn next_frame(&mut self, max_packet_len: usize) -> Result<Option<Frame<'_>>, FrameError> {
        let waiting = self.bytes.get(self.taken..).unwrap_or_default();
        let frame = split_frame(waiting, max_packet_len)?;
        if let Some(frame) = frame {
            self.taken += frame.wire_len();
        }
        Ok(frame)
    }

    /// Returns the number of bytes not yet taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Tells whether nothing is waiting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets what has been taken, and gives the memory back when nothing is left.
    pub fn compact(&mut self) {
        if self.is_empty() {
            self.bytes = Vec::new();
        } else {
            self.bytes.drain(..self.taken);
        }
        self.taken = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incomplete_input_is_not_an_error() {
        let whole = packet(PacketType::MESSAGE, b"hello\n").unwrap();
        for end in 0..whole.len() {
            assert_eq!(split_frame(&whole[..end], MAX_PACKET_LEN), Ok(None), "{end} bytes");
        }
        let frame = split_frame(&whole, MAX_PACKET_LEN).unwrap().unwrap();
        assert_eq!(
            (frame.kind, frame.body, frame.wire_len()),
            (PacketType::MESSAGE, &b"hello\n"[..], whole.len())
        );
    }

    #[test]
    fn bad_lengths_are_refused_before_the_body_arrives() {
        assert_eq!(split_frame(&[0, 0, 0, 4], 100), Err(FrameError::TooShort(4)));
        assert_eq!(split_frame(&[0, 0, 0, 0], 100), Err(FrameError::TooShort(0)));
        assert_eq!(split_frame(&[0, 0, 0, 101], 100), Err(FrameError::TooLong { len: 101, max: 100 }));
        assert!(matches!(split_frame(&[255; 4], MAX_PACKET_LEN), Err(FrameError::TooLong { .. })));
        assert!(matches!(split_frame(&[0, 0, 0, 100], 100), Ok(None)));
    }

    #[test]
    fn a_body_above_the_limit_is_not_written() {
        let mut out = vec![7];
        assert!(write_frame(&mut out, PacketType::MESSAGE, &vec![0; MAX_PACKET_LEN]).is_err());
        assert_eq!(out, [7]);
        assert!(write_frame(&mut out, PacketType::MESSAGE, &vec![0; MAX_PACKET_LEN - HEADER_LEN]).is_ok());
    }

    #[test]
    fn a_buffer_gives_the_same_packets_for_any_segmentation() {
        let mut stream = packet(PacketType::CONNECT, b"").unwrap();
        write_frame(&mut stream, PacketType::MESSAGE, b"hi").unwrap();
        for size in 1..=stream.len() {
            let (mut buffer, mut seen) = (FrameBuffer::default(), Vec::new());
            for piece in stream.chunks(size) {
                buffer.extend(piece);
                while let Some(frame) = buffer.next_frame(64).unwrap() {
                    seen.push((frame.kind, frame.body.to_vec()));
                }
            }
            assert_eq!(seen, [(PacketType::CONNECT, vec![]), (PacketType::MESSAGE, b"hi".to_vec())]);
            assert!(buffer.is_empty());
        }
    }
}
