//! HELLO: what a peer of ours says of itself in its first packet.

use std::fmt::Write as _;

/// The protocol number our extensions carry.
pub const PROTOCOL: u32 = 2;

/// Most bytes of a HELLO body; it is read before anything is known of the peer.
pub const MAX_HELLO_BYTES: usize = 1024;

/// Bodies of `key=value` lines: protocol, agent and capabilities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The protocol number; [`PROTOCOL`] for peers of this version.
    pub protocol: u32,
    /// Who speaks, such as `chat-client/0.1.0`; only ever shown.
    pub agent: String,
    /// The capabilities we know among those offered.
    pub caps: Caps,
}

/// The capabilities a peer offers; unknown ones are dropped on reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// Speaks Noise (ENCRYPTION_ON with `noise:`, SECURE).
    pub noise: bool,
    /// Understands NOTICE.
    pub notice: bool,
    /// Answers PING.
    pub ping: bool,
    /// Keeps the user list itself, by ROSTER.
    pub roster: bool,
}

impl Caps {
    /// Everything this version speaks.
    pub const ALL: Self = Self { noise: true, notice: true, ping: true, roster: true };

    fn flags(&mut self) -> [(&'static str, &mut bool); 4] {
        [
            ("noise", &mut self.noise),
            ("notice", &mut self.notice),
            ("ping", &mut self.ping),
            ("roster", &mut self.roster),
        ]
    }
}

impl Hello {
    /// Makes the HELLO of a peer of this version with all its capabilities.
    #[must_use]
    pub fn new(agent: impl Into<String>) -> Self {
        Self { protocol: PROTOCOL, agent: agent.into(), caps: Caps::ALL }
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut caps = self.caps;
        let names: Vec<_> = caps.flags().into_iter().filter_map(|(name, set)| set.then_some(name)).collect();
        let mut body = String::new();
        let agent: String = self.agent.chars().filter(|c| !c.is_control()).collect();
        // Writing to a String cannot fail.
        let _ = write!(body, "protocol={}\nagent={agent}\ncaps={}\n", self.protocol, names.join(","));
        body
    }

    /// Reads a body; `None` if it is too long or has no readable `protocol=` line. Unknown keys are ignored.
    #[must_use]
    pub fn parse(body: &str) -> Option<Self> {
        if body.len() > MAX_HELLO_BYTES {
            return None;
        }
        let (mut protocol, mut agent, mut caps) = (None, String::new(), Caps::default());
        for (key, value) in body.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "protocol" => protocol = Some(value.parse().ok()?),
                "agent" => agent = value.chars().filter(|c| !c.is_control()).collect(),
                "caps" => {
                    for (name, set) in caps.flags() {
                        *set = value.split(',').any(|offered| offered == name);
                    }
                }
                _ => {}
            }
        }
        Some(Self { protocol: protocol?, agent, caps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_as_the_protocol_shows_it() {
        let hello = Hello::new("chat-client/0.1.0");
        assert_eq!(hello.encode(), "protocol=2\nagent=chat-client/0.1.0\ncaps=noise,notice,ping,roster\n");
        assert_eq!(Hello::parse(&hello.encode()), Some(hello));
    }

    #[test]
    fn unknown_keys_and_caps_are_ignored() {
        let hello = Hello::parse("protocol=3\ncolour=red\ncaps=ping,teleport\nnonsense\n").unwrap();
        assert_eq!(
            hello,
            Hello { protocol: 3, agent: String::new(), caps: Caps { ping: true, ..Caps::default() } }
        );
    }

    #[test]
    fn a_protocol_line_is_needed() {
        for body in ["", "agent=x\n", "protocol=\n", "protocol=two\n", "protocol=-1\n"] {
            assert_eq!(Hello::parse(body), None, "{body:?}");
        }
        assert_eq!(Hello::parse(&format!("protocol=2\nagent={}\n", "x".repeat(MAX_HELLO_BYTES))), None);
    }
}
