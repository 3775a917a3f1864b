//! The table of settings: what each is called in the file, where it is kept, and what is allowed.
//!
//! Everything that goes by name reads this table: the file, the environment, `check-config`, and the test that
//! compares `templates/server.toml` with it.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::{IpNet, LogFormat, Settings, default_data_directory};

/// One setting.
pub(super) struct Key {
    /// Its name in the file, with its section, such as `limits.max_connections`.
    pub(super) name: &'static str,
    /// Other variables of the environment that set it, weakest first; its own is made from its name.
    pub(super) other_variables: &'static [&'static str],
    /// Whether a running server takes a change of it over.
    pub(super) live: bool,
    slot: for<'a> fn(&'a mut Settings) -> Slot<'a>,
}

/// A value as it was given, before anything is known about it.
#[derive(Debug, Clone)]
pub(super) enum Given {
    /// A word of the command line or the environment.
    Word(String),
    /// A value of the file.
    Value(toml::Value),
}

/// A place for a value, and what it takes.
enum Slot<'a> {
    Address(&'a mut IpAddr),
    Number(&'a mut dyn Number, RangeInclusive<u64>),
    Directory(&'a mut PathBuf),
    OptionalFile(&'a mut Option<PathBuf>),
    OptionalSocket(&'a mut Option<SocketAddr>),
    Format(&'a mut LogFormat),
    Filter(&'a mut String),
    Networks(&'a mut Vec<IpNet>),
}

/// A number of any width, or a duration in seconds.
trait Number {
    fn get(&self) -> u64;
    /// Takes a number over, unless it does not fit.
    fn set(&mut self, number: u64) -> Option<()>;
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Number for $type {
            fn get(&self) -> u64 {
                u64::try_from(*self).unwrap_or(u64::MAX)
            }
            fn set(&mut self, number: u64) -> Option<()> {
                *self = number.try_into().ok()?;
                Some(())
            }
        }
    )*};
}

number!(u16, u32, u64, usize);

impl Number for Duration {
    fn get(&self) -> u64 {
        self.as_secs()
    }
    fn set(&mut self, number: u64) -> Option<()> {
        *self = Self::from_secs(number);
        Some(())
    }
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const DAY: u64 = 24 * 60 * 60;

const fn key(name: &'static str, slot: for<'a> fn(&'a mut Settings) -> Slot<'a>) -> Key {
    Key { name, other_variables: &[], live: false, slot }
}

/// A setting that a running server takes over when it is told to read its settings again.
const fn live(name: &'static str, slot: for<'a> fn(&'a mut Settings) -> Slot<'a>) -> Key {
    Key { live: true, ..key(name, slot) }
}

/// All settings, in the order of the file: those without a section first, then section by section.
pub(super) static KEYS: &[Key] = &[
    key("host", |s| Slot::Address(&mut s.host)),
    key("port", |s| Slot::Number(&mut s.port, 0..=65_535)),
    key("data", |s| Slot::Directory(&mut s.data)),
    key("packet_log", |s| Slot::OptionalFile(&mut s.packet_log)),
    key("log.format", |s| Slot::Format(&mut s.log.format)),
    Key {
        name: "log.level",
        other_variables: &["RUST_LOG", "CHAT_LOG"],
        live: true,
        slot: |s| Slot::Filter(&mut s.log.level),
    },
    key("metrics.address", |s| Slot::OptionalSocket(&mut s.metrics.address)),
    // The longest SECURE packet has to pass, or our own clients could not talk. The upper end is the protocol's.
    live("limits.max_packet_bytes", |s| Slot::Number(&mut s.limits.max_packet_bytes, 65_540..=MIB)),
    live("limits.max_connections", |s| Slot::Number(&mut s.limits.max_connections, 1..=1_000_000)),
    live("limits.max_connections_per_address", |s| {
        Slot::Number(&mut s.limits.max_connections_per_address, 1..=1_000_000)
    }),
    live("limits.connections_per_second", |s| {
        Slot::Number(&mut s.limits.connections_per_second, 1..=1_000_000)
    }),
    live("limits.exempt", |s| Slot::Networks(&mut s.limits.exempt)),
    live("limits.handshake_timeout_seconds", |s| Slot::Number(&mut s.limits.handshake_timeout, 0..=DAY)),
    live("limits.packet_timeout_seconds", |s| Slot::Number(&mut s.limits.packet_timeout, 0..=DAY)),
    live("limits.idle_timeout_seconds", |s| Slot::Number(&mut s.limits.idle_timeout, 0..=365 * DAY)),
    // At least what one round of events may have for one client.
    live("limits.outbox_bytes", |s| Slot::Number(&mut s.limits.outbox_bytes, 512 * KIB..=1024 * MIB)),
    live("limits.outbox_total_bytes", |s| {
        Slot::Number(&mut s.limits.outbox_total_bytes, MIB..=1024 * 1024 * MIB)
    }),
    live("limits.inbox_total_bytes", |s| {
        Slot::Number(&mut s.limits.inbox_total_bytes, MIB..=1024 * 1024 * MIB)
    }),
    live("limits.messages_per_second", |s| Slot::Number(&mut s.limits.messages_per_second, 1..=1_000_000)),
    live("limits.message_burst", |s| Slot::Number(&mut s.limits.message_burst, 1..=1_000_000)),
    live("limits.bytes_per_second", |s| Slot::Number(&mut s.limits.bytes_per_second, KIB..=1024 * MIB)),
    live("limits.byte_burst", |s| Slot::Number(&mut s.limits.byte_burst, KIB..=1024 * MIB)),
    live("limits.rate_shares_per_address", |s| {
        Slot::Number(&mut s.limits.rate_shares_per_address, 1..=1_000_000)
    }),
    // With a name before it, it has to be a packet that every client of ours takes.
    live("limits.max_message_bytes", |s| Slot::Number(&mut s.limits.max_message_bytes, KIB..=1_000_000)),
    live("limits.room_bytes_per_second", |s| {
        Slot::Number(&mut s.limits.room_bytes_per_second, KIB..=1024 * MIB)
    }),
    live("limits.max_name_bytes", |s| Slot::Number(&mut s.limits.max_name_bytes, 1..=64)),
    live("limits.max_key_pairs", |s| Slot::Number(&mut s.limits.key_limits.max_pairs, 1..=1024)),
    live("limits.max_modulus_bits", |s| Slot::Number(&mut s.limits.key_limits.max_modulus_bits, 9..=4096)),
    live("limits.max_exponent_bits", |s| Slot::Number(&mut s.limits.key_limits.max_exponent_bits, 1..=4096)),
    live("limits.cipher_table_bytes", |s| {
        Slot::Number(&mut s.limits.cipher_table_bytes, 0..=64 * 1024 * MIB)
    }),
    live("accounts.max_users", |s| Slot::Number(&mut s.accounts.max_users, 1..=1_000_000_000)),
    key("accounts.memory_kib", |s| Slot::Number(&mut s.accounts.memory_kib, 8..=4 * MIB)),
    key("accounts.iterations", |s| Slot::Number(&mut s.accounts.iterations, 1..=1000)),
    key("accounts.lanes", |s| Slot::Number(&mut s.accounts.lanes, 1..=64)),
    key("accounts.parallel_hashes", |s| Slot::Number(&mut s.accounts.parallel_hashes, 1..=256)),
    key("accounts.hash_queue", |s| Slot::Number(&mut s.accounts.hash_queue, 0..=1_000_000)),
    live("accounts.registrations_per_hour", |s| {
        Slot::Number(&mut s.accounts.registrations_per_hour, 1..=1_000_000)
    }),
    key("accounts.logins_per_address", |s| Slot::Number(&mut s.accounts.logins_per_address, 1..=1_000_000)),
    live("accounts.free_failures", |s| Slot::Number(&mut s.accounts.free_failures, 0..=1_000_000)),
    live("accounts.max_login_delay_seconds", |s| Slot::Number(&mut s.accounts.max_login_delay, 0..=3600)),
    key("keys.pairs", |s| Slot::Number(&mut s.keys.pairs, 1..=1024)),
    // From 22 bits on, every modulus is above 0x10FFFF, the largest number the original takes for a character.
    key("keys.modulus_bits", |s| Slot::Number(&mut s.keys.modulus_bits, 22..=4096)),
];

impl Key {
    /// The variable of the environment that sets it, such as `CHAT_LIMITS_MAX_CONNECTIONS`.
    pub(super) fn variable(&self) -> String {
        format!("CHAT_{}", self.name.replace('.', "_").to_uppercase())
    }

    /// Puts a value into the settings, or says what is allowed instead.
    pub(super) fn set(&self, settings: &mut Settings, given: &Given) -> Result<(), String> {
        let mut slot = (self.slot)(settings);
        slot.put(given).ok_or_else(|| slot.allowed())
    }

    /// Whether it has any number of values, among them none.
    pub(super) fn is_list(&self, settings: &mut Settings) -> bool {
        matches!((self.slot)(settings), Slot::Networks(_))
    }

    /// The value in the settings, as the file has it.
    pub(super) fn value(&self, settings: &mut Settings) -> toml::Value {
        (self.slot)(settings).value()
    }
}

impl Slot<'_> {
    fn put(&mut self, given: &Given) -> Option<()> {
        match self {
            Slot::Number(place, range) => {
                let number = given.number().filter(|number| range.contains(number))?;
                place.set(number)?;
            }
            Slot::Address(place) => **place = given.text()?.parse().ok()?,
            Slot::Directory(place) => {
                **place = path(given.text()?).unwrap_or_else(default_data_directory);
            }
            Slot::OptionalFile(place) => **place = path(given.text()?),
            Slot::OptionalSocket(place) => {
                let text = given.text()?;
                **place = if text.is_empty() { None } else { Some(text.parse().ok()?) };
            }
            Slot::Format(place) => {
                **place = match given.text()? {
                    "text" => LogFormat::Text,
                    "json" => LogFormat::Json,
                    _ => return None,
                }
            }
            Slot::Filter(place) => **place = given.text().filter(|text| is_filter(text))?.to_owned(),
            Slot::Networks(place) => **place = given.list()?,
        }
        Some(())
    }

    fn allowed(&self) -> String {
        match self {
            Slot::Address(_) => {
                "a literal address such as 127.0.0.1, 0.0.0.0 or ::1 (names are not looked up)".to_owned()
            }
            Slot::Number(_, range) => format!("a whole number from {} to {}", range.start(), range.end()),
            Slot::Directory(_) => "the path of a directory, or nothing for the default".to_owned(),
            Slot::OptionalFile(_) => "the path of a file, or nothing for none".to_owned(),
            Slot::OptionalSocket(_) => {
                "a literal address and a port such as 127.0.0.1:9464 or [::1]:9464, or nothing for none"
                    .to_owned()
            }
            Slot::Format(_) => "text or json".to_owned(),
            Slot::Filter(_) => {
                "off, error, warn, info, debug or trace, or directives such as info,chat_server=debug"
                    .to_owned()
            }
            Slot::Networks(_) => {
                "a list of addresses or ranges such as 192.0.2.1, 198.51.100.0/24 or 2001:db8::/32".to_owned()
            }
        }
    }

    fn value(&self) -> toml::Value {
        match self {
            Slot::Address(address) => address.to_string().into(),
            Slot::Number(number, _) => i64::try_from(number.get()).unwrap_or(i64::MAX).into(),
            Slot::Directory(path) => path.display().to_string().into(),
            Slot::OptionalFile(path) => {
                path.as_ref().map_or_else(String::new, |path| path.display().to_string()).into()
            }
            Slot::OptionalSocket(address) => {
                address.map_or_else(String::new, |address| address.to_string()).into()
            }
            Slot::Format(LogFormat::Text) => "text".into(),
            Slot::Format(LogFormat::Json) => "json".into(),
            Slot::Filter(filter) => filter.as_str().into(),
            Slot::Networks(networks) => networks.iter().map(ToString::to_string).collect::<Vec<_>>().into(),
        }
    }
}

impl Given {
    fn number(&self) -> Option<u64> {
        match self {
            // Digits only: `parse` alone would take a plus sign.
            Self::Word(word) if word.bytes().all(|byte| byte.is_ascii_digit()) => word.parse().ok(),
            Self::Value(toml::Value::Integer(number)) => u64::try_from(*number).ok(),
            Self::Word(_) | Self::Value(_) => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            Self::Value(value) => value.as_str(),
        }
    }

    /// A list: an array in the file, elsewhere words between commas.
    fn list<T: std::str::FromStr>(&self) -> Option<Vec<T>> {
        match self {
            Self::Word(word) => word
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| item.parse().ok())
                .collect(),
            Self::Value(value) => value.as_array()?.iter().map(|item| item.as_str()?.parse().ok()).collect(),
        }
    }
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

/// Whether a text is a log filter. The filter's own parser takes a misspelt level for the name of a module, so a
/// directive without `=` has to be a level here.
fn is_filter(text: &str) -> bool {
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    text.split(',').all(|directive| directive.contains('=') || levels.contains(&directive.trim()))
        && EnvFilter::builder().parse(text).is_ok()
}
