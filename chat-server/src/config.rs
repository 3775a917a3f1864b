//! The server's settings: one value, complete before anything runs.
//!
//! The structs here say what can be set, what each setting is for and what it is by default.
//! `config/table.rs` names the settings as the file and the environment do, and says what is allowed;
//! `config/layers.rs` puts flags, environment, file and defaults on top of each other and reports every
//! mistake at once; `config/changes.rs` compares settings with those that are in force; `config/network.rs` is one
//! range of addresses.

mod changes;
mod layers;
mod network;
mod table;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use chat_core::rsa::KeyLimits;

pub(crate) use changes::Change;
pub use layers::{ConfigError, Layers, Mistake};
pub use network::{IpNet, NetworkError, limit_key};

/// Everything that can be set about the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The address to listen on; always a literal, since a static binary cannot look names up.
    pub host: IpAddr,
    /// The TCP port to listen on; 0 takes any free one.
    pub port: u16,
    /// The directory with everything the server keeps: accounts, identity and classic keys.
    pub data: PathBuf,
    /// Where to write every packet in clear, as the original does; a debugging aid, off unless named.
    pub packet_log: Option<PathBuf>,
    /// What is logged, and how.
    pub log: LogSettings,
    /// Who can read what the server counts about itself.
    pub metrics: MetricsSettings,
    /// What one peer, and all of them together, may ask of the server.
    pub limits: Limits,
    /// How accounts are kept and guarded.
    pub accounts: AccountSettings,
    /// The classic keys made at first start.
    pub keys: KeySettings,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// The form of a log line.
    pub format: LogFormat,
    /// A level (`off`, `error`, `warn`, `info`, `debug`, `trace`), or directives such as
    /// `info,chat_server::room=debug`.
    pub level: String,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for a person.
    Text,
    /// One JSON object per line.
    Json,
}

/// Who can read what the server counts about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetricsSettings {
    /// The address and port where Prometheus finds the metrics; off unless named.
    pub address: Option<SocketAddr>,
}

/// What one peer, and all of them together, may ask of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The longest packet taken from a peer, header included, in bytes.
    pub max_packet_bytes: usize,
    /// How many connections may be open at a time.
    pub max_connections: usize,
    /// How many connections one address may have open at a time.
    pub max_connections_per_address: usize,
    /// How many connections one address may open per second in the long run, after as many at once as it may have open.
    pub connections_per_second: u32,
    /// The addresses spared the limits per address and the rates; never those that protect other clients.
    pub exempt: Vec<IpNet>,
    /// How long a new connection may take to send its first whole packet; zero is for ever.
    pub handshake_timeout: Duration,
    /// How long a packet may take from its first byte to its last; zero is for ever.
    pub packet_timeout: Duration,
    /// How long a client that answers PING may be without a sign of life; zero is for ever. Others are probed by TCP keepalive.
    pub idle_timeout: Duration,
    /// How many bytes may wait for a client that is slow to read, before it is cut off.
    pub outbox_bytes: usize,
    /// How many bytes may wait for all slow clients together, before those with most waiting are cut off.
    pub outbox_total_bytes: usize,
    /// How many bytes of packets that are not finished yet all clients together may have sent, before the connections with
    /// most of them are ended.
    pub inbox_total_bytes: usize,
    /// How many packets a connection may send per second in the long run.
    pub messages_per_second: u32,
    /// How many packets a connection may send at once, when it was quiet before.
    pub message_burst: u32,
    /// How many bytes a connection may send per second in the long run.
    pub bytes_per_second: u32,
    /// How many bytes a connection may send at once, when it was quiet before.
    pub byte_burst: u32,
    /// How many times as much all connections of an address may send together as one of them.
    pub rate_shares_per_address: u32,
    /// The longest message, in bytes.
    pub max_message_bytes: usize,
    /// How many bytes of messages everyone together may have sent to everyone per second, and at once a sixteenth of what may
    /// wait for a reader, before they wait their turn.
    pub room_bytes_per_second: u32,
    /// The longest user name, in bytes.
    pub max_name_bytes: usize,
    /// What a classic key sent by a client may look like: the server computes with it whatever the client likes.
    pub key_limits: KeyLimits,
    /// How much memory the cipher tables of all classic clients may take together, in bytes.
    pub cipher_table_bytes: usize,
}

/// How accounts are kept and guarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSettings {
    /// How many users the store takes.
    pub max_users: u64,
    /// The memory of one argon2id computation, in KiB.
    pub memory_kib: u32,
    /// The passes of one argon2id computation over its memory.
    pub iterations: u32,
    /// The lanes of one argon2id computation; they are computed one after the other.
    pub lanes: u32,
    /// How many passwords are hashed at a time.
    pub parallel_hashes: usize,
    /// How many more passwords from one address may wait for their turn, before the answer is "busy".
    pub hash_queue: usize,
    /// How many names one address may try to register per hour; those that were taken count as well.
    pub registrations_per_hour: u32,
    /// How many logins from one address may be under way at a time.
    pub logins_per_address: usize,
    /// How many logins for a name may fail before further ones are made one after the other.
    pub free_failures: u32,
    /// The longest time between two logins for a name, however many have failed.
    pub max_login_delay: Duration,
}

/// The classic keys made at first start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySettings {
    /// How many pairs the key has.
    pub pairs: usize,
    /// The length of each modulus, in bits.
    pub modulus_bits: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 12345,
            data: default_data_directory(),
            packet_log: None,
            log: LogSettings::default(),
            metrics: MetricsSettings::default(),
            limits: Limits::default(),
            accounts: AccountSettings::default(),
            keys: KeySettings::default(),
        }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A page of text under a classic key of 512-bit moduli, which makes 64 to 128 bytes of each byte;
            // and four of the largest SECURE packets, of 65540 bytes.
            max_packet_bytes: 256 * 1024,
            max_connections: 16_000,
            max_connections_per_address: 64,
            connections_per_second: 10,
            exempt: vec![IpNet::LOOPBACK_V4, IpNet::LOOPBACK_V6],
            handshake_timeout: Duration::from_secs(120),
            // The longest packet at two kilobytes a second.
            packet_timeout: Duration::from_secs(120),
            idle_timeout: Duration::from_secs(10 * 60),
            outbox_bytes: 1024 * 1024,
            outbox_total_bytes: 256 * 1024 * 1024,
            inbox_total_bytes: 64 * 1024 * 1024,
            messages_per_second: 20,
            message_burst: 100,
            bytes_per_second: 128 * 1024,
            // The longest packet, and well below what may wait for a reader.
            byte_burst: 256 * 1024,
            // A class or an office behind one address chats undisturbed, also when all of it connects again at once.
            rate_shares_per_address: 8,
            // Clients of the original send a few kilobytes at most.
            max_message_bytes: 16 * 1024,
            // A reader with four megabits a second keeps up with it.
            room_bytes_per_second: 512 * 1024,
            max_name_bytes: 64,
            key_limits: KeyLimits::PEER,
            cipher_table_bytes: 64 * 1024 * 1024,
        }
    }
}

impl Default for AccountSettings {
    /// The argon2id parameters are those OWASP asks for at least: 19 MiB, two passes, one lane.
    fn default() -> Self {
        Self {
            max_users: 100_000,
            memory_kib: 19 * 1024,
            iterations: 2,
            lanes: 1,
            parallel_hashes: 2,
            hash_queue: 1024,
            registrations_per_hour: 20,
            logins_per_address: 4,
            free_failures: 10,
            max_login_delay: Duration::from_secs(15),
        }
    }
}

impl Default for KeySettings {
    fn default() -> Self {
        Self { pairs: 16, modulus_bits: 32 }
    }
}

impl Limits {
    /// Whether `address` is spared the limits per address and the rates. An IPv4 address in its IPv6 form
    /// counts as the IPv4 address it is.
    pub fn is_exempt(&self, address: IpAddr) -> bool {
        self.exempt.iter().any(|network| network.contains(address))
    }
}

/// The XDG state directory of whoever runs the server, or one below the current directory if there is no
/// home.
fn default_data_directory() -> PathBuf {
    use etcetera::BaseStrategy as _;
    etcetera::base_strategy::Xdg::new()
        .ok()
        .and_then(|xdg| xdg.state_dir())
        .map_or_else(|| PathBuf::from("chat-server-data"), |state| state.join("chat-server"))
}
