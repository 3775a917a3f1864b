//! What a peer does to its bytes: nothing, the classic cipher, or Noise.

use chat_core::frame::{FrameBuffer, MAX_PACKET_LEN, packet};
use chat_core::noise::Channel;
use chat_core::packet::PacketType;
use chat_core::rsa::hazmat::{Decryptor, Encryptor};
use chat_core::rsa::{KeyLimits, KeyPair, PrivateKey, PublicKey};

use crate::Packet;
use crate::vectors::Key;

/// How packets are encrypted at present.
#[derive(Debug, Default)]
pub enum Cipher {
    /// Not at all.
    #[default]
    Plain,
    /// Bodies go through the classic cipher.
    Classic {
        /// Has the other side's public key.
        encryptor: Box<Encryptor>,
        /// Has our private key.
        decryptor: Box<Decryptor>,
        /// Has our next private key, which counts from the answer to ENCRYPTION_ON on.
        next: Option<Box<Decryptor>>,
    },
    /// Whole packets travel inside SECURE packets.
    Noise {
        /// The established channel.
        channel: Box<Channel>,
        /// What has been opened and is not yet a packet.
        opened: FrameBuffer,
    },
}

impl Cipher {
    /// Makes the classic cipher from the other side's public key, as on the wire, and our key.
    #[must_use]
    pub fn classic(their_public_wire: &str, ours: &Key) -> Self {
        let public =
            PublicKey::parse_wire(their_public_wire, &KeyLimits::LOCAL).expect("a classic public key");
        Self::Classic { encryptor: Box::new(Encryptor::new(&public)), decryptor: decryptor(ours), next: None }
    }

    /// Makes the cipher of an established channel.
    #[must_use]
    pub fn noise(channel: Channel) -> Self {
        Self::Noise { channel: Box::new(channel), opened: FrameBuffer::default() }
    }

    /// Takes another key of ours into use from the answer to ENCRYPTION_ON on.
    pub(crate) fn change_key(&mut self, ours: &Key) {
        match self {
            Self::Classic { next, .. } => *next = Some(decryptor(ours)),
            _ => panic!("there is no classic key to change"),
        }
    }

    /// Makes the bytes on the wire of one packet.
    #[must_use]
    pub fn seal(&mut self, kind: PacketType, body: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain => packet(kind, body).expect("a packet of allowed length"),
            Self::Classic { encryptor, .. } => {
                let mut encrypted = Vec::new();
                encryptor.encrypt(body, &mut encrypted);
                packet(kind, &encrypted).expect("a packet of allowed length")
            }
            Self::Noise { channel, .. } => {
                let plain = packet(kind, body).expect("a packet of allowed length");
                let mut sealed = Vec::new();
                channel.seal(&plain, &mut sealed).expect("the channel seals");
                sealed
            }
        }
    }

    /// Takes the next packet from what has arrived, if it is whole; panics if it is not encrypted as it must be.
    pub(crate) fn open(&mut self, wire: &mut FrameBuffer) -> Option<Packet> {
        match self {
            Self::Plain => next(wire),
            Self::Classic { decryptor, next: next_key, .. } => {
                let Packet { kind, body } = next(wire)?;
                if kind == PacketType::ENCRYPTION_ON
                    && let Some(key) = next_key.take()
                {
                    *decryptor = key;
                }
                let mut plain = Vec::new();
                let opened = decryptor.decrypt(&body, MAX_PACKET_LEN, &mut plain);
                assert_eq!(opened, Ok(()), "{kind:?} with a body of {} bytes: {body:02x?}", body.len());
                Some(Packet { kind, body: plain })
            }
            Self::Noise { channel, opened } => loop {
                if let Some(packet) = next(opened) {
                    return Some(packet);
                }
                let Packet { kind, body } = next(wire)?;
                assert_eq!(kind, PacketType::SECURE, "a packet outside the secure channel: {body:?}");
                let mut plain = Vec::new();
                channel.open(&body, &mut plain).expect("what the server sealed opens");
                opened.extend(&plain);
            },
        }
    }
}

fn decryptor(key: &Key) -> Box<Decryptor> {
    let public = PublicKey::from_file_text(&key.public_file, &KeyLimits::LOCAL).expect("a public key file");
    let private =
        PrivateKey::from_file_text(&key.private_file, &KeyLimits::LOCAL).expect("a private key file");
    Box::new(Decryptor::new(
        &KeyPair::from_halves(public, private).expect("the halves of a key belong together"),
    ))
}

fn next(buffer: &mut FrameBuffer) -> Option<Packet> {
    let frame =
        buffer.next_frame(MAX_PACKET_LEN).expect("the server sends only whole packets of allowed length")?;
    Some(Packet::new(frame.kind, frame.body))
}
