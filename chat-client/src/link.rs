//! One connection to one server: opening it, verifying who is there, sending and receiving packets.
//!
//! The protocol is in `wire`, the trust in `trust`, the classic cipher's keys in `classic`; this file holds the socket and
//! the clock. Reconnecting is the business of whoever holds the link.
//!
//! Invariant: of what arrives before a server that is to be verified is verified, nothing leaves this module but errors.

mod classic;
mod error;
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
use tokio::time::{Instant, timeout, timeout_at};

pub use self::classic::KeySource;
pub use self::error::{LinkError, Misbehaviour, OwnKeysError, error_chain};
use self::trust::Plan;
pub use self::trust::{Basis, Encryption, Peer, Trust};
use self::wire::{Signal, Wire};

/// A link takes no more input for sending while this many bytes wait to be sent; see [`Link::is_congested`].
const CONGESTED_BYTES: usize = 256 * 1024;
const READ_BYTES: usize = 16 * 1024;
/// How long a server may take to answer where its connection is thought to be dead.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);
/// What a server says to everyone while the link is being opened is kept up to this size and then dropped.
const EARLY_BYTES: usize = 256 * 1024;
/// What keeping a packet costs besides its text; packets may be empty.
const EARLY_OVERHEAD_BYTES: usize = 64;

/// How long a link waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the TCP connection, over all addresses of a name.
    pub connect: Duration,
    /// For a server to greet. The January 2026 revision never does.
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
    /// By the original's cipher, which anyone who listens can break.
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

/// Connects, finds out what the server is, encrypts as `target` wants it and verifies the server.
///
/// # Errors
///
/// [`LinkError`]; every wait has a deadline. Nothing but HELLO, CONNECT and a request to encrypt has then been sent.
pub async fn open(target: &Target) -> Result<Opened, LinkError> {
    let stream = connect(&target.address, target.timeouts.connect).await?;
    let started = Instant::now();
    let mut link = Link::new(stream, target)?;
    let greeted = timeout(target.timeouts.greeting, link.greet()).await;
    let (peer, greeting) = greeted.map_err(|_| no_greeting(target))??;
    let round_trip = started.elapsed();
    link.peer = Some(peer.clone());
    let (protection, greeting) = match target.trust.plan(&target.address, target.encryption, &peer)? {
        Plan::Plain => (Protection::Plain, greeting),
        Plan::Classic => (link.switch_now(Switch::Classic).await?, greeting),
        Plan::Noise => {
            let protection = link.switch_now(Switch::Noise).await?;
            // The first greeting came from somebody unverified; what comes now does not.
            link.early_room = EARLY_BYTES;
            (protection, link.greet_again().await?)
        }
    };
    Ok(Opened { link, peer, protection, greeting, round_trip })
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
            Switch::Classic => self.wire.start_classic(self.target.classic_keys.load()?)?,
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

    fn new(stream: TcpStream, target: &Target) -> Result<Self, LinkError> {
        let early_room = match target.encryption {
            Encryption::Auto | Encryption::Noise => 0,
            Encryption::Classic | Encryption::Off => EARLY_BYTES,
        };
        Ok(Self {
            stream,
            wire: Wire::new(&target.agent)?,
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
        })
    }

    fn peer(&self) -> Result<&Peer, LinkError> {
        self.peer.as_ref().ok_or(LinkError::Busy)
    }

    /// Waits for the CONNECT reply; HELLO before it says that the server is one of ours.
    async fn greet(&mut self) -> Result<(Peer, String), LinkError> {
        let (mut peer, mut turned_away) = (Peer::Original, None);
        loop {
            match self.wire.poll()? {
                Some(Signal::Hello(hello)) => peer = Peer::Ours(hello),
                Some(Signal::Packet { kind: PacketType::CONNECT, text }) => return Ok((peer, text)),
                Some(Signal::Packet { kind: PacketType::NOTICE, text }) => turned_away = Notice::parse(&text),
                Some(Signal::Packet { kind, text }) => self.keep(Incoming::Packet { kind, text }),
                Some(_) => {}
                None => match (self.transfer().await, turned_away.take()) {
                    (Err(LinkError::Closed | LinkError::Lost(_)), Some(notice)) => {
                        return Err(LinkError::TurnedAway(notice.text));
                    }
                    (result, notice) => {
                        result?;
                        turned_away = notice;
                    }
                },
            }
        }
    }

    /// Asks for a greeting inside the secure channel, where nobody can have made it up.
    async fn greet_again(&mut self) -> Result<String, LinkError> {
        self.send(PacketType::CONNECT, b"")?;
        let greeted = timeout(self.target.timeouts.greeting, async {
            loop {
                match self.take_incoming()? {
                    Some(Incoming::Packet { kind: PacketType::CONNECT, text }) => return Ok(text),
                    Some(other) => self.keep(other),
                    None => self.transfer().await?,
                }
            }
        });
        match greeted.await {
            Ok(greeting) => greeting,
            Err(_) => Err(no_greeting(&self.target)),
        }
    }

    /// Switches and waits until that is done; what else comes in the meantime is kept for [`Link::next`].
    async fn switch_now(&mut self, to: Switch) -> Result<Protection, LinkError> {
        self.switch(to)?;
        loop {
            match self.take_incoming()? {
                Some(Incoming::Switched { protection, text }) => {
                    self.keep(Incoming::Switched { protection, text });
                    return Ok(protection);
                }
                Some(other) => self.keep(other),
                None => self.transfer().await?,
            }
        }
    }

    /// Keeps what came too early for [`Link::next`], while there is room.
    fn keep(&mut self, incoming: Incoming) {
        let text_bytes = match &incoming {
            Incoming::Packet { text, .. } | Incoming::Switched { text, .. } => text.len(),
            Incoming::Unreadable(_) | Incoming::RoundTrip(_) => 0,
        };
        if let Some(left) = self.early_room.checked_sub(EARLY_OVERHEAD_BYTES + text_bytes) {
            self.early_room = left;
            self.early.push_back(incoming);
        }
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
                Signal::Hello(_) => continue,
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

fn no_greeting(target: &Target) -> LinkError {
    LinkError::NoGreeting { address: target.address.clone(), waited: target.timeouts.greeting }
}

/// Connects to the first of a name's addresses that takes the connection, sharing the time among them.
async fn connect(address: &ServerAddress, at_most: Duration) -> Result<TcpStream, LinkError> {
    let deadline = Instant::now() + at_most;
    let unresolved = |source| LinkError::Resolve { address: address.clone(), source };
    let look_up = tokio::net::lookup_host((address.host(), address.port()));
    let found = timeout_at(deadline, look_up).await.map_err(|late| unresolved(late.into()))?;
    let mut found: VecDeque<_> = found.map_err(unresolved)?.collect();
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    while let Some(socket) = found.pop_front() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(found.len() + 1).unwrap_or(u32::MAX);
        match timeout(share, TcpStream::connect(socket)).await {
            Ok(Ok(stream)) => {
                // A chat line is one small packet that should leave at once.
                stream.set_nodelay(true).map_err(LinkError::Lost)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(late) => last = late.into(),
        }
    }
    Err(LinkError::Unreachable { address: address.clone(), source: last })
}
