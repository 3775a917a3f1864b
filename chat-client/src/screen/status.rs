//! The status line and the title: who, where, how well protected, how far away.

use std::time::Instant;

use super::theme::Part;
use super::{Conversation, text};
use crate::app::{Stage, Status};
use crate::display::{self, Medium};
use crate::link::{Basis, Protection};

const SEPARATOR: &str = " · ";
/// The longest name of somebody or of a server that the title and the status line show, in cells.
const MAX_NAME: usize = 32;

/// Tells whether the status line counts seconds.
pub(super) fn is_counting(status: &Status) -> bool {
    matches!(status.stage, Stage::Waiting { .. })
}

/// Writes the title of the window.
pub(super) fn title(beginning: &str, status: Option<&Status>, (unread, mentions): (usize, usize)) -> String {
    let unread = match (unread, mentions) {
        (0, _) => String::new(),
        (unread, 0) => format!("({unread}) "),
        (unread, _) => format!("({unread}!) "),
    };
    let place = status.map(|status| format!(" {}", safe(&status.place()))).unwrap_or_default();
    format!("{unread}{}{place}", safe(beginning))
}

/// Writes what the line of tabs says of one in `cells` cells: its number, where it leads, and what is unread there.
pub(super) fn tab(conversation: &Conversation, number: usize, cells: usize) -> String {
    let unread = match conversation.log.unread() {
        (0, _) => String::new(),
        (unread, 0) => format!("({unread}) "),
        (unread, _) => format!("({unread}!) "),
    };
    let number = format!(" {number} ");
    let place = conversation.status.as_ref().map(|status| safe(&status.place())).unwrap_or_default();
    // The count is what somebody looks for, so the name gives way.
    let place = text::clip(&place, cells.saturating_sub(text::width(&number) + 1 + unread.len()));
    text::clip(&format!("{number}{place} {unread}"), cells)
}

/// Writes the status line, in parts that look different; together they take no more than `cells`. What matters least is
/// left out first: it comes last.
pub(super) fn line(status: &Status, now: Instant, cells: usize) -> Vec<(Part, String)> {
    let mut parts = Vec::new();
    match status.stage {
        Stage::Offline => parts.push((Part::StatusWarning, "not connected".to_owned())),
        Stage::Connecting => parts.push((Part::Status, "connecting".to_owned())),
        Stage::Restoring => parts.push((Part::StatusWarning, "reconnecting".to_owned())),
        Stage::Waiting { until } => {
            let seconds = until.saturating_duration_since(now).as_secs_f64().ceil();
            parts.push((Part::StatusWarning, format!("reconnecting in {seconds} s")));
        }
        Stage::Leaving => parts.push((Part::Status, "leaving".to_owned())),
        Stage::Online => {}
    }
    if let Some(me) = &status.me {
        parts.push((Part::Status, safe(me)));
    }
    parts.push((Part::Status, safe(&status.address.to_string())));
    if let Some(protection) = status.protection {
        parts.extend(describe(protection));
    }
    if status.stage == Stage::Online {
        let room = match (&status.users, status.joined) {
            (Some(users), true) => format!("{} in the room", users.len()),
            (_, true) => "in the room".to_owned(),
            (_, false) => "not in the room: /join".to_owned(),
        };
        parts.push((Part::Status, room));
        if let Some(round_trip) = status.round_trip {
            parts.push((Part::Status, format!("{:.0} ms", (round_trip.as_secs_f64() * 1000.0).ceil())));
        }
    }
    fit(parts, cells)
}

/// Says how the connection is protected, and with whose fingerprint: its beginning tells servers apart.
fn describe(protection: Protection) -> Vec<(Part, String)> {
    match protection {
        Protection::Plain => vec![(Part::StatusWarning, "not encrypted".to_owned())],
        Protection::Classic => vec![(Part::StatusWarning, "classic, can be read by others".to_owned())],
        Protection::Noise { identity, basis } => {
            let identity = identity.to_string();
            let beginning = identity.get(.."SHA256:".len() + 8).unwrap_or(&identity);
            let said = match basis {
                Basis::Pinned | Basis::Demanded => "encrypted",
                Basis::FirstContact => "encrypted, first contact",
                Basis::Unverified => "encrypted, unverified",
            };
            vec![(Part::Status, format!("{said} {beginning}…"))]
        }
    }
}

fn fit(parts: Vec<(Part, String)>, cells: usize) -> Vec<(Part, String)> {
    let mut fitting: Vec<(Part, String)> = Vec::new();
    let mut left = cells;
    for (part, text) in parts {
        if fitting.is_empty() {
            let text = text::clip(&text, left);
            left -= text::width(&text);
            fitting.push((part, text));
            continue;
        }
        let needed = text::width(SEPARATOR) + text::width(&text);
        if needed > left {
            break;
        }
        left -= needed;
        fitting.push((Part::Status, SEPARATOR.to_owned()));
        fitting.push((part, text));
    }
    fitting
}

/// Makes a name that can do nothing but be read.
pub(crate) fn name(name: &str) -> String {
    text::trim_letters(&display::sanitise(name, Medium::Terminal).replace(['\n', '\t'], " "))
}

fn safe(text: &str) -> String {
    text::clip(&name(text), MAX_NAME)
}
