//! The program as a child process, in surroundings of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chat_core::frame::{FrameBuffer, MAX_PACKET_LEN, packet};
use chat_core::packet::PacketType;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The program, without anything of this environment that could set it up.
pub(crate) fn program(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-server"));
    command.env_clear().env("HOME", home).current_dir(home).stdin(Stdio::null());
    command
}

/// Runs the program to its end and returns exit code, standard output and standard error.
pub(crate) fn run(home: &Path, arguments: &[&str]) -> (i32, String, String) {
    finished(program(home).args(arguments).output().unwrap())
}

pub(crate) fn finished(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A server with its data in `home`, on any free port, with passwords as cheap as they can be.
pub(crate) fn server(home: &Path) -> Command {
    let mut command = program(home);
    command
        .args(["--port", "0", "--log-format", "json", "--data", "data"])
        .envs([("CHAT_ACCOUNTS_MEMORY_KIB", "8"), ("CHAT_ACCOUNTS_ITERATIONS", "1")]);
    command
}

/// A running server; killed when dropped.
pub(crate) struct ServerProcess {
    child: Child,
    // Reads on until the end, or the server would wait for its log to be read.
    log: Option<JoinHandle<String>>,
    pub(crate) address: SocketAddr,
    /// Where its metrics are, if it has an address for them.
    pub(crate) metrics: Option<SocketAddr>,
}

impl ServerProcess {
    /// Starts a server with its data in `home`.
    pub(crate) fn start(home: &Path) -> Self {
        Self::start_with(home, &[])
    }

    /// Starts a server with further variables in its environment.
    pub(crate) fn start_with(home: &Path, variables: &[(&str, &str)]) -> Self {
        Self::spawn(server(home).envs(variables.iter().copied()))
    }

    /// Starts a server by a command, and waits until it listens.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let (mut said, mut metrics) = (String::new(), None);
        while log.read_line(&mut said).unwrap() > 0 {
            let line: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
            let address = || line["fields"]["address"].as_str().unwrap().parse().unwrap();
            if line["fields"]["message"] == "metrics" {
                metrics = Some(address());
            }
            if line["fields"]["message"] == "listening" {
                let address = address();
                let log = std::thread::spawn(move || {
                    let mut rest = String::new();
                    log.read_to_string(&mut rest).unwrap();
                    rest
                });
                return Self { child, log: Some(log), address, metrics };
            }
        }
        panic!("the server does not listen, {}:\n{said}", child.wait().unwrap());
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, signal: &str) {
        let killed =
            Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    /// Sends a signal by its name, and waits for the end. Returns what else the server logged.
    pub(crate) fn stop(self, signal: &str) -> (ExitStatus, String) {
        self.signal(signal);
        self.wait()
    }

    /// Waits for the end. Returns what else the server logged.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the server does not stop");
            std::thread::sleep(Duration::from_millis(5));
        };
        (status, self.log.take().unwrap().join().unwrap())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A plain connection of the original's kind.
pub(crate) struct Connection {
    stream: TcpStream,
    received: FrameBuffer,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, received: FrameBuffer::default() })
    }

    pub(crate) fn send(&mut self, kind: PacketType, body: &str) -> std::io::Result<()> {
        self.send_bytes(&packet(kind, body.as_bytes()).unwrap())
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next packet of a kind; others are passed over. An error if the connection ends first.
    pub(crate) fn receive(&mut self, kind: PacketType) -> std::io::Result<String> {
        loop {
            let (its_kind, body) = self.receive_any()?;
            if its_kind == kind {
                return Ok(String::from_utf8(body).unwrap());
            }
        }
    }

    /// The next packet, whatever it is.
    pub(crate) fn receive_any(&mut self) -> std::io::Result<(PacketType, Vec<u8>)> {
        let mut bytes = [0; 4096];
        loop {
            if let Some(frame) = self.received.next_frame(MAX_PACKET_LEN).unwrap() {
                return Ok((frame.kind, frame.body.to_vec()));
            }
            match self.stream.read(&mut bytes)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                length => self.received.extend(&bytes[..length]),
            }
        }
    }
}
