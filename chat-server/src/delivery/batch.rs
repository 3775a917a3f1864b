//! What everyone is to receive, encoded once for each audience.

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;
use chat_core::frame::{self, FrameError};
use chat_core::names::ClientId;
use chat_core::packet::PacketType;

use super::KEPT_BYTES;
use super::queue::Total;

/// Most bytes of changes in one ROSTER; more come in several.
const ROSTER_BYTES: usize = 64 * 1024;

/// Which form of the user list a connection is sent. All other packets are the same for everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// The whole list at every change, as the original has it.
    Lists,
    /// What has changed.
    Changes,
}

/// A batch of packets for one audience, while it lasts.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    lists: Vec<List>,
    /// Connections in the audience: without any, nothing is encoded.
    members: usize,
    /// The same bytes once more, shared by all whose socket takes only a part; made when the first one needs it.
    shared: Option<Bytes>,
}

/// Where in a batch a user list is.
#[derive(Debug)]
struct List {
    range: Range<usize>,
    /// Whose events changed it.
    causes: HashSet<ClientId>,
}

impl Batch {
    /// Counts one connection more; returns its cursor: it receives what is added from now on.
    pub(super) fn enter(&mut self) -> usize {
        self.members += 1;
        self.bytes.len()
    }

    /// Counts one connection less.
    pub(super) fn leave(&mut self) {
        self.members -= 1;
    }

    /// Tells whether nobody would receive what is added.
    pub(super) fn is_idle(&self) -> bool {
        self.members == 0
    }

    /// Returns how many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the bytes from a cursor on.
    pub(super) fn from(&self, cursor: usize) -> &[u8] {
        self.bytes.get(cursor..).unwrap_or_default()
    }

    /// Adds a packet.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if the body is too long for a packet; nothing is added then.
    pub(super) fn push(&mut self, kind: PacketType, body: &[u8]) -> Result<(), FrameError> {
        if self.is_idle() { Ok(()) } else { frame::write_frame(&mut self.bytes, kind, body) }
    }

    /// Adds the user list, which these clients' events have changed.
    ///
    /// # Errors
    ///
    /// As [`Batch::push`].
    pub(super) fn push_list(&mut self, list: &str, causes: HashSet<ClientId>) -> Result<(), FrameError> {
        let start = self.len();
        self.push(PacketType::USERLIST, list.as_bytes())?;
        self.lists.push(List { range: start..self.len(), causes });
        Ok(())
    }

    /// Adds changes of the user list, also if there are none: whoever waits for the list that follows its own event gets one.
    ///
    /// # Errors
    ///
    /// As [`Batch::push`].
    pub(super) fn push_changes(&mut self, mut changes: &str) -> Result<(), FrameError> {
        loop {
            let most = changes.floor_char_boundary(ROSTER_BYTES);
            let end = match changes.get(..most).and_then(|part| part.rfind('\n')) {
                Some(last) if changes.len() > ROSTER_BYTES => last + 1,
                _ => changes.len(),
            };
            let (part, rest) = changes.split_at(end);
            self.push(PacketType::ROSTER, part.as_bytes())?;
            changes = rest;
            if changes.is_empty() {
                return Ok(());
            }
        }
    }

    /// Returns where the user lists are, from a cursor on and counted from there, that `client` has not itself caused. Newer
    /// ones may replace them while they wait.
    pub(super) fn replaceable_lists(
        &self,
        client: ClientId,
        cursor: usize,
    ) -> impl Iterator<Item = Range<usize>> {
        let others = self.lists.iter().filter(move |list| !list.causes.contains(&client));
        others.filter_map(move |list| {
            Some(list.range.start.checked_sub(cursor)?..list.range.end.checked_sub(cursor)?)
        })
    }

    /// Returns a part of the bytes, shared with whoever else keeps some; they count in `total` once.
    pub(super) fn share(&mut self, range: Range<usize>, total: &Total) -> Bytes {
        let bytes = &self.bytes;
        let shared = self.shared.get_or_insert_with(|| total.keep(bytes));
        shared.slice(range.start.min(shared.len())..range.end.min(shared.len()))
    }

    /// Begins a new batch.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.lists.clear();
        self.shared = None;
    }
}

#[cfg(test)]
mod tests {
    use chat_core::frame::{MAX_PACKET_LEN, split_frame};

    use super::*;

    fn batch() -> Batch {
        let mut batch = Batch::default();
        batch.enter();
        batch
    }

    #[test]
    fn nothing_is_encoded_for_nobody() {
        let mut batch = batch();
        batch.leave();
        batch.push(PacketType::MESSAGE, b"hello").unwrap();
        batch.push_changes("+a\n").unwrap();
        assert_eq!(batch.len(), 0);
    }

    #[test]
    fn lists_that_others_caused_are_replaceable() {
        let causes = |clients: &[u64]| clients.iter().map(|&client| ClientId(client)).collect();
        let mut batch = batch();
        batch.push_list("a", causes(&[1])).unwrap();
        let cursor = batch.len();
        batch.push(PacketType::MESSAGE, b"hello").unwrap();
        batch.push_list("a:b", causes(&[2, 3])).unwrap();
        let lists = |client, cursor| batch.replaceable_lists(ClientId(client), cursor).collect::<Vec<_>>();
        assert_eq!(lists(1, 0), vec![16..24]);
        assert_eq!(lists(2, 0), vec![0..6]);
        assert_eq!(lists(9, 0), [0..6, 16..24]);
        assert_eq!(lists(9, cursor), vec![10..18]);
        assert_eq!(batch.from(cursor).get(10..18), Some(&b"\0\0\0\x08\x0aa:b"[..]));
    }

    #[test]
    fn many_changes_come_in_several_packets_of_whole_lines() {
        let changes = format!("+{}\n", "ü".repeat(30)).repeat(5000);
        let mut batch = batch();
        batch.push_changes(&changes).unwrap();
        let (mut rest, mut together, mut packets) = (batch.from(0), String::new(), 0);
        while let Some(frame) = split_frame(rest, MAX_PACKET_LEN).unwrap() {
            assert!(frame.body.len() <= ROSTER_BYTES && frame.body.ends_with(b"\n"));
            together += std::str::from_utf8(frame.body).unwrap();
            rest = &rest[frame.wire_len()..];
            packets += 1;
        }
        assert_eq!((together == changes, packets), (true, 5));
        let before = batch.len();
        batch.push_changes("").unwrap();
        assert_eq!(batch.from(before), b"\0\0\0\x05\x13");
    }
}
