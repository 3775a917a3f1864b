//! A connection of the test's own: packets over a socket, in every dialect that the server speaks.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chat_core::frame::{FrameBuffer, MAX_PACKET_LEN, packet};
use chat_core::hello::Hello;
use chat_core::january;
use chat_core::noise::{Channel, Initiator, prologue};
use chat_core::packet::PacketType;
use chat_core::rsa::hazmat::{CharacterDecryptor, CharacterEncryptor, Decryptor, Encryptor};
use chat_core::rsa::{KeyLimits, KeyPair, KeySpec, PublicKey};
use chat_core::text;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// How long anything may take that a well-behaved client waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Says something of what is going on.
pub(crate) fn note(text: &str) {
    use std::io::Write as _;
    // Nobody may be reading.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Where a client connects from: an address of this machine's own, so that clients count as many hosts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Host {
    address: Ipv4Addr,
    /// How many bytes it takes that nobody has read, if not as many as others.
    window: Option<u32>,
}

impl Host {
    /// One for each of the well-behaved clients, who share them with nobody.
    pub(crate) fn of_good(number: usize) -> Self {
        Self::new(2, number)
    }

    /// One for each of many others.
    pub(crate) fn of_crowd(number: usize) -> Self {
        Self::new(1, number)
    }

    fn new(network: u8, number: usize) -> Self {
        let [.., high, low] = u32::try_from(number % 60_000 + 256).unwrap_or_default().to_be_bytes();
        Self { address: Ipv4Addr::new(127, network, high, low), window: None }
    }

    /// The kernel takes hardly anything for a client here: what it does not read waits in the server.
    pub(crate) fn without_buffer(self) -> Self {
        Self { window: Some(4096), ..self }
    }

    async fn connect(self, server: SocketAddr) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = self.window {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.bind(SocketAddr::from((self.address, 0)))?;
        let stream = socket.connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// A connection, with numbers and bodies as those of October 2025 whatever the dialect.
pub(crate) struct Link {
    stream: TcpStream,
    wire: FrameBuffer,
    cipher: Cipher,
}

enum Cipher {
    Plain,
    Classic(Box<(Encryptor, Decryptor)>),
    January(Box<(CharacterEncryptor, CharacterDecryptor)>),
    Noise(Box<(Channel, FrameBuffer)>),
}

/// How a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Not at all.
    Plain,
    /// In the original's way.
    Classic,
    /// In that of its January 2026 revision.
    January,
    /// In ours.
    Noise,
}

impl Link {
    /// Connects, and turns encryption on.
    pub(crate) async fn open(server: SocketAddr, host: Host, dialect: Dialect) -> io::Result<Self> {
        let stream = host.connect(server).await?;
        let mut link = Self { stream, wire: FrameBuffer::default(), cipher: Cipher::Plain };
        match dialect {
            Dialect::Plain => {}
            Dialect::Classic => link.turn_classic_on().await?,
            Dialect::January => link.exchange_keys().await?,
            Dialect::Noise => link.turn_noise_on().await?,
        }
        Ok(link)
    }

    async fn turn_classic_on(&mut self) -> io::Result<()> {
        let own = own_key()?;
        self.send(PacketType::ENCRYPTION_ON, &own.public().to_wire()).await?;
        let reply = self.skip_to(PacketType::ENCRYPTION_ON).await?;
        let (_, theirs) = text::split_encryption_on(&reply).ok_or_else(|| invalid("no key"))?;
        self.cipher = Cipher::Classic(Box::new((Encryptor::new(&public(theirs)?), Decryptor::new(&own))));
        Ok(())
    }

    async fn exchange_keys(&mut self) -> io::Result<()> {
        let own = own_key()?;
        self.send(january::EXCHANGE_KEYS, &own.public().to_wire()).await?;
        let theirs = self.skip_to(january::EXCHANGE_KEYS).await?;
        let ciphers = CharacterEncryptor::new(&public(&theirs)?).zip(CharacterDecryptor::new(own.private()));
        self.cipher = Cipher::January(Box::new(ciphers.ok_or_else(|| invalid("a key that does not suit"))?));
        Ok(())
    }

    async fn turn_noise_on(&mut self) -> io::Result<()> {
        let ours = Hello::new("soak").encode();
        self.send(PacketType::HELLO, &ours).await?;
        let theirs = self.skip_to(PacketType::HELLO).await?;
        let prologue = prologue(ours.as_bytes(), theirs.as_bytes());
        let (initiator, offer) = Initiator::start(&prologue).map_err(io::Error::other)?;
        self.send(PacketType::ENCRYPTION_ON, &offer).await?;
        let reply = self.skip_to(PacketType::ENCRYPTION_ON).await?;
        let (_, key) = text::split_encryption_on(&reply).ok_or_else(|| invalid("no key"))?;
        let (channel, _) = initiator.finish(key).map_err(io::Error::other)?;
        self.cipher = Cipher::Noise(Box::new((channel, FrameBuffer::default())));
        Ok(())
    }

    /// Sends a packet.
    pub(crate) async fn send(&mut self, kind: PacketType, body: &str) -> io::Result<()> {
        let mut sealed = Vec::new();
        let bytes = match &mut self.cipher {
            Cipher::Plain => packet(kind, body.as_bytes()),
            Cipher::Classic(ciphers) => {
                ciphers.0.encrypt(body.as_bytes(), &mut sealed);
                packet(kind, &sealed)
            }
            Cipher::January(ciphers) => {
                ciphers.0.encrypt(body, &mut sealed);
                packet(january::to_server(kind).ok_or_else(|| invalid("no such request"))?, &sealed)
            }
            Cipher::Noise(channel) => {
                let plain = packet(kind, body.as_bytes()).map_err(io::Error::other)?;
                channel.0.seal(&plain, &mut sealed).map_err(io::Error::other)?;
                Ok(sealed)
            }
        };
        self.stream.write_all(&bytes.map_err(io::Error::other)?).await
    }

    /// Sends bytes as they are.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Waits for the next packet. Given up half-way, it has lost nothing.
    pub(crate) async fn receive(&mut self) -> io::Result<(PacketType, Vec<u8>)> {
        loop {
            if let Some(packet) = self.take()? {
                return Ok(packet);
            }
            let mut bytes = [0; 16 * 1024];
            match self.stream.read(&mut bytes).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.wire.extend(bytes.get(..count).unwrap_or_default()),
            }
        }
    }

    /// Waits for a packet of a kind, passing over others, and returns its text.
    pub(crate) async fn skip_to(&mut self, kind: PacketType) -> io::Result<String> {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let (came, body) = self.receive().await?;
                if came == kind {
                    return String::from_utf8(body).map_err(|_| invalid("no text"));
                }
            }
        });
        waited.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Reads and forgets whatever comes, for a time or until the end.
    pub(crate) async fn listen(&mut self, time: Duration) -> io::Result<()> {
        let mut bytes = vec![0; 64 * 1024];
        let listening = async {
            while self.stream.read(&mut bytes).await? > 0 {}
            Ok(())
        };
        tokio::time::timeout(time, listening).await.unwrap_or(Ok(()))
    }

    /// Makes the end of the connection a reset, in place of a farewell.
    pub(crate) fn end_by_reset(&self) -> io::Result<()> {
        self.stream.set_zero_linger()
    }

    fn take(&mut self) -> io::Result<Option<(PacketType, Vec<u8>)>> {
        let Self { wire, cipher, .. } = self;
        loop {
            if let Cipher::Noise(channel) = cipher
                && let Some(packet) = next(&mut channel.1)?
            {
                return Ok(Some(packet));
            }
            let Some((kind, body)) = next(wire)? else { return Ok(None) };
            let mut plain = Vec::new();
            match cipher {
                Cipher::Plain => return Ok(Some((kind, body))),
                Cipher::Classic(ciphers) => {
                    ciphers.1.decrypt(&body, MAX_PACKET_LEN, &mut plain).map_err(io::Error::other)?;
                    return Ok(Some((kind, plain)));
                }
                Cipher::January(ciphers) => {
                    let text = ciphers.1.decrypt(&body, MAX_PACKET_LEN).map_err(io::Error::other)?;
                    let kind = january::to_ours(kind).ok_or_else(|| invalid("no such packet"))?;
                    return Ok(Some((kind, text.into_bytes())));
                }
                Cipher::Noise(channel) => {
                    channel.0.open(&body, &mut plain).map_err(io::Error::other)?;
                    channel.1.extend(&plain);
                }
            }
        }
    }
}

/// A key of the size that both dialects take.
fn own_key() -> io::Result<KeyPair> {
    KeySpec::bits(2, 32).and_then(|spec| KeyPair::generate(&spec)).map_err(io::Error::other)
}

fn public(wire: &str) -> io::Result<PublicKey> {
    PublicKey::parse_wire(wire, &KeyLimits::PEER).map_err(io::Error::other)
}

fn next(buffer: &mut FrameBuffer) -> io::Result<Option<(PacketType, Vec<u8>)>> {
    let frame = buffer.next_frame(MAX_PACKET_LEN).map_err(io::Error::other)?;
    Ok(frame.map(|frame| (frame.kind, frame.body.to_vec())))
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
