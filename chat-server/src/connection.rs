//! One connection: reads its bytes, cuts them into packets, decrypts them and acts on them, one after the other.
//!
//! Everything that needs no waiting happens at once, in plain functions, straight from the shared read buffer. What takes
//! time (an account, a rate) holds up this connection alone, with nothing held but the bytes not yet handled: what it then
//! waits for, and how it ends, is in `connection/phase.rs`; what takes more than time, in `connection/work.rs`. What a packet
//! asks for is in `connection/requests.rs`, or `connection/january.rs` for clients of that dialect, encryption in
//! `connection/encryption.rs`; answers leave through `delivery`.

mod encryption;
mod january;
mod phase;
mod requests;
mod work;

pub(crate) use encryption::TABLES_AT_A_TIME;
pub(crate) use work::Report;

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use chat_core::frame::{Frame, FrameBuffer, FrameError, split_frame};
use chat_core::hello::Caps;
use chat_core::january::is_key_exchange;
use chat_core::names::ClientId;
use chat_core::notice::NoticeCode;
use chat_core::packet::PacketType;
use mio::net::TcpStream;

use crate::delivery::{OpenError, PeerKey};
use crate::hub::Hub;
use crate::metrics::{Closed, Dropped};
use crate::presence::{Presence, Tick};
use crate::rate::{Rates, SharedUsage};
use crate::room::Event;
use phase::Phase;
use work::Work;

/// Most packets handled before other connections get their turn.
const PACKETS_PER_TURN: usize = 64;

/// What a connection that has had its turn needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing, until something happens.
    Rest,
    /// Another turn, after the others have had theirs.
    Turn,
    /// To be forgotten.
    Gone,
}

/// How a connection came to its end.
#[derive(Debug, thiserror::Error)]
enum Ending {
    #[error("said goodbye")]
    Goodbye,
    #[error("closed by the client")]
    Eof,
    #[error("reads too slowly")]
    TooSlow,
    #[error("connection lost")]
    Lost(#[source] io::Error),
    #[error("packet length is impossible")]
    Framing(#[source] FrameError),
    #[error("secure packet refused")]
    Insecure(#[source] OpenError),
    #[error("sent packets behind a change of encryption, before its answer")]
    BehindSwitch,
    #[error("sent a plain packet while encryption was on")]
    PlainWhileSecure,
    #[error("a packet was not finished in time")]
    Unfinished,
    #[error("sent no packet in time")]
    NeverSpoke,
    #[error("silent for too long")]
    Silent,
    #[error("ended by whoever runs the server")]
    Kicked,
    #[error("too much was begun and not finished, by all together")]
    Crowded,
}

impl Ending {
    /// Returns what it counts as.
    fn reason(&self) -> Closed {
        match self {
            Self::Goodbye => Closed::Goodbye,
            Self::Eof => Closed::Eof,
            Self::TooSlow => Closed::QueueFull,
            Self::Lost(_) => Closed::Lost,
            Self::Insecure(_) => Closed::Insecure,
            Self::Framing(_) | Self::BehindSwitch | Self::PlainWhileSecure => Closed::Malformed,
            Self::Unfinished => Closed::PacketTimeout,
            Self::NeverSpoke => Closed::HandshakeTimeout,
            Self::Silent => Closed::IdleTimeout,
            Self::Kicked => Closed::Kicked,
            Self::Crowded => Closed::InboxFull,
        }
    }
}

/// What one packet means for those behind it.
enum Step {
    /// They are next.
    Next,
    /// The encoding has changed: packets that came in the same breath were sent in the wrong one.
    Switched,
    /// They wait until something is done.
    Wait(Work),
}

/// What a connection has to wait for before its next packet; with neither, it has merely had its turn.
struct Delay {
    work: Option<Work>,
    /// How long it has to be quiet, since it has sent too fast.
    pause: Duration,
}

/// A client of ours: what it offered, and what its handshake binds.
struct Ours {
    caps: Caps,
    prologue: Vec<u8>,
}

/// The packet stream inside SECURE packets.
#[derive(Default)]
struct Inner {
    /// As far as it has not been handled.
    packets: FrameBuffer,
    /// When its first packet began to wait for its end.
    incomplete_since: Tick,
}

/// The state of one connection. There may be ten thousand, most of them at rest: what few need is boxed.
pub(crate) struct Connection {
    hub: Rc<Hub>,
    /// Its place in the reactor.
    index: usize,
    key: PeerKey,
    peer: SocketAddr,
    socket: Rc<TcpStream>,
    phase: Phase,
    /// Bytes that have been read but not handled: part of a packet, or what waits behind some work.
    carried: Vec<u8>,
    /// While encryption is modern: the packet stream inside SECURE packets.
    secure: Option<Box<Inner>>,
    ours: Option<Box<Ours>>,
    rates: Rates,
    /// Whether its address is spared the rates.
    exempt: bool,
    table_bytes: usize,
    presence: Presence,
    /// When what is carried over began to wait for its end.
    incomplete_since: Tick,
    /// When the client closed its side, if that was noticed before its end was read.
    closed_at: Option<Instant>,
    /// Whether the socket may hold something that has not been read.
    unread: bool,
    /// Whether another turn has been asked for.
    in_line: bool,
    spoke: bool,
    throttled: bool,
}

impl Connection {
    /// Takes a connection in, as the reactor's number `index`. What it sends counts in `usage`, unless its address is spared that.
    pub(crate) fn open(
        hub: Rc<Hub>,
        index: usize,
        stream: TcpStream,
        peer: SocketAddr,
        usage: SharedUsage,
    ) -> Self {
        let socket = Rc::new(stream);
        let key = hub.open(Rc::clone(&socket));
        let now = Instant::now();
        let exempt = hub.limits().is_exempt(peer.ip());
        let mut rates = Rates::new(usage, &hub.limits(), now);
        let pause = if exempt { Duration::ZERO } else { rates.opened(&hub.limits(), now) };
        let (presence, incomplete_since) = (Presence::new(hub.now()), hub.now());
        tracing::debug!(client = %key.client, %peer, "connected");
        Self {
            hub,
            index,
            key,
            peer,
            socket,
            phase: if pause.is_zero() { Phase::Open } else { Phase::paused(now + pause) },
            carried: Vec::new(),
            secure: None,
            ours: None,
            rates,
            exempt,
            table_bytes: 0,
            presence,
            incomplete_since,
            closed_at: None,
            unread: false,
            in_line: false,
            spoke: false,
            throttled: false,
        }
    }

    /// Returns the client's number in the room.
    pub(crate) fn client(&self) -> ClientId {
        self.key.client
    }

    /// Reads what has come, once, and handles it up to something that has to be waited for.
    fn read(&mut self) -> Result<Option<Delay>, Ending> {
        let hub = Rc::clone(&self.hub);
        let mut buffer = hub.read_buffer.borrow_mut();
        match (&*self.socket).read(&mut buffer) {
            Ok(0) => Err(Ending::Eof),
            Ok(count) => {
                // A read that did not fill the buffer has emptied the socket; only the end may be behind it.
                self.unread = count == buffer.len() || self.closed_at.is_some();
                self.presence.heard(hub.now());
                self.advance(buffer.get(..count).unwrap_or_default())
            }
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => Ok(None),
                io::ErrorKind::WouldBlock => {
                    self.unread = false;
                    Ok(None)
                }
                _ => Err(Ending::Lost(error)),
            },
        }
    }

    /// Handles the packets in what was carried over and in `bytes`; carries over what is left.
    fn advance(&mut self, bytes: &[u8]) -> Result<Option<Delay>, Ending> {
        let mut carried = std::mem::take(&mut self.carried);
        let fresh = carried.is_empty();
        if !fresh {
            carried.extend_from_slice(bytes);
        }
        let mut rest = if fresh { bytes } else { &carried };
        let before = rest.len();
        let outcome = self.take_packets(&mut rest);
        let left = rest.len();
        if fresh || left < before {
            self.incomplete_since = self.hub.now();
        }
        self.carried = if fresh {
            rest.to_vec()
        } else if left == 0 {
            Vec::new()
        } else {
            // Nothing is moved while a long packet is still coming in.
            carried.drain(..carried.len() - left);
            carried
        };
        outcome
    }

    fn take_packets(&mut self, rest: &mut &[u8]) -> Result<Option<Delay>, Ending> {
        let mut pause = Duration::ZERO;
        for _ in 0..PACKETS_PER_TURN {
            let Some(step) = self.take_packet(rest, &mut pause)? else { return Ok(None) };
            match step {
                Step::Wait(work) => return Ok(Some(Delay { work: Some(work), pause })),
                Step::Switched if !rest.is_empty() => return Err(Ending::BehindSwitch),
                Step::Switched | Step::Next if pause.is_zero() => {}
                Step::Switched | Step::Next => break,
            }
        }
        Ok(Some(Delay { work: None, pause }))
    }

    /// Handles the next packet, one that came out of a SECURE packet before one from the stream; `None` if there is no
    /// whole packet. Notes what it costs in `pause`.
    fn take_packet(&mut self, rest: &mut &[u8], pause: &mut Duration) -> Result<Option<Step>, Ending> {
        if let Some(step) = self.take_inner(pause)? {
            return Ok(Some(step));
        }
        let limit = self.hub.limits().max_packet_bytes;
        let Some(frame) = split_frame(rest, limit).map_err(Ending::Framing)? else { return Ok(None) };
        *rest = rest.get(frame.wire_len()..).unwrap_or_default();
        // A SECURE packet costs its bytes; the packets inside it are counted when they are taken out.
        let packets = u32::from(self.secure.is_none());
        self.charge(packets, frame.wire_len());
        let step = if self.secure.is_some() {
            self.open_secure(frame)?;
            Step::Next
        } else {
            self.handle_frame(frame)?
        };
        *pause = self.debt();
        Ok(Some(step))
    }

    /// Opens a SECURE packet; nothing else is accepted while encryption is on.
    fn open_secure(&mut self, frame: Frame<'_>) -> Result<(), Ending> {
        if frame.kind != PacketType::SECURE {
            return Err(Ending::PlainWhileSecure);
        }
        let mut plain = Vec::new();
        self.hub.decrypt(self.key, frame.body, &mut plain).map_err(Ending::Insecure)?;
        if let Some(inner) = &mut self.secure {
            if inner.packets.is_empty() {
                inner.incomplete_since = self.hub.now();
            }
            inner.packets.extend(&plain);
        }
        Ok(())
    }

    /// Handles the next packet that has come out of SECURE packets, if there is a whole one.
    fn take_inner(&mut self, pause: &mut Duration) -> Result<Option<Step>, Ending> {
        let Some(inner) = self.secure.as_deref_mut().filter(|inner| !inner.packets.is_empty()) else {
            return Ok(None);
        };
        let mut packets = std::mem::take(&mut inner.packets);
        let taken = packets.next_frame(self.hub.limits().max_packet_bytes).map_err(Ending::Framing)?;
        let step = match taken {
            None => None,
            Some(frame) => {
                self.hub.log_received(self.key, &frame, Some(frame.body));
                self.charge(1, 0);
                let step = self.handle_plain(frame.kind, frame.body)?;
                *pause = self.debt();
                Some(step)
            }
        };
        match &mut self.secure {
            // An empty one goes, and its memory with it; what is taken from a fuller one is forgotten when more comes.
            Some(inner) if !packets.is_empty() => {
                inner.packets = packets;
                if step.is_some() {
                    inner.incomplete_since = self.hub.now();
                }
            }
            // Encryption has been turned off.
            None if !packets.is_empty() => return Err(Ending::BehindSwitch),
            Some(_) | None => {}
        }
        Ok(step)
    }

    /// Handles a packet whose body may be classic ciphertext.
    fn handle_frame(&mut self, frame: Frame<'_>) -> Result<Step, Ending> {
        if self.hub.is_january(self.key) {
            return self.handle_january(frame);
        }
        if !self.spoke && is_key_exchange(frame.kind, frame.body) {
            return Ok(self.exchange_keys(frame));
        }
        if frame.body.is_empty() || !self.hub.is_classic(self.key) {
            self.hub.log_received(self.key, &frame, None);
            return self.handle_plain(frame.kind, frame.body);
        }
        let mut plain = Vec::new();
        match self.hub.decrypt(self.key, frame.body, &mut plain) {
            Ok(()) => {
                self.hub.log_received(self.key, &frame, Some(&plain));
                self.handle_plain(frame.kind, &plain)
            }
            Err(error) => {
                tracing::debug!(client = %self.key.client, %error, "dropped a packet");
                self.hub.metrics.count_dropped(Dropped::Cipher);
                self.notice(NoticeCode::BadCipher, "A packet could not be decrypted and was dropped.");
                Ok(Step::Next)
            }
        }
    }

    /// Sends a NOTICE to a client that understands it; others get the original's silence.
    fn notice(&self, code: NoticeCode, text: &str) {
        if self.ours.as_ref().is_some_and(|ours| ours.caps.notice) {
            self.hub.notice(self.key, code, text);
        }
    }

    /// Applies an event to the room, and counts what it makes others receive.
    fn apply(&mut self, event: Event<'_>) {
        let bytes = self.hub.apply(self.key, event);
        self.charge(0, bytes);
    }

    /// Counts packets and bytes.
    fn charge(&mut self, packets: u32, bytes: usize) {
        if !self.exempt {
            self.rates.take(&self.hub.limits(), Instant::now(), packets, bytes);
        }
    }

    /// Returns how long to wait, for all that was counted, before more is handled; says so at the first time of several.
    fn debt(&mut self) -> Duration {
        if self.exempt {
            self.throttled = false;
            return Duration::ZERO;
        }
        let wait = self.rates.take(&self.hub.limits(), Instant::now(), 0, 0);
        let first = !std::mem::replace(&mut self.throttled, !wait.is_zero());
        if first && !wait.is_zero() {
            self.hub.metrics.slowed.inc();
            self.notice(
                NoticeCode::RateLimited,
                "You are sending too fast; the server reads on more slowly.",
            );
        }
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most connections are at rest most of the time: what one takes is what ten thousand of them take.
    #[test]
    fn a_connection_at_rest_is_small() {
        assert!(size_of::<Connection>() <= 256, "{} bytes", size_of::<Connection>());
    }
}
