//! The clients: any number of them on one thread, each with its encryption. They connect one after the other, blocking; then
//! one poller tells which of them have received something.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use chat_core::frame::{FrameBuffer, MAX_PACKET_LEN, packet};
use chat_core::hello::Hello;
use chat_core::noise::{Channel, Initiator, prologue};
use chat_core::packet::PacketType;
use chat_core::rsa::hazmat::{Decryptor, Encryptor};
use chat_core::rsa::{KeyLimits, KeyPair, KeySpec, PublicKey};
use chat_core::text::split_encryption_on;
use mio::{Events, Interest, Poll, Token};

/// Pairs of a classic client's key, like the original's. Each client has one of its own.
const CLASSIC_PAIRS: usize = 16;

/// Bits of its moduli: the original's have 22 to 27, and ours are made with 32.
const CLASSIC_BITS: u64 = 32;

/// Classic clients that decrypt what they receive, from the first on. The others count it: the load would else be limited by
/// their arithmetic, not the server's.
const CLASSIC_READERS: usize = 16;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a poller rounds waiting times up to. The last step before a deadline is spent asking, so that a message that is due
/// then is not late.
const POLL_STEP: Duration = Duration::from_millis(1);

/// How a client encrypts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encryption {
    Plain,
    Noise,
    /// With a key of its own.
    Classic,
}

impl Encryption {
    /// Names it in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Noise => "noise",
            Self::Classic => "classic",
        }
    }
}

enum Cipher {
    Plain,
    Noise { channel: Box<Channel>, opened: FrameBuffer },
    Classic { encryptor: Rc<Encryptor>, decryptor: Option<Box<Decryptor>> },
}

/// One client.
pub(crate) struct Client {
    socket: mio::net::TcpStream,
    cipher: Cipher,
    wire: FrameBuffer,
    plain: Vec<u8>,
}

/// All clients of a case.
pub(crate) struct Fleet {
    pub(crate) clients: Vec<Client>,
    /// What all have read from their sockets, in bytes.
    pub(crate) received_bytes: u64,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
}

impl Fleet {
    /// Connects `count` clients and turns their encryption on.
    pub(crate) fn connect(server: SocketAddr, count: usize, encryption: Encryption) -> Self {
        let poll = Poll::new().unwrap();
        // The same for all: what they encrypt with is the server's key.
        let mut encryptor = None;
        let mut clients = Vec::with_capacity(count);
        for index in 0..count {
            let decrypts = index < CLASSIC_READERS;
            let mut client = Dialog::open(server).encrypt(encryption, &mut encryptor, decrypts);
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut client.socket, Token(index), both).unwrap();
            clients.push(client);
        }
        let (events, buffer) = (Events::with_capacity(1024), vec![0; 256 * 1024]);
        Self { clients, received_bytes: 0, poll, events, buffer }
    }

    /// As [`Fleet::receive_all`], messages only.
    pub(crate) fn receive(&mut self, deadline: Instant, mut on_message: impl FnMut(usize, Option<&[u8]>)) {
        self.receive_all(deadline, |client, kind, body| {
            if kind == PacketType::MESSAGE {
                on_message(client, body);
            }
        });
    }

    /// Waits for packets until `deadline` at most, and hands over each with the number of the client that received it; of one
    /// that is not decrypted, only that it came.
    pub(crate) fn receive_all(
        &mut self,
        deadline: Instant,
        mut on_packet: impl FnMut(usize, PacketType, Option<&[u8]>),
    ) {
        let Self { clients, received_bytes, poll, events, buffer } = self;
        let left = deadline.saturating_duration_since(Instant::now());
        poll.poll(events, Some(left.saturating_sub(POLL_STEP))).unwrap();
        for event in events.iter() {
            let Token(index) = event.token();
            let count = clients[index].receive(buffer, |kind, body| on_packet(index, kind, body));
            *received_bytes += count as u64;
        }
    }
}

impl Client {
    /// Sends a packet; there is always room for it, since senders wait for their own.
    pub(crate) fn send(&mut self, kind: PacketType, body: &[u8]) {
        let bytes = match &mut self.cipher {
            Cipher::Plain => packet(kind, body).unwrap(),
            Cipher::Noise { channel, .. } => {
                let mut sealed = Vec::new();
                channel.seal(&packet(kind, body).unwrap(), &mut sealed).unwrap();
                sealed
            }
            Cipher::Classic { encryptor, .. } => {
                let mut encrypted = Vec::new();
                encryptor.encrypt(body, &mut encrypted);
                packet(kind, &encrypted).unwrap()
            }
        };
        self.socket.write_all(&bytes).unwrap();
    }

    /// Reads what there is, and tells how many bytes that was.
    fn receive(&mut self, buffer: &mut [u8], mut on_packet: impl FnMut(PacketType, Option<&[u8]>)) -> usize {
        let mut total = 0;
        loop {
            let count = match self.socket.read(buffer) {
                Ok(0) => panic!("the server closed a connection"),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return total,
                Err(error) => panic!("a connection was lost: {error}"),
            };
            total += count;
            self.wire.extend(&buffer[..count]);
            self.take_packets(&mut on_packet);
            // Edge-triggered: a full buffer may not have been everything.
            if count < buffer.len() {
                return total;
            }
        }
    }

    fn take_packets(&mut self, on_packet: &mut impl FnMut(PacketType, Option<&[u8]>)) {
        while let Some(frame) = self.wire.next_frame(MAX_PACKET_LEN).unwrap() {
            self.plain.clear();
            match &mut self.cipher {
                Cipher::Plain => on_packet(frame.kind, Some(frame.body)),
                Cipher::Noise { channel, opened } => {
                    channel.open(frame.body, &mut self.plain).unwrap();
                    opened.extend(&self.plain);
                    while let Some(inner) = opened.next_frame(MAX_PACKET_LEN).unwrap() {
                        on_packet(inner.kind, Some(inner.body));
                    }
                }
                Cipher::Classic { decryptor: None, .. } => on_packet(frame.kind, None),
                Cipher::Classic { decryptor: Some(decryptor), .. } => {
                    decryptor.decrypt(frame.body, MAX_PACKET_LEN, &mut self.plain).unwrap();
                    on_packet(frame.kind, Some(&self.plain));
                }
            }
        }
    }
}

/// A connection that is still set up, packet by packet.
pub(crate) struct Dialog {
    stream: TcpStream,
    wire: FrameBuffer,
}

impl Dialog {
    /// Connects.
    pub(crate) fn open(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, wire: FrameBuffer::default() }
    }

    /// Sends a packet.
    pub(crate) fn send(&mut self, kind: PacketType, body: &[u8]) {
        self.stream.write_all(&packet(kind, body).unwrap()).unwrap();
    }

    /// Returns the body of the next packet of a type, and passes over others.
    pub(crate) fn expect(&mut self, kind: PacketType) -> Vec<u8> {
        let mut buffer = [0; 4096];
        loop {
            while let Some(frame) = self.wire.next_frame(MAX_PACKET_LEN).unwrap() {
                if frame.kind == kind {
                    return frame.body.to_vec();
                }
            }
            let count = self.stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the server closed a connection");
            self.wire.extend(&buffer[..count]);
        }
    }

    fn encrypt(
        mut self,
        encryption: Encryption,
        encryptor: &mut Option<Rc<Encryptor>>,
        decrypts: bool,
    ) -> Client {
        let cipher = match encryption {
            Encryption::Plain => {
                self.send(PacketType::CONNECT, b"");
                self.expect(PacketType::CONNECT);
                Cipher::Plain
            }
            Encryption::Noise => self.turn_noise_on(),
            Encryption::Classic => self.turn_classic_on(encryptor, decrypts),
        };
        self.stream.set_nonblocking(true).unwrap();
        let socket = mio::net::TcpStream::from_std(self.stream);
        Client { socket, cipher, wire: self.wire, plain: Vec::new() }
    }

    fn turn_noise_on(&mut self) -> Cipher {
        let hello = Hello::new("load").encode();
        self.send(PacketType::HELLO, hello.as_bytes());
        let theirs = self.expect(PacketType::HELLO);
        let (initiator, offer) = Initiator::start(&prologue(hello.as_bytes(), &theirs)).unwrap();
        self.send(PacketType::ENCRYPTION_ON, offer.as_bytes());
        let (channel, _) = initiator.finish(&self.expect_key()).unwrap();
        Cipher::Noise { channel: Box::new(channel), opened: FrameBuffer::default() }
    }

    fn turn_classic_on(&mut self, encryptor: &mut Option<Rc<Encryptor>>, decrypts: bool) -> Cipher {
        let key = KeyPair::generate(&KeySpec::bits(CLASSIC_PAIRS, CLASSIC_BITS).unwrap()).unwrap();
        self.send(PacketType::ENCRYPTION_ON, key.public().to_wire().as_bytes());
        let theirs = self.expect_key();
        let encryptor = encryptor.get_or_insert_with(|| {
            Rc::new(Encryptor::new(&PublicKey::parse_wire(&theirs, &KeyLimits::LOCAL).unwrap()))
        });
        let decryptor = decrypts.then(|| Box::new(Decryptor::new(&key)));
        Cipher::Classic { encryptor: Rc::clone(encryptor), decryptor }
    }

    fn expect_key(&mut self) -> String {
        let body = String::from_utf8(self.expect(PacketType::ENCRYPTION_ON)).unwrap();
        split_encryption_on(&body).unwrap().1.to_owned()
    }
}
