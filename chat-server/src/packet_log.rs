//! The original's packet log, kept on request: every packet of every connection, in clear, in one file.
//!
//! For debugging only; passwords are masked (`chat_core::packet_log`). Writes block the event loop, which is the price of a
//! log that is complete up to the last packet before a crash.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use chat_core::frame::{Frame, MAX_PACKET_LEN, split_frame};
use chat_core::names::ClientId;
use chat_core::packet_log::{Direction, Entry};

use crate::clock::Clock;

/// An open packet log.
pub(crate) struct PacketLog {
    file: File,
    clock: Clock,
}

impl PacketLog {
    /// Creates the file, or empties the one that is there, readable by its owner only.
    ///
    /// # Errors
    ///
    /// The file system's error.
    pub(crate) fn create(path: &Path, clock: Clock) -> std::io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        Ok(Self { file, clock })
    }

    /// Logs one packet that a client sent; `plain` is its body in clear if the wire carried ciphertext.
    pub(crate) fn received(&mut self, client: ClientId, frame: &Frame<'_>, plain: Option<&[u8]>) {
        self.write(client, Direction::Received, frame, frame.body, plain);
    }

    /// Logs packets sent to a client; `wire` is what they became. Noise joins packets, so beside it only the packets in
    /// clear are shown.
    pub(crate) fn sent(&mut self, client: ClientId, mut plain: &[u8], mut wire: &[u8]) {
        let encrypted = plain != wire;
        while let Ok(Some(frame)) = split_frame(plain, MAX_PACKET_LEN) {
            plain = plain.get(frame.wire_len()..).unwrap_or_default();
            let on_wire = split_frame(wire, usize::MAX).ok().flatten().filter(|sent| sent.kind == frame.kind);
            wire = on_wire.and_then(|sent| wire.get(sent.wire_len()..)).unwrap_or(wire);
            let wire_body = on_wire.map_or(frame.body, |sent| sent.body);
            self.write(client, Direction::Sent, &frame, wire_body, encrypted.then_some(frame.body));
        }
    }

    fn write(
        &mut self,
        client: ClientId,
        direction: Direction,
        frame: &Frame<'_>,
        wire: &[u8],
        plain: Option<&[u8]>,
    ) {
        let timestamp = self.clock.packet_log_timestamp();
        let entry = Entry {
            timestamp: &timestamp,
            direction,
            kind: frame.kind,
            wire_body: wire,
            decrypted_body: plain,
        };
        if let Err(error) = self.file.write_all(entry.render().as_bytes()) {
            tracing::warn!(%client, %error, "the packet log cannot be written");
        }
    }
}
