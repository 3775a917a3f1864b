//! The packet types and what a client's packet asks for.
//!
//! Works on plain bodies: framing is `frame`, decryption happens before. The texts a server answers with are in `text`.

use std::fmt;

use crate::hello::Hello;

/// The number of a packet type; any byte is one, since peers ignore types they do not know.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PacketType(u8);

macro_rules! packet_types {
    ($($code:literal $name:ident $doc:literal,)*) => {
        impl PacketType {
            $(#[doc = $doc] pub const $name: Self = Self($code);)*

            /// Returns the name the packet log uses, `UNKNOWN` for a number without one.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    _ => "UNKNOWN",
                }
            }
        }
    };
}

packet_types! {
    1 CONNECT "Greets the server; the reply names the client.",
    2 DISCONNECT "Says goodbye; whoever receives the reply closes.",
    3 ENCRYPTION_ON "Offers a key; the reply carries the server's.",
    4 ENCRYPTION_OFF "Goes back to plain bodies.",
    5 JOIN "Enters the chat room.",
    6 LEAVE "Leaves the chat room.",
    7 REGISTER "Makes an account.",
    8 LOGIN "Logs in to an account.",
    9 LOGOUT "Logs out.",
    10 USERLIST "The names in the room, joined with `:`.",
    11 MESSAGE "A message to everyone.",
    12 WHOAMI "What the server knows of the client.",
    13 DATE "The date in a time zone.",
    14 TIME "The time in a time zone.",
    15 HELLO "Capabilities, ours; first packet of a connection.",
    16 SECURE "One Noise transport message, ours.",
    17 NOTICE "An answer where the original is silent, ours.",
    18 PING "A round trip, ours.",
    19 ROSTER "Changes to the user list, ours.",
    101 QUOTE_OF_THE_DAY "Reserved by the original, unused.",
    102 QUOTE_OF_THE_MOMENT "Reserved by the original, unused.",
    103 WORD_OF_THE_DAY "Reserved by the original, unused.",
    104 WORD_OF_THE_MOMENT "Reserved by the original, unused.",
    105 MATH_PROBLEM_OF_THE_DAY "Reserved by the original, unused.",
    106 MATH_PROBLEM_OF_THE_MOMENT "Reserved by the original, unused.",
    107 MATH_THEOREM_OF_THE_DAY "Reserved by the original, unused.",
    108 MATH_THEOREM_OF_THE_MOMENT "Reserved by the original, unused.",
    109 CHESS_GAME_OF_THE_DAY "Reserved by the original, unused.",
    110 CHESS_GAME_OF_THE_MOMENT "Reserved by the original, unused.",
    111 CHESS_PUZZLE_OF_THE_DAY "Reserved by the original, unused.",
    112 CHESS_PUZZLE_OF_THE_MOMENT "Reserved by the original, unused.",
}

impl PacketType {
    /// Makes the type with this number.
    #[must_use]
    pub const fn new(code: u8) -> Self {
        Self(code)
    }

    /// Returns the number on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }
}

impl fmt::Debug for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

/// A name and a password as REGISTER and LOGIN carry them; printing it shows no password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// The part before the first `:`, not yet validated.
    pub name: &'a str,
    /// The rest, which may contain `:` and may be empty.
    pub password: &'a str,
}

impl<'a> Credentials<'a> {
    /// Splits `user:password` at the first `:`; `None` if there is no `:`.
    #[must_use]
    pub fn parse(body: &'a str) -> Option<Self> {
        body.split_once(':').map(|(name, password)| Self { name, password })
    }
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What one packet from a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request<'a> {
    /// CONNECT; a body is ignored, as in the original.
    Connect,
    /// DISCONNECT.
    Disconnect,
    /// ENCRYPTION_ON with the client's key: a classic key list, or `noise:` and a handshake message.
    EncryptionOn(&'a str),
    /// ENCRYPTION_OFF.
    EncryptionOff,
    /// JOIN.
    Join,
    /// LEAVE.
    Leave,
    /// REGISTER.
    Register(Credentials<'a>),
    /// LOGIN.
    Login(Credentials<'a>),
    /// LOGOUT.
    Logout,
    /// MESSAGE with its text, unchanged.
    Message(&'a str),
    /// WHOAMI.
    WhoAmI,
    /// DATE with a time zone name.
    Date(&'a str),
    /// TIME with a time zone name.
    Time(&'a str),
    /// HELLO; whether it counts depends on its place in the stream.
    Hello(Hello),
    /// PING with its body.
    Ping(&'a [u8]),
    /// A type that means nothing from a client: unknown, reserved, or one that only servers send.
    Ignored(PacketType),
}

/// A body that its type does not allow. The original is silent about these; our clients get a NOTICE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The body is not UTF-8.
    #[error("the body of {0:?} is not UTF-8 text")]
    NotUtf8(PacketType),
    /// REGISTER or LOGIN without the `:` between name and password.
    #[error("the body of {0:?} has no ':' between name and password")]
    NoColon(PacketType),
    /// HELLO without a readable `protocol=` line.
    #[error("the body of HELLO has no readable 'protocol=' line")]
    BadHello,
    /// PING with a body above its limit or with an unknown first byte.
    #[error("the body of PING is malformed")]
    BadPing,
}

impl<'a> Request<'a> {
    /// Reads a client's packet from its type and plain body.
    ///
    /// # Errors
    ///
    /// [`RequestError`]; the packet is to be dropped and the connection goes on.
    pub fn decode(kind: PacketType, body: &'a [u8]) -> Result<Self, RequestError> {
        let text = || std::str::from_utf8(body).map_err(|_| RequestError::NotUtf8(kind));
        let credentials = || Credentials::parse(text()?).ok_or(RequestError::NoColon(kind));
        Ok(match kind {
            PacketType::CONNECT => Self::Connect,
            PacketType::DISCONNECT => Self::Disconnect,
            PacketType::ENCRYPTION_ON => Self::EncryptionOn(text()?),
            PacketType::ENCRYPTION_OFF => Self::EncryptionOff,
            PacketType::JOIN => Self::Join,
            PacketType::LEAVE => Self::Leave,
            PacketType::REGISTER => Self::Register(credentials()?),
            PacketType::LOGIN => Self::Login(credentials()?),
            PacketType::LOGOUT => Self::Logout,
            PacketType::MESSAGE => Self::Message(text()?),
            PacketType::WHOAMI => Self::WhoAmI,
            PacketType::DATE => Self::Date(text()?),
            PacketType::TIME => Self::Time(text()?),
            PacketType::HELLO => Self::Hello(Hello::parse(text()?).ok_or(RequestError::BadHello)?),
            PacketType::PING if crate::ping::is_valid(body) => Self::Ping(body),
            PacketType::PING => return Err(RequestError::BadPing),
            other => Self::Ignored(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_packet_log() {
        for (code, name) in [
            (1, "CONNECT"),
            (10, "USERLIST"),
            (14, "TIME"),
            (105, "MATH_PROBLEM_OF_THE_DAY"),
            (113, "UNKNOWN"),
            (0, "UNKNOWN"),
        ] {
            assert_eq!(PacketType::new(code).name(), name);
        }
    }

    #[test]
    fn credentials_split_at_the_first_colon_and_hide_the_password() {
        let check = |body: &'static str, expected: Option<(&str, &str)>| {
            assert_eq!(Credentials::parse(body).map(|c| (c.name, c.password)), expected, "{body}");
        };
        check("alice:s3cr:et", Some(("alice", "s3cr:et")));
        check("alice:", Some(("alice", "")));
        check(":x", Some(("", "x")));
        check("alice", None);
        let shown = format!("{:?}", Request::decode(PacketType::LOGIN, b"alice:hunter2").unwrap());
        assert!(shown.contains("alice") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn malformed_bodies_are_named() {
        let check = |kind, body: &[u8], expected| assert_eq!(Request::decode(kind, body), Err(expected));
        check(PacketType::MESSAGE, b"\xff", RequestError::NotUtf8(PacketType::MESSAGE));
        check(PacketType::REGISTER, b"alice", RequestError::NoColon(PacketType::REGISTER));
        check(PacketType::HELLO, b"agent=x\n", RequestError::BadHello);
        check(PacketType::PING, &[0; 65], RequestError::BadPing);
    }

    #[test]
    fn unknown_reserved_and_server_types_are_ignored() {
        for code in [0, 10, 16, 17, 19, 20, 101, 112, 255] {
            let kind = PacketType::new(code);
            assert_eq!(Request::decode(kind, b"\xff anything"), Ok(Request::Ignored(kind)));
        }
    }
}
