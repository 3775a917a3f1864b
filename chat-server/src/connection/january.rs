//! Clients of the original's January 2026 revision: the exchange of keys that they begin with, and what they ask for in
//! another way than those of October 2025. The dialect itself is in `chat_core::january`; what they are sent is translated
//! where it is encrypted, in `delivery`.

use chat_core::frame::Frame;
use chat_core::january;
use chat_core::packet::PacketType;
use chat_core::rsa::hazmat::{CharacterEncryptor, Encryptor};
use chat_core::rsa::{PublicKey, PublicPair};
use chat_core::text;

use super::work::Work;
use super::{Connection, Ending, Step};
use crate::delivery::{Cipher, January};
use crate::metrics::{Dropped, LoginResult};
use crate::room::Event;

/// The longest exponent taken of such a client, in bits, as those of shipped keys are: the server computes with it whatever
/// anybody says to everyone.
const MOST_EXPONENT_BITS: u64 = 5;

/// What each character of a body counts for in the rate of bytes: it is computed with our whole private exponent.
const BYTES_PER_CHARACTER: usize = 32;

impl Connection {
    /// Answers the exchange of keys: with our key, in clear, and everything after it is encrypted. A key that is refused
    /// changes nothing and gets the original's silence.
    pub(super) fn exchange_keys(&mut self, frame: Frame<'_>) -> Step {
        self.hub.log_received(self.key, &frame, None);
        let Some((key, encryptor)) = self.january_key(frame.body) else {
            self.note_first_packet();
            tracing::debug!(client = %self.key.client, "key refused");
            self.hub.metrics.count_dropped(Dropped::Key);
            return Step::Next;
        };
        // What others say meanwhile is not for it: it knows no other numbers than those of its dialect.
        self.spoke = true;
        self.presence.greeted();
        Step::Wait(Work::ExchangeKeys(key, encryptor))
    }

    /// Checks a key and sets memory aside for its tables before they are worked out.
    fn january_key(&mut self, key: &[u8]) -> Option<(PublicKey, CharacterEncryptor)> {
        let key = PublicKey::parse_wire(str::from_utf8(key).ok()?, &self.hub.limits().key_limits).ok()?;
        let is_cheap = |pair: &PublicPair| pair.e().bits() <= MOST_EXPONENT_BITS;
        let can_be_served = self.hub.keys.characters.is_some() && key.pairs().iter().all(is_cheap);
        let encryptor = CharacterEncryptor::new(&key).filter(|_| can_be_served)?;
        self.charge_for(&key).ok()?;
        self.hold_tables(Encryptor::table_bytes_at_most(&key)).then_some((key, encryptor))
    }

    /// Answers and switches in one step, once the tables are there.
    pub(super) fn keys_exchanged(&mut self, encryptor: CharacterEncryptor) {
        let Some(decryptor) = self.hub.keys.characters.clone() else { return };
        self.hold_tables(encryptor.table_bytes());
        self.hub.hear(self.key);
        self.hub.reply(self.key, january::EXCHANGE_KEYS, &self.hub.keys.classic_wire);
        self.hub.set_cipher(self.key, Cipher::January(Box::new(January { encryptor, decryptor })));
        self.apply(Event::Enter);
    }

    /// Handles a packet of a client that has exchanged keys.
    pub(super) fn handle_january(&mut self, frame: Frame<'_>) -> Result<Step, Ending> {
        let Some(kind) = january::to_ours(frame.kind) else {
            self.hub.metrics.count_dropped(Dropped::Malformed);
            return Ok(Step::Next);
        };
        // Before it is known whether the body is ciphertext at all: finding that out costs as much.
        self.charge(0, self.characters_at_most(frame.body.len()) * BYTES_PER_CHARACTER);
        let mut plain = Vec::new();
        if !frame.body.is_empty()
            && let Err(error) = self.hub.decrypt(self.key, frame.body, &mut plain)
        {
            tracing::debug!(client = %self.key.client, %error, "dropped a packet");
            self.hub.metrics.count_dropped(Dropped::Cipher);
            return Ok(Step::Next);
        }
        // By our number, by which passwords are known and masked.
        self.hub.log_received(self.key, &Frame { kind, body: frame.body }, Some(&plain));
        self.handle_translated(kind, &plain)
    }

    fn characters_at_most(&self, body_bytes: usize) -> usize {
        let decryptor = self.hub.keys.characters.as_ref();
        decryptor.map_or(0, |decryptor| decryptor.characters_at_most(body_bytes))
    }

    /// Does what this dialect does differently, and the rest like everybody.
    fn handle_translated(&mut self, kind: PacketType, plain: &[u8]) -> Result<Step, Ending> {
        let user = self.hub.user(self.key.client);
        match kind {
            PacketType::CONNECT => self.apply(Event::Join),
            // Without an answer.
            PacketType::DISCONNECT => return Err(Ending::Goodbye),
            january::PROFILE => self.send_profile(),
            PacketType::LOGIN if user.is_some() => {
                let body = String::from_utf8_lossy(plain);
                let (name, _) = body.split_once(text::SEPARATOR).unwrap_or((&body, ""));
                self.hub.metrics.count_login(LoginResult::Refused);
                self.hub.reply(self.key, kind, text::login_refused(name));
            }
            PacketType::LOGOUT => {
                let step = self.handle_plain(kind, plain)?;
                if user.is_some() {
                    self.send_profile();
                }
                return Ok(step);
            }
            _ => return self.handle_plain(kind, plain),
        }
        Ok(Step::Next)
    }

    /// Tells the client what the server knows of it. Such a client allows itself to log out only once it was told that it is
    /// logged in.
    pub(super) fn send_profile(&self) {
        let user = self.hub.user(self.key.client);
        let profile = january::profile(self.key.client, self.peer, user.as_ref());
        self.hub.reply(self.key, january::PROFILE, profile);
    }
}
