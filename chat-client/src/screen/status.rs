//! The status line and the title: who, where, how well protected, how far away.

use std::ops::Range;
use std::time::Instant;

use super::theme::Part;
use super::{Conversation, text};
use crate::app::{Stage, Status};
use crate::display::{self, Medium};
use crate::link::{Basis, Protection};

const SEPARATOR: &str = " · ";
/// The longest name of somebody or of a server that the title and the status line show, in cells.
const MAX_NAME: usize = 32;
/// An address that has to be cut to fewer cells than this says nothing any more.
const LEAST_ADDRESS: usize = 8;
/// As many cells a tab takes at least, so that it says which it is.
pub(super) const LEAST_TAB: usize = 12;

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

/// Writes what the line of tabs says of one in `cells` cells: its number, what is unread there, and where it leads.
pub(super) fn tab(conversation: &Conversation, number: usize, cells: usize) -> String {
    let unread = match conversation.log.unread() {
        (0, _) => String::new(),
        (unread, 0) => format!("({unread}) "),
        (unread, _) => format!("({unread}!) "),
    };
    let place = conversation.status.as_ref().map(|status| safe(&status.place())).unwrap_or_default();
    // The number is what is pressed and the count what somebody looks for, so the name comes last and gives way.
    let known = format!(" {number} {unread}");
    let place = text::clip(&place, cells.saturating_sub(text::width(&known) + 1));
    text::clip(&format!("{known}{place} "), cells)
}

/// Says which tabs are drawn in `cells` cells, given how many each of them takes: the current one, and those beside it as far
/// as there is room.
pub(super) fn tabs_in_view(widths: &[usize], current: usize, cells: usize) -> Range<usize> {
    let (mut start, mut end) = (current, current + 1);
    let mut left = cells.saturating_sub(widths.get(current).copied().unwrap_or_default());
    loop {
        let room = |place: usize, left: usize| widths.get(place).and_then(|width| left.checked_sub(*width));
        let after = room(end, left);
        end += usize::from(after.is_some());
        left = after.unwrap_or(left);
        let before = start.checked_sub(1).and_then(|place| room(place, left));
        start -= usize::from(before.is_some());
        left = before.unwrap_or(left);
        if after.is_none() && before.is_none() {
            return start..end;
        }
    }
}

/// Writes the status line, in parts that look different; together they take no more than `cells`. What matters least is
/// left out first, and what should worry somebody last.
pub(super) fn line(status: &Status, now: Instant, cells: usize) -> Vec<(Part, String)> {
    let address = safe(&status.address.to_string());
    for brevity in Brevity::ALL {
        let parts = parts(status, now, brevity, &address);
        let Some(over) = length(&parts).checked_sub(cells).filter(|over| *over > 0) else {
            return joined(parts);
        };
        let left = text::width(&address).saturating_sub(over);
        if brevity == Brevity::NoCount && left >= LEAST_ADDRESS {
            let address = text::clip(&address, left);
            return joined(self::parts(status, now, brevity, &address));
        }
    }
    let warnings = parts(status, now, Brevity::Warnings, &address);
    // Where nothing is wrong, as much of the name as there is room for.
    let least = if warnings.is_empty() { parts(status, now, Brevity::NoRoom, &address) } else { warnings };
    fit(least, cells)
}

/// How much of what there is to say is left out: each leaves out what those before it do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Brevity {
    Whole,
    NoRoundTrip,
    NoFingerprint,
    NoCount,
    /// Nor how it is encrypted, if it is.
    NoEncryption,
    NoAddress,
    /// Nor whether there is a room to enter.
    NoRoom,
    /// What is wrong and nothing else.
    Warnings,
}

impl Brevity {
    /// All but the last, which is for where nothing else fits.
    const ALL: [Self; 7] = [
        Self::Whole,
        Self::NoRoundTrip,
        Self::NoFingerprint,
        Self::NoCount,
        Self::NoEncryption,
        Self::NoAddress,
        Self::NoRoom,
    ];
}

fn parts(status: &Status, now: Instant, brevity: Brevity, address: &str) -> Vec<(Part, String)> {
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
    if let Some(me) = status.me.as_ref().filter(|_| brevity < Brevity::Warnings) {
        parts.push((Part::Status, safe(me)));
    }
    if brevity < Brevity::NoAddress {
        parts.push((Part::Status, address.to_owned()));
    }
    parts.extend(status.protection.and_then(|protection| describe(protection, brevity)));
    if status.stage == Stage::Online {
        let room = match (&status.users, status.joined) {
            (Some(users), true) => format!("{} in the room", users.len()),
            (_, true) => "in the room".to_owned(),
            (_, false) => "not in the room: /join".to_owned(),
        };
        if brevity < Brevity::NoCount || !status.joined && brevity < Brevity::NoRoom {
            parts.push((Part::Status, room));
        }
        if let Some(round_trip) = status.round_trip.filter(|_| brevity < Brevity::NoRoundTrip) {
            parts.push((Part::Status, format!("{:.0} ms", (round_trip.as_secs_f64() * 1000.0).ceil())));
        }
    }
    parts
}

/// Counts the cells of a status line.
fn length(parts: &[(Part, String)]) -> usize {
    let texts: usize = parts.iter().map(|(_, text)| text::width(text)).sum();
    texts + parts.len().saturating_sub(1) * text::width(SEPARATOR)
}

/// Says how the connection is protected, and with whose fingerprint: its beginning tells servers apart.
fn describe(protection: Protection, brevity: Brevity) -> Option<(Part, String)> {
    match protection {
        Protection::Plain => Some((Part::StatusWarning, "not encrypted".to_owned())),
        Protection::Classic => Some((Part::StatusWarning, "classic, can be read by others".to_owned())),
        Protection::Noise { .. } if brevity >= Brevity::NoEncryption => None,
        Protection::Noise { identity, basis } => {
            let identity = identity.to_string();
            let beginning = identity.get(.."SHA256:".len() + 8).unwrap_or(&identity);
            let said = match basis {
                Basis::Pinned | Basis::Demanded => "encrypted",
                Basis::FirstContact => "encrypted, first contact",
                Basis::Unverified => "encrypted, unverified",
            };
            let shortened = brevity >= Brevity::NoFingerprint;
            Some((Part::Status, if shortened { said.to_owned() } else { format!("{said} {beginning}…") }))
        }
    }
}

/// Puts what separates them between the parts.
fn joined(parts: Vec<(Part, String)>) -> Vec<(Part, String)> {
    let parts = parts.into_iter().map(|part| [(Part::Status, SEPARATOR.to_owned()), part]);
    parts.flatten().skip(1).collect()
}

/// Does the same, and leaves out at the end what does not fit.
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
