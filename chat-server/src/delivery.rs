//! Delivery: carries packets to connections, in batches, without ever waiting for one of them.
//!
//! Holds the write half of every connection. What everyone is to receive is encoded once, into the batch; when the
//! event loop has handled what one wake-up brought, `flush` writes each connection its part of the batch with one call,
//! straight from the shared bytes where the connection is plain. What a socket does not take at once waits in a
//! queue (`delivery/queue.rs`), bounded in bytes: a client over the limit is cut off and nobody else notices.
//!
//! Invariant: what a connection is sent, in clear, is its own replies and the batch from its cursor on, in the order in
//! which they were handed over; changing its cipher never reorders or re-encodes what was handed over before.

mod cipher;
mod queue;

use std::io::{self, Write as _};
use std::net::Shutdown;
use std::rc::Rc;

use bytes::Bytes;
use chat_core::frame::{self, FrameError};
use chat_core::names::ClientId;
use chat_core::packet::PacketType;
use mio::net::TcpStream;
use slab::Slab;

pub(crate) use cipher::{Cipher, Classic, OpenError};
use queue::{Queue, Total};

use crate::packet_log::PacketLog;

/// The batch is flushed early once it has grown to this many bytes, so that its memory and the time one round of writes
/// takes stay small however much arrives at once.
const BATCH_BYTES: usize = 256 * 1024;

/// The batch buffer keeps at most this many bytes between batches.
const KEPT_BATCH_BYTES: usize = 64 * 1024;

/// Names one connection; never mistaken for a later one in the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerKey {
    index: usize,
    /// The connection's number in the room.
    pub(crate) client: ClientId,
}

struct Peer {
    client: ClientId,
    socket: Rc<TcpStream>,
    cipher: Cipher,
    /// How much of the batch this connection has been given, in bytes.
    cursor: usize,
    /// Bytes ready for the wire, ahead of the rest of the batch; empty between batches.
    ready: Vec<u8>,
    /// What the socket has not taken yet; exists only while there is something.
    queue: Option<Box<Queue>>,
    /// Whether the connection is to receive nothing more.
    finished: bool,
}

/// What may wait for one connection.
struct Space<'a> {
    /// In bytes.
    each: usize,
    /// What waits for all of them counts here.
    total: &'a Total,
}

/// Where a connection's bytes have got to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The kernel has everything.
    Written,
    /// Some bytes wait until the socket can take more.
    Blocked,
    /// The connection is gone or has been cut off.
    Gone,
}

/// All write halves, and the batch of packets that everyone is to receive.
pub(crate) struct Delivery {
    peers: Slab<Peer>,
    batch: Vec<u8>,
    /// Connections with replies that are not flushed yet.
    replied: Vec<usize>,
    scratch: Vec<u8>,
    bounds: Bounds,
    waiting: Total,
    log: Option<PacketLog>,
}

/// How many bytes may wait for connections that are slow to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// For one of them.
    pub(crate) each: usize,
    /// For all of them together.
    pub(crate) together: usize,
}

impl Delivery {
    /// Makes an empty delivery.
    pub(crate) fn new(bounds: Bounds, log: Option<PacketLog>) -> Self {
        Self {
            peers: Slab::new(),
            batch: Vec::new(),
            replied: Vec::new(),
            scratch: Vec::new(),
            bounds,
            waiting: Total::default(),
            log,
        }
    }

    /// Takes a connection in; it receives everything that is handed over from now on.
    pub(crate) fn add(&mut self, client: ClientId, socket: Rc<TcpStream>) -> PeerKey {
        let cursor = self.batch.len();
        let (cipher, ready) = (Cipher::Plain, Vec::new());
        let index =
            self.peers.insert(Peer { client, socket, cipher, cursor, ready, queue: None, finished: false });
        PeerKey { index, client }
    }

    /// Forgets a connection and whatever it had not received.
    pub(crate) fn remove(&mut self, key: PeerKey) {
        if self.peer(key).is_some() {
            self.peers.remove(key.index);
        }
    }

    /// Hands over a packet for one connection.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if the body is too long for a packet; nothing is sent then.
    pub(crate) fn reply(&mut self, key: PeerKey, kind: PacketType, body: &[u8]) -> Result<(), FrameError> {
        let mut packet = std::mem::take(&mut self.scratch);
        packet.clear();
        let written = frame::write_frame(&mut packet, kind, body);
        if written.is_ok() {
            self.catch_up(key);
            let log = self.log.as_mut();
            if let Some(peer) = self.peers.get_mut(key.index).filter(|peer| peer.client == key.client)
                && !peer.finished
            {
                peer.encode(&packet, log);
                self.replied.push(key.index);
            }
        }
        self.scratch = packet;
        written
    }

    /// Hands over a packet for everyone. Returns whether the batch is so large that it should be flushed now.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if the body is too long for a packet; nothing is sent then.
    pub(crate) fn broadcast(&mut self, kind: PacketType, body: &[u8]) -> Result<bool, FrameError> {
        frame::write_frame(&mut self.batch, kind, body)?;
        Ok(self.batch.len() >= BATCH_BYTES)
    }

    /// Changes how everything handed over from now on is encoded for one connection.
    pub(crate) fn set_cipher(&mut self, key: PeerKey, cipher: Cipher) {
        self.catch_up(key);
        if let Some(peer) = self.peer(key) {
            peer.cipher = cipher;
        }
    }

    /// Decrypts the body of a packet that came from a connection.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if it cannot be decrypted or verified; `out` is then unchanged.
    pub(crate) fn open(&mut self, key: PeerKey, body: &[u8], out: &mut Vec<u8>) -> Result<(), OpenError> {
        match self.peer(key) {
            Some(peer) => peer.cipher.open(body, out),
            None => Err(OpenError::Gone),
        }
    }

    /// Returns the log of packets, if one is kept.
    pub(crate) fn packet_log(&mut self) -> Option<&mut PacketLog> {
        self.log.as_mut()
    }

    /// Tells how a connection's bodies are encoded.
    pub(crate) fn cipher(&mut self, key: PeerKey) -> Option<&Cipher> {
        self.peer(key).map(|peer| &peer.cipher)
    }

    /// Returns how the bodies of each connection are encoded that is still to receive something.
    pub(crate) fn ciphers(&self) -> impl Iterator<Item = &Cipher> {
        self.peers.iter().filter(|(_, peer)| !peer.finished).map(|(_, peer)| &peer.cipher)
    }

    /// Writes what has been handed over. Where a socket does not take everything, the caller sees to it that
    /// [`Delivery::drain`] runs when it takes more.
    pub(crate) fn flush(&mut self) {
        let Self { peers, batch, replied, scratch, bounds, waiting, log } = self;
        let space = Space { each: bounds.each, total: waiting };
        // Shared by all connections whose socket takes only a part, and made when the first one does.
        let mut shared = None;
        let mut write = |peer: &mut Peer| peer.flush(batch, &mut shared, scratch, &space, log.as_mut());
        if batch.is_empty() {
            for index in replied.drain(..) {
                if let Some(peer) = peers.get_mut(index) {
                    write(peer);
                }
            }
        } else {
            replied.clear();
            for (_, peer) in peers.iter_mut() {
                write(peer);
            }
        }
        batch.clear();
        batch.shrink_to(KEPT_BATCH_BYTES);
        scratch.clear();
        scratch.shrink_to(KEPT_BATCH_BYTES);
        self.keep_bounds();
    }

    /// Cuts off whoever has most waiting while all together have too much, so that a few stuck readers cannot use up what
    /// everybody needs now and then.
    fn keep_bounds(&mut self) {
        while self.waiting.get() > self.bounds.together {
            let waiting = |peer: &Peer| peer.queue.as_ref().map_or(0, |queue| queue.bytes());
            let Some((_, peer)) = self.peers.iter_mut().max_by_key(|(_, peer)| waiting(peer)) else { return };
            tracing::info!(client = %peer.client, "cut off: too much waits for all slow readers together");
            peer.cut_off();
        }
    }

    /// Writes what waits for one connection and the replies it has not been given yet, as far as its socket takes them.
    pub(crate) fn drain(&mut self, key: PeerKey) -> Progress {
        let Self { peers, bounds, waiting, .. } = self;
        match peers.get_mut(key.index).filter(|peer| peer.client == key.client) {
            Some(peer) => peer.drain(&Space { each: bounds.each, total: waiting }),
            None => Progress::Gone,
        }
    }

    /// Tells whether a connection waits for its socket.
    pub(crate) fn is_waiting(&mut self, key: PeerKey) -> bool {
        self.peer(key).is_some_and(|peer| peer.queue.is_some())
    }

    /// Tells whether any connection waits for its socket.
    pub(crate) fn is_anyone_waiting(&self) -> bool {
        self.waiting.get() > 0
    }

    /// Cuts a connection off: whatever it has not received is dropped, and its reader sees the end of the stream.
    pub(crate) fn cut_off(&mut self, key: PeerKey) {
        if let Some(peer) = self.peer(key) {
            peer.cut_off();
        }
    }

    /// Ends what a connection receives with what has been handed over so far.
    pub(crate) fn finish(&mut self, key: PeerKey) {
        self.catch_up(key);
        if let Some(peer) = self.peer(key) {
            peer.finished = true;
        }
    }

    /// Encodes for one connection what the batch holds for it.
    fn catch_up(&mut self, key: PeerKey) {
        let Self { peers, batch, replied, log, .. } = self;
        let Some(peer) = peers.get_mut(key.index).filter(|peer| peer.client == key.client) else { return };
        let rest = batch.get(peer.cursor..).unwrap_or_default();
        if !rest.is_empty() {
            peer.cursor = batch.len();
            if !peer.finished {
                peer.encode(rest, log.as_mut());
                replied.push(key.index);
            }
        }
    }

    fn peer(&mut self, key: PeerKey) -> Option<&mut Peer> {
        self.peers.get_mut(key.index).filter(|peer| peer.client == key.client)
    }
}

impl Peer {
    /// Encodes whole packets behind what is ready. A cipher that fails for good ends the connection: there is no way to
    /// say anything more on it.
    fn encode(&mut self, packets: &[u8], log: Option<&mut PacketLog>) {
        let start = self.ready.len();
        if self.cipher.seal(packets, &mut self.ready).is_err() {
            self.cut_off();
            return;
        }
        if let Some(log) = log {
            log.sent(self.client, packets, self.ready.get(start..).unwrap_or_default());
        }
    }

    fn flush(
        &mut self,
        batch: &[u8],
        shared: &mut Option<Bytes>,
        scratch: &mut Vec<u8>,
        space: &Space<'_>,
        log: Option<&mut PacketLog>,
    ) {
        let cursor = std::mem::take(&mut self.cursor);
        let rest = if self.finished { &[] } else { batch.get(cursor..).unwrap_or_default() };
        if self.ready.is_empty() && matches!(self.cipher, Cipher::Plain) {
            if let Some(log) = log {
                log.sent(self.client, rest, rest);
            }
            self.write(rest, space, |from| {
                shared.get_or_insert_with(|| Bytes::copy_from_slice(batch)).slice(cursor + from..)
            });
            return;
        }
        // The scratch buffer is large enough for everyone after the first few; `ready` goes back to no memory at all.
        scratch.clear();
        scratch.append(&mut self.ready);
        self.ready = std::mem::take(scratch);
        if !rest.is_empty() {
            self.encode(rest, log);
        }
        let bytes = std::mem::take(&mut self.ready);
        self.write(&bytes, space, |from| Bytes::copy_from_slice(bytes.get(from..).unwrap_or_default()));
        *scratch = bytes;
    }

    /// Writes `bytes` behind what waits already; `keep` makes the part from an offset on last until the socket takes it.
    fn write(&mut self, bytes: &[u8], space: &Space<'_>, keep: impl FnOnce(usize) -> Bytes) -> Progress {
        if bytes.is_empty() {
            return if self.queue.is_some() { Progress::Blocked } else { Progress::Written };
        }
        let (written, waiting) = match &self.queue {
            Some(queue) => (0, queue.bytes()),
            None => match write_now(&self.socket, bytes) {
                Ok(written) if written == bytes.len() => return Progress::Written,
                Ok(written) => (written, 0),
                Err(_) => {
                    self.cut_off();
                    return Progress::Gone;
                }
            },
        };
        let waiting = waiting + bytes.len() - written;
        if waiting > space.each {
            tracing::info!(client = %self.client, waiting_bytes = waiting, "cut off: reads too slowly");
            self.cut_off();
            return Progress::Gone;
        }
        self.queue.get_or_insert_with(|| Box::new(Queue::new(Rc::clone(space.total)))).push(keep(written));
        Progress::Blocked
    }

    fn drain(&mut self, space: &Space<'_>) -> Progress {
        let ready = std::mem::take(&mut self.ready);
        if self.write(&ready, space, |from| Bytes::copy_from_slice(ready.get(from..).unwrap_or_default()))
            == Progress::Gone
        {
            return Progress::Gone;
        }
        let Some(queue) = &mut self.queue else { return Progress::Written };
        match queue.write_to(&self.socket) {
            Ok(true) => {
                self.queue = None;
                Progress::Written
            }
            Ok(false) => Progress::Blocked,
            Err(_) => {
                self.cut_off();
                Progress::Gone
            }
        }
    }

    fn cut_off(&mut self) {
        self.finished = true;
        self.ready = Vec::new();
        self.queue = None;
        // Fails only if the connection is gone already.
        let _ = socket2::SockRef::from(&*self.socket).shutdown(Shutdown::Both);
    }
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
