//! A raw protocol peer: sends and receives packets, or bytes that are no packets, with a deadline on every wait.

use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use chat_core::frame::FrameBuffer;
use chat_core::hello::Hello;
use chat_core::noise::{self, Fingerprint, Initiator};
use chat_core::packet::PacketType;
use chat_core::text;

use crate::Cipher;
use crate::vectors::Key;

/// How long a peer waits for anything before the test fails. Generous: machines that run tests are busy.
const DEADLINE: Duration = Duration::from_secs(20);

/// One packet in clear.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    /// Its type.
    pub kind: PacketType,
    /// Its body, decrypted.
    pub body: Vec<u8>,
}

impl Packet {
    /// Makes a packet.
    #[must_use]
    pub fn new(kind: PacketType, body: impl AsRef<[u8]>) -> Self {
        Self { kind, body: body.as_ref().to_vec() }
    }

    /// Returns the body as text.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body of a server's packet is UTF-8")
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.kind, String::from_utf8_lossy(&self.body))
    }
}

/// A connection to a server.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    wire: FrameBuffer,
    cipher: Cipher,
}

impl Peer {
    /// Connects.
    #[must_use]
    pub fn connect(server: SocketAddr) -> Self {
        Self::over(TcpStream::connect(server).expect("the server accepts"))
    }

    /// Connects and waits for the answer to CONNECT, so that peers are numbered in the order of these calls.
    #[must_use]
    pub fn greet(server: SocketAddr) -> Self {
        let mut peer = Self::connect(server);
        peer.fence();
        peer
    }

    /// Takes a connection over.
    #[must_use]
    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("TCP_NODELAY");
        Self { stream, wire: FrameBuffer::default(), cipher: Cipher::Plain }
    }

    /// Returns this end's port.
    #[must_use]
    pub fn local_port(&self) -> u16 {
        self.stream.local_addr().expect("a connected socket has an address").port()
    }

    /// Returns the connection, for whatever a test does beneath packets.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Encrypts and decrypts with `cipher` from the next packet on.
    pub fn set_cipher(&mut self, cipher: Cipher) {
        self.cipher = cipher;
    }

    /// Sends one packet, encrypted as things stand.
    pub fn send(&mut self, kind: PacketType, body: impl AsRef<[u8]>) {
        let sealed = self.cipher.seal(kind, body.as_ref());
        self.send_bytes(&sealed);
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes what is sent");
    }

    /// Receives the next packet.
    pub fn receive(&mut self) -> Packet {
        match self.receive_until(Instant::now() + DEADLINE) {
            Received::Packet(packet) => packet,
            Received::End => panic!("the server closed the connection instead of sending a packet"),
            Received::Nothing => panic!("no packet came within {DEADLINE:?}"),
        }
    }

    /// Receives the next packet and compares it.
    pub fn expect(&mut self, kind: PacketType, body: impl AsRef<[u8]>) {
        assert_eq!(self.receive(), Packet::new(kind, body));
    }

    /// Receives packets up to one of type `kind`, and returns that one.
    pub fn skip_to(&mut self, kind: PacketType) -> Packet {
        loop {
            let packet = self.receive();
            if packet.kind == kind {
                return packet;
            }
        }
    }

    /// Asserts that nothing waits for this peer: it asks for something harmless and the answer is what comes next.
    ///
    /// Answers keep the order of the requests, so this needs no pause. What another peer did is certainly delivered
    /// before, if that peer has had an answer since.
    pub fn fence(&mut self) {
        self.send(PacketType::CONNECT, "");
        let reply = self.receive();
        assert!(
            reply.kind == PacketType::CONNECT && reply.body.starts_with(b"Server: Client-"),
            "nothing was expected, but {reply:?} came"
        );
    }

    /// Passes over everything that waits for this peer.
    pub fn settle(&mut self) {
        self.send(PacketType::CONNECT, "");
        let _ = self.skip_to(PacketType::CONNECT);
    }

    /// Waits until the server has closed the connection, reading over what it sends before that.
    pub fn expect_closed(&mut self) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.receive_until(deadline) {
                Received::Packet(_) => {}
                Received::End => return,
                Received::Nothing => panic!("the server did not close the connection within {DEADLINE:?}"),
            }
        }
    }

    /// Waits until the server has closed the connection, and asserts that nothing comes before that.
    pub fn expect_end(mut self) {
        match self.receive_until(Instant::now() + DEADLINE) {
            Received::End => {}
            Received::Packet(packet) => panic!("the end was expected, but {packet:?} came"),
            Received::Nothing => panic!("the server did not close the connection within {DEADLINE:?}"),
        }
    }

    /// Vanishes without a DISCONNECT.
    pub fn vanish(self) {
        // The peer may have closed first.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Connects, says HELLO and reads the server's; returns both bodies for the prologue too.
    #[must_use]
    pub fn hello(server: SocketAddr) -> (Self, Vec<u8>, Vec<u8>) {
        let mut peer = Self::connect(server);
        let ours = Hello::new("chat-tests/0").encode().into_bytes();
        peer.send(PacketType::HELLO, &ours);
        let theirs = peer.receive();
        assert_eq!(theirs.kind, PacketType::HELLO);
        (peer, ours, theirs.body)
    }

    /// Turns classic encryption on with `key` as ours; passes over broadcasts that come before the answer.
    pub fn encrypt_classic(&mut self, key: &Key) {
        self.send(PacketType::ENCRYPTION_ON, &key.public_wire);
        let reply = self.skip_to(PacketType::ENCRYPTION_ON);
        let (_, server_key) = text::split_encryption_on(reply.text()).expect("the answer carries a key");
        self.cipher = Cipher::classic(server_key, key);
    }

    /// Changes the classic key to `key`; passes over broadcasts that come before the answer, under the old one.
    pub fn rekey_classic(&mut self, key: &Key) {
        self.send(PacketType::ENCRYPTION_ON, &key.public_wire);
        self.cipher.change_key(key);
        let _ = self.skip_to(PacketType::ENCRYPTION_ON);
    }

    /// Turns Noise on; passes over broadcasts that come before the answer. Takes both HELLO bodies.
    pub fn encrypt_noise(&mut self, our_hello: &[u8], server_hello: &[u8]) -> Fingerprint {
        let prologue = noise::prologue(our_hello, server_hello);
        let (initiator, offer) = Initiator::start(&prologue).expect("there is randomness");
        self.send(PacketType::ENCRYPTION_ON, offer);
        let reply = self.skip_to(PacketType::ENCRYPTION_ON);
        let (_, server_key) = text::split_encryption_on(reply.text()).expect("the answer carries a key");
        let (channel, fingerprint) = initiator.finish(server_key).expect("the handshake succeeds");
        self.cipher = Cipher::noise(channel);
        fingerprint
    }

    /// Turns encryption off; passes over broadcasts that come before the answer, which is still encrypted.
    pub fn encrypt_off(&mut self) {
        self.send(PacketType::ENCRYPTION_OFF, "");
        let _ = self.skip_to(PacketType::ENCRYPTION_OFF);
        self.cipher = Cipher::Plain;
    }

    fn receive_until(&mut self, deadline: Instant) -> Received {
        loop {
            if let Some(packet) = self.cipher.open(&mut self.wire) {
                return Received::Packet(packet);
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                return Received::Nothing;
            };
            self.stream.set_read_timeout(Some(left)).expect("a time-out above zero");
            let mut bytes = [0; 16 * 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Received::End,
                Ok(count) => self.wire.extend(bytes.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Received::End,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("reading from the server: {error}"),
            }
        }
    }
}

enum Received {
    Packet(Packet),
    End,
    Nothing,
}
