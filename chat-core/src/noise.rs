//! Modern encryption: `Noise_NX_25519_ChaChaPoly_BLAKE2s` over `snow`, the server's identity and its fingerprint.
//!
//! The handshake rides in ENCRYPTION_ON and its reply; afterwards the packet stream travels inside SECURE packets. What a
//! client believes about a fingerprint (pins) is `known_servers` and the client's business. Which code encrypts is chosen in
//! `noise/cipher.rs`.
//!
//! # Source
//!
//! The Noise Protocol Framework, revision 34, section 7.5 (pattern NX).

mod cipher;

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use sha2::{Digest as _, Sha256};
use snow::resolvers::{CryptoResolver as _, DefaultResolver};
use snow::{Builder, HandshakeState, TransportState};
use zeroize::Zeroizing;

use crate::frame::HEADER_LEN;
use crate::packet::PacketType;

const PATTERN: &str = "Noise_NX_25519_ChaChaPoly_BLAKE2s";

/// What marks a handshake message in ENCRYPTION_ON, where the original has a list of RSA keys.
pub const OFFER_PREFIX: &str = "noise:";

/// Bytes of an X25519 key.
pub const KEY_BYTES: usize = 32;

/// Most bytes of a SECURE body (a Noise message).
pub const MAX_SECURE_BYTES: usize = 65_535;

/// Bytes that a SECURE packet adds to what it carries: its header and the authentication tag.
pub const SECURE_OVERHEAD: usize = HEADER_LEN + TAG_BYTES;

const TAG_BYTES: usize = 16;
/// Message 1 is the initiator's ephemeral key; message 2 an ephemeral key, an encrypted static key and an empty
/// encrypted payload, each with its tag.
const MESSAGE_1_BYTES: usize = KEY_BYTES;
const MESSAGE_2_BYTES: usize = KEY_BYTES + KEY_BYTES + TAG_BYTES + TAG_BYTES;

/// A handshake or a SECURE packet that cannot be trusted. After it the connection is closed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoiseError {
    /// The text does not begin with `noise:` or is not unpadded base64.
    #[error("the handshake message is not '{OFFER_PREFIX}' and unpadded base64")]
    BadOffer,
    /// The handshake message has the wrong size or does not verify; the peer's HELLO may have been altered.
    #[error("the encryption handshake failed")]
    Handshake(#[source] snow::Error),
    /// The server proved no identity.
    #[error("the server sent no identity")]
    NoIdentity,
    /// A SECURE packet was altered, replayed or out of order.
    #[error("a secure packet does not verify")]
    BadRecord,
    /// A SECURE packet has an impossible size, in bytes.
    #[error("a secure packet of {0} bytes is impossible")]
    BadRecordSize(usize),
    /// The text of an identity file is not one.
    #[error("not a chat identity: expected the line '{IDENTITY_PREFIX}' and 43 characters of base64")]
    BadIdentity,
    /// The cipher or the random number generator failed.
    #[error("the cipher could not be set up")]
    Setup(#[source] snow::Error),
}

const IDENTITY_PREFIX: &str = "chat-identity-x25519 ";

/// A server's static X25519 key pair; `Debug` shows only the fingerprint.
pub struct Identity {
    private: Zeroizing<[u8; KEY_BYTES]>,
    public: [u8; KEY_BYTES],
}

impl Identity {
    /// Makes a new identity from the operating system's randomness.
    ///
    /// # Errors
    ///
    /// [`NoiseError::Setup`] if the system has no randomness.
    pub fn generate() -> Result<Self, NoiseError> {
        let keypair = builder()?.generate_keypair().map_err(NoiseError::Setup)?;
        let private = Zeroizing::new(keypair.private);
        Self::from_private(private.as_slice().try_into().map_err(|_| NoiseError::BadIdentity)?)
    }

    /// Takes a private key over.
    ///
    /// # Errors
    ///
    /// [`NoiseError::Setup`] if X25519 is missing from the build.
    pub fn from_private(private: [u8; KEY_BYTES]) -> Result<Self, NoiseError> {
        let private = Zeroizing::new(private);
        let missing = || NoiseError::Setup(snow::Error::Init(snow::error::InitStage::GetDhImpl));
        let mut dh = DefaultResolver.resolve_dh(&snow::params::DHChoice::Curve25519).ok_or_else(missing)?;
        dh.set(private.as_slice());
        let public = dh.pubkey().try_into().map_err(|_| missing())?;
        Ok(Self { private, public })
    }

    /// Reads the text of an identity file.
    ///
    /// # Errors
    ///
    /// [`NoiseError::BadIdentity`], which does not repeat the text.
    pub fn from_file_text(text: &str) -> Result<Self, NoiseError> {
        let encoded = text.trim_end().strip_prefix(IDENTITY_PREFIX).ok_or(NoiseError::BadIdentity)?;
        let private = Zeroizing::new(BASE64.decode(encoded).map_err(|_| NoiseError::BadIdentity)?);
        Self::from_private(private.as_slice().try_into().map_err(|_| NoiseError::BadIdentity)?)
    }

    /// Writes the text of an identity file; it is secret.
    #[must_use]
    pub fn to_file_text(&self) -> Zeroizing<String> {
        let encoded = Zeroizing::new(BASE64.encode(self.private.as_slice()));
        Zeroizing::new(format!("{IDENTITY_PREFIX}{}\n", encoded.as_str()))
    }

    /// Returns the public key.
    #[must_use]
    pub fn public(&self) -> &[u8; KEY_BYTES] {
        &self.public
    }

    /// Returns the public key's fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.public)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.fingerprint().to_string()).finish()
    }
}

/// The SHA-256 of a public key, shown as `SHA256:` and unpadded base64, like SSH's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Computes the fingerprint of a public key.
    #[must_use]
    pub fn of(public: &[u8; KEY_BYTES]) -> Self {
        Self(Sha256::digest(public).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", BASE64.encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 'SHA256:' and 43 characters of base64")]
pub struct FingerprintError;

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let encoded = text.strip_prefix("SHA256:").ok_or(FingerprintError)?;
        let digest = BASE64.decode(encoded).map_err(|_| FingerprintError)?;
        digest.try_into().map(Self).map_err(|_| FingerprintError)
    }
}

/// Makes the prologue that binds a handshake to both HELLO bodies exactly as they were sent, the client's first.
#[must_use]
pub fn prologue(client_hello: &[u8], server_hello: &[u8]) -> Vec<u8> {
    [b"chat/2", client_hello, server_hello].concat()
}

fn builder<'a>() -> Result<Builder<'a>, NoiseError> {
    let pattern = PATTERN.parse().map_err(NoiseError::Setup)?;
    Ok(Builder::with_resolver(pattern, Box::new(cipher::Resolver)))
}

fn encode_offer(message: &[u8]) -> String {
    format!("{OFFER_PREFIX}{}", BASE64.encode(message))
}

fn decode_offer(text: &str, expected_bytes: usize) -> Result<Vec<u8>, NoiseError> {
    let encoded = text.strip_prefix(OFFER_PREFIX).ok_or(NoiseError::BadOffer)?;
    let message = BASE64.decode(encoded).map_err(|_| NoiseError::BadOffer)?;
    // NX carries no payload here; a longer message would smuggle one past the specification.
    if message.len() == expected_bytes { Ok(message) } else { Err(NoiseError::BadOffer) }
}

/// The client's side of a handshake under way.
pub struct Initiator(Box<HandshakeState>);

impl Initiator {
    /// Begins a handshake; returns it and the body of the ENCRYPTION_ON request.
    ///
    /// # Errors
    ///
    /// [`NoiseError::Setup`] if there is no randomness.
    pub fn start(prologue: &[u8]) -> Result<(Self, String), NoiseError> {
        let mut state =
            builder()?.prologue(prologue).and_then(Builder::build_initiator).map_err(NoiseError::Setup)?;
        // snow wants room for a tag even where the pattern has none.
        let mut message = [0; MESSAGE_1_BYTES + TAG_BYTES];
        let len = state.write_message(&[], &mut message).map_err(NoiseError::Setup)?;
        let body = encode_offer(message.get(..len).unwrap_or_default());
        Ok((Self(Box::new(state)), body))
    }

    /// Ends the handshake with the key part of the server's reply.
    ///
    /// Says who answered; whether that is whom the person wants is for the caller to decide before it sends anything.
    ///
    /// # Errors
    ///
    /// [`NoiseError`] if the reply is malformed or does not verify.
    pub fn finish(mut self, server_key: &str) -> Result<(Channel, Fingerprint), NoiseError> {
        let message = decode_offer(server_key, MESSAGE_2_BYTES)?;
        self.0.read_message(&message, &mut [0; MESSAGE_2_BYTES]).map_err(NoiseError::Handshake)?;
        let public =
            self.0.get_remote_static().and_then(|key| key.try_into().ok()).ok_or(NoiseError::NoIdentity)?;
        let fingerprint = Fingerprint::of(&public);
        Ok((Channel::new(*self.0)?, fingerprint))
    }
}

impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Initiator")
    }
}

/// Answers a client's offer; returns the channel and the key part of the reply.
///
/// # Errors
///
/// [`NoiseError`] if the offer is malformed.
pub fn respond(identity: &Identity, prologue: &[u8], offer: &str) -> Result<(Channel, String), NoiseError> {
    let offer = decode_offer(offer, MESSAGE_1_BYTES)?;
    let mut state = builder()?
        .prologue(prologue)
        .and_then(|builder| builder.local_private_key(identity.private.as_slice()))
        .and_then(Builder::build_responder)
        .map_err(NoiseError::Setup)?;
    state.read_message(&offer, &mut [0; MESSAGE_1_BYTES]).map_err(NoiseError::Handshake)?;
    let mut message = [0; MESSAGE_2_BYTES];
    let len = state.write_message(&[], &mut message).map_err(NoiseError::Handshake)?;
    let key = encode_offer(message.get(..len).unwrap_or_default());
    Ok((Channel::new(state)?, key))
}

/// An established channel: what is sealed on one side opens on the other, in order, once.
pub struct Channel(Box<TransportState>);

impl Channel {
    fn new(state: HandshakeState) -> Result<Self, NoiseError> {
        Ok(Self(Box::new(state.into_transport_mode().map_err(NoiseError::Handshake)?)))
    }

    /// Appends `packets` (whole packets or parts of the stream) to `out` as SECURE packets, as few as will do.
    ///
    /// # Errors
    ///
    /// [`NoiseError::Setup`] when the channel has sent 2^64 packets; the bytes appended so far are then useless.
    pub fn seal(&mut self, packets: &[u8], out: &mut Vec<u8>) -> Result<(), NoiseError> {
        for part in packets.chunks(MAX_SECURE_BYTES - TAG_BYTES) {
            let sealed_bytes = part.len() + TAG_BYTES;
            let length = u32::try_from(HEADER_LEN + sealed_bytes)
                .map_err(|_| NoiseError::BadRecordSize(sealed_bytes))?;
            out.extend_from_slice(&length.to_be_bytes());
            out.push(PacketType::SECURE.code());
            let start = out.len();
            out.resize(start + sealed_bytes, 0);
            let body = out.get_mut(start..).unwrap_or_default();
            self.0.write_message(part, body).map_err(NoiseError::Setup)?;
        }
        Ok(())
    }

    /// Opens the body of one SECURE packet and appends what it carried to `out`.
    ///
    /// # Errors
    ///
    /// [`NoiseError::BadRecord`] or [`NoiseError::BadRecordSize`]; `out` is then unchanged and the channel unusable.
    pub fn open(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<(), NoiseError> {
        let plain_bytes = body.len().checked_sub(TAG_BYTES).filter(|_| body.len() <= MAX_SECURE_BYTES);
        let plain_bytes = plain_bytes.ok_or(NoiseError::BadRecordSize(body.len()))?;
        let start = out.len();
        out.resize(start + plain_bytes, 0);
        let plain = out.get_mut(start..).unwrap_or_default();
        if self.0.read_message(body, plain).is_err() {
            out.truncate(start);
            return Err(NoiseError::BadRecord);
        }
        Ok(())
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channel")
    }
}

/// Tells whether an ENCRYPTION_ON body asks for Noise rather than carrying classic keys.
#[must_use]
pub fn is_offer(body: &str) -> bool {
    body.starts_with(OFFER_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{MAX_PACKET_LEN, split_frame};

    fn pair() -> (Channel, Channel) {
        let identity = Identity::generate().unwrap();
        let prologue = prologue(b"client", b"server");
        let (initiator, offer) = Initiator::start(&prologue).unwrap();
        let (server, key) = respond(&identity, &prologue, &offer).unwrap();
        let (client, fingerprint) = initiator.finish(&key).unwrap();
        assert_eq!(fingerprint, identity.fingerprint());
        (client, server)
    }

    fn open_all(channel: &mut Channel, mut wire: &[u8]) -> Result<Vec<u8>, NoiseError> {
        let mut plain = Vec::new();
        while let Some(frame) = split_frame(wire, MAX_PACKET_LEN).unwrap() {
            assert_eq!(frame.kind, PacketType::SECURE);
            channel.open(frame.body, &mut plain)?;
            wire = &wire[frame.wire_len()..];
        }
        assert!(wire.is_empty());
        Ok(plain)
    }

    #[test]
    fn what_is_sealed_opens_once_and_in_order() {
        let (mut client, mut server) = pair();
        let long = vec![7; 3 * MAX_SECURE_BYTES];
        for plain in [&b"hello"[..], &[], &long] {
            let mut wire = Vec::new();
            client.seal(plain, &mut wire).unwrap();
            assert_eq!(open_all(&mut server, &wire).unwrap(), plain);
            if !plain.is_empty() {
                assert!(matches!(open_all(&mut server, &wire), Err(NoiseError::BadRecord)), "replayed");
            }
            let mut back = Vec::new();
            server.seal(plain, &mut back).unwrap();
            assert_eq!(open_all(&mut client, &back).unwrap(), plain);
        }
    }

    #[test]
    fn altered_records_are_refused_and_leave_no_bytes() {
        let (mut client, mut server) = pair();
        let mut wire = Vec::new();
        client.seal(b"hello", &mut wire).unwrap();
        *wire.last_mut().unwrap() ^= 1;
        let mut plain = vec![1];
        assert!(matches!(server.open(&wire[HEADER_LEN..], &mut plain), Err(NoiseError::BadRecord)));
        assert!(matches!(server.open(&[0; 15], &mut plain), Err(NoiseError::BadRecordSize(15))));
        assert!(matches!(server.open(&vec![0; 65_536], &mut plain), Err(NoiseError::BadRecordSize(65_536))));
        assert_eq!(plain, [1]);
    }

    #[test]
    fn a_changed_hello_fails_the_handshake() {
        let identity = Identity::generate().unwrap();
        let (initiator, offer) = Initiator::start(&prologue(b"client", b"server")).unwrap();
        let (_, key) = respond(&identity, &prologue(b"client", b"forged"), &offer).unwrap();
        assert!(matches!(initiator.finish(&key), Err(NoiseError::Handshake(_))));
    }

    #[test]
    fn malformed_offers_are_refused() {
        let identity = Identity::generate().unwrap();
        for offer in ["", "noise:", "noise:!!", "3233,17", "noise:AAAA", &encode_offer(&[9; 33])] {
            assert!(matches!(respond(&identity, b"", offer), Err(NoiseError::BadOffer)), "{offer}");
            let (initiator, _) = Initiator::start(b"").unwrap();
            assert!(matches!(initiator.finish(offer), Err(NoiseError::BadOffer)), "{offer}");
        }
    }

    #[test]
    fn an_identity_survives_its_file_and_prints_no_secret() {
        let identity = Identity::generate().unwrap();
        let text = identity.to_file_text();
        let read = Identity::from_file_text(&text).unwrap();
        assert_eq!(read.public(), identity.public());
        let secret = text.trim_end().rsplit(' ').next().unwrap();
        assert!(!format!("{identity:?}").contains(secret));
        for damaged in ["", "chat-identity-x25519 ", "chat-identity-x25519 AAAA", &text[1..]] {
            assert!(matches!(Identity::from_file_text(damaged), Err(NoiseError::BadIdentity)), "{damaged}");
        }
    }

    #[test]
    fn public_key_and_fingerprint_are_the_standard_ones() {
        // RFC 7748, section 6.1: Alice's key pair.
        let private = *b"\x77\x07\x6d\x0a\x73\x18\xa5\x7d\x3c\x16\xc1\x72\x51\xb2\x66\x45\xdf\x4c\x2f\x87\xeb\xc0\x99\x2a\xb1\x77\xfb\xa5\x1d\xb9\x2c\x2a";
        let identity = Identity::from_private(private).unwrap();
        assert_eq!(identity.public()[..4], [0x85, 0x20, 0xf0, 0x09]);
        let shown = identity.fingerprint().to_string();
        assert_eq!(shown.len(), "SHA256:".len() + 43);
        assert_eq!(shown.parse(), Ok(identity.fingerprint()));
        for bad in ["", "SHA256:", "MD5:x", &shown[..shown.len() - 1], &format!("{shown}=")] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(FingerprintError), "{bad}");
        }
    }
}
