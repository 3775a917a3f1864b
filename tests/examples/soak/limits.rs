//! What the server under test is told, so that its limits act within half a minute, and what follows for its memory.

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// What the cipher tables of all classic clients may take.
const TABLE_BYTES: u64 = 16 * MIB;

/// What the server takes without anybody: its program, the accounts, buffers. One batch of 256 KiB, encrypted for the widest key,
/// has 24 MiB of that.
const BASE_BYTES: u64 = 32 * MIB;

/// What one connection takes that has nothing waiting: its state, and part of a short packet.
const CONNECTION_BYTES: u64 = 8 * KIB;

/// The limits of a server, as far as they are not the default ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    clients: u64,
    outbox_total_bytes: u64,
    inbox_total_bytes: u64,
}

impl Limits {
    /// Makes room for so many clients, but not for all that they might leave waiting.
    pub(crate) fn for_clients(clients: usize) -> Self {
        let clients = u64::try_from(clients).unwrap_or(u64::MAX);
        let share = |bytes: u64| (clients * bytes).max(MIB);
        Self { clients, outbox_total_bytes: share(8 * KIB), inbox_total_bytes: share(3 * KIB) }
    }

    /// Returns the variables that say so.
    pub(crate) fn environment(&self) -> [(&'static str, String); 10] {
        [
            // Everybody counts as a stranger.
            ("CHAT_LIMITS_EXEMPT", String::new()),
            ("CHAT_LIMITS_MAX_CONNECTIONS", (self.clients * 2).to_string()),
            ("CHAT_LIMITS_HANDSHAKE_TIMEOUT_SECONDS", "10".to_owned()),
            ("CHAT_LIMITS_OUTBOX_TOTAL_BYTES", self.outbox_total_bytes.to_string()),
            ("CHAT_LIMITS_INBOX_TOTAL_BYTES", self.inbox_total_bytes.to_string()),
            ("CHAT_LIMITS_CIPHER_TABLE_BYTES", TABLE_BYTES.to_string()),
            // What is said goes to thousands, on the machine that all of them are on.
            ("CHAT_LIMITS_ROOM_BYTES_PER_SECOND", (32 * KIB).to_string()),
            // Cheap, since this is about the chat.
            ("CHAT_ACCOUNTS_MEMORY_KIB", "64".to_owned()),
            ("CHAT_ACCOUNTS_ITERATIONS", "1".to_owned()),
            ("CHAT_LOG", "chat_server::server=info,warn".to_owned()),
        ]
    }

    /// Returns how much memory the server may have taken at any time: what its limits let wait, in and out, tables, connections
    /// and itself, and a quarter more, which the allocator keeps in pieces.
    pub(crate) fn peak_bytes(&self) -> u64 {
        let waiting = self.outbox_total_bytes + self.inbox_total_bytes;
        (BASE_BYTES + waiting + TABLE_BYTES + self.clients * CONNECTION_BYTES) / 4 * 5
    }
}
