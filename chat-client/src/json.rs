//! Events for programs: one JSON object per line. `docs/client.md` describes them; nothing in it is taken away without a
//! new name for the event.

use chat_core::january;
use chat_core::names;
use chat_core::packet::PacketType;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::app::{Show, Stage, Status};
use crate::link::Protection;
use crate::replies::Reply;

/// Writes something that is shown as a line.
#[must_use]
pub fn show(at: Timestamp, show: &Show) -> String {
    let fields = match show {
        Show::Text { kind, text } => said(*kind, text),
        Show::Users { names, asked } => json!({"event": "users", "names": names, "asked": asked}),
        Show::UsersChanged(names) => json!({"event": "users", "names": names, "asked": false}),
        Show::Help(text) => json!({"event": "help", "text": text}),
        Show::Note(text) => json!({"event": "note", "text": text}),
        Show::Error(text) => json!({"event": "error", "text": text}),
        Show::Hint(text) => json!({"event": "hint", "text": text}),
    };
    line(at, fields)
}

/// Writes how things stand as a line. The round trip and who is in the room are not in it: they change all the time, and
/// the latter has an event of its own.
#[must_use]
pub fn status(at: Timestamp, status: &Status) -> String {
    let stage = match status.stage {
        Stage::Offline => "offline",
        Stage::Connecting => "connecting",
        Stage::Restoring => "restoring",
        Stage::Waiting { .. } => "waiting",
        Stage::Online => "online",
        Stage::Leaving => "leaving",
    };
    let (encryption, identity) = match status.protection {
        None => (Value::Null, Value::Null),
        Some(Protection::Plain) => (json!("off"), Value::Null),
        Some(Protection::Classic) => (json!("classic"), Value::Null),
        Some(Protection::Noise { identity, .. }) => (json!("noise"), json!(identity.to_string())),
    };
    let address = status.address.to_string();
    let fields = json!({
        "event": "status", "stage": stage, "server": address, "me": status.me, "joined": status.joined,
        "encryption": encryption, "identity": identity,
    });
    line(at, fields)
}

fn said(kind: PacketType, text: &str) -> Value {
    match Reply::read(kind, text) {
        Some(Reply::Message { sender }) => {
            let body = text.get(sender.len()..).and_then(|rest| rest.strip_prefix(": ")).unwrap_or_default();
            // The line end that the original's input box adds is not what anybody said.
            let body = body.strip_suffix('\n').unwrap_or(body);
            json!({"event": "message", "from": sender, "text": body})
        }
        Some(Reply::Joined(who)) => json!({"event": "joined", "who": who}),
        Some(Reply::Left(who)) => json!({"event": "left", "who": who}),
        Some(Reply::LoggedIn { client, user }) => {
            json!({"event": "logged-in", "client": client, "who": user})
        }
        Some(Reply::LoggedOut(who)) => json!({"event": "logged-out", "who": who}),
        _ => {
            let kind = if kind == january::PROFILE { "PROFILE" } else { kind.name() };
            json!({"event": "server", "kind": kind, "text": text.strip_suffix('\n').unwrap_or(text)})
        }
    }
}

/// Adds the time, and writes what a terminal would obey and what deceives a person as escapes: outside of strings there is
/// nothing of that kind.
fn line(at: Timestamp, fields: Value) -> String {
    let mut object = Map::from_iter([("time".to_owned(), json!(format!("{at:.3}")))]);
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    let mut line = String::new();
    for c in Value::Object(object).to_string().chars() {
        if names::is_unprintable(c) && !matches!(c, '\u{200c}' | '\u{200d}') {
            line.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            line.push(c);
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chat_core::known_servers::ServerAddress;
    use chat_core::noise::Fingerprint;

    use super::*;
    use crate::link::Basis;

    fn text(kind: PacketType, text: &str) -> Show {
        Show::Text { kind, text: text.to_owned() }
    }

    #[test]
    fn every_event_is_an_object_of_its_own_on_a_line_of_its_own() {
        let at = Timestamp::from_millisecond(1_795_000_000_123).unwrap();
        let shows = [
            text(PacketType::MESSAGE, "bob: two\nlines: \"x\"\n"),
            text(PacketType::MESSAGE, "bob: \u{1b}]0;t\u{7}\u{9b}2J\u{2028}\u{202e}\u{e0041}"),
            text(PacketType::JOIN, "Server: Client-1 joined the chat room\n"),
            text(PacketType::LEAVE, "Server: bob left the chat room\n"),
            text(PacketType::LOGIN, "Server: Client-1 logged in as bob\n"),
            text(PacketType::LOGOUT, "Server: bob logged out\n"),
            text(PacketType::DATE, "Server: The date is Sunday, October 12, 2025\n"),
            Show::Users { names: vec!["bob".to_owned()], asked: true },
            Show::UsersChanged(vec!["bob".to_owned()]),
            Show::Help("help\n".to_owned()),
            Show::Note("note".to_owned()),
            Show::Error("error".to_owned()),
            Show::Hint("hint".to_owned()),
        ];
        let mut lines: String = shows.iter().map(|event| show(at, event)).collect();
        let protection = Protection::Noise { identity: Fingerprint::of(&[1; 32]), basis: Basis::Pinned };
        let standing = Status {
            address: ServerAddress::new("home", 1),
            name: None,
            stage: Stage::Online,
            me: Some("bob".to_owned()),
            joined: true,
            protection: Some(protection),
            round_trip: Some(Duration::ZERO),
            users: None,
            awaits_password: false,
        };
        lines += &status(at, &standing);
        insta::assert_snapshot!(lines);
        for line in lines.lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            assert!(!line.contains(names::is_unprintable));
            let document = include_str!("../../docs/client.md");
            let name = event["event"].as_str().unwrap();
            assert!(document.contains(&format!("| `{name}` |")), "{name} is not in docs/client.md");
            for field in event.as_object().unwrap().keys() {
                assert!(document.contains(&format!("`{field}`")), "{field} is not in docs/client.md");
            }
        }
    }
}
