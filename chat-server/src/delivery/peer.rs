//! One connection's write half: what is ready for its socket, and what the socket has not taken yet.

use std::io::{self, Write as _};
use std::net::Shutdown;
use std::ops::Range;
use std::rc::Rc;

use bytes::Bytes;
use chat_core::frame;
use chat_core::names::ClientId;
use chat_core::notice::{self, NoticeCode};
use chat_core::packet::PacketType;
use mio::net::TcpStream;

use super::batch::{Audience, Batch};
use super::cipher::Cipher;
use super::queue::{Queue, Total};
use super::{BATCH_BYTES, KEPT_BYTES, Progress};
use crate::metrics::Closed;
use crate::packet_log::PacketLog;

/// How many bytes beyond the limit may wait for a connection that is given up: the batch that was too much, behind which its
/// client may read why.
const OVER_THE_LIMIT: usize = 2 * BATCH_BYTES;

/// A connection that receives. There may be ten thousand, most of them with nothing to receive: what few need is boxed.
pub(super) struct Peer {
    pub(super) client: ClientId,
    socket: Rc<TcpStream>,
    pub(super) cipher: Cipher,
    pub(super) audience: Audience,
    /// How much of the batch this connection has been given, in bytes.
    pub(super) cursor: usize,
    /// What comes ahead of the rest of the batch; nothing between batches.
    ready: Option<Box<Outgoing>>,
    /// What the socket has not taken yet; exists only while there is something.
    queue: Option<Box<Queue>>,
    /// Whether the connection has not sent a packet yet. Nobody knows its dialect then, so it is sent nothing.
    pub(super) unheard: bool,
    /// Whether the client understands NOTICE.
    pub(super) takes_notices: bool,
    /// Whether the connection is to receive nothing more.
    pub(super) finished: bool,
    /// Why, if it was cut off.
    pub(super) cut_off: Option<Closed>,
}

/// Bytes for the wire.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    /// Where in them user lists are that newer ones may replace while they wait.
    lists: Vec<Range<usize>>,
}

/// What may wait for one connection.
pub(super) struct Space<'a> {
    /// In bytes.
    pub(super) each: usize,
    /// What waits for all of them counts here.
    pub(super) total: &'a Total,
}

impl Peer {
    /// Makes the write half of a connection, which has been given the batch up to `cursor`.
    pub(super) fn new(client: ClientId, socket: Rc<TcpStream>, cursor: usize) -> Self {
        Self {
            client,
            socket,
            cipher: Cipher::Plain,
            audience: Audience::Lists,
            cursor,
            ready: None,
            queue: None,
            unheard: true,
            takes_notices: false,
            finished: false,
            cut_off: None,
        }
    }

    /// Returns how many bytes wait for the socket.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.bytes())
    }

    /// Returns how many bytes are ready for the next flush.
    pub(super) fn ready_bytes(&self) -> usize {
        self.ready.as_ref().map_or(0, |ready| ready.bytes.len())
    }

    /// Makes a packet of the connection's own ready; returns how many bytes it has become.
    pub(super) fn reply(&mut self, packet: &[u8], log: Option<&mut PacketLog>) -> usize {
        let mut ready = self.ready.take().unwrap_or_default();
        let before = ready.bytes.len();
        self.encode(packet, &mut ready, log);
        self.ready.insert(ready).bytes.len() - before
    }

    /// Makes ready what the batch holds for the connection; returns how many bytes that is.
    pub(super) fn catch_up(&mut self, batch: &Batch, log: Option<&mut PacketLog>) -> usize {
        if self.finished || self.unheard || batch.from(self.cursor).is_empty() {
            return 0;
        }
        let mut ready = self.ready.take().unwrap_or_default();
        let before = ready.bytes.len();
        self.encode_batch(batch, &mut ready, log);
        self.ready.insert(ready).bytes.len() - before
    }

    /// Writes what is ready and the rest of the batch.
    pub(super) fn flush(
        &mut self,
        batch: &mut Batch,
        scratch: &mut Outgoing,
        space: &Space<'_>,
        log: Option<&mut PacketLog>,
    ) {
        if self.finished || self.unheard {
            self.cursor = batch.len();
        }
        if self.ready.is_none() && matches!(self.cipher, Cipher::Plain) {
            let cursor = std::mem::take(&mut self.cursor);
            if let Some(log) = log {
                log.sent(self.client, batch.from(cursor), batch.from(cursor));
            }
            let length = batch.from(cursor).len();
            let Some(written) = self.write(batch.from(cursor)).filter(|written| *written < length) else {
                return;
            };
            let lists: Vec<_> = batch.replaceable_lists(self.client, cursor).collect();
            let begun = written..end_of_packet(batch.from(cursor), written);
            self.keep(written..length, begun, &lists, space, |part| {
                batch.share(cursor + part.start..cursor + part.end, space.total)
            });
            return;
        }
        // The scratch buffer is large enough for everyone after the first few; `ready` goes back to no memory at all.
        scratch.clear();
        if let Some(mut ready) = self.ready.take() {
            scratch.bytes.append(&mut ready.bytes);
            scratch.lists.append(&mut ready.lists);
        }
        self.encode_batch(batch, scratch, log);
        self.cursor = 0;
        self.send(scratch, space);
    }

    /// Writes what waits and what is ready, as far as the socket takes it.
    pub(super) fn drain(&mut self, space: &Space<'_>) -> Progress {
        if let Some(ready) = self.ready.take() {
            self.send(&ready, space);
        }
        let Some(queue) = &mut self.queue else { return Progress::Written };
        match queue.write_to(&self.socket) {
            Ok(true) => {
                self.queue = None;
                Progress::Written
            }
            Ok(false) => Progress::Blocked,
            Err(_) => {
                self.cut_off(Closed::Lost);
                Progress::Written
            }
        }
    }

    /// Cuts the connection off: whatever it has not received is dropped, and its reader sees the end of the stream.
    pub(super) fn cut_off(&mut self, why: Closed) {
        self.finished = true;
        self.cut_off.get_or_insert(why);
        self.ready = None;
        self.queue = None;
        // Fails only if the connection is gone already.
        let _ = socket2::SockRef::from(&*self.socket).shutdown(Shutdown::Both);
    }

    /// Encodes the rest of the batch.
    fn encode_batch(&mut self, batch: &Batch, out: &mut Outgoing, mut log: Option<&mut PacketLog>) {
        let cursor = std::mem::replace(&mut self.cursor, batch.len());
        let rest = batch.from(cursor);
        let mut done = 0;
        // What Noise has sealed cannot be taken back: the next record would not open without it.
        if !matches!(self.cipher, Cipher::Noise(_)) {
            for list in batch.replaceable_lists(self.client, cursor) {
                let before = rest.get(done..list.start).unwrap_or_default();
                self.encode(before, out, log.as_deref_mut());
                let start = out.bytes.len();
                done = list.end;
                self.encode(rest.get(list).unwrap_or_default(), out, log.as_deref_mut());
                out.lists.push(start..out.bytes.len());
            }
        }
        self.encode(rest.get(done..).unwrap_or_default(), out, log);
    }

    /// Encodes whole packets. A cipher that fails for good ends the connection: there is no way to say anything more on it.
    fn encode(&mut self, packets: &[u8], out: &mut Outgoing, log: Option<&mut PacketLog>) {
        if packets.is_empty() || self.finished {
            return;
        }
        let start = out.bytes.len();
        if self.cipher.seal(packets, &mut out.bytes).is_err() {
            self.cut_off(Closed::Insecure);
        } else if let Some(log) = log {
            log.sent(self.client, packets, out.bytes.get(start..).unwrap_or_default());
        }
    }

    /// Writes bytes of the connection's own, and keeps what the socket does not take.
    fn send(&mut self, outgoing: &Outgoing, space: &Space<'_>) {
        let Outgoing { bytes, lists } = outgoing;
        let Some(written) = self.write(bytes).filter(|written| *written < bytes.len()) else { return };
        let begun = written..end_of_packet(bytes, written);
        self.keep(written..bytes.len(), begun, lists, space, |part| {
            space.total.keep(bytes.get(part).unwrap_or_default())
        });
    }

    /// Writes as much as the socket takes, behind what waits already; `None` if the connection is gone.
    fn write(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.queue.is_some() || bytes.is_empty() {
            return Some(0);
        }
        write_now(&self.socket, bytes).inspect_err(|_| self.cut_off(Closed::Lost)).ok()
    }

    /// Keeps what the socket has not taken, up to the limit; `part` makes the bytes of a range, `begun` is what is missing of a
    /// packet that the socket has taken a part of.
    fn keep(
        &mut self,
        rest: Range<usize>,
        begun: Range<usize>,
        lists: &[Range<usize>],
        space: &Space<'_>,
        mut part: impl FnMut(Range<usize>) -> Bytes,
    ) {
        // One that has been written in part has to be finished.
        let first = lists.partition_point(|list| list.start < rest.start);
        let lists = lists.get(first..).unwrap_or_default();
        let (last, replaced) =
            lists.split_last().map_or((None, lists), |(last, others)| (Some(last), others));
        let queue = self.queue.get_or_insert_with(|| Box::new(Queue::new(space.total.clone())));
        let older = if last.is_some() { queue.replaceable_bytes() } else { 0 };
        let bytes = queue.bytes() + rest.len() - replaced.iter().map(Range::len).sum::<usize>() - older;
        // Looked at before anything is copied: encrypted for an original client, a batch may be a hundred times as long.
        if bytes > space.each + OVER_THE_LIMIT {
            tracing::info!(client = %self.client, waiting_bytes = bytes, "cut off: reads too slowly");
            if queue.bytes() + begun.len() > space.each {
                return self.cut_off(Closed::QueueFull);
            }
            queue.push(part(begun));
            // Behind records that are left out no other would open.
            self.takes_notices &= !matches!(self.cipher, Cipher::Noise(_));
            return self.give_up(space);
        }
        let mut kept = rest.start;
        for list in replaced {
            queue.push(part(kept..list.start));
            kept = list.end;
        }
        if let Some(list) = last {
            queue.push(part(kept..list.start));
            queue.push_list(part(list.clone()));
            kept = list.end;
        }
        queue.push(part(kept..rest.end));
        if queue.bytes() > space.each {
            tracing::info!(client = %self.client, waiting_bytes = queue.bytes(), "cut off: reads too slowly");
            self.give_up(space);
        }
    }

    /// Ends what the connection receives with what waits, and a NOTICE of the reason behind that if the client understands
    /// it. Whoever finds that out, by [`Self::cut_off`], gives it a moment to read on.
    fn give_up(&mut self, space: &Space<'_>) {
        let text = "You are reading too slowly: too much waits for you.";
        let (mut packet, mut sealed) = (Vec::new(), Vec::new());
        let notice = notice::encode(NoticeCode::TooSlow, text);
        if self.takes_notices
            && frame::write_frame(&mut packet, PacketType::NOTICE, notice.as_bytes()).is_ok()
            && self.cipher.seal(&packet, &mut sealed).is_ok()
            && let Some(queue) = &mut self.queue
        {
            queue.push(space.total.keep(&sealed));
        }
        self.finished = true;
        self.cut_off.get_or_insert(Closed::QueueFull);
    }
}

impl Outgoing {
    /// Empties it, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.lists.clear();
    }

    /// Gives memory back that only large batches need.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to(KEPT_BYTES);
    }
}

/// Returns where the packet ends that `place` is in, or `place` if one ends there.
pub(super) fn end_of_packet(packets: &[u8], place: usize) -> usize {
    let mut end = 0;
    while end < place {
        match frame::split_frame(packets.get(end..).unwrap_or_default(), frame::MAX_PACKET_LEN) {
            Ok(Some(packet)) => end += packet.wire_len(),
            Ok(None) | Err(_) => return packets.len(),
        }
    }
    end
}

/// Writes as much as the socket takes at once, which may be nothing.
fn write_now(mut socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match socket.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}
