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
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::delivery::{OpenError, Progress};
use crate::hub::{Hub, Place};
use crate::rate::Rates;

/// How long a client that is going may take to read what it has been sent.
const LINGER: Duration = Duration::from_secs(2);

/// How long requests of a client that has closed its side are still worked on: it may be a script that has said all it
/// had to say, or it may be gone.
const GRACE: Duration = Duration::from_secs(2);

/// How often a connection that waits for something else is asked whether its client is still there.
const GONE_INTERVAL: Duration = Duration::from_millis(500);

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

/// Something that cannot be done at once.
enum Work {
    Register(Username, Secret),
    LogIn(Username, Secret),
    TurnClassicOn(PublicKey),
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
        let mut closed_since = None;
        loop {
            if let Err(error) = poll_fn(|context| self.socket.poll_read_ready(context)).await {
                return Ending::Lost(error);
            }
            let mut outcome = self.read();
            loop {
                match outcome {
                    Ok(None) => break,
                    Ok(Some(delay)) => {
                        if let Err(ending) = Box::pin(self.sit_out(delay, &mut closed_since)).await {
                            return ending;
                        }
                        outcome = self.advance(&[]);
                    }
                    Err(ending) => return ending,
                }
            }
        }
    }

    /// Reads what has come and handles it, up to something that has to be waited for.
    fn read(&mut self) -> Result<Option<Delay>, Ending> {
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
    fn advance(&mut self, bytes: &[u8]) -> Result<Option<Delay>, Ending> {
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
        let limit = self.hub.limits.max_packet_bytes;
        let Some(frame) = split_frame(rest, limit).map_err(Ending::Framing)? else { return Ok(None) };
        *rest = rest.get(frame.wire_len()..).unwrap_or_default();
        // A SECURE packet costs its bytes; the packets inside it are counted when they are taken out.
        let packets = u32::from(self.secure.is_none());
        *pause = self.charge(packets, frame.wire_len());
        if self.secure.is_some() {
            self.open_secure(frame)?;
            return Ok(Some(Step::Next));
        }
        self.handle_frame(frame).map(Some)
    }

    /// Opens a SECURE packet; nothing else is accepted while encryption is on.
    fn open_secure(&mut self, frame: Frame<'_>) -> Result<(), Ending> {
        if frame.kind != PacketType::SECURE {
            return Err(Ending::PlainWhileSecure);
        }
        let mut plain = Vec::new();
        self.hub.decrypt(self.place.key, frame.body, &mut plain).map_err(Ending::Insecure)?;
        if let Some(inner) = &mut self.secure {
            inner.extend(&plain);
        }
        Ok(())
    }

    /// Handles the next packet that has come out of SECURE packets, if there is a whole one.
    fn take_inner(&mut self, pause: &mut Duration) -> Result<Option<Step>, Ending> {
        let Some(inner) = self.secure.as_deref_mut().filter(|inner| !inner.is_empty()) else {
            return Ok(None);
        };
        let mut inner = std::mem::take(inner);
        let taken = inner.next_frame(self.hub.limits.max_packet_bytes).map_err(Ending::Framing)?;
        let step = match taken {
            None => None,
            Some(frame) => {
                self.hub.log_received(self.place.key, &frame, Some(frame.body));
                *pause = self.charge(1, 0);
                Some(self.handle_plain(frame.kind, frame.body)?)
            }
        };
        match &mut self.secure {
            // An empty one goes, and its memory with it; what is taken from a fuller one is forgotten when more comes.
            Some(slot) if !inner.is_empty() => **slot = inner,
            // Encryption has been turned off.
            None if !inner.is_empty() => return Err(Ending::BehindSwitch),
            Some(_) | None => {}
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

    /// Counts packets and bytes; returns how long to wait before more, and says so at the first time of several.
    fn charge(&mut self, packets: u32, bytes: usize) -> Duration {
        let Some(rates) = &mut self.rates else { return Duration::ZERO };
        let wait = rates.take(Instant::now(), packets, bytes);
        let first = !std::mem::replace(&mut self.throttled, !wait.is_zero());
        if first && !wait.is_zero() {
            self.notice(
                NoticeCode::RateLimited,
                "You are sending too fast; the server reads on more slowly.",
            );
        }
        wait
    }

    /// Waits for what the next packet has to wait for, but not for a client that is gone: it must not stay on the list, and
    /// hold a place and a descriptor, because of what it sent before.
    async fn sit_out(&mut self, delay: Delay, closed_since: &mut Option<Instant>) -> Result<(), Ending> {
        if delay.work.is_none() && delay.pause.is_zero() {
            tokio::task::yield_now().await;
            return Ok(());
        }
        let socket = Rc::clone(&self.socket);
        tokio::select! {
            biased;
            () = self.perform(delay) => Ok(()),
            ending = until_gone(&socket, closed_since) => Err(ending),
        }
    }

    async fn perform(&mut self, delay: Delay) {
        match delay.work {
            None => {}
            Some(Work::Register(name, password)) => self.register(name, password).await,
            Some(Work::LogIn(name, password)) => self.log_in(name, password).await,
            Some(Work::TurnClassicOn(key)) => self.turn_classic_on(key).await,
        }
        if !delay.pause.is_zero() {
            tokio::time::sleep(delay.pause).await;
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

/// Waits until the client is gone: at once when the connection is broken, after [`GRACE`] in all when it has closed its side.
async fn until_gone(socket: &TcpStream, closed_since: &mut Option<Instant>) -> Ending {
    loop {
        match socket.ready(Interest::READABLE.add(Interest::ERROR)).await {
            Err(error) => return Ending::Lost(error),
            Ok(ready) if ready.is_error() => return Ending::Lost(std::io::ErrorKind::ConnectionReset.into()),
            Ok(ready) if ready.is_read_closed() => {
                let since = closed_since.get_or_insert_with(Instant::now);
                tokio::time::sleep_until((*since + GRACE).into()).await;
                return Ending::Eof;
            }
            // There is more to read, and it stays unread while the connection waits.
            Ok(_) => tokio::time::sleep(GONE_INTERVAL).await,
        }
    }
}
