//! The outermost layer of the classic cipher: values 0 to 255 as UTF-8 code points.

use super::CipherError;

/// Appends the values of a block, each as the UTF-8 form of the code point with that number: one byte below 0x80,
/// two from there on.
pub(super) fn push_all(values: &[u8], out: &mut Vec<u8>) {
    for &value in values {
        match value {
            0..0x80 => out.push(value),
            _ => out.extend_from_slice(&[0xc0 | value >> 6, 0x80 | value & 0x3f]),
        }
    }
}

/// Reads a body value by value.
#[derive(Debug, Clone)]
pub(super) struct CodePoints<'a> {
    body: &'a [u8],
    rest: &'a [u8],
}

impl<'a> CodePoints<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { body, rest: body }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns the next value, or `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<u8>, CipherError> {
        match self.rest {
            [] => Ok(None),
            [value @ 0..=0x7f, rest @ ..] => {
                self.rest = rest;
                Ok(Some(*value))
            }
            [lead @ (0xc2 | 0xc3), next @ 0x80..=0xbf, rest @ ..] => {
                self.rest = rest;
                Ok(Some(lead << 6 | next & 0x3f))
            }
            _ => Err(self.error()),
        }
    }

    fn error(&self) -> CipherError {
        let offset = self.body.len() - self.rest.len();
        // What stands here is either no UTF-8 or a code point that no classic cipher produces.
        match std::str::from_utf8(self.rest) {
            Err(error) if error.valid_up_to() == 0 => CipherError::InvalidUtf8 { offset },
            _ => CipherError::CodePointTooLarge { offset },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rsa::modular::{Plain, Ring};
    use num_bigint::BigUint;
    use serde_json::Value;

    #[test]
    fn blocks_of_the_golden_vectors() {
        let vectors = include_str!("../../../../tests/vectors/protocol-vectors.json");
        let vectors: Value = serde_json::from_str(vectors).unwrap();
        for row in vectors["block_encode"].as_array().unwrap() {
            let value: BigUint = row["value"].as_str().unwrap().parse().unwrap();
            let size = row["size"].as_u64().unwrap() as usize;
            let (mut values, mut wire) = (Vec::new(), Vec::new());
            Plain(&BigUint::from(1u8)).write(&value, size, &mut values);
            push_all(&values, &mut wire);
            let hex: String = wire.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, row["utf8_hex"].as_str().unwrap(), "{row}");
            assert_eq!(serde_json::json!(values), row["codepoints"], "{row}");

            let mut reader = CodePoints::new(&wire);
            let read: Vec<u8> = std::iter::from_fn(|| reader.next().unwrap()).collect();
            assert_eq!(read, values, "{row}");
        }
    }

    #[test]
    fn refuses_what_no_encryption_produces() {
        let check = |body: &[u8], expected: CipherError| {
            let mut reader = CodePoints::new(body);
            assert_eq!(reader.next(), Ok(Some(b'a')));
            assert_eq!(reader.next(), Err(expected), "{body:x?}");
        };
        let (invalid, large) =
            (CipherError::InvalidUtf8 { offset: 1 }, CipherError::CodePointTooLarge { offset: 1 });
        check(b"a\x80", invalid);
        check(b"a\xc3", invalid);
        check(b"a\xc3a", invalid);
        // Too long a form of a value that fits one byte.
        check(b"a\xc1\x80", invalid);
        check(b"a\xff\xff", invalid);
        check("a\u{100}".as_bytes(), large);
        check("a\u{10ffff}".as_bytes(), large);
    }
}
