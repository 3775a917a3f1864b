//! The server under test, as a process of its own with its data in a directory that goes away with it.

use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::limits::Limits;
use crate::usage::{Acted, Usage};

/// How long the server may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server; killed when dropped.
pub(crate) struct ServerProcess {
    child: Child,
    address: SocketAddr,
    program: PathBuf,
    data: TempDir,
}

impl ServerProcess {
    /// Starts a server with such limits, if it understands them.
    pub(crate) fn start(program: &Path, limits: &Limits) -> io::Result<Self> {
        check(program, limits)?;
        let data = tempfile::tempdir()?;
        let mut child = Command::new(program)
            .args(["--port", "0", "--log-format", "json", "--data"])
            .arg(data.path())
            .env_clear()
            .envs(limits.environment())
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
        Ok(Self { child, address, program: program.to_owned(), data })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks the kernel.
    pub(crate) fn usage(&self) -> io::Result<Usage> {
        Usage::of(self.child.id())
    }

    /// Asks the server.
    pub(crate) fn acted(&self) -> io::Result<Acted> {
        let metrics =
            Command::new(&self.program).args(["metrics", "--data"]).arg(self.data.path()).output()?;
        Acted::parse(&text(metrics)?)
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

/// Makes sure that the server spares nobody: whatever it spared would not be tested.
fn check(program: &Path, limits: &Limits) -> io::Result<()> {
    let printed =
        Command::new(program).arg("check-config").env_clear().envs(limits.environment()).output()?;
    if text(printed)?.lines().any(|line| line == "exempt = []") {
        return Ok(());
    }
    Err(io::Error::other("the server spares addresses although it is told to spare none"))
}

/// Returns what a program has printed, unless it failed.
fn text(output: Output) -> io::Result<String> {
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    String::from_utf8(output.stdout).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
