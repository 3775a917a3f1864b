//! The server's texts, word for word as the original says them, and the user list.
//!
//! Every text ends with one line feed except [`user_list`], [`message`] (which ends as its sender ended it) and the key
//! part of [`encryption_on`].

use std::net::SocketAddr;

use crate::names::{ClientId, Username};

/// What separates names in a user list, and text from key in an ENCRYPTION_ON reply.
pub const SEPARATOR: char = ':';

/// Whom a text speaks of: the user name if there is one, else the client name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Display {
    /// A client that has not logged in.
    Client(ClientId),
    /// A logged-in user.
    User(Username),
}

impl std::fmt::Display for Display {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Client(client) => client.fmt(f),
            Self::User(user) => user.fmt(f),
        }
    }
}

/// Answers CONNECT.
#[must_use]
pub fn connected(client: ClientId) -> String {
    format!("Server: {client} has connected to the server\n")
}

/// Answers DISCONNECT.
#[must_use]
pub fn disconnected(who: &Display) -> String {
    format!("Server: {who} has disconnected from the server\n")
}

/// Answers ENCRYPTION_ON: the text, `:`, and the server's key.
///
/// A reader takes everything after the second `:` as the key, so names cannot contain one.
#[must_use]
pub fn encryption_on(who: &Display, key: &str) -> String {
    format!("Server: Encryption turned on for {who}\n{SEPARATOR}{key}")
}

/// Splits an ENCRYPTION_ON reply into the text to show and the server's key; `None` if there is no key.
#[must_use]
pub fn split_encryption_on(body: &str) -> Option<(&str, &str)> {
    let (second, _) = body.match_indices(SEPARATOR).nth(1)?;
    Some((body.get(..second)?, body.get(second + SEPARATOR.len_utf8()..)?))
}

/// Answers ENCRYPTION_OFF.
#[must_use]
pub fn encryption_off(who: &Display) -> String {
    format!("Server: Encryption turned off for {who}\n")
}

/// Tells everyone of a JOIN; always by client name.
#[must_use]
pub fn joined(client: ClientId) -> String {
    format!("Server: {client} joined the chat room\n")
}

/// Tells everyone of a LEAVE.
#[must_use]
pub fn left(who: &Display) -> String {
    format!("Server: {who} left the chat room\n")
}

/// Answers a REGISTER that made the account.
#[must_use]
pub fn registered(name: &str) -> String {
    format!("Server: The username {name} was successfully registered\n")
}

/// Answers a REGISTER that did not: the only refusal the original knows.
#[must_use]
pub fn taken(name: &str) -> String {
    format!("Server: The username {name} is already taken\n")
}

/// Tells everyone of a LOGIN; always by client name.
#[must_use]
pub fn logged_in(client: ClientId, user: &Username) -> String {
    format!("Server: {client} logged in as {user}\n")
}

/// Answers a LOGIN that was refused.
#[must_use]
pub fn login_refused(name: &str) -> String {
    format!("Server: Unable to login as {name}\n")
}

/// Tells everyone of a LOGOUT.
#[must_use]
pub fn logged_out(user: &Username) -> String {
    format!("Server: {user} logged out\n")
}

/// Prefixes a message with its sender; the text itself is unchanged.
#[must_use]
pub fn message(sender: &Display, text: &str) -> String {
    format!("{sender}: {text}")
}

/// Answers WHOAMI in five lines; the user name is `None` when there is none.
#[must_use]
pub fn whoami(client: ClientId, peer: SocketAddr, user: Option<&Username>) -> String {
    let (ip, port, user) = (peer.ip().to_canonical(), peer.port(), user.map_or("None", Username::as_str));
    format!(
        "Server: whoami results\nclient_name={client}\nclient_ip={ip}\nclient_port={port}\nusername={user}\n"
    )
}

/// Answers DATE with a text such as `Sunday, October 12, 2025`.
#[must_use]
pub fn date(text: &str) -> String {
    format!("Server: The date is {text}\n")
}

/// Answers TIME with a text such as `7:06 PM EDT`.
#[must_use]
pub fn time(text: &str) -> String {
    format!("Server: The time is {text}\n")
}

/// Joins names into a user list, sorted by Unicode code point; empty for no names.
#[must_use]
pub fn user_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    // Comparing UTF-8 bytes compares code points.
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_unstable();
    names.join(":")
}

/// Splits a user list into its names; an empty body is an empty list.
pub fn split_user_list(body: &str) -> impl Iterator<Item = &str> {
    body.split(SEPARATOR).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wording_is_the_original_one() {
        let (client, alice) = (ClientId(1), Username::parse("alice").unwrap());
        let user = Display::User(alice.clone());
        let peer = "127.0.0.1:42101".parse().unwrap();
        for (text, expected) in [
            (connected(client), "Server: Client-1 has connected to the server\n"),
            (disconnected(&user), "Server: alice has disconnected from the server\n"),
            (
                encryption_on(&Display::Client(client), "3233,17"),
                "Server: Encryption turned on for Client-1\n:3233,17",
            ),
            (encryption_off(&user), "Server: Encryption turned off for alice\n"),
            (joined(client), "Server: Client-1 joined the chat room\n"),
            (left(&user), "Server: alice left the chat room\n"),
            (registered("alice"), "Server: The username alice was successfully registered\n"),
            (taken("alice"), "Server: The username alice is already taken\n"),
            (logged_in(client, &alice), "Server: Client-1 logged in as alice\n"),
            (login_refused("alice"), "Server: Unable to login as alice\n"),
            (logged_out(&alice), "Server: alice logged out\n"),
            (message(&user, "hello\n"), "alice: hello\n"),
            (message(&user, ""), "alice: "),
            (date("Sunday, October 12, 2025"), "Server: The date is Sunday, October 12, 2025\n"),
            (time("7:06 PM EDT"), "Server: The time is 7:06 PM EDT\n"),
            (
                whoami(client, peer, None),
                "Server: whoami results\nclient_name=Client-1\nclient_ip=127.0.0.1\nclient_port=42101\nusername=None\n",
            ),
        ] {
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn the_user_list_is_in_code_point_order() {
        assert_eq!(user_list(["alice", "Client-2", "AA", "Client-10"]), "AA:Client-10:Client-2:alice");
        assert_eq!(user_list([]), "");
        assert_eq!(split_user_list("AA:alice").collect::<Vec<_>>(), ["AA", "alice"]);
        assert_eq!(split_user_list("").count(), 0);
    }

    #[test]
    fn the_key_is_what_follows_the_second_colon() {
        let body = "Server: Encryption turned on for Client-1\n:3233,17:3127,3";
        assert_eq!(
            split_encryption_on(body),
            Some(("Server: Encryption turned on for Client-1\n", "3233,17:3127,3"))
        );
        assert_eq!(split_encryption_on("Server: no key"), None);
    }
}
