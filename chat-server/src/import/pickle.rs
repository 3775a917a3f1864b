//! A reader for the few things a `users.pickle` is made of.
//!
//! A pickle is a program for a small stack machine, which in Python may call anything. This machine has only the
//! instructions that put a dictionary of texts, dictionaries and dates together, in all protocols from 0 to 5. The only
//! callables it knows are `datetime.datetime`, and `_codecs.encode`, by which old protocols write bytes; both are data
//! here, and nothing is called. Every other instruction ends the reading with its name and place.
//!
//! Nothing can be nested more deeply than a dictionary of dictionaries of tuples, so that nothing recurses deeply. A
//! dictionary cannot be referred to twice, and everything that is made, referred to or remembered is paid for out of one
//! allowance, references at the price of copies: a program of few bytes cannot make much of them, neither here nor in
//! what is copied from its values later. It takes less than 500 MB at the worst. The instructions' names are in
//! `pickle/opcodes.rs`.

mod opcodes;

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use opcodes::{known_name, opcode_name};
use zeroize::Zeroizing;

/// The allowance: how many values and marks may be put on the stack and how many values remembered, in all. A user takes
/// 16 to 24 of them, depending on the protocol.
const ALLOWANCE: usize = 3_000_000;

/// A text or bytes cost one more for each full so many bytes.
const BYTES_FOR_ONE: usize = 64;

/// The longest text that stands for bytes, in bytes of UTF-8. A date has ten, each of two at most.
const LONGEST_ENCODED: usize = 64;

/// A value in the pickle.
#[derive(Clone)]
pub(super) enum Value {
    /// Python's `None`.
    None,
    /// A text, possibly a password.
    Text(Rc<Zeroizing<String>>),
    /// Bytes, which only the insides of a date are made of.
    Bytes(Rc<[u8]>),
    /// A naive point in time.
    DateTime(DateTime),
    /// A name of something callable that is known.
    Callable(Callable),
    /// A sequence of any of the above.
    Tuple(Rc<[Value]>),
    /// A dictionary, in the order of the file; values may be dictionaries without dictionaries in them.
    Dict(Vec<(Value, Value)>),
}

/// What a pickle may name as callable. Nothing is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Callable {
    /// `datetime.datetime`.
    DateTime,
    /// `_codecs.encode`.
    Encode,
}

/// A point in local time, without a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DateTime(jiff::civil::DateTime);

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why bytes are no pickle that holds users.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PickleError {
    /// It ends too early.
    #[error("it ends in the middle, after {length} bytes")]
    Truncated {
        /// Its length.
        length: usize,
    },
    /// It has an instruction that users are not made with.
    #[error("instruction {name} at byte {offset} is not taken from a users.pickle")]
    Opcode {
        /// The instruction's name in Python's `pickletools`, or its number.
        name: String,
        /// Where it is.
        offset: usize,
    },
    /// It names something of Python other than a date.
    #[error("instruction {opcode} at byte {offset} asks for {name:?}, which is not run here")]
    Callable {
        /// The instruction's name in Python's `pickletools`.
        opcode: &'static str,
        /// Where it is.
        offset: usize,
        /// What it asks for.
        name: String,
    },
    /// An instruction does not find what it works on.
    #[error("instruction {opcode} at byte {offset}: {problem}")]
    Instruction {
        /// The instruction's name in Python's `pickletools`.
        opcode: &'static str,
        /// Where it is.
        offset: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// It is a pickle, but not of a dictionary of users.
    #[error("it does not hold a dictionary of users")]
    NoUsers,
}

/// Reads the one value of a pickle. What follows its end is ignored, as in Python.
///
/// # Errors
///
/// [`PickleError`] for anything but the values above.
pub(super) fn read(input: &[u8]) -> Result<Value, PickleError> {
    let mut machine = Machine {
        input,
        at: 0,
        offset: 0,
        opcode: 0,
        allowance: ALLOWANCE,
        stack: Vec::new(),
        memo: HashMap::new(),
    };
    loop {
        if let Some(value) = machine.step()? {
            return Ok(value);
        }
    }
}

/// What may lie on the stack: values, and marks between them.
enum Item {
    Value(Value),
    Mark,
}

struct Machine<'a> {
    input: &'a [u8],
    at: usize,
    /// The instruction being carried out, and where it began.
    opcode: u8,
    offset: usize,
    /// What is left of [`ALLOWANCE`].
    allowance: usize,
    stack: Vec<Item>,
    /// `None` for a container, which may be remembered but not referred to.
    memo: HashMap<u32, Option<Value>>,
}

impl Machine<'_> {
    /// Carries out one instruction; returns the result after the last one.
    ///
    /// # Source
    ///
    /// The opcodes and their meaning: CPython's `Lib/pickletools.py`.
    fn step(&mut self) -> Result<Option<Value>, PickleError> {
        self.offset = self.at;
        self.opcode = self.byte()?;
        match self.opcode {
            b'.' => return self.pop().map(Some),
            // PROTO and FRAME organise the bytes and mean nothing to the values.
            0x80 => _ = self.byte()?,
            0x95 => _ = self.bytes(8)?,
            b'(' => {
                self.pay(1)?;
                self.stack.push(Item::Mark);
            }
            b'N' => self.push(Value::None)?,
            b'V' | b'X' | 0x8c | 0x8d => self.text()?,
            b'B' | b'C' | 0x8e => self.binary()?,
            b'p' | b'q' | b'r' | 0x94 => self.remember()?,
            b'g' | b'h' | b'j' => self.refer()?,
            b')' | b't' | 0x85..=0x87 => self.tuple()?,
            b'}' | b'd' | b's' | b'u' => self.dict()?,
            b'c' | 0x93 => self.callable()?,
            b'R' => self.reduce()?,
            other => return Err(PickleError::Opcode { name: opcode_name(other), offset: self.offset }),
        }
        Ok(None)
    }

    /// UNICODE, BINUNICODE, SHORT_BINUNICODE and BINUNICODE8.
    fn text(&mut self) -> Result<(), PickleError> {
        let text = match self.opcode {
            b'V' => {
                let line = self.line()?;
                unescape(line).ok_or_else(|| self.wrong("the escapes in its text are wrong"))?
            }
            opcode => {
                let length = match opcode {
                    0x8c => self.length(1)?,
                    b'X' => self.length(4)?,
                    _ => self.length(8)?,
                };
                let bytes = self.bytes(length)?;
                str::from_utf8(bytes).map_err(|_| self.wrong("its text is not UTF-8"))?.to_owned()
            }
        };
        self.push(Value::Text(Rc::new(Zeroizing::new(text))))
    }

    /// BINBYTES, SHORT_BINBYTES and BINBYTES8.
    fn binary(&mut self) -> Result<(), PickleError> {
        let length = match self.opcode {
            b'C' => self.length(1)?,
            b'B' => self.length(4)?,
            _ => self.length(8)?,
        };
        let bytes = self.bytes(length)?;
        self.push(Value::Bytes(bytes.into()))
    }

    /// PUT, BINPUT, LONG_BINPUT and MEMOIZE.
    fn remember(&mut self) -> Result<(), PickleError> {
        let index = match self.opcode {
            0x94 => u32::try_from(self.memo.len()).map_err(|_| self.wrong("too much is remembered"))?,
            b'p' => self.decimal()?,
            b'q' => u32::from(self.byte()?),
            _ => self.number()?,
        };
        self.pay(1)?;
        let value = match self.stack.last() {
            Some(Item::Value(Value::Dict(_))) => None,
            Some(Item::Value(value)) => Some(value.clone()),
            Some(Item::Mark) | None => return Err(self.wrong("there is nothing to remember")),
        };
        self.memo.insert(index, value);
        Ok(())
    }

    /// GET, BINGET and LONG_BINGET.
    fn refer(&mut self) -> Result<(), PickleError> {
        let index = match self.opcode {
            b'g' => self.decimal()?,
            b'h' => u32::from(self.byte()?),
            _ => self.number()?,
        };
        match self.memo.get(&index) {
            Some(Some(value)) => {
                let value = value.clone();
                self.push(value)
            }
            Some(None) => Err(self.wrong("a dictionary is used twice")),
            None => Err(self.wrong("it refers to nothing")),
        }
    }

    /// EMPTY_TUPLE, TUPLE and TUPLE1 to TUPLE3.
    fn tuple(&mut self) -> Result<(), PickleError> {
        let items = match self.opcode {
            b')' => Vec::new(),
            b't' => self.pop_to_mark()?,
            opcode => {
                let count = usize::from(opcode - 0x84);
                let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
                items.reverse();
                items
            }
        };
        if items.iter().any(|item| matches!(item, Value::Tuple(_) | Value::Dict(_))) {
            return Err(self.wrong("there is a container in a tuple"));
        }
        self.push(Value::Tuple(items.into()))
    }

    /// EMPTY_DICT, DICT, SETITEM and SETITEMS.
    fn dict(&mut self) -> Result<(), PickleError> {
        let items = match self.opcode {
            b'}' => Vec::new(),
            b'd' | b'u' => self.pop_to_mark()?,
            _ => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
        };
        if matches!(self.opcode, b'}' | b'd') {
            self.push(Value::Dict(Vec::new()))?;
        }
        if items.len() % 2 != 0 {
            return Err(self.wrong("a key has no value"));
        }
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            self.set_item(key, value)?;
        }
        Ok(())
    }

    /// Puts an entry into the dictionary on top of the stack.
    fn set_item(&mut self, key: Value, value: Value) -> Result<(), PickleError> {
        if matches!(key, Value::Dict(_)) {
            return Err(self.wrong("a key is a dictionary"));
        }
        if matches!(&value, Value::Dict(inner) if inner.iter().any(|(_, value)| matches!(value, Value::Dict(_))))
        {
            return Err(self.wrong("dictionaries are nested too deeply"));
        }
        match self.stack.last_mut() {
            Some(Item::Value(Value::Dict(entries))) => {
                entries.push((key, value));
                Ok(())
            }
            _ => Err(self.wrong("there is no dictionary to put it into")),
        }
    }

    /// GLOBAL and STACK_GLOBAL.
    fn callable(&mut self) -> Result<(), PickleError> {
        let (module, name) = if self.opcode == b'c' {
            (lossy(self.line()?), lossy(self.line()?))
        } else {
            match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => (module.to_string(), name.to_string()),
                _ => return Err(self.wrong("what it asks for has no name")),
            }
        };
        let callable = match (module.as_str(), name.as_str()) {
            ("datetime", "datetime") => Callable::DateTime,
            ("_codecs", "encode") => Callable::Encode,
            _ => {
                return Err(PickleError::Callable {
                    opcode: known_name(self.opcode),
                    offset: self.offset,
                    name: format!("{module}.{name}"),
                });
            }
        };
        self.push(Value::Callable(callable))
    }

    /// REDUCE, for the two callables that are data here.
    fn reduce(&mut self) -> Result<(), PickleError> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let (Value::Tuple(arguments), Value::Callable(callable)) = (arguments, callable) else {
            return Err(self.wrong("there is nothing known to make a value with"));
        };
        let value = match (callable, &*arguments) {
            (Callable::DateTime, [Value::Bytes(bytes)]) => {
                date_time(bytes).map(Value::DateTime).ok_or_else(|| self.wrong("there is no such date"))?
            }
            (Callable::Encode, [Value::Text(text), Value::Text(encoding)])
                if encoding.as_str() == "latin1" =>
            {
                if text.len() > LONGEST_ENCODED {
                    return Err(self.wrong("there are too many bytes for a date"));
                }
                let bytes: Option<Rc<[u8]>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
                bytes.map(Value::Bytes).ok_or_else(|| self.wrong("there are no such bytes"))?
            }
            _ => return Err(self.wrong("a value is made from something unexpected")),
        };
        self.push(value)
    }

    fn push(&mut self, value: Value) -> Result<(), PickleError> {
        let bytes = match &value {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            _ => 0,
        };
        self.pay(1 + bytes / BYTES_FOR_ONE)?;
        self.stack.push(Item::Value(value));
        Ok(())
    }

    fn pay(&mut self, price: usize) -> Result<(), PickleError> {
        let left = self.allowance.checked_sub(price);
        self.allowance = left.ok_or_else(|| self.wrong("this is more than any users take"))?;
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, PickleError> {
        match self.stack.pop() {
            Some(Item::Value(value)) => Ok(value),
            Some(Item::Mark) | None => Err(self.wrong("the value it works on is missing")),
        }
    }

    /// Takes the values above the last mark, and the mark, off the stack.
    fn pop_to_mark(&mut self) -> Result<Vec<Value>, PickleError> {
        let mut items = Vec::new();
        loop {
            match self.stack.pop() {
                Some(Item::Value(value)) => items.push(value),
                Some(Item::Mark) => break,
                None => return Err(self.wrong("the values it works on have no beginning")),
            }
        }
        items.reverse();
        Ok(items)
    }

    fn wrong(&self, problem: &'static str) -> PickleError {
        PickleError::Instruction { opcode: known_name(self.opcode), offset: self.offset, problem }
    }
}

/// Reading what follows an opcode.
impl<'a> Machine<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], PickleError> {
        let truncated = PickleError::Truncated { length: self.input.len() };
        let end = self.at.checked_add(count).ok_or_else(|| truncated.clone())?;
        let bytes = self.input.get(self.at..end).ok_or(truncated)?;
        self.at = end;
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, PickleError> {
        Ok(self.bytes(1)?.first().copied().unwrap_or_default())
    }

    /// A number of four bytes.
    fn number(&mut self) -> Result<u32, PickleError> {
        let number = self.length(4)?;
        u32::try_from(number).map_err(|_| self.wrong("a number is too large"))
    }

    /// A number of up to eight bytes, lowest first.
    fn length(&mut self, width: usize) -> Result<usize, PickleError> {
        let number =
            self.bytes(width)?.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        usize::try_from(number).map_err(|_| self.wrong("a length is too large"))
    }

    /// The bytes up to the end of the line, without it.
    fn line(&mut self) -> Result<&'a [u8], PickleError> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'\n');
        let length = length.ok_or(PickleError::Truncated { length: self.input.len() })?;
        let line = self.bytes(length)?;
        self.byte()?;
        Ok(line)
    }

    /// A decimal number on a line of its own.
    fn decimal(&mut self) -> Result<u32, PickleError> {
        let line = self.line()?;
        let digits = str::from_utf8(line).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| self.wrong("a number is none"))
    }
}

/// The text of UNICODE: Latin-1 with `\uXXXX` and `\UXXXXXXXX` for what that lacks.
fn unescape(line: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = match (byte, after.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => {
                text.push(char::from(byte));
                rest = after;
                continue;
            }
        };
        let hex = str::from_utf8(after.get(1..=digits)?).ok()?;
        // `from_str_radix` alone would take a sign.
        let code =
            u32::from_str_radix(hex, 16).ok().filter(|_| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        text.push(char::from_u32(code)?);
        rest = after.get(digits + 1..)?;
    }
    Some(text)
}

/// The ten bytes in which `datetime.datetime` keeps itself.
///
/// # Source
///
/// CPython's `Lib/_pydatetime.py`, `datetime._getstate`; the highest bit of the month tells the second of two equal
/// times when clocks are put back, which is of no use without a zone.
fn date_time(bytes: &[u8]) -> Option<DateTime> {
    let &[year_high, year_low, month, day, hour, minute, second, micro_high, micro_middle, micro_low] = bytes
    else {
        return None;
    };
    let small = |byte: u8| i8::try_from(byte).ok();
    let micros = i32::from_be_bytes([0, micro_high, micro_middle, micro_low]);
    jiff::civil::DateTime::new(
        i16::from_be_bytes([year_high, year_low]),
        small(month & 0x7f)?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        small(second)?,
        micros.checked_mul(1000)?,
    )
    .ok()
    .map(DateTime)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
