//! Keys as text: the wire form of protocol section 6 and the key files of section 8, both read strictly.

use std::fmt;

use num_bigint::BigUint;
use num_traits::Num;
use zeroize::Zeroizing;

use super::key::{PrivateKey, PrivatePair, PublicKey, PublicPair};
use super::limits::KeyLimits;

/// Where in a text a mistake is. Both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Pair of a wire form.
    Pair(usize),
    /// Line of a key file.
    Line(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pair(number) => write!(f, "pair {number}"),
            Self::Line(number) => write!(f, "line {number}"),
        }
    }
}

/// Why a text is not a key. No variant carries digits of the key, so an error may be logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyTextError {
    /// There is nothing in it.
    #[error("the key is empty")]
    Empty,
    /// More pairs than the limits allow.
    #[error("the key has more than {max} pairs")]
    TooManyPairs {
        /// The limit.
        max: usize,
    },
    /// Not two decimal numbers in the form expected there.
    #[error("{place} is not of the form {form}")]
    Form {
        /// Where.
        place: Place,
        /// The form it should have, such as `n=<decimal> e=<decimal>`.
        form: &'static str,
    },
    /// A number has more bits, or so many digits that it must have more bits, than the limits allow.
    #[error("{place}: {name} has more than {max_bits} bits")]
    TooLong {
        /// Where.
        place: Place,
        /// `n`, `e` or `d`.
        name: char,
        /// The limit.
        max_bits: u32,
    },
    /// The modulus is 255 or less, or the exponent zero.
    #[error("{place}: the modulus must be above 255 and the exponent above 0")]
    TooSmall {
        /// Where.
        place: Place,
    },
}

impl PublicKey {
    /// Reads the wire form: `n,e` in decimal, pairs joined by `:`, nothing else.
    ///
    /// The count of pairs and the length of every number are checked before any number is built, so a giant key
    /// costs no more than reading over it once.
    ///
    /// # Errors
    /// [`KeyTextError`], naming the pair.
    ///
    /// # Source
    /// Protocol section 6.
    pub fn parse_wire(text: &str, limits: &KeyLimits) -> Result<Self, KeyTextError> {
        let mut pairs = Vec::new();
        for (index, part) in parts(text, ':', limits)?.enumerate() {
            let place = Place::Pair(index + 1);
            let form = KeyTextError::Form { place, form: "<decimal>,<decimal>" };
            let (n, e) = part.split_once(',').ok_or(form.clone())?;
            pairs.push(public_pair(n, e, place, limits, form)?);
        }
        Self::new(pairs).ok_or(KeyTextError::Empty)
    }

    /// Returns the wire form, which [`PublicKey::parse_wire`] reads.
    #[must_use]
    pub fn to_wire(&self) -> String {
        let pairs: Vec<String> =
            self.pairs().iter().map(|pair| format!("{},{}", pair.n(), pair.e())).collect();
        pairs.join(":")
    }

    /// Reads the text of a `publickey.txt`: one line `n=<decimal> e=<decimal>` per pair.
    ///
    /// # Errors
    /// [`KeyTextError`], naming the line.
    ///
    /// # Source
    /// Protocol section 8.
    pub fn from_file_text(text: &str, limits: &KeyLimits) -> Result<Self, KeyTextError> {
        let mut pairs = Vec::new();
        for (index, line) in lines(text, limits)?.enumerate() {
            let place = Place::Line(index + 1);
            let form = KeyTextError::Form { place, form: "n=<decimal> e=<decimal>" };
            let (n, e) = fields(line, "e=").ok_or(form.clone())?;
            pairs.push(public_pair(n, e, place, limits, form)?);
        }
        Self::new(pairs).ok_or(KeyTextError::Empty)
    }

    /// Returns the text of a `publickey.txt`, byte for byte as the original writes it.
    #[must_use]
    pub fn to_file_text(&self) -> String {
        self.pairs().iter().map(|pair| format!("n={} e={}\n", pair.n(), pair.e())).collect()
    }
}

impl PrivateKey {
    /// Reads the text of a `privatekey.txt`: one line `n=<decimal> d=<decimal>` per pair.
    ///
    /// # Errors
    /// [`KeyTextError`], naming the line.
    ///
    /// # Source
    /// Protocol section 8.
    pub fn from_file_text(text: &str, limits: &KeyLimits) -> Result<Self, KeyTextError> {
        let mut pairs = Vec::new();
        for (index, line) in lines(text, limits)?.enumerate() {
            let place = Place::Line(index + 1);
            let form = KeyTextError::Form { place, form: "n=<decimal> d=<decimal>" };
            let (n, d) = fields(line, "d=").ok_or(form.clone())?;
            let n = number(n, 'n', limits.max_modulus_bits, place, &form)?;
            let d = number(d, 'd', limits.max_modulus_bits, place, &form)?;
            pairs.push(PrivatePair::new(n, d).ok_or(KeyTextError::TooSmall { place })?);
        }
        Self::new(pairs).ok_or(KeyTextError::Empty)
    }

    /// Returns the text of a `privatekey.txt`, byte for byte as the original writes it. It is wiped when dropped.
    #[must_use]
    pub fn to_file_text(&self) -> Zeroizing<String> {
        // With the room known beforehand the text never moves, so no copy of it stays behind unwiped.
        let digits = |bits: u64| usize::try_from(bits / 3 + 2).unwrap_or(0);
        let room =
            self.pairs().iter().map(|pair| digits(pair.n().bits()) + digits(pair.d().bits()) + 6).sum();
        let mut text = Zeroizing::new(String::with_capacity(room));
        for pair in self.pairs() {
            text.push_str("n=");
            text.push_str(&Zeroizing::new(pair.n().to_string()));
            text.push_str(" d=");
            text.push_str(&Zeroizing::new(pair.d().to_string()));
            text.push('\n');
        }
        text
    }
}

/// Splits a text into the parts of a key after checking how many there are.
fn parts<'a>(
    text: &'a str,
    separator: char,
    limits: &KeyLimits,
) -> Result<impl Iterator<Item = &'a str>, KeyTextError> {
    if text.is_empty() {
        return Err(KeyTextError::Empty);
    }
    if text.split(separator).nth(limits.max_pairs).is_some() {
        return Err(KeyTextError::TooManyPairs { max: limits.max_pairs });
    }
    Ok(text.split(separator))
}

/// Splits a key file into lines. A missing line feed at the very end is the one liberty taken.
fn lines<'a>(text: &'a str, limits: &KeyLimits) -> Result<impl Iterator<Item = &'a str>, KeyTextError> {
    parts(text.strip_suffix('\n').unwrap_or(text), '\n', limits)
}

/// Splits `n=1 e=2` into its two numbers, when `second` is `e=`.
fn fields<'a>(line: &'a str, second: &str) -> Option<(&'a str, &'a str)> {
    let (first, rest) = line.split_once(' ')?;
    Some((first.strip_prefix("n=")?, rest.strip_prefix(second)?))
}

fn public_pair(
    n: &str,
    e: &str,
    place: Place,
    limits: &KeyLimits,
    form: KeyTextError,
) -> Result<PublicPair, KeyTextError> {
    let n = number(n, 'n', limits.max_modulus_bits, place, &form)?;
    let e = number(e, 'e', limits.max_exponent_bits, place, &form)?;
    PublicPair::new(n, e).ok_or(KeyTextError::TooSmall { place })
}

/// Reads one decimal number of at most `max_bits` bits.
fn number(
    text: &str,
    name: char,
    max_bits: u32,
    place: Place,
    form: &KeyTextError,
) -> Result<BigUint, KeyTextError> {
    // The length first: it is what keeps a giant number from costing anything.
    if text.len() > max_decimal_digits(max_bits) {
        return Err(KeyTextError::TooLong { place, name, max_bits });
    }
    // num-bigint would also take a sign and underscores.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(form.clone());
    }
    let number = BigUint::from_str_radix(text, 10).map_err(|_| form.clone())?;
    if number.bits() > u64::from(max_bits) {
        return Err(KeyTextError::TooLong { place, name, max_bits });
    }
    Ok(number)
}

/// Returns how many decimal digits a number of `bits` bits can have at most.
fn max_decimal_digits(bits: u32) -> usize {
    // 0.30103 is log10(2) rounded up, so the answer may be a digit too many for huge sizes but never too few.
    (bits as usize * 30_103).div_ceil(100_000)
}
