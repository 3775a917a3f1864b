//! Delivery: carries packets to connections, in batches, without ever waiting for one of them.
//!
//! Holds the write half of every connection. What everyone is to receive is encoded once, into the batch; when the
//! event loop has handled what one wake-up brought, `flush` writes each connection its part of the batch with one call,
//! straight from the shared bytes where the connection is plain. What a socket does not take at once waits in a
//! queue (`delivery/queue.rs`), bounded in bytes: a client over the limit is cut off and nobody else notices.
//!
//! The user list comes in two forms, and so does the batch (`delivery/batch.rs`): connections that keep a list themselves
//! are sent its changes. Others are sent all of it, but of several lists that wait for a slow reader only the last.
//!
//! Invariant: what a connection is sent, in clear, is its own replies and the batch from its cursor on, in the order in
//! which they were handed over; changing its cipher never reorders or re-encodes what was handed over before. Only a user
//! list may be left out, if a newer one follows.

mod batch;
mod cipher;
mod peer;
mod queue;

use std::collections::HashSet;
use std::rc::Rc;

use chat_core::frame::{self, FrameError};
use chat_core::names::ClientId;
use chat_core::packet::PacketType;
use mio::net::TcpStream;
use slab::Slab;

use batch::{Audience, Batch};
pub(crate) use cipher::{Cipher, Classic, January, OpenError};
use peer::{Outgoing, Peer, Space};
use queue::Total;

use crate::config::Limits;
use crate::metrics::{Closed, Encryptions, Queues};
use crate::packet_log::PacketLog;

/// The batch is flushed early once it has grown to this many bytes, so that its memory and the time one round of writes
/// takes stay small however much arrives at once.
const BATCH_BYTES: usize = 256 * 1024;

/// What is ready for connections of their own is written early once it is this many bytes in all, for the same reason.
const READY_BYTES: usize = 4 * BATCH_BYTES;

/// A buffer keeps at most this many bytes between batches.
const KEPT_BYTES: usize = 64 * 1024;

/// Names one connection; never mistaken for a later one in the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerKey {
    index: usize,
    /// The connection's number in the room.
    pub(crate) client: ClientId,
}

/// Where a connection's bytes have got to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing waits any more: the kernel has everything, or the connection has been cut off.
    Written,
    /// Some bytes wait until the socket can take more.
    Blocked,
}

/// All write halves, and the batch of packets that everyone is to receive.
pub(crate) struct Delivery {
    peers: Slab<Peer>,
    batches: Batches,
    /// Connections with replies that are not flushed yet.
    replied: Vec<usize>,
    /// How many bytes are ready for single connections.
    ready_bytes: usize,
    /// Connections that are to be sent changes of the user list, once they have been sent all of it.
    newcomers: Vec<PeerKey>,
    /// Buffers that are used again and again.
    packet: Vec<u8>,
    scratch: Outgoing,
    bounds: Bounds,
    waiting: Total,
    /// Connections that speak the dialect of January 2026.
    januaries: usize,
    log: Option<PacketLog>,
}

/// The batch for each audience.
#[derive(Default)]
struct Batches {
    lists: Batch,
    changes: Batch,
}

impl Batches {
    fn of(&mut self, audience: Audience) -> &mut Batch {
        match audience {
            Audience::Lists => &mut self.lists,
            Audience::Changes => &mut self.changes,
        }
    }

    fn are_full(&self) -> bool {
        self.lists.len().max(self.changes.len()) >= BATCH_BYTES
    }
}

/// How many bytes may wait for connections that are slow to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// For one of them.
    pub(crate) each: usize,
    /// For all of them together.
    pub(crate) together: usize,
}

impl Bounds {
    /// Returns what the limits say of it.
    pub(crate) fn of(limits: &Limits) -> Self {
        Self { each: limits.outbox_bytes, together: limits.outbox_total_bytes }
    }
}

impl Delivery {
    /// Makes an empty delivery.
    pub(crate) fn new(bounds: Bounds, log: Option<PacketLog>) -> Self {
        Self {
            peers: Slab::new(),
            batches: Batches::default(),
            replied: Vec::new(),
            ready_bytes: 0,
            newcomers: Vec::new(),
            packet: Vec::new(),
            scratch: Outgoing::default(),
            bounds,
            waiting: Total::default(),
            januaries: 0,
            log,
        }
    }

    /// Changes how much may wait; what waits already is judged when more comes or some of it is written.
    pub(crate) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Takes a connection in; it receives what is for everyone from [`Self::hear`] on.
    pub(crate) fn add(&mut self, client: ClientId, socket: Rc<TcpStream>) -> PeerKey {
        let cursor = self.batches.lists.enter();
        PeerKey { index: self.peers.insert(Peer::new(client, socket, cursor)), client }
    }

    /// Begins to send a connection what is handed over for everyone from now on.
    pub(crate) fn hear(&mut self, key: PeerKey) {
        let Self { peers, batches, .. } = self;
        if let Some(peer) = find(peers, key) {
            peer.unheard = false;
            peer.cursor = batches.of(peer.audience).len();
        }
    }

    /// Forgets a connection and whatever it had not received.
    pub(crate) fn remove(&mut self, key: PeerKey) {
        self.newcomers.retain(|newcomer| *newcomer != key);
        if let Some(peer) = find(&mut self.peers, key) {
            self.batches.of(peer.audience).leave();
            self.januaries -= usize::from(peer.cipher.is_january());
            self.peers.remove(key.index);
        }
    }

    /// Hands over a packet for one connection.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if the body is too long for a packet; nothing is sent then.
    pub(crate) fn reply(&mut self, key: PeerKey, kind: PacketType, body: &[u8]) -> Result<(), FrameError> {
        let mut packet = std::mem::take(&mut self.packet);
        packet.clear();
        let written = frame::write_frame(&mut packet, kind, body);
        if written.is_ok() {
            self.catch_up(key);
            let log = self.log.as_mut();
            if let Some(peer) = find(&mut self.peers, key).filter(|peer| !peer.finished) {
                let bytes = peer.reply(&packet, log);
                self.made_ready(key, bytes);
            }
        }
        self.packet = packet;
        written
    }

    /// Counts what has been made ready for a connection, to be flushed with the batch, or written now if there is much.
    fn made_ready(&mut self, key: PeerKey, bytes: usize) {
        self.replied.push(key.index);
        self.ready_bytes += bytes;
        if self.ready_bytes > READY_BYTES {
            self.drain(key);
        }
    }

    /// Hands over a packet for everyone. Returns whether there is so much that it should be flushed now.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if the body is too long for a packet; nothing is sent then.
    pub(crate) fn broadcast(&mut self, kind: PacketType, body: &[u8]) -> Result<bool, FrameError> {
        self.batches.lists.push(kind, body)?;
        self.batches.changes.push(kind, body)?;
        Ok(self.batches.are_full())
    }

    /// Hands over the user list, which events of `causes` have changed: all of it, as `list` makes it, or `changes`, the
    /// body of a ROSTER. Returns whether there is so much that it should be flushed now.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if the list is too long for a packet; it is not sent then.
    pub(crate) fn broadcast_list<'a>(
        &mut self,
        list: impl FnOnce() -> &'a str,
        changes: &str,
        causes: HashSet<ClientId>,
    ) -> Result<bool, FrameError> {
        self.batches.changes.push_changes(changes)?;
        if !self.batches.lists.is_idle() {
            self.batches.lists.push_list(list(), causes)?;
        }
        for key in std::mem::take(&mut self.newcomers) {
            self.begin_changes(key);
        }
        Ok(self.batches.are_full())
    }

    /// Hands over the user list, which has not changed, for one connection: all of it, as `list` makes it, or that there are
    /// no changes.
    ///
    /// # Errors
    ///
    /// As [`Delivery::reply`].
    pub(crate) fn reply_list<'a>(
        &mut self,
        key: PeerKey,
        list: impl FnOnce() -> &'a str,
    ) -> Result<(), FrameError> {
        if self.peer(key).is_some_and(|peer| peer.audience == Audience::Changes) {
            return self.reply(key, PacketType::ROSTER, b"");
        }
        self.reply(key, PacketType::USERLIST, list().as_bytes())?;
        if let Some(place) = self.newcomers.iter().position(|newcomer| *newcomer == key) {
            self.newcomers.swap_remove(place);
            self.begin_changes(key);
        }
        Ok(())
    }

    /// From now on a connection is sent the changes of the user list, all of which it has been sent.
    fn begin_changes(&mut self, key: PeerKey) {
        self.catch_up(key);
        if let Some(peer) = find(&mut self.peers, key) {
            self.batches.of(peer.audience).leave();
            peer.audience = Audience::Changes;
            peer.cursor = self.batches.changes.enter();
        }
    }

    /// Sends a connection the changes of the user list in place of the list, once it has been sent a whole one.
    pub(crate) fn send_changes(&mut self, key: PeerKey) {
        self.newcomers.push(key);
    }

    /// Changes how everything handed over from now on is encoded for one connection.
    pub(crate) fn set_cipher(&mut self, key: PeerKey, cipher: Cipher) {
        self.catch_up(key);
        if let Some(peer) = find(&mut self.peers, key) {
            self.januaries += usize::from(cipher.is_january());
            self.januaries -= usize::from(std::mem::replace(&mut peer.cipher, cipher).is_january());
        }
    }

    /// Returns how many connections speak the dialect of January 2026.
    pub(crate) fn januaries(&self) -> usize {
        self.januaries
    }

    /// Tells a connection by a NOTICE if it has to be given up because it reads too slowly.
    pub(crate) fn send_notices(&mut self, key: PeerKey) {
        if let Some(peer) = self.peer(key) {
            peer.takes_notices = true;
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

    /// Counts the connections that are still to receive something, by how their bodies are encoded.
    pub(crate) fn encryptions(&self) -> Encryptions {
        let mut all = Encryptions::default();
        for (_, peer) in self.peers.iter().filter(|(_, peer)| !peer.finished) {
            match peer.cipher {
                Cipher::Plain => all.plain += 1,
                Cipher::Classic(_) => all.october += 1,
                Cipher::January(_) => all.january += 1,
                Cipher::Noise(_) => all.noise += 1,
            }
        }
        all
    }

    /// Tells what waits for slow readers.
    pub(crate) fn queues(&self) -> Queues {
        let waiting = || self.peers.iter().map(|(_, peer)| peer.waiting_bytes()).filter(|bytes| *bytes > 0);
        Queues {
            count: waiting().count(),
            total_bytes: self.waiting.get(),
            fullest_bytes: waiting().max().unwrap_or_default(),
        }
    }

    /// Returns how many connections receive what is for everyone.
    pub(crate) fn receivers(&self) -> usize {
        self.peers.len()
    }

    /// Writes what has been handed over. Where a socket does not take everything, the caller sees to it that
    /// [`Delivery::drain`] runs when it takes more.
    pub(crate) fn flush(&mut self) {
        let only_replies = self.batches.lists.len() + self.batches.changes.len() == 0;
        let mut replied = std::mem::take(&mut self.replied);
        if only_replies {
            replied.iter().for_each(|&index| self.flush_one(index));
        } else {
            (0..self.peers.capacity()).for_each(|index| self.flush_one(index));
        }
        replied.clear();
        self.replied = replied;
        self.ready_bytes = 0;
        self.batches.lists.clear();
        self.batches.changes.clear();
        self.scratch.clear();
        self.scratch.shrink();
        self.packet.shrink_to(KEPT_BYTES);
    }

    /// Writes what has been handed over to the connection in this place, if there is one.
    fn flush_one(&mut self, index: usize) {
        let Self { peers, batches, scratch, bounds, waiting, log, .. } = self;
        if let Some(peer) = peers.get_mut(index) {
            let space = Space { each: bounds.each, total: waiting };
            peer.flush(batches.of(peer.audience), scratch, &space, log.as_mut());
            self.keep_bounds();
        }
    }

    /// Cuts off whoever has most waiting while all together have too much, so that a few stuck readers cannot use up what
    /// everybody needs now and then. What is shared counts once in the total and in full for each who has it: who is furthest
    /// behind goes first, also where that frees little.
    fn keep_bounds(&mut self) {
        while self.waiting.get() > self.bounds.together {
            let most = self.peers.iter_mut().max_by_key(|(_, peer)| peer.waiting_bytes());
            let Some((_, peer)) = most.filter(|(_, peer)| peer.waiting_bytes() > 0) else { return };
            tracing::info!(client = %peer.client, "cut off: too much waits for all slow readers together");
            peer.cut_off(Closed::AllQueuesFull);
        }
    }

    /// Writes what waits for one connection and the replies it has not been given yet, as far as its socket takes them.
    pub(crate) fn drain(&mut self, key: PeerKey) -> Progress {
        let Self { peers, bounds, waiting, ready_bytes, .. } = self;
        let Some(peer) = find(peers, key) else { return Progress::Written };
        *ready_bytes = ready_bytes.saturating_sub(peer.ready_bytes());
        let progress = peer.drain(&Space { each: bounds.each, total: waiting });
        self.keep_bounds();
        progress
    }

    /// Tells whether a connection waits for its socket.
    pub(crate) fn is_waiting(&mut self, key: PeerKey) -> bool {
        self.peer(key).is_some_and(|peer| peer.waiting_bytes() > 0)
    }

    /// Tells whether any connection waits for its socket.
    pub(crate) fn is_anyone_waiting(&self) -> bool {
        self.waiting.get() > 0
    }

    /// Tells why a connection was cut off, if it was.
    pub(crate) fn why_cut_off(&mut self, key: PeerKey) -> Option<Closed> {
        self.peer(key)?.cut_off
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
        let Self { peers, batches, log, .. } = self;
        let Some(peer) = find(peers, key) else { return };
        let bytes = peer.catch_up(batches.of(peer.audience), log.as_mut());
        if bytes > 0 {
            self.made_ready(key, bytes);
        }
    }

    fn peer(&mut self, key: PeerKey) -> Option<&mut Peer> {
        find(&mut self.peers, key)
    }
}

fn find(peers: &mut Slab<Peer>, key: PeerKey) -> Option<&mut Peer> {
    peers.get_mut(key.index).filter(|peer| peer.client == key.client)
}

#[cfg(test)]
mod tests;
