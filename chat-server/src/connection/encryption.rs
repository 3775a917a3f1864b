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

use super::work::Work;
use super::{Connection, Step};
use crate::delivery::{Cipher, Classic};
use crate::metrics::Dropped;

/// Cipher tables worked out at a time: the dearest key allowed costs some tens of milliseconds, which are nobody
/// else's, but for clients that turn classic encryption on as well.
pub(crate) const TABLES_AT_A_TIME: usize = 1;

/// The most that tables may cost to work out, by [`table_work`]: 64 pairs of 512 bits with the exponent 65537, some 30 ms.
const MOST_TABLE_WORK: u64 = 64 * 512 * 512 * (17 + FIXED_SQUARINGS);

/// What a pair costs whatever its exponent is, in squarings.
const FIXED_SQUARINGS: u64 = 6;

/// What a handshake of Noise counts for in the rate of bytes: its multiplications on the curve are everybody's time. An office
/// whose clients all connect again at once is not slowed by it.
const HANDSHAKE_BYTES: usize = 8 * 1024;

/// What the dearest key counts for in the rate of bytes.
const DEAREST_KEY_BYTES: u64 = 256 * 1024;

/// Estimates what the tables of a key cost: squarings, each in proportion to the square of the modulus's length.
fn table_work(key: &PublicKey) -> u64 {
    let squarings = |exponent_bits: u64| exponent_bits.saturating_add(FIXED_SQUARINGS);
    let work = |n: u64, e: u64| n.saturating_pow(2).saturating_mul(squarings(e));
    key.pairs().iter().map(|pair| work(pair.n().bits(), pair.e().bits())).fold(0, u64::saturating_add)
}

impl Connection {
    /// Answers ENCRYPTION_ON. A key that is refused changes nothing and gets the original's silence.
    pub(super) fn turn_encryption_on(&mut self, offer: &str) -> Step {
        let refused = if self.secure.is_some() {
            "encryption is on already; turn it off first"
        } else if noise::is_offer(offer) {
            match self.turn_noise_on(offer) {
                Ok(()) => return Step::Switched,
                Err(why) => why,
            }
        } else {
            match self.reserve_tables(offer) {
                Ok(key) => return Step::Wait(Work::TurnClassicOn(key)),
                Err(why) => why,
            }
        };
        tracing::debug!(client = %self.key.client, why = refused, "key refused");
        self.hub.metrics.count_dropped(Dropped::Key);
        self.notice(NoticeCode::BadKey, &format!("The key was refused: {refused}."));
        Step::Next
    }

    fn turn_noise_on(&mut self, offer: &str) -> Result<(), &'static str> {
        let ours = self.ours.as_ref().filter(|ours| ours.caps.noise);
        let prologue = &ours.ok_or("a HELLO that offers noise has to come first")?.prologue;
        let handshake = noise::respond(&self.hub.keys.identity, prologue, offer);
        self.charge(0, HANDSHAKE_BYTES);
        let (channel, key) = handshake.map_err(|_| "the handshake message cannot be read")?;
        self.answer_on(&key);
        self.set_cipher(Cipher::Noise(channel));
        self.hold_tables(0);
        self.secure = Some(Box::default());
        Ok(())
    }

    /// Checks a classic key and sets memory aside for its tables before they are worked out.
    fn reserve_tables(&mut self, key: &str) -> Result<PublicKey, &'static str> {
        let key = PublicKey::parse_wire(key, &self.hub.limits().key_limits)
            .map_err(|_| "it is not a list of n,e pairs within the limits")?;
        self.charge_for(&key)?;
        // The tables of a former key are still in use until the new ones replace them.
        if !self.hold_tables(self.table_bytes + Encryptor::table_bytes_at_most(&key)) {
            return Err("the server has no memory left for classic encryption, in all or for your address");
        }
        Ok(key)
    }

    /// Counts what a classic key costs as so much traffic: whoever exchanges keys again and again has to wait.
    ///
    /// # Errors
    ///
    /// Why the server does not compute with it at all.
    pub(super) fn charge_for(&mut self, key: &PublicKey) -> Result<(), &'static str> {
        let work = table_work(key);
        if work > MOST_TABLE_WORK {
            return Err("it would take too long to compute with; use fewer pairs or smaller numbers");
        }
        if key.pairs().iter().any(|pair| !pair.n().bit(0)) {
            return Err("a modulus is even, which no product of two large primes is");
        }
        let bytes = usize::try_from(work / (MOST_TABLE_WORK / DEAREST_KEY_BYTES)).unwrap_or(usize::MAX);
        self.charge(0, bytes);
        Ok(())
    }

    /// Answers and switches in one step, once the tables are there.
    pub(super) fn turn_classic_on(&mut self, encryptor: Encryptor) {
        let (table_bytes, decryptor) = (encryptor.table_bytes(), Rc::clone(&self.hub.keys.decryptor));
        let cipher = Cipher::Classic(Box::new(Classic { encryptor, decryptor }));
        // The first answer is plain; a new key in place of another already holds for its own answer.
        if self.hub.is_classic(self.key) {
            self.set_cipher(cipher);
            self.answer_on(&self.hub.keys.classic_wire);
        } else {
            self.answer_on(&self.hub.keys.classic_wire);
            self.set_cipher(cipher);
        }
        self.hold_tables(table_bytes);
    }

    /// Answers ENCRYPTION_OFF, still encrypted if it was on; afterwards both directions are plain.
    pub(super) fn turn_encryption_off(&mut self) -> Step {
        let display = self.hub.display(self.key.client);
        self.hub.reply(self.key, PacketType::ENCRYPTION_OFF, text::encryption_off(&display));
        self.set_cipher(Cipher::Plain);
        self.hold_tables(0);
        if self.secure.take().is_some() { Step::Switched } else { Step::Next }
    }

    fn answer_on(&self, key: &str) {
        let display = self.hub.display(self.key.client);
        self.hub.reply(self.key, PacketType::ENCRYPTION_ON, text::encryption_on(&display, key));
    }

    fn set_cipher(&self, cipher: Cipher) {
        self.hub.set_cipher(self.key, cipher);
    }

    /// Counts this connection's tables as `table_bytes` from now on; `false` if there is no room for that many.
    pub(super) fn hold_tables(&mut self, table_bytes: usize) -> bool {
        let mut tables = self.hub.tables.borrow_mut();
        let held = tables.change(self.peer.ip(), self.table_bytes, table_bytes, &self.hub.limits());
        if held {
            self.table_bytes = table_bytes;
        }
        held
    }
}
