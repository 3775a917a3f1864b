//! Turning encryption on and off.
//!
//! Answer and change of state are handed to `delivery` in one step, so that nothing can come between them in the wrong form.

use std::rc::Rc;

use chat_core::noise;
use chat_core::notice::NoticeCode;
use chat_core::packet::PacketType;
use chat_core::rsa::PublicKey;
use chat_core::rsa::hazmat::Encryptor;
use chat_core::text;

use super::{Connection, Flow};
use crate::delivery::{Cipher, Classic};

impl Connection {
    /// Answers ENCRYPTION_ON. A key that is refused changes nothing and gets the original's silence.
    pub(super) fn turn_encryption_on(&mut self, offer: &str) -> Flow {
        let refused = if self.secure {
            "encryption is on already; turn it off first"
        } else if noise::is_offer(offer) {
            match self.turn_noise_on(offer) {
                Ok(()) => return Flow::Switched,
                Err(why) => why,
            }
        } else {
            match self.turn_classic_on(offer) {
                Ok(()) => return Flow::Next,
                Err(why) => why,
            }
        };
        tracing::debug!(client = %self.place.key.client, why = refused, "key refused");
        self.notice(NoticeCode::BadKey, &format!("The key was refused: {refused}."));
        Flow::Next
    }

    fn turn_noise_on(&mut self, offer: &str) -> Result<(), &'static str> {
        let ours = self.ours.as_ref().filter(|ours| ours.caps.noise);
        let prologue = &ours.ok_or("a HELLO that offers noise has to come first")?.prologue;
        let (channel, key) = noise::respond(&self.hub.keys.identity, prologue, offer)
            .map_err(|_| "the handshake message cannot be read")?;
        self.answer_on(&key);
        self.set_cipher(Cipher::Noise(channel), 0);
        self.secure = true;
        Ok(())
    }

    fn turn_classic_on(&mut self, key: &str) -> Result<(), &'static str> {
        let key = PublicKey::parse_wire(key, &self.hub.limits.key_limits)
            .map_err(|_| "it is not a list of n,e pairs within the limits")?;
        let others = self.hub.table_bytes.get() - self.table_bytes;
        if others + Encryptor::table_bytes_at_most(&key) > self.hub.limits.cipher_table_bytes {
            return Err("the server has no memory left for classic encryption");
        }
        let encryptor = Encryptor::new(&key);
        let table_bytes = encryptor.table_bytes();
        let cipher =
            Cipher::Classic(Box::new(Classic { encryptor, decryptor: Rc::clone(&self.hub.keys.decryptor) }));
        // The first answer is plain; a new key in place of another already holds for its own answer.
        if self.hub.is_classic(self.place.key) {
            self.set_cipher(cipher, table_bytes);
            self.answer_on(&self.hub.keys.classic_wire);
        } else {
            self.answer_on(&self.hub.keys.classic_wire);
            self.set_cipher(cipher, table_bytes);
        }
        Ok(())
    }

    /// Answers ENCRYPTION_OFF, still encrypted if it was on; afterwards both directions are plain.
    pub(super) fn turn_encryption_off(&mut self) -> Flow {
        let display = self.hub.display(self.place.key.client);
        self.hub.reply(self.place.key, PacketType::ENCRYPTION_OFF, text::encryption_off(&display));
        self.set_cipher(Cipher::Plain, 0);
        if std::mem::take(&mut self.secure) { Flow::Switched } else { Flow::Next }
    }

    fn answer_on(&self, key: &str) {
        let display = self.hub.display(self.place.key.client);
        self.hub.reply(self.place.key, PacketType::ENCRYPTION_ON, text::encryption_on(&display, key));
    }

    fn set_cipher(&mut self, cipher: Cipher, table_bytes: usize) {
        self.hub.set_cipher(self.place.key, cipher);
        let others = self.hub.table_bytes.get() - self.table_bytes;
        self.table_bytes = table_bytes;
        self.hub.table_bytes.set(others + table_bytes);
    }
}
