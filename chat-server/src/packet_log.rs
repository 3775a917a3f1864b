//! The original's packet log, kept on request: every packet of every connection, in clear, in one file.
//!
//! For debugging only; passwords are masked (`chat_core::packet_log`). Writes block the event loop, which is the price of a
//! log that is complete up to the last packet before a crash.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use chat_core::frame::{Frame, MAX_PACKET_LEN, split_frame};
use chat_core::names::ClientId;
use chat_core::packet_log::{Direction, Entry, Keeper};
use rustix::fs::OFlags;

use crate::clock::Clock;

/// An open packet log.
pub(crate) struct PacketLog {
    file: File,
    clock: Clock,
}

impl PacketLog {
    /// Creates the file, or empties the one that is there, readable by its owner only in both cases.
    ///
    /// # Errors
    ///
    /// The file system's error, also if the path leads to a symbolic link, behind which others may have put a file of
    /// theirs or ours, or to anything but a file.
    pub(crate) fn create(path: &Path, clock: Clock) -> io::Result<Self> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(flags)
            .open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is not a file"));
        }
        // One that was there has kept its mode.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.set_len(0)?;
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
            keeper: Keeper::Server,
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use chat_core::packet::PacketType;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_file_is_its_owners_only_also_if_it_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.txt");
        let mut log = PacketLog::create(&path, Clock::system()).unwrap();
        let frame = Frame { kind: PacketType::MESSAGE, body: b"hello" };
        log.received(ClientId(1), &frame, None);
        assert_eq!(mode(&path), 0o600);
        assert!(fs::read_to_string(&path).unwrap().contains("Packet body: hello\n"));

        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        PacketLog::create(&path, Clock::system()).unwrap();
        assert_eq!((mode(&path), fs::read(&path).unwrap().len()), (0o600, 0));
    }

    #[test]
    fn passwords_are_masked_on_their_way_in_and_answers_shown_on_their_way_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.txt");
        let mut log = PacketLog::create(&path, Clock::system()).unwrap();
        let frame = Frame { kind: PacketType::REGISTER, body: b"Server: topsecret" };
        log.received(ClientId(1), &frame, None);
        let answer = chat_core::frame::packet(PacketType::LOGIN, b"Server: Unable to login as x\n").unwrap();
        log.sent(ClientId(1), &answer, &answer);
        let logged = fs::read_to_string(&path).unwrap();
        assert!(!logged.contains("topsecret"), "{logged}");
        assert!(
            logged.contains("Packet body: [masked]\n") && logged.contains("Unable to login as x"),
            "{logged}"
        );
    }

    #[test]
    fn what_is_no_file_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "precious").unwrap();
        symlink(&file, &link).unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
            .unwrap();
        let _reader =
            File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(&pipe);
        for path in [link.as_path(), pipe.as_path(), directory.path()] {
            assert!(PacketLog::create(path, Clock::system()).is_err(), "{}", path.display());
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }
}
