//! What can be set, by name.

use std::path::PathBuf;

use ratatui::style::Color;

use super::Settings;
use crate::link::{Dialect, Encryption};
use crate::screen::Theme;

/// A setting.
pub(super) struct Row {
    /// Its name in the file; the part before a `.` names a table.
    pub(super) name: &'static str,
    /// What it is by default.
    pub(super) default: &'static str,
    /// What it is for: one sentence or more.
    pub(super) help: &'static str,
    /// What is allowed, as the end of "must be ...".
    pub(super) allowed: &'static str,
    /// Sets it, if the text is allowed.
    pub(super) set: fn(&mut Settings, &str) -> bool,
}

const YES_OR_NO: &str = "true or false";
const COLOUR: &str = "a colour such as \"#ffd787\", \"green\" or 215, or empty";

pub(super) const TABLE: [Row; 24] = [
    Row {
        name: "host",
        default: "",
        help: "The server to connect to when none is named; may be the name of one of the servers below.",
        allowed: "a name or an address",
        set: |settings, text| put(&mut settings.host, Some(some(text))),
    },
    Row {
        name: "port",
        default: "12345",
        help: "Its port, unless it is named below.",
        allowed: "from 1 to 65535",
        set: |settings, text| put(&mut settings.port, port(text)),
    },
    Row {
        name: "title",
        default: "chat",
        help: "What the title of the window begins with.",
        allowed: "a text",
        set: |settings, text| put(&mut settings.title, Some(text.to_owned())),
    },
    Row {
        name: "theme",
        default: "auto",
        help: "Colours for a dark or a light background, or none at all. auto looks at NO_COLOR and COLORFGBG.",
        allowed: "auto, dark, light or none",
        set: |settings, text| put(&mut settings.theme, theme(text)),
    },
    Row {
        name: "timestamps",
        default: "true",
        help: "Show when things were said.",
        allowed: YES_OR_NO,
        set: |settings, text| put(&mut settings.timestamps, truth(text)),
    },
    Row {
        name: "users",
        default: "true",
        help: "Show who is in the room at the right, if the screen is wide enough.",
        allowed: YES_OR_NO,
        set: |settings, text| put(&mut settings.users, truth(text)),
    },
    Row {
        name: "fold",
        default: "true",
        help: "Put comings and goings into one sentence; /fold changes that.",
        allowed: YES_OR_NO,
        set: |settings, text| put(&mut settings.fold, truth(text)),
    },
    Row {
        name: "mouse",
        default: "true",
        help: "Let the wheel scroll. To select text, press Shift as well.",
        allowed: YES_OR_NO,
        set: |settings, text| put(&mut settings.mouse, truth(text)),
    },
    Row {
        name: "bell",
        default: "true",
        help: "Ring the bell when somebody names you.",
        allowed: YES_OR_NO,
        set: |settings, text| put(&mut settings.bell, truth(text)),
    },
    Row {
        name: "notify",
        default: "false",
        help: "Let the desktop tell when somebody names you, through terminals that can (OSC 9).",
        allowed: YES_OR_NO,
        set: |settings, text| put(&mut settings.notify, truth(text)),
    },
    Row {
        name: "scrollback",
        default: "10000",
        help: "How many entries are kept to scroll back to. More than 32 MiB of them are never kept.",
        allowed: "from 100 to 1000000",
        set: |settings, text| {
            let entries = text.parse().ok().filter(|entries| (100..=1_000_000).contains(entries));
            put(&mut settings.scrollback, entries)
        },
    },
    Row {
        name: "dialect",
        default: "auto",
        help: "Which revision of the original protocol to speak: auto is 2025, and 2026 if the server does not answer that.",
        allowed: "auto, 2025 or 2026",
        set: |settings, text| put(&mut settings.dialect, dialect(text)),
    },
    Row {
        name: "encryption",
        default: "auto",
        help: "How to encrypt: auto is noise with servers that know it; with an original server it asks.",
        allowed: "auto, noise, classic or off",
        set: |settings, text| put(&mut settings.encryption, encryption(text)),
    },
    Row {
        name: "allow_plain_passwords",
        default: "false",
        help: "Send passwords without encryption and without asking.",
        allowed: YES_OR_NO,
        set: |settings, text| put(&mut settings.allow_plain_passwords, truth(text)),
    },
    Row {
        name: "log",
        default: "",
        help: "A file that everything that is shown is added to; ~/ is your home directory.",
        allowed: "the name of a file",
        set: |settings, text| put(&mut settings.log, Some(some(text).map(PathBuf::from))),
    },
    Row {
        name: "zone",
        default: "",
        help: "The time zone of what is shown and of /date and /time; empty for the computer's.",
        allowed: "a time zone such as Europe/Paris",
        set: |settings, text| {
            let known = text.is_empty() || jiff::tz::TimeZone::get(text).is_ok();
            put(&mut settings.zone, known.then(|| some(text)))
        },
    },
    Row {
        name: "font.name",
        default: "",
        help: "The font of the window: its name, or the path of its file; empty for the one that comes with the program.",
        allowed: "the name of a font",
        set: |settings, text| put(&mut settings.font_name, Some(some(text))),
    },
    Row {
        name: "font.size",
        default: "15",
        help: "Its size, in points.",
        allowed: "from 6 to 72",
        set: |settings, text| {
            put(&mut settings.font_size, text.parse().ok().filter(|size| (6..=72).contains(size)))
        },
    },
    Row {
        name: "colours.text",
        default: "",
        help: "Colours in place of the theme's: #rrggbb, a name, or a number from 0 to 255.",
        allowed: COLOUR,
        set: |settings, text| put(&mut settings.colours.text, colour(text)),
    },
    Row {
        name: "colours.background",
        default: "",
        help: "What is behind it all.",
        allowed: COLOUR,
        set: |settings, text| put(&mut settings.colours.background, colour(text)),
    },
    Row {
        name: "colours.server",
        default: "",
        help: "What the server says.",
        allowed: COLOUR,
        set: |settings, text| put(&mut settings.colours.server, colour(text)),
    },
    Row {
        name: "colours.notes",
        default: "",
        help: "What the program itself says.",
        allowed: COLOUR,
        set: |settings, text| put(&mut settings.colours.notes, colour(text)),
    },
    Row {
        name: "colours.errors",
        default: "",
        help: "What went wrong.",
        allowed: COLOUR,
        set: |settings, text| put(&mut settings.colours.errors, colour(text)),
    },
    Row {
        name: "colours.presence",
        default: "",
        help: "Who comes and goes.",
        allowed: COLOUR,
        set: |settings, text| put(&mut settings.colours.presence, colour(text)),
    },
];

/// Puts a value in place of another, if there is one.
fn put<T>(place: &mut T, value: Option<T>) -> bool {
    let Some(value) = value else { return false };
    *place = value;
    true
}

pub(super) fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}

pub(super) fn dialect(text: &str) -> Option<Dialect> {
    Some(match text {
        "auto" => Dialect::Auto,
        "2025" => Dialect::October,
        "2026" => Dialect::January,
        _ => return None,
    })
}

pub(super) fn encryption(text: &str) -> Option<Encryption> {
    Some(match text {
        "auto" => Encryption::Auto,
        "noise" => Encryption::Noise,
        "classic" => Encryption::Classic,
        "off" => Encryption::Off,
        _ => return None,
    })
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

fn theme(text: &str) -> Option<Option<Theme>> {
    Some(match text {
        "auto" => None,
        "dark" => Some(Theme::Dark),
        "light" => Some(Theme::Light),
        "none" => Some(Theme::Plain),
        _ => return None,
    })
}

fn colour(text: &str) -> Option<Option<Color>> {
    if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
}
