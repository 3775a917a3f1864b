//! The servers as processes: where they run, and what /proc says of them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

use crate::fleet::Encryption;

/// In /proc, CPU time is counted in hundredths of a second on every processor that Linux runs on.
const TICK: f64 = 0.01;

/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is measured.
#[derive(Clone)]
pub(crate) enum Subject {
    /// The floor server.
    Floor,
    /// A chat-server, to clients with this encryption.
    Ours { program: PathBuf, encryption: Encryption },
}

impl Subject {
    /// Names it in the tables.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Ours { encryption, .. } => encryption.name(),
        }
    }

    /// Returns how its clients encrypt.
    pub(crate) fn encryption(&self) -> Encryption {
        match self {
            Self::Floor => Encryption::Plain,
            Self::Ours { encryption, .. } => *encryption,
        }
    }

    /// Returns the program's size in bytes.
    pub(crate) fn program_bytes(&self) -> u64 {
        match self {
            Self::Floor => 0,
            Self::Ours { program, .. } => fs::metadata(program).unwrap().len(),
        }
    }
}

/// A server that runs until this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From its start until it listened.
    pub(crate) started_in: Duration,
    _data: TempDir,
}

/// Lets this process open as many sockets as it may, and moves it off the servers' CPU.
pub(crate) fn prepare() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    if thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1) {
        let pid = std::process::id().to_string();
        Command::new("taskset").args(["-cp", "1", &pid]).stdout(Stdio::null()).status().unwrap();
    }
}

impl Server {
    /// Starts a server on the first CPU, and waits until it listens.
    pub(crate) fn start(subject: &Subject) -> Self {
        let data = tempfile::tempdir().unwrap();
        // Free a moment ago.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let port = address.port().to_string();
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]);
        match subject {
            Subject::Floor => command.arg(std::env::current_exe().unwrap()).args(["--floor-server", &port]),
            Subject::Ours { program, .. } => {
                command.arg(program).args(["--host", "127.0.0.1", "--port", &port, "--data"]).arg(data.path())
            }
        };
        let started = Instant::now();
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while TcpStream::connect(address).is_err() {
            assert!(started.elapsed() < PATIENCE, "{} does not listen on {address}", subject.name());
            thread::sleep(Duration::from_micros(200));
        }
        Self { child, address, started_in: started.elapsed(), _data: data }
    }

    /// Returns the CPU time it has used, in seconds, all threads together.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name before it may contain anything.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().unwrap());
        ticks.sum::<f64>() * TICK
    }

    /// Returns the memory it has resident, in bytes.
    pub(crate) fn resident_bytes(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended; then something else has failed, and says so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
