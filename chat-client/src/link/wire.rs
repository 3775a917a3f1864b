//! The protocol as a client sees it: bytes come in, signals and bytes go out.
//!
//! Keeps what a stream means at this moment (plain, classic, secure), switches exactly where the protocol says, and
//! answers PING. It knows no socket and no clock, and whom to trust is for its caller to say: that is `link` and `trust`.
//!
//! Invariant: while a switch is under way nothing is sent. What is queued meanwhile waits, and leaves in the new state or
//! not at all.

use chat_core::frame::{FrameBuffer, FrameError, HEADER_LEN, MAX_PACKET_LEN, MAX_REQUEST_LEN, write_frame};
use chat_core::hello::Hello;
use chat_core::january::EXCHANGE_KEYS;
use chat_core::noise::{self, Channel, Fingerprint, Initiator};
use chat_core::packet::PacketType;
use chat_core::{ping, text};

use super::classic::{Classic, OwnKeys};
use super::error::{LinkError, Misbehaviour};
use super::january::{self, January};

/// Most answers to PING that wait to be sent: a server that asks without reading gets no more.
const MAX_PONGS: usize = 16;

/// What came from the server.
#[derive(Debug)]
pub(super) enum Signal {
    /// A packet with a text, decrypted.
    Packet { kind: PacketType, text: String },
    /// The server is one of ours.
    Hello(Hello),
    /// The server offers a secure channel and proved an identity. Nothing happens before [`Wire::enter_secure`].
    Offer { channel: Channel, fingerprint: Fingerprint, text: String },
    /// Classic encryption is on.
    ClassicOn { text: String },
    /// The server speaks the January 2026 revision, and everything is encrypted from here on.
    Exchanged,
    /// Encryption is off.
    Off { text: String },
    /// The server answered the PING with this token.
    Pong(u64),
    /// A packet was dropped because its body is not what it should be.
    Unreadable(PacketType),
}

#[derive(Debug)]
enum Mode {
    Plain,
    Classic(Box<Classic>),
    Secure(Channel),
    January(Box<January>),
}

/// A switch of encryption under way.
#[derive(Debug)]
enum Switch {
    Noise(Initiator),
    /// The server's identity is known, and not yet whether it is the right one.
    Verdict,
    Classic(Box<OwnKeys>),
    Off,
    /// The exchange of keys that a connection of the January 2026 revision begins with.
    Exchange(Box<january::OwnKeys>),
}

/// One connection's state.
#[derive(Debug)]
pub(super) struct Wire {
    mode: Mode,
    switch: Option<Switch>,
    inbound: FrameBuffer,
    /// The packet stream inside the secure channel.
    inner: FrameBuffer,
    held: Vec<(PacketType, Vec<u8>)>,
    outbound: Vec<u8>,
    /// How much at the start of `outbound` is sent already.
    sent: usize,
    /// How many answers to PING were queued since nothing was left to be sent.
    pongs: usize,
    own_hello: Vec<u8>,
    peer_hello: Option<Vec<u8>>,
    greeted: bool,
}

impl Wire {
    /// Begins with HELLO and CONNECT back to back, so that one round trip tells what the server is.
    ///
    /// # Errors
    ///
    /// [`LinkError::TooLong`] for an absurd agent.
    pub(super) fn new(agent: &str) -> Result<Self, LinkError> {
        let own_hello = Hello::new(agent).encode().into_bytes();
        let mut wire = Self::silent(own_hello);
        write(&mut wire.outbound, PacketType::HELLO, &wire.own_hello)?;
        write(&mut wire.outbound, PacketType::CONNECT, b"")?;
        Ok(wire)
    }

    /// Begins as the January 2026 revision does, with the exchange of keys; [`Signal::Exchanged`] is its end.
    ///
    /// # Errors
    ///
    /// [`LinkError::TooLong`] for absurd keys.
    pub(super) fn january(keys: january::OwnKeys) -> Result<Self, LinkError> {
        let mut wire = Self::silent(Vec::new());
        write(&mut wire.outbound, EXCHANGE_KEYS, keys.offer().as_bytes())?;
        wire.switch = Some(Switch::Exchange(Box::new(keys)));
        Ok(wire)
    }

    fn silent(own_hello: Vec<u8>) -> Self {
        Self {
            mode: Mode::Plain,
            switch: None,
            inbound: FrameBuffer::default(),
            inner: FrameBuffer::default(),
            held: Vec::new(),
            outbound: Vec::new(),
            sent: 0,
            pongs: 0,
            own_hello,
            peer_hello: None,
            greeted: false,
        }
    }

    /// Takes bytes as they came.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.inbound.extend(bytes);
    }

    /// Returns what is to be written to the socket; [`Wire::sent`] is to be told how much of it was.
    pub(super) fn outbound(&self) -> &[u8] {
        self.outbound.get(self.sent..).unwrap_or_default()
    }

    /// Takes note that the first `len` bytes of what was to be written are written.
    pub(super) fn sent(&mut self, len: usize) {
        self.sent += len;
        // Moving the rest only when it is the smaller part makes it cheap however little is written at a time.
        if self.sent * 2 >= self.outbound.len() {
            self.outbound.drain(..self.sent.min(self.outbound.len()));
            self.sent = 0;
        }
    }

    /// Returns how many bytes wait to be sent, those held back by a switch included.
    pub(super) fn unsent_bytes(&self) -> usize {
        self.outbound().len() + self.held.iter().map(|(_, body)| body.len()).sum::<usize>()
    }

    /// Queues a packet.
    ///
    /// # Errors
    ///
    /// [`LinkError::TooLong`], [`LinkError::NotInJanuary`] and [`LinkError::Cipher`].
    pub(super) fn send(&mut self, kind: PacketType, body: &[u8]) -> Result<(), LinkError> {
        if self.switch.is_some() {
            self.held.push((kind, body.to_vec()));
            return Ok(());
        }
        self.encode(kind, body)
    }

    /// Asks for the secure channel.
    ///
    /// # Errors
    ///
    /// [`LinkError::Busy`] unless the stream is plain and the server one of ours, [`LinkError::Cipher`].
    pub(super) fn start_noise(&mut self) -> Result<(), LinkError> {
        let (Mode::Plain, None, Some(peer_hello)) = (&self.mode, &self.switch, &self.peer_hello) else {
            return Err(LinkError::Busy);
        };
        let prologue = noise::prologue(&self.own_hello, peer_hello);
        let (initiator, offer) = Initiator::start(&prologue).map_err(LinkError::Cipher)?;
        self.encode(PacketType::ENCRYPTION_ON, offer.as_bytes())?;
        self.switch = Some(Switch::Noise(initiator));
        Ok(())
    }

    /// Asks for classic encryption; also with new keys while it is on.
    ///
    /// # Errors
    ///
    /// [`LinkError::Busy`] inside a secure channel, a switch or the January 2026 revision, [`LinkError::TooLong`].
    pub(super) fn start_classic(&mut self, keys: OwnKeys) -> Result<(), LinkError> {
        if self.switch.is_some() || matches!(self.mode, Mode::Secure(_) | Mode::January(_)) {
            return Err(LinkError::Busy);
        }
        self.encode(PacketType::ENCRYPTION_ON, keys.offer().as_bytes())?;
        self.switch = Some(Switch::Classic(Box::new(keys)));
        Ok(())
    }

    /// Asks for encryption to be turned off.
    ///
    /// # Errors
    ///
    /// [`LinkError::Busy`] during another switch, and where encryption is never off.
    pub(super) fn start_off(&mut self) -> Result<(), LinkError> {
        if self.switch.is_some() || matches!(self.mode, Mode::January(_)) {
            return Err(LinkError::Busy);
        }
        self.encode(PacketType::ENCRYPTION_OFF, b"")?;
        self.switch = Some(Switch::Off);
        Ok(())
    }

    /// Takes an offered channel into use: the server is the right one.
    ///
    /// # Errors
    ///
    /// As [`Wire::send`], for what was held back.
    pub(super) fn enter_secure(&mut self, channel: Channel) -> Result<(), LinkError> {
        self.finish_switch(Mode::Secure(channel))
    }

    /// Returns the next signal, or `None` when more bytes are needed or a verdict is.
    ///
    /// # Errors
    ///
    /// [`LinkError::Misbehaved`]; the connection must then be closed.
    pub(super) fn poll(&mut self) -> Result<Option<Signal>, LinkError> {
        while !matches!(self.switch, Some(Switch::Verdict)) {
            let Some((kind, body)) = self.next_packet()? else { return Ok(None) };
            if let Some(signal) = self.accept(kind, body)? {
                return Ok(Some(signal));
            }
        }
        Ok(None)
    }

    /// Takes the next packet out of the stream, from inside the secure channel if there is one.
    fn next_packet(&mut self) -> Result<Option<(PacketType, Vec<u8>)>, LinkError> {
        let broken = |error| LinkError::Misbehaved(Misbehaviour::Frame(error));
        loop {
            let Mode::Secure(channel) = &mut self.mode else {
                let frame = self.inbound.next_frame(MAX_PACKET_LEN).map_err(broken)?;
                return Ok(frame.map(|frame| (frame.kind, frame.body.to_vec())));
            };
            if let Some(frame) = self.inner.next_frame(MAX_PACKET_LEN).map_err(broken)? {
                return Ok(Some((frame.kind, frame.body.to_vec())));
            }
            let Some(frame) = self.inbound.next_frame(MAX_PACKET_LEN).map_err(broken)? else {
                return Ok(None);
            };
            if frame.kind != PacketType::SECURE {
                return Err(Misbehaviour::OutsideSecure(frame.kind).into());
            }
            let mut plain = Vec::new();
            channel.open(frame.body, &mut plain).map_err(Misbehaviour::Noise)?;
            self.inner.extend(&plain);
        }
    }

    fn accept(&mut self, kind: PacketType, body: Vec<u8>) -> Result<Option<Signal>, LinkError> {
        if matches!(self.switch, Some(Switch::Exchange(_))) {
            return self.accept_exchange(kind, &body);
        }
        if let Mode::January(january) = &mut self.mode {
            return Ok(match january.open(kind, &body) {
                january::Packet::Known(kind, text) => Some(Signal::Packet { kind, text }),
                january::Packet::Unreadable(kind) => Some(Signal::Unreadable(kind)),
                january::Packet::Unknown => None,
            });
        }
        if kind == PacketType::SECURE {
            return Err(Misbehaviour::SecureWhilePlain.into());
        }
        if !self.is_known(kind) {
            return Ok(None);
        }
        let Some(body) = self.decrypt(kind, body) else { return Ok(Some(Signal::Unreadable(kind))) };
        if kind == PacketType::PING {
            self.answer_ping(&body)?;
            return Ok(ping::replied_token(&body).map(Signal::Pong));
        }
        let Ok(text) = String::from_utf8(body) else { return Ok(Some(Signal::Unreadable(kind))) };
        match kind {
            PacketType::HELLO => Ok(self.accept_hello(&text)),
            PacketType::ENCRYPTION_ON => self.accept_switch_on(&text).map(Some),
            PacketType::ENCRYPTION_OFF => self.accept_switch_off(text).map(Some),
            PacketType::CONNECT => {
                self.greeted = true;
                Ok(Some(Signal::Packet { kind, text }))
            }
            _ => Ok(Some(Signal::Packet { kind, text })),
        }
    }

    /// Decrypts a classic body. The answer to ENCRYPTION_ON while encryption is on is already under the new key.
    fn decrypt(&self, kind: PacketType, body: Vec<u8>) -> Option<Vec<u8>> {
        let Mode::Classic(classic) = &self.mode else { return Some(body) };
        match &self.switch {
            _ if body.is_empty() => Some(body),
            Some(Switch::Classic(keys)) if kind == PacketType::ENCRYPTION_ON => keys.decrypt(&body).ok(),
            _ => classic.decrypt(&body).ok(),
        }
    }

    /// Tells whether this server may send this type. Both sides ignore all others: that is how the protocol grows.
    fn is_known(&self, kind: PacketType) -> bool {
        match kind {
            PacketType::HELLO => true,
            // An original server says none of these, and must not be sent a PING.
            PacketType::PING | PacketType::NOTICE | PacketType::ROSTER => self.peer_hello.is_some(),
            _ => (PacketType::CONNECT..=PacketType::TIME).contains(&kind),
        }
    }

    /// Answers a PING request.
    fn answer_ping(&mut self, body: &[u8]) -> Result<(), LinkError> {
        let Some(reply) = ping::reply_to(body) else { return Ok(()) };
        if self.unsent_bytes() == 0 {
            self.pongs = 0;
        }
        if self.pongs == MAX_PONGS {
            return Ok(());
        }
        self.pongs += 1;
        self.send(PacketType::PING, &reply)
    }

    /// HELLO counts once, and before the CONNECT reply. Others' messages may come first: they go to every connection,
    /// also to one whose HELLO the server has not read yet.
    fn accept_hello(&mut self, text: &str) -> Option<Signal> {
        if self.greeted || self.peer_hello.is_some() {
            return None;
        }
        let hello = Hello::parse(text)?;
        self.peer_hello = Some(text.as_bytes().to_vec());
        Some(Signal::Hello(hello))
    }

    fn accept_switch_on(&mut self, body: &str) -> Result<Signal, LinkError> {
        let unasked = Misbehaviour::Unasked(PacketType::ENCRYPTION_ON);
        let (text, key) = text::split_encryption_on(body).ok_or(Misbehaviour::WrongKey)?;
        let text = text.to_owned();
        match self.switch.take() {
            Some(Switch::Noise(initiator)) => {
                if !noise::is_offer(key) {
                    return Err(Misbehaviour::WrongKey.into());
                }
                let (channel, fingerprint) = initiator.finish(key).map_err(Misbehaviour::Noise)?;
                self.switch = Some(Switch::Verdict);
                Ok(Signal::Offer { channel, fingerprint, text })
            }
            Some(Switch::Classic(keys)) => {
                let classic = keys.complete(key).map_err(Misbehaviour::BadClassicKey)?;
                self.finish_switch(Mode::Classic(Box::new(classic)))?;
                Ok(Signal::ClassicOn { text })
            }
            Some(Switch::Off | Switch::Verdict | Switch::Exchange(_)) | None => Err(unasked.into()),
        }
    }

    /// Takes the server's keys. What others say before that went out before the server knew what this client speaks.
    fn accept_exchange(&mut self, kind: PacketType, body: &[u8]) -> Result<Option<Signal>, LinkError> {
        if kind != EXCHANGE_KEYS {
            return Ok(None);
        }
        let Some(Switch::Exchange(keys)) = self.switch.take() else { return Ok(None) };
        let january = keys.complete(kind, body)?;
        self.finish_switch(Mode::January(Box::new(january)))?;
        Ok(Some(Signal::Exchanged))
    }

    fn accept_switch_off(&mut self, text: String) -> Result<Signal, LinkError> {
        if !matches!(self.switch, Some(Switch::Off)) {
            // Otherwise anybody who can send one packet could take the encryption away.
            return Err(Misbehaviour::Unasked(PacketType::ENCRYPTION_OFF).into());
        }
        if !self.inner.is_empty() {
            return Err(Misbehaviour::BehindTheEnd.into());
        }
        self.finish_switch(Mode::Plain)?;
        Ok(Signal::Off { text })
    }

    fn finish_switch(&mut self, mode: Mode) -> Result<(), LinkError> {
        self.mode = mode;
        self.switch = None;
        for (kind, body) in std::mem::take(&mut self.held) {
            self.encode(kind, &body)?;
        }
        Ok(())
    }

    /// Writes a packet as the present state wants it.
    fn encode(&mut self, kind: PacketType, body: &[u8]) -> Result<(), LinkError> {
        match &mut self.mode {
            Mode::Plain => write(&mut self.outbound, kind, body),
            Mode::Classic(classic) => write(&mut self.outbound, kind, &classic.encrypt(body)),
            Mode::Secure(channel) => {
                let mut packet = Vec::new();
                write(&mut packet, kind, body)?;
                channel.seal(&packet, &mut self.outbound).map_err(LinkError::Cipher)
            }
            Mode::January(january) => {
                let (kind, body) = january.seal(kind, body).ok_or(LinkError::NotInJanuary(kind))?;
                write(&mut self.outbound, kind, &body)
            }
        }
    }
}

/// Writes a packet, if a server takes one of its length: one that does not would close the connection.
fn write(out: &mut Vec<u8>, kind: PacketType, body: &[u8]) -> Result<(), LinkError> {
    let len = HEADER_LEN + body.len();
    if len > MAX_REQUEST_LEN {
        return Err(LinkError::TooLong(FrameError::TooLong { len, max: MAX_REQUEST_LEN }));
    }
    write_frame(out, kind, body).map_err(LinkError::TooLong)
}

#[cfg(test)]
mod tests;
