//! How one connection's bodies are encoded, in both directions.

use std::rc::Rc;

use chat_core::frame::{HEADER_LEN, MAX_PACKET_LEN, split_frame, write_frame};
use chat_core::january;
use chat_core::noise::{Channel, NoiseError};
use chat_core::rsa::hazmat::{CharacterDecryptor, CharacterEncryptor, CipherError, Decryptor, Encryptor};

/// The state of a connection's encryption.
pub(crate) enum Cipher {
    /// None: bodies travel as they are.
    Plain,
    /// The original's: bodies are ciphertext, headers stay readable.
    Classic(Box<Classic>),
    /// That of the original's January 2026 revision, along with its numbers and texts.
    January(Box<January>),
    /// Ours: whole packets travel inside SECURE packets.
    Noise(Channel),
}

/// The tables of a classic connection.
pub(crate) struct Classic {
    /// The client's key.
    pub(crate) encryptor: Encryptor,
    /// The server's key, the same for everyone.
    pub(crate) decryptor: Rc<Decryptor>,
}

/// The keys of a connection in the dialect of January 2026.
pub(crate) struct January {
    /// The client's key.
    pub(crate) encryptor: CharacterEncryptor,
    /// The server's key, the same for everyone.
    pub(crate) decryptor: Rc<CharacterDecryptor>,
}

/// Why a body from a client cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// It is not what the classic cipher makes; only this packet is lost.
    #[error("the body cannot be decrypted")]
    Classic(#[source] CipherError),
    /// It is forged, replayed or out of order; the connection cannot go on.
    #[error("the secure packet cannot be opened")]
    Noise(#[source] NoiseError),
    /// The connection has been removed.
    #[error("the connection is gone")]
    Gone,
}

impl Cipher {
    /// Tells whether it is that of January 2026.
    pub(super) fn is_january(&self) -> bool {
        matches!(self, Self::January(_))
    }

    /// Appends whole plain packets to `out` as the connection's peer is to receive them.
    ///
    /// # Errors
    ///
    /// [`NoiseError`] if the channel cannot send any more; the connection is then of no use.
    pub(super) fn seal(&mut self, packets: &[u8], out: &mut Vec<u8>) -> Result<(), NoiseError> {
        match self {
            Self::Plain => out.extend_from_slice(packets),
            Self::Classic(classic) => classic.seal(packets, out),
            Self::January(january) => january.seal(packets, out),
            Self::Noise(channel) => channel.seal(packets, out)?,
        }
        Ok(())
    }

    /// Appends to `out` what the body of a packet from the client says. Bodies are never empty here: an empty one is the
    /// same five bytes in every state.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; `out` is then unchanged.
    pub(super) fn open(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<(), OpenError> {
        match self {
            Self::Plain => out.extend_from_slice(body),
            Self::Classic(classic) => {
                classic.decryptor.decrypt(body, MAX_PACKET_LEN, out).map_err(OpenError::Classic)?
            }
            Self::January(january) => {
                let text = january.decryptor.decrypt(body, MAX_PACKET_LEN).map_err(OpenError::Classic)?;
                out.extend_from_slice(text.as_bytes());
            }
            Self::Noise(channel) => channel.open(body, out).map_err(OpenError::Noise)?,
        }
        Ok(())
    }
}

impl Classic {
    /// Encrypts packet by packet: the cipher's key starts over with every body. A body that the client's moduli would make
    /// too long for a packet is left out: it may grow a hundredfold, and neither side is to hold that.
    fn seal(&self, mut packets: &[u8], out: &mut Vec<u8>) {
        while let Ok(Some(frame)) = split_frame(packets, MAX_PACKET_LEN) {
            packets = packets.get(frame.wire_len()..).unwrap_or_default();
            // Short ones are spared the count.
            if frame.body.len() > 256
                && HEADER_LEN + self.encryptor.encrypted_len(frame.body) > MAX_PACKET_LEN
            {
                tracing::debug!(?frame, "left out: too long once encrypted for this client");
                continue;
            }
            let start = out.len();
            out.extend_from_slice(&[0, 0, 0, 0, frame.kind.code()]);
            self.encryptor.encrypt(frame.body, out);
            let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX).to_be_bytes();
            if let Some(header) = out.get_mut(start..start + length.len()) {
                header.copy_from_slice(&length);
            }
        }
    }
}

impl January {
    /// Translates and encrypts packet by packet. What the client knows nothing of is left out, and so is what might become too
    /// long for a packet.
    fn seal(&self, mut packets: &[u8], out: &mut Vec<u8>) {
        let mut body = Vec::new();
        while let Ok(Some(frame)) = split_frame(packets, MAX_PACKET_LEN) {
            packets = packets.get(frame.wire_len()..).unwrap_or_default();
            let Ok(text) = str::from_utf8(frame.body) else { continue };
            let Some((kind, text)) = january::to_client(frame.kind, text) else { continue };
            body.clear();
            // Asked before it is computed, since that is what takes long.
            let fits = self.encryptor.encrypted_len_at_most(text.len()) <= MAX_PACKET_LEN - HEADER_LEN;
            if fits {
                self.encryptor.encrypt(&text, &mut body);
            }
            if !fits || write_frame(out, kind, &body).is_err() {
                tracing::debug!(?frame, "left out: too long once encrypted for this client");
            }
        }
    }
}
