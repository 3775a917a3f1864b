//! What the server uses, as the kernel tells, and how often its limits have acted, as it tells itself.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

/// What a process uses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Bytes in memory.
    pub(crate) resident_bytes: u64,
    /// The most bytes that have ever been in memory.
    pub(crate) peak_bytes: u64,
    /// Open descriptors.
    pub(crate) descriptors: usize,
}

/// How often limits have acted: counters of the metrics, by name.
#[derive(Debug)]
pub(crate) struct Acted(Vec<(&'static str, u64)>);

/// The counters that strangers have to move.
const COUNTERS: [&str; 4] = [
    "chat_slowed_total",
    "chat_connections_closed_total{reason=\"queue_full\"}",
    "chat_connections_closed_total{reason=\"all_queues_full\"}",
    "chat_connections_closed_total{reason=\"inbox_full\"}",
];

impl Usage {
    /// Asks the kernel about a process.
    pub(crate) fn of(process: u32) -> io::Result<Self> {
        let process = Path::new("/proc").join(process.to_string());
        let status = fs::read_to_string(process.join("status"))?;
        let bytes = |name: &str| {
            let kib = status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"));
            kib.and_then(|kib| kib.parse::<u64>().ok())
                .map(|kib| kib * 1024)
                .ok_or(io::ErrorKind::InvalidData)
        };
        Ok(Self {
            resident_bytes: bytes("VmRSS:")?,
            peak_bytes: bytes("VmHWM:")?,
            descriptors: fs::read_dir(process.join("fd"))?.count(),
        })
    }
}

impl Acted {
    /// Reads the counters from all metrics.
    pub(crate) fn parse(metrics: &str) -> io::Result<Self> {
        let count = |name| {
            let value =
                metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
            value.map(|value| (name, value)).ok_or(io::ErrorKind::InvalidData)
        };
        Ok(Self(COUNTERS.into_iter().map(count).collect::<Result<_, _>>()?))
    }

    /// Returns a limit that has never acted, if there is one.
    pub(crate) fn idle(&self) -> Option<&'static str> {
        self.0.iter().find(|(_, count)| *count == 0).map(|(name, _)| *name)
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} KiB and {} descriptors", self.resident_bytes / 1024, self.descriptors)
    }
}

impl fmt::Display for Acted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counters = self.0.iter().map(|(name, count)| format!("{name} {count}"));
        f.write_str(&counters.collect::<Vec<_>>().join(", "))
    }
}
