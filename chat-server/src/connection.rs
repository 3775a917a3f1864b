//! One connection: reads its bytes, cuts them into packets, decrypts them and acts on them, one after the other.
//!
//! Everything that needs no waiting happens in plain functions, straight from the shared read buffer; only what takes time
//! (an account, a rate) is awaited, with nothing held but the bytes not yet handled. It holds up this connection alone.
//! What a packet asks for is in `connection/requests.rs`, encryption in `connection/encryption.rs`; answers leave through
//! `delivery`.

mod encryption;
mod requests;

pub(crate) use encryption::TABLES_AT_A_TIME;

use std::future::poll_fn;
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use chat_core::frame::{Frame, FrameBuffer, FrameError, split_frame};
use chat_core::hello::Caps;
use chat_core::names::Username;
use chat_core::notice::NoticeCode;
use chat_core::packet::PacketType;
use chat_core::rsa::PublicKey;
use chat_core::secret::Secret;
use tokio::net::TcpStream;

use crate::delivery::{OpenError, Progress};
use crate::hub::{Hub, Place};
use crate::rate::Rates;

/// How long a client that is going may take to read what it has been sent.
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
    #[error("packet length is impossible")]
    Framing(#[source] FrameError),
    #[error("secure packet refused")]
    Insecure(#[source] OpenError),
    #[error("sent packets behind a change of encryption, before its answer")]
    BehindSwitch,
    #[error("sent a plain packet while encryption was on")]
    PlainWhileSecure,
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

/// What a connection has to wait for before its next packet.
enum Work {
    Register(Username, Secret),
    LogIn(Username, Secret),
    TurnClassicOn(PublicKey),
    /// The connection has sent too fast.
    Pause(Duration),
    /// The connection has had its turn.
    Yield,
}

/// A client of ours: what it offered, and what its handshake binds.
struct Ours {
    caps: Caps,
    prologue: Vec<u8>,
}

/// The state of one connection. There may be ten thousand, most of them idle: what few need is boxed.
struct Connection {
    hub: Rc<Hub>,
    place: Place,
    peer: SocketAddr,
    socket: Rc<TcpStream>,
    /// Bytes that have been read but not handled: part of a packet, or what waits behind some work.
    carried: Vec<u8>,
    /// While encryption is modern: the packet stream inside SECURE packets, as far as it has not been handled.
    secure: Option<Box<FrameBuffer>>,
    ours: Option<Box<Ours>>,
    /// None for addresses that are spared the rates.
    rates: Option<Box<Rates>>,
    table_bytes: usize,
    spoke: bool,
    throttled: bool,
}

/// Takes a connection in; the future serves it until it ends.
pub(crate) fn serve(hub: Rc<Hub>, stream: TcpStream, peer: SocketAddr) -> impl Future<Output = ()> {
    let socket = Rc::new(stream);
    let place = hub.open(Rc::clone(&socket));
    let exempt = hub.limits.is_exempt(peer.ip());
    let rates = (!exempt).then(|| Box::new(Rates::new(&hub.limits, Instant::now())));
    tracing::debug!(client = %place.key.client, %peer, "connected");
    let mut connection = Connection {
        hub,
        place,
        peer,
        socket,
        carried: Vec::new(),
        secure: None,
        ours: None,
        rates,
        table_bytes: 0,
        spoke: false,
        throttled: false,
    };
    async move {
        let ending = connection.read_until_end().await;
        // Boxed, like all that is awaited rarely, so that an idle connection's future stays small.
        Box::pin(connection.close(ending)).await;
    }
}

impl Connection {
    async fn read_until_end(&mut self) -> Ending {
        loop {
            if let Err(error) = poll_fn(|context| self.socket.poll_read_ready(context)).await {
                return Ending::Lost(error);
            }
            let mut outcome = self.read();
            loop {
                match outcome {
                    Ok(None) => break,
                    Ok(Some(work)) => {
                        Box::pin(self.perform(work)).await;
                        outcome = self.advance(&[]);
                    }
                    Err(ending) => return ending,
                }
            }
        }
    }

    /// Reads what has come and handles it, up to something that has to be waited for.
    fn read(&mut self) -> Result<Option<Work>, Ending> {
        let hub = Rc::clone(&self.hub);
        let mut buffer = hub.read_buffer.borrow_mut();
        match self.socket.try_read(&mut buffer) {
            Ok(0) => Err(Ending::Eof),
            Ok(count) => {
                self.hub.note(self.place, |presence, now| presence.heard(now));
                self.advance(buffer.get(..count).unwrap_or_default())
            }
            Err(error) => match error.kind() {
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted => Ok(None),
                _ => Err(Ending::Lost(error)),
            },
        }
    }

    /// Handles the packets in what was carried over and in `bytes`; carries over what is left.
    fn advance(&mut self, bytes: &[u8]) -> Result<Option<Work>, Ending> {
        let mut carried = std::mem::take(&mut self.carried);
        let fresh = carried.is_empty();
        if !fresh {
            carried.extend_from_slice(bytes);
        }
        let mut rest = if fresh { bytes } else { &carried };
        let outcome = self.take_packets(&mut rest);
        let left = rest.len();
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

    fn take_packets(&mut self, rest: &mut &[u8]) -> Result<Option<Work>, Ending> {
        let limit = self.hub.limits.max_packet_bytes;
        for _ in 0..PACKETS_PER_TURN {
            let mut step = self.take_inner()?;
            let mut pause = None;
            if matches!(step, Step::Next) {
                let Some(frame) = split_frame(rest, limit).map_err(Ending::Framing)? else { return Ok(None) };
                *rest = rest.get(frame.wire_len()..).unwrap_or_default();
                pause = self.charge(frame.wire_len());
                step = if self.secure.is_some() {
                    self.unwrap_secure(frame)?
                } else {
                    self.handle_frame(frame)?
                };
            }
            match step {
                Step::Wait(work) => return Ok(Some(work)),
                Step::Switched if !rest.is_empty() => return Err(Ending::BehindSwitch),
                Step::Switched | Step::Next => {}
            }
            if let Some(pause) = pause {
                return Ok(Some(Work::Pause(pause)));
            }
        }
        Ok(Some(Work::Yield))
    }

    /// Opens a SECURE packet and handles what it carries; nothing else is accepted while encryption is on.
    fn unwrap_secure(&mut self, frame: Frame<'_>) -> Result<Step, Ending> {
        if frame.kind != PacketType::SECURE {
            return Err(Ending::PlainWhileSecure);
        }
        let mut plain = Vec::new();
        self.hub.decrypt(self.place.key, frame.body, &mut plain).map_err(Ending::Insecure)?;
        if let Some(inner) = &mut self.secure {
            inner.extend(&plain);
        }
        self.take_inner()
    }

    /// Handles the packets that have come out of SECURE packets, up to something that has to be waited for.
    fn take_inner(&mut self) -> Result<Step, Ending> {
        let Some(inner) = self.secure.as_deref_mut().filter(|inner| !inner.is_empty()) else {
            return Ok(Step::Next);
        };
        let mut inner = std::mem::take(inner);
        let mut step = Step::Next;
        while matches!(step, Step::Next) {
            let frame = inner.next_frame(self.hub.limits.max_packet_bytes).map_err(Ending::Framing)?;
            let Some(frame) = frame else { break };
            self.hub.log_received(self.place.key, &frame, Some(frame.body));
            step = self.handle_plain(frame.kind, frame.body)?;
        }
        match &mut self.secure {
            Some(slot) => {
                inner.compact();
                **slot = inner;
            }
            // Encryption has been turned off.
            None if !inner.is_empty() => return Err(Ending::BehindSwitch),
            None => {}
        }
        Ok(step)
    }

    /// Handles a packet whose body may be classic ciphertext.
    fn handle_frame(&mut self, frame: Frame<'_>) -> Result<Step, Ending> {
        if frame.body.is_empty() || !self.hub.is_classic(self.place.key) {
            self.hub.log_received(self.place.key, &frame, None);
            return self.handle_plain(frame.kind, frame.body);
        }
        let mut plain = Vec::new();
        match self.hub.decrypt(self.place.key, frame.body, &mut plain) {
            Ok(()) => {
                self.hub.log_received(self.place.key, &frame, Some(&plain));
                self.handle_plain(frame.kind, &plain)
            }
            Err(error) => {
                tracing::debug!(client = %self.place.key.client, %error, "dropped a packet");
                self.notice(NoticeCode::BadCipher, "A packet could not be decrypted and was dropped.");
                Ok(Step::Next)
            }
        }
    }

    /// Sends a NOTICE to a client that understands it; others get the original's silence.
    fn notice(&self, code: NoticeCode, text: &str) {
        if self.ours.as_ref().is_some_and(|ours| ours.caps.notice) {
            self.hub.notice(self.place.key, code, text);
        }
    }

    /// Counts a packet; returns how long to wait before the next one, and says so at the first time of several.
    fn charge(&mut self, wire_bytes: usize) -> Option<Duration> {
        let wait = self.rates.as_mut()?.take(Instant::now(), wire_bytes);
        let first = !std::mem::replace(&mut self.throttled, !wait.is_zero());
        if wait.is_zero() {
            return None;
        }
        if first {
            self.notice(
                NoticeCode::RateLimited,
                "You are sending too fast; the server reads on more slowly.",
            );
        }
        Some(wait)
    }

    async fn perform(&mut self, work: Work) {
        match work {
            Work::Register(name, password) => self.register(name, password).await,
            Work::LogIn(name, password) => self.log_in(name, password).await,
            Work::TurnClassicOn(key) => self.turn_classic_on(key).await,
            Work::Pause(pause) => tokio::time::sleep(pause).await,
            Work::Yield => tokio::task::yield_now().await,
        }
    }

    /// Leaves the room at once, and the socket when the client has had time to read what it was sent.
    async fn close(&mut self, ending: Ending) {
        tracing::debug!(client = %self.place.key.client, reason = %ending, "disconnected");
        if matches!(ending, Ending::Framing(_) | Ending::BehindSwitch | Ending::PlainWhileSecure) {
            self.notice(NoticeCode::Malformed, &format!("The connection is closed: {ending}."));
        }
        self.hub.leave(self.place);
        if !matches!(ending, Ending::Lost(_)) {
            // A client that does not read in time loses what it did not read; nothing else depends on it.
            let _ = tokio::time::timeout(LINGER, self.linger()).await;
        }
        self.hub.cut_off(self.place.key);
        self.hub.forget(self.place);
        self.hold_tables(0);
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
        while self.socket.readable().await.is_ok() {
            match self.socket.try_read(&mut self.hub.read_buffer.borrow_mut()) {
                Ok(0) => return,
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
                _ => {}
            }
        }
    }
}
