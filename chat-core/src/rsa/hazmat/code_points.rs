//! The outermost layer of the classic cipher: values 0 to 255 as UTF-8 code points.

use super::CipherError;

/// Appends a value as the UTF-8 form of the code point with that number: one byte below 0x80, else two.
pub(super) fn push(value: u8, out: &mut Vec<u8>) {
    match value {
        0..0x80 => out.push(value),
        _ => out.extend_from_slice(&[0xc0 | value >> 6, 0x80 | value & 0x3f]),
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
