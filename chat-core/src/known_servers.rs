//! The text of a `known_servers` file: which identity a client expects at which address.
//!
//! One line per server: `host:port SHA256:...`; blank lines and lines that begin with `#` are kept. Reading and writing
//! the file is the caller's.

use std::fmt;
use std::str::FromStr;

use crate::noise::Fingerprint;

/// Where a server is, as the person typed it: a name or literal address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerAddress {
    host: String,
    port: u16,
}

impl ServerAddress {
    /// Makes an address; host names are compared without regard to case. Brackets around an IPv6 address are optional.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        Self { host: host.trim_end_matches('.').to_ascii_lowercase(), port }
    }

    /// Makes an address from what a person typed: host and port as two words, or, as it is shown, as one.
    #[must_use]
    pub fn typed(host: &str, port: Option<u16>, usual_port: u16) -> Self {
        let in_one_word = || Self::parse(host).filter(|address| address.port > 0);
        // Without brackets the colons of an IPv6 address are its own.
        let is_unmistakable = |address: &Self| host.starts_with('[') || !address.host.contains(':');
        match port {
            Some(port) => Self::new(host, port),
            None => in_one_word().filter(is_unmistakable).unwrap_or_else(|| Self::new(host, usual_port)),
        }
    }

    /// Returns the host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let address = Self::new(host, port.parse().ok()?);
        // What could not be read again as it is written: a comment, several words, brackets in brackets.
        let is_odd = |c: char| c.is_whitespace() || matches!(c, '[' | ']' | '#');
        (!address.host.is_empty() && !address.host.contains(is_odd)).then_some(address)
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A line that is not a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not 'host:port SHA256:fingerprint'")]
pub struct KnownServersError {
    /// The line, counted from 1.
    pub line: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Comment(String),
    Pin(ServerAddress, Fingerprint),
}

/// The pins of one file, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownServers {
    lines: Vec<Line>,
}

impl KnownServers {
    /// Returns the identity pinned for an address.
    #[must_use]
    pub fn lookup(&self, address: &ServerAddress) -> Option<Fingerprint> {
        self.pins().find(|(pinned, _)| *pinned == address).map(|(_, fingerprint)| fingerprint)
    }

    /// Goes through all pins.
    pub fn pins(&self) -> impl Iterator<Item = (&ServerAddress, Fingerprint)> {
        self.lines.iter().filter_map(|line| match line {
            Line::Pin(address, fingerprint) => Some((address, *fingerprint)),
            Line::Comment(_) => None,
        })
    }

    /// Pins an identity for an address in place of any other there.
    pub fn pin(&mut self, address: ServerAddress, fingerprint: Fingerprint) {
        let pinned = self.lines.iter_mut().find_map(|line| match line {
            Line::Pin(known, pin) if *known == address => Some(pin),
            _ => None,
        });
        match pinned {
            Some(pin) => *pin = fingerprint,
            None => self.lines.push(Line::Pin(address, fingerprint)),
        }
    }

    /// Forgets an address; tells whether it was known.
    pub fn forget(&mut self, address: &ServerAddress) -> bool {
        let before = self.lines.len();
        self.lines.retain(|line| !matches!(line, Line::Pin(known, _) if known == address));
        self.lines.len() < before
    }
}

impl FromStr for KnownServers {
    type Err = KnownServersError;

    fn from_str(text: &str) -> Result<Self, KnownServersError> {
        let mut known = Self::default();
        for (number, line) in text.lines().enumerate() {
            let content = line.trim();
            if content.is_empty() || content.starts_with('#') {
                known.lines.push(Line::Comment(line.trim_end().to_owned()));
                continue;
            }
            let pin = content.split_once(char::is_whitespace).and_then(|(address, fingerprint)| {
                Some((ServerAddress::parse(address)?, fingerprint.trim().parse().ok()?))
            });
            let (address, fingerprint) = pin.ok_or(KnownServersError { line: number + 1 })?;
            if known.lookup(&address).is_some() {
                // Two pins for one address leave open which one counts.
                return Err(KnownServersError { line: number + 1 });
            }
            known.lines.push(Line::Pin(address, fingerprint));
        }
        Ok(known)
    }
}

impl fmt::Display for KnownServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            match line {
                Line::Comment(text) => writeln!(f, "{text}")?,
                Line::Pin(address, fingerprint) => writeln!(f, "{address} {fingerprint}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(byte: u8) -> Fingerprint {
        Fingerprint::of(&[byte; 32])
    }

    #[test]
    fn pins_are_found_replaced_and_forgotten() {
        let (home, other) = (ServerAddress::new("Chat.Example.", 12345), ServerAddress::new("::1", 12345));
        let mut known: KnownServers = "# mine\n\n".parse().unwrap();
        known.pin(home.clone(), fingerprint(1));
        known.pin(other.clone(), fingerprint(2));
        known.pin(home.clone(), fingerprint(3));
        assert_eq!(known.lookup(&ServerAddress::new("chat.example", 12345)), Some(fingerprint(3)));
        assert_eq!(known.lookup(&ServerAddress::new("chat.example", 1)), None);
        let text = known.to_string();
        assert!(
            text.starts_with("# mine\n\nchat.example:12345 SHA256:") && text.contains("[::1]:12345 SHA256:"),
            "{text}"
        );
        assert_eq!(text.parse::<KnownServers>().unwrap(), known);
        assert!(known.forget(&home) && !known.forget(&home));
        assert_eq!(known.pins().count(), 1);
    }

    #[test]
    fn what_was_written_is_read_again_the_same() {
        let known: KnownServers =
            "#\r\r\r\n \r\r\n[::1.]:1 SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n"
                .parse()
                .unwrap();
        assert_eq!(known.to_string().parse(), Ok(known));
    }

    #[test]
    fn an_address_may_be_typed_as_one_word_or_as_two() {
        let check = |host: &str, port, expected: &str| {
            assert_eq!(ServerAddress::typed(host, port, 12345).to_string(), expected, "{host}");
        };
        check("Chat.Example", None, "chat.example:12345");
        check("chat.example", Some(4000), "chat.example:4000");
        check("chat.example:4000", None, "chat.example:4000");
        check("127.0.0.1:4000", None, "127.0.0.1:4000");
        check("[::1]:4000", None, "[::1]:4000");
        check("[::1]", None, "[::1]:12345");
        check("::1", None, "[::1]:12345");
        check("fe80::1:4000", None, "[fe80::1:4000]:12345");
    }

    #[test]
    fn a_damaged_line_is_named() {
        let pin = fingerprint(1);
        for line in [
            "nonsense",
            "host SHA256:x",
            "host:99999 x",
            &format!("host {pin}"),
            &format!(":1 {pin}"),
            &format!("[[::1]]:1 {pin}"),
            &format!("[#host]:1 {pin}"),
            &format!("..:1 {pin}"),
        ] {
            assert_eq!(
                format!("# one\n{line}\n").parse::<KnownServers>(),
                Err(KnownServersError { line: 2 }),
                "{line}"
            );
        }
        let twice = format!("a:1 {pin}\nA:1 {pin}\n");
        assert_eq!(twice.parse::<KnownServers>(), Err(KnownServersError { line: 2 }));
    }
}
