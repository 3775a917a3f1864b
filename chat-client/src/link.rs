//! One connection to one server: opening it, verifying who is there, sending and receiving packets.
//!
//! `opening` is what happens before anything is said, `wire` the protocol, `trust` the trust, `classic` and `january` the
//! original's two ciphers; this file holds the socket and the clock. Reconnecting is the business of whoever holds the link.
//!
//! Invariant: of what arrives before a server that is to be verified is verified, nothing leaves this module but errors.

mod classic;
mod error;
mod january;
mod opening;
mod trust;
mod wire;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use chat_core::known_servers::ServerAddress;
use chat_core::noise::Fingerprint;
use chat_core::notice::{Notice, NoticeCode};
use chat_core::packet::PacketType;
use chat_core::ping;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

pub use self::classic::KeySource;
use self::classic::OwnKeys;
pub use self::error::{LinkError, Misbehaviour, OwnKeysError, error_chain};
pub use self::opening::open;
pub use self::trust::{Basis, Dialect, Encryption, Peer, Trust};
use self::wire::{Signal, Wire};

/// A link takes no more input for sending while this many bytes wait to be sent; see [`Link::is_congested`].
const CONGESTED_BYTES: usize = 256 * 1024;
const READ_BYTES: usize = 16 * 1024;
/// How long a server may take to answer where its connection is thought to be dead.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);

/// How long a link waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the TCP connection, over all addresses of a name.
    pub connect: Duration,
    /// For a server to greet, or to answer the exchange of keys with which the January 2026 revision begins.
    pub greeting: Duration,
    /// For a server to switch encryption.
    pub switch: Duration,
    /// This often the link asks a server of ours whether it is still there ...
    pub ping_after: Duration,
    /// ... and waits this long to hear anything at all from it.
    pub pong: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            greeting: Duration::from_secs(5),
            switch: Duration::from_secs(10),
            ping_after: Duration::from_secs(30),
            pong: Duration::from_secs(20),
        }
    }
}

/// Where to connect, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server.
    pub address: ServerAddress,
    /// What the client says of itself in HELLO, such as `chat-client/0.1.0`.
    pub agent: String,
    /// Which revision of the original protocol to speak.
    pub dialect: Dialect,
    /// How to encrypt.
    pub encryption: Encryption,
    /// Which servers to believe.
    pub trust: Trust,
    /// Where the client's classic keys come from.
    pub classic_keys: KeySource,
    /// How long to wait for what.
    pub timeouts: Timeouts,
}

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Not at all.
    Plain,
    /// By the original's cipher of either revision, which anyone who listens can break.
    Classic,
    /// By Noise; nobody but the server with this identity can read or change anything.
    Noise {
        /// Who the server proved to be.
        identity: Fingerprint,
        /// Why that is believed to be the right one.
        basis: Basis,
    },
}

/// A connection that has been opened, verified and greeted.
#[derive(Debug)]
pub struct Opened {
    /// The connection.
    pub link: Link,
    /// What kind of server it is.
    pub peer: Peer,
    /// How the connection is protected.
    pub protection: Protection,
    /// The server's reply to CONNECT; where there is verification, the one that came after it.
    pub greeting: String,
    /// How long the server took to answer the first packets.
    pub round_trip: Duration,
}

/// What comes over a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A packet and its text.
    Packet {
        /// What kind of packet it is: one of the original's, or NOTICE.
        kind: PacketType,
        /// Its text, decrypted. It is the peer's: not fit for a terminal as it is.
        text: String,
    },
    /// Encryption was switched.
    Switched {
        /// How the connection is protected from here on.
        protection: Protection,
        /// The server's text.
        text: String,
    },
    /// A packet was dropped because its body could not be decrypted or is not UTF-8.
    Unreadable(PacketType),
    /// The server took this long to answer when it was asked whether it is still there.
    RoundTrip(Duration),
}

/// A way to encrypt, or not, that is asked of the server in mid-connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Modern encryption.
    Noise,
    /// The original's cipher.
    Classic,
    /// None.
    Off,
}

/// One connection to one server.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    wire: Wire,
    target: Target,
    peer: Option<Peer>,
    early: VecDeque<Incoming>,
    /// How many more bytes `early` may hold: none before a server that is to be verified is verified.
    early_room: usize,
    heard: Instant,
    /// When the server was last asked whether it is there, or greeted.
    pinged: Instant,
    /// How often it was asked; the number goes with the question.
    pings: u64,
    /// The last question is unanswered.
    awaits_pong: bool,
    /// How long it may stay so.
    patience: Duration,
    switch_by: Option<Instant>,
}

impl Link {
    /// Queues a packet; [`Link::next`] sends it. During a switch of encryption it waits for the new state.
    ///
    /// # Errors
    ///
    /// [`LinkError::TooLong`] and [`LinkError::Cipher`].
    pub fn send(&mut self, kind: PacketType, body: &[u8]) -> Result<(), LinkError> {
        self.wire.send(kind, body)
    }

    /// Asks the server to switch encryption; [`Incoming::Switched`] tells when it has.
    ///
    /// # Errors
    ///
    /// [`LinkError::Busy`] if that cannot be asked now, [`LinkError::OwnKeys`], or a reason of [`Trust`]; nothing has then
    /// been sent and the connection goes on as it was.
    pub fn switch(&mut self, to: Switch) -> Result<(), LinkError> {
        match to {
            Switch::Noise => {
                self.target.trust.plan(&self.target.address, Encryption::Noise, self.peer()?)?;
                self.wire.start_noise()?;
            }
            Switch::Classic => self.wire.start_classic(OwnKeys::load(&self.target.classic_keys)?)?,
            Switch::Off => self.wire.start_off()?,
        }
        self.switch_by = Some(Instant::now() + self.target.timeouts.switch);
        Ok(())
    }

    /// Asks at once whether a server of ours is still there; [`Link::next`] fails soon if it is not.
    ///
    /// # Errors
    ///
    /// As [`Link::send`].
    pub fn probe(&mut self) -> Result<(), LinkError> {
        if self.answers_ping() { self.ping(PROBE_PATIENCE.min(self.target.timeouts.pong)) } else { Ok(()) }
    }

    /// Tells whether so much waits to be sent that the caller should not send more for now.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.wire.unsent_bytes() > CONGESTED_BYTES
    }

    /// Waits for what comes next, and sends what is queued meanwhile. May be dropped and called again at any time.
    ///
    /// # Errors
    ///
    /// [`LinkError`]; the link is then useless.
    pub async fn next(&mut self) -> Result<Incoming, LinkError> {
        // A server that never stops talking must not keep the caller from anything else.
        tokio::task::consume_budget().await;
        if let Some(early) = self.early.pop_front() {
            return Ok(early);
        }
        loop {
            if let Some(incoming) = self.take_incoming()? {
                return Ok(incoming);
            }
            self.transfer().await?;
        }
    }

    /// Makes a link that has said nothing. Of what comes while it is being opened it keeps `early_room` bytes.
    fn new(stream: TcpStream, wire: Wire, target: &Target, early_room: usize) -> Self {
        Self {
            stream,
            wire,
            target: target.clone(),
            peer: None,
            early: VecDeque::new(),
            early_room,
            heard: Instant::now(),
            pinged: Instant::now(),
            pings: 0,
            awaits_pong: false,
            patience: target.timeouts.pong,
            switch_by: None,
        }
    }

    fn peer(&self) -> Result<&Peer, LinkError> {
        self.peer.as_ref().ok_or(LinkError::Busy)
    }

    fn take_incoming(&mut self) -> Result<Option<Incoming>, LinkError> {
        while let Some(signal) = self.wire.poll()? {
            let (protection, text) = match signal {
                Signal::Packet { kind: PacketType::NOTICE, text } if self.refuses_switch(&text) => {
                    let text = Notice::parse(&text).map(|notice| notice.text).unwrap_or_default();
                    return Err(LinkError::SwitchRefused(text));
                }
                Signal::Packet { kind, text } => return Ok(Some(Incoming::Packet { kind, text })),
                Signal::Unreadable(kind) => return Ok(Some(Incoming::Unreadable(kind))),
                Signal::Pong(token) if token == self.pings && std::mem::take(&mut self.awaits_pong) => {
                    return Ok(Some(Incoming::RoundTrip(self.pinged.elapsed())));
                }
                Signal::Pong(_) => continue,
                Signal::Hello(_) | Signal::Exchanged => continue,
                Signal::ClassicOn { text } => (Protection::Classic, text),
                Signal::Off { text } => (Protection::Plain, text),
                Signal::Offer { channel, fingerprint, text } => {
                    let basis = self.target.trust.judge(&self.target.address, fingerprint)?;
                    self.wire.enter_secure(channel)?;
                    (Protection::Noise { identity: fingerprint, basis }, text)
                }
            };
            self.switch_by = None;
            return Ok(Some(Incoming::Switched { protection, text }));
        }
        Ok(None)
    }

    /// Tells whether a NOTICE says that a switch under way will not happen. What waits for it must not leave then.
    fn refuses_switch(&self, notice: &str) -> bool {
        let code = Notice::parse(notice).and_then(|notice| NoticeCode::from_word(&notice.code));
        self.switch_by.is_some() && code == Some(NoticeCode::BadKey)
    }

    /// Waits until bytes came or went, or a deadline passed.
    async fn transfer(&mut self) -> Result<(), LinkError> {
        // While there is always more to read, waiting for it never takes time, and no timer would get its turn.
        tokio::task::consume_budget().await;
        if self.switch_by.is_some_and(|by| by <= Instant::now()) {
            return self.deadline_passed();
        }
        let interest = if self.wire.outbound().is_empty() {
            tokio::io::Interest::READABLE
        } else {
            tokio::io::Interest::READABLE | tokio::io::Interest::WRITABLE
        };
        let ready = self.stream.ready(interest);
        let ready = match self.deadline() {
            None => ready.await,
            Some(deadline) => match timeout_at(deadline, ready).await {
                Ok(ready) => ready,
                Err(_) => return self.deadline_passed(),
            },
        };
        let ready = ready.map_err(LinkError::Lost)?;
        if ready.is_writable() {
            self.write();
        }
        if ready.is_readable() {
            self.read()?;
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), LinkError> {
        let mut bytes = [0; READ_BYTES];
        match self.stream.try_read(&mut bytes) {
            Ok(0) => Err(LinkError::Closed),
            Ok(len) => {
                self.wire.receive(bytes.get(..len).unwrap_or_default());
                self.heard = Instant::now();
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(LinkError::Lost(error)),
        }
    }

    fn write(&mut self) {
        let outbound = self.wire.outbound();
        let written = match self.stream.try_write(outbound) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            // Nobody will read it; what the server said before it went is still to be read.
            Err(_) => outbound.len(),
        };
        self.wire.sent(written);
    }

    fn deadline(&self) -> Option<Instant> {
        let due = if self.awaits_pong {
            self.heard.max(self.pinged) + self.patience
        } else {
            self.pinged + self.target.timeouts.ping_after
        };
        [self.switch_by, self.answers_ping().then_some(due)].into_iter().flatten().min()
    }

    /// Tells whether the server can be asked: an original one cannot, and may be silent for ever.
    fn answers_ping(&self) -> bool {
        matches!(&self.peer, Some(Peer::Ours(hello)) if hello.caps.ping)
    }

    fn ping(&mut self, patience: Duration) -> Result<(), LinkError> {
        (self.pinged, self.patience) = (Instant::now(), patience);
        (self.pings, self.awaits_pong) = (self.pings + 1, true);
        self.send(PacketType::PING, &ping::request(self.pings))
    }

    fn deadline_passed(&mut self) -> Result<(), LinkError> {
        if self.switch_by.is_some_and(|by| by <= Instant::now()) {
            return Err(LinkError::NoSwitch(self.target.timeouts.switch));
        }
        if self.awaits_pong {
            return Err(LinkError::Silent(self.heard.elapsed()));
        }
        self.ping(self.target.timeouts.pong)
    }
}
