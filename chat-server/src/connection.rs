//! One connection: reads its bytes, cuts them into packets, decrypts them and acts on them, one after the other.
//!
//! Replies leave through `delivery`; what a packet asks for is in `connection/requests.rs`. A request that takes time (an
//! account) holds up this connection only: its next packet waits in the socket.

mod encryption;
mod requests;

use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use chat_core::frame::{Frame, FrameBuffer, FrameError};
use chat_core::hello::Caps;
use chat_core::notice::NoticeCode;
use chat_core::packet::PacketType;
use tokio::net::TcpStream;

use crate::delivery::{OpenError, Progress};
use crate::hub::{Hub, Place};
use crate::rate::Rates;

/// How long a client that said goodbye may take to read what it has been sent.
const LINGER: Duration = Duration::from_secs(2);

/// Most packets handled before other connections get their turn.
const PACKETS_PER_TURN: usize = 64;

/// How a connection came to its end.
#[derive(Debug, thiserror::Error)]
enum Ending {
    #[error("said goodbye")]
    Goodbye,
    #[error("closed by the client")]
    Eof,
    #[error("connection lost")]
    Lost(#[source] std::io::Error),
    #[error("framing broken")]
    Framing(#[source] FrameError),
    #[error("secure packet refused")]
    Insecure(#[source] OpenError),
    #[error("sent packets behind a change of encryption, before its answer")]
    BehindSwitch,
    #[error("sent a plain packet while encryption was on")]
    PlainWhileSecure,
}

/// What one packet means for those behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// Go on.
    Next,
    /// The encoding has changed: packets that came in the same breath were sent in the wrong one.
    Switched,
}

/// A client of ours: what it offered, and what its handshake binds.
struct Ours {
    caps: Caps,
    prologue: Vec<u8>,
}

/// The state of one connection.
struct Connection {
    hub: Rc<Hub>,
    place: Place,
    peer: SocketAddr,
    socket: Rc<TcpStream>,
    /// Packets as they came.
    outer: FrameBuffer,
    /// The packets inside SECURE packets.
    inner: FrameBuffer,
    spoke: bool,
    secure: bool,
    ours: Option<Box<Ours>>,
    /// None for addresses that are spared the rates.
    rates: Option<Box<Rates>>,
    throttled: bool,
    table_bytes: usize,
}

/// Serves a connection until it ends.
pub(crate) async fn serve(hub: Rc<Hub>, stream: TcpStream, peer: SocketAddr) {
    let socket = Rc::new(stream);
    let place = hub.open(Rc::clone(&socket), peer);
    let exempt = hub.limits.is_exempt(peer.ip());
    let rates = (!exempt).then(|| Box::new(Rates::new(&hub.limits, Instant::now())));
    tracing::debug!(client = %place.key.client, %peer, "connected");
    let mut connection = Connection {
        hub,
        place,
        peer,
        socket,
        outer: FrameBuffer::default(),
        inner: FrameBuffer::default(),
        spoke: false,
        secure: false,
        ours: None,
        rates,
        throttled: false,
        table_bytes: 0,
    };
    let ending = connection.read_until_end().await;
    Box::pin(connection.close(ending)).await;
}

impl Connection {
    async fn read_until_end(&mut self) -> Ending {
        loop {
            if let Err(error) = self.socket.readable().await {
                return Ending::Lost(error);
            }
            let mut buffer = self.hub.borrow_buffer();
            let read = self.socket.try_read(&mut buffer);
            let handled = match read {
                Ok(0) => Err(Ending::Eof),
                Ok(count) => {
                    self.hub.note(self.place, |presence, now| presence.heard(now));
                    self.outer.extend(buffer.get(..count).unwrap_or_default());
                    self.hub.return_buffer(buffer);
                    self.handle_packets().await
                }
                Err(error) => {
                    self.hub.return_buffer(buffer);
                    match error.kind() {
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted => Ok(()),
                        _ => Err(Ending::Lost(error)),
                    }
                }
            };
            if let Err(ending) = handled {
                return ending;
            }
        }
    }

    /// Handles every whole packet that has arrived.
    async fn handle_packets(&mut self) -> Result<(), Ending> {
        let mut packets = std::mem::take(&mut self.outer);
        let mut handled = 0;
        while let Some(frame) =
            packets.next_frame(self.hub.limits.max_packet_bytes).map_err(Ending::Framing)?
        {
            self.wait_for_rate(frame.wire_len()).await;
            let flow =
                if self.secure { self.unwrap_secure(frame).await? } else { self.handle_frame(frame).await? };
            if flow == Flow::Switched && !packets.is_empty() {
                return Err(Ending::BehindSwitch);
            }
            handled += 1;
            if handled % PACKETS_PER_TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        packets.compact();
        self.outer = packets;
        Ok(())
    }

    /// Handles the packets inside one SECURE packet; nothing else is accepted while encryption is on.
    async fn unwrap_secure(&mut self, frame: Frame<'_>) -> Result<Flow, Ending> {
        if frame.kind != PacketType::SECURE {
            return Err(Ending::PlainWhileSecure);
        }
        let mut plain = Vec::new();
        self.hub.decrypt(self.place.key, frame.body, &mut plain).map_err(Ending::Insecure)?;
        let mut packets = std::mem::take(&mut self.inner);
        packets.extend(&plain);
        while let Some(inner) =
            packets.next_frame(self.hub.limits.max_packet_bytes).map_err(Ending::Framing)?
        {
            self.hub.log_received(self.place.key, &inner, Some(inner.body));
            if self.handle_plain(inner.kind, inner.body).await? == Flow::Switched {
                // Turned off: what follows inside would have been sent before the answer.
                return if packets.is_empty() { Ok(Flow::Switched) } else { Err(Ending::BehindSwitch) };
            }
        }
        packets.compact();
        self.inner = packets;
        Ok(Flow::Next)
    }

    /// Handles a packet whose body may be classic ciphertext.
    async fn handle_frame(&mut self, frame: Frame<'_>) -> Result<Flow, Ending> {
        if frame.body.is_empty() || !self.hub.is_classic(self.place.key) {
            self.hub.log_received(self.place.key, &frame, None);
            return self.handle_plain(frame.kind, frame.body).await;
        }
        let mut plain = Vec::new();
        match self.hub.decrypt(self.place.key, frame.body, &mut plain) {
            Ok(()) => {
                self.hub.log_received(self.place.key, &frame, Some(&plain));
                self.handle_plain(frame.kind, &plain).await
            }
            Err(error) => {
                tracing::debug!(client = %self.place.key.client, %error, "dropped a packet");
                self.notice(NoticeCode::BadCipher, "A packet could not be decrypted and was dropped.");
                Ok(Flow::Next)
            }
        }
    }

    /// Sends a NOTICE to a client that understands it; others get the original's silence.
    fn notice(&self, code: NoticeCode, text: &str) {
        if self.ours.as_ref().is_some_and(|ours| ours.caps.notice) {
            self.hub.notice(self.place.key, code, text);
        }
    }

    /// Waits until the connection may send a packet of this size; says so at the first time of several.
    async fn wait_for_rate(&mut self, wire_bytes: usize) {
        let Some(rates) = &mut self.rates else { return };
        let wait = rates.take(Instant::now(), wire_bytes);
        if wait.is_zero() {
            self.throttled = false;
            return;
        }
        if !self.throttled {
            self.throttled = true;
            self.notice(
                NoticeCode::RateLimited,
                "You are sending too fast; the server reads on more slowly.",
            );
        }
        Box::pin(tokio::time::sleep(wait)).await;
    }

    /// Leaves the room at once, and the socket when the client has had time to read what it was sent.
    async fn close(self, ending: Ending) {
        tracing::debug!(client = %self.place.key.client, reason = %ending, "disconnected");
        match &ending {
            Ending::Framing(error) => self.notice(NoticeCode::Malformed, &error.to_string()),
            Ending::BehindSwitch => self.notice(NoticeCode::Malformed, &ending.to_string()),
            _ => {}
        }
        self.hub.leave(self.place);
        if !matches!(ending, Ending::Lost(_)) {
            // A client that does not read in time loses what it did not read; nothing else depends on it.
            let _ = tokio::time::timeout(LINGER, self.linger()).await;
        }
        self.hub.cut_off(self.place.key);
        self.hub.forget(self.place);
        self.hub.table_bytes.set(self.hub.table_bytes.get().saturating_sub(self.table_bytes));
        self.hub.admission.borrow_mut().release(self.peer.ip());
    }

    /// Writes what waits, says that nothing more comes, and reads to the end of the stream: closing a socket with unread
    /// bytes would make the kernel reset the connection and destroy the answer under way.
    async fn linger(&self) {
        while self.hub.drain(self.place.key) == Progress::Blocked {
            if self.socket.writable().await.is_err() {
                return;
            }
        }
        if socket2::SockRef::from(&*self.socket).shutdown(Shutdown::Write).is_err() {
            return;
        }
        loop {
            if self.socket.readable().await.is_err() {
                return;
            }
            let mut buffer = self.hub.borrow_buffer();
            let read = self.socket.try_read(&mut buffer);
            self.hub.return_buffer(buffer);
            match read {
                Ok(0) => return,
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
                _ => {}
            }
        }
    }
}
