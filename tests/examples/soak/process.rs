//! The server under test, as a process of its own with its data in a directory that goes away with it.

use std::fmt;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long the server may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server; killed when dropped.
pub(crate) struct ServerProcess {
    child: Child,
    address: SocketAddr,
    _data: TempDir,
}

/// What the server uses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// In bytes.
    pub(crate) resident_bytes: u64,
    /// Open ones.
    pub(crate) descriptors: usize,
}

impl ServerProcess {
    /// Starts a server with room for so many clients, all of which count as strangers.
    pub(crate) fn start(program: &Path, clients: usize) -> io::Result<Self> {
        let data = tempfile::tempdir()?;
        let mut child = Command::new(program)
            .args(["--port", "0", "--log-format", "json", "--data"])
            .arg(data.path())
            .env_clear()
            .envs([
                ("CHAT_LIMITS_EXEMPT", ""),
                ("CHAT_LIMITS_MAX_CONNECTIONS", &(clients * 2).to_string()),
                ("CHAT_LIMITS_HANDSHAKE_TIMEOUT_SECONDS", "10"),
                // Cheap, since this is about the chat.
                ("CHAT_ACCOUNTS_MEMORY_KIB", "64"),
                ("CHAT_ACCOUNTS_ITERATIONS", "1"),
                ("CHAT_LOG", "chat_server::server=info,warn"),
            ])
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut log = BufReader::new(stderr).lines();
        let address = log
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let line: serde_json::Value = serde_json::from_str(&line).ok()?;
                line.get("fields")?.get("address")?.as_str()?.parse().ok()
            })
            .ok_or_else(|| io::Error::other("the server does not listen"))?;
        // What it warns of is worth reading; and it must not wait for a reader.
        std::thread::spawn(move || log.map_while(Result::ok).for_each(|line| crate::wire::note(&line)));
        Ok(Self { child, address, _data: data })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks the kernel.
    pub(crate) fn usage(&self) -> io::Result<Usage> {
        let process = Path::new("/proc").join(self.child.id().to_string());
        let status = fs::read_to_string(process.join("status"))?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        let kib: u64 = kib.and_then(|kib| kib.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Usage { resident_bytes: kib * 1024, descriptors: fs::read_dir(process.join("fd"))?.count() })
    }

    /// Asks the server to stop, and waits for it to end as it should.
    pub(crate) fn stop(mut self) -> Result<(), Box<dyn std::error::Error>> {
        Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("the server ended with {status}").into()),
                None if Instant::now() > deadline => return Err("the server does not stop".into()),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} KiB and {} descriptors", self.resident_bytes / 1024, self.descriptors)
    }
}
