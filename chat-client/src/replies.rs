//! Reading the server's texts: who joined, who logged in, what was refused.
//!
//! The wording is `chat_core::text`; this is its other direction. A text that does not fit is still shown, only nothing is
//! concluded from it.

use chat_core::packet::PacketType;

/// What a text from the server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply<'a> {
    /// This client is called so until it logs in.
    Connected(&'a str),
    /// Somebody entered the room.
    Joined(&'a str),
    /// Somebody left the room.
    Left(&'a str),
    /// The account was made.
    Registered(&'a str),
    /// The account exists already, or the name cannot be used.
    Taken(&'a str),
    /// A client logged in.
    LoggedIn { client: &'a str, user: &'a str },
    /// This client may not log in under the name.
    LoginRefused(&'a str),
    /// A user logged out.
    LoggedOut(&'a str),
    /// A message and who sent it.
    Message { sender: &'a str },
}

impl<'a> Reply<'a> {
    /// Reads a text of the given type; `None` for types that say nothing about anybody and for texts that do not fit.
    pub(crate) fn read(kind: PacketType, text: &'a str) -> Option<Self> {
        let between = |before: &str, after: &str| {
            let name = text.strip_prefix("Server: ")?.strip_suffix('\n')?;
            name.strip_prefix(before)?.strip_suffix(after).filter(|name| !name.is_empty())
        };
        match kind {
            PacketType::CONNECT => between("", " has connected to the server").map(Self::Connected),
            PacketType::JOIN => between("", " joined the chat room").map(Self::Joined),
            PacketType::LEAVE => between("", " left the chat room").map(Self::Left),
            PacketType::REGISTER => between("The username ", " was successfully registered")
                .map(Self::Registered)
                .or_else(|| between("The username ", " is already taken").map(Self::Taken)),
            PacketType::LOGIN => between("Unable to login as ", "").map(Self::LoginRefused).or_else(|| {
                // Client names have no spaces, so the first place is the right one whatever the user is called.
                let (client, user) = between("", "")?.split_once(" logged in as ")?;
                Some(Self::LoggedIn { client, user })
            }),
            PacketType::LOGOUT => between("", " logged out").map(Self::LoggedOut),
            PacketType::MESSAGE => text.split_once(": ").map(|(sender, _)| Self::Message { sender }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use chat_core::names::{ClientId, Username};
    use chat_core::text::{self, Display};

    use super::*;

    #[test]
    fn every_text_of_the_server_is_understood() {
        let (client, user) = (ClientId(7), Username::parse("two words").unwrap());
        let display = Display::User(user.clone());
        for (kind, text, expected) in [
            (PacketType::CONNECT, text::connected(client), Reply::Connected("Client-7")),
            (PacketType::JOIN, text::joined(client), Reply::Joined("Client-7")),
            (PacketType::LEAVE, text::left(&display), Reply::Left("two words")),
            (PacketType::REGISTER, text::registered("two words"), Reply::Registered("two words")),
            (PacketType::REGISTER, text::taken("two words"), Reply::Taken("two words")),
            (
                PacketType::LOGIN,
                text::logged_in(client, &user),
                Reply::LoggedIn { client: "Client-7", user: "two words" },
            ),
            (PacketType::LOGIN, text::login_refused("two words"), Reply::LoginRefused("two words")),
            (PacketType::LOGOUT, text::logged_out(&user), Reply::LoggedOut("two words")),
            (
                PacketType::MESSAGE,
                text::message(&display, "a: b: c\n"),
                Reply::Message { sender: "two words" },
            ),
        ] {
            assert_eq!(Reply::read(kind, &text), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_texts_say_nothing() {
        for (kind, text) in [
            (PacketType::CONNECT, "Server:  has connected to the server\n"),
            (PacketType::CONNECT, "Server: Client-1 has connected to the server"),
            (PacketType::CONNECT, "hello"),
            (PacketType::CONNECT, ""),
            (PacketType::JOIN, "Server: Client-1 has connected to the server\n"),
            (PacketType::LOGIN, "Server: somebody logged off\n"),
            (PacketType::MESSAGE, "no colon"),
            (PacketType::WHOAMI, "Server: whoami results\n"),
            (PacketType::USERLIST, "a:b"),
        ] {
            assert_eq!(Reply::read(kind, text), None, "{text}");
        }
    }
}
