//! Finding, building and running the programs, each test with a home of its own.

use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything may take before the test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Returns where a program of the workspace is, built from the sources as they are.
pub(crate) fn program(name: &str) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        // With the examples cargo resolves the features that it resolves for tests, and compiles no dependency anew.
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--workspace", "--bins", "--examples"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(built.unwrap().success(), "the programs do not build");
        // This test is in target/debug/deps.
        std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned()
    });
    let path = directory.join(name);
    assert!(path.is_file(), "{} is missing", path.display());
    path
}

/// Returns a port that nobody uses, as far as can be known; none of those that the system gives to outgoing connections,
/// of which the tests make so many that one might be in the way of a server that comes back.
pub(crate) fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| rand::random_range(10_000..30_000));
    ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).unwrap()
}

/// Tells whether anybody listens on a port.
pub(crate) fn listens(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Waits until `condition` holds.
pub(crate) fn await_that(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A home directory that is empty at first and goes away.
pub(crate) struct Home {
    directory: TempDir,
}

/// What a program said and how it ended.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Prepares a command that sees this home and nothing of the settings around the test.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let name_bytes = name.as_encoded_bytes();
            if [&b"XDG_"[..], b"CHAT_", b"AWS_"].iter().any(|prefix| name_bytes.starts_with(prefix)) {
                command.env_remove(&name);
            }
        }
        command.env("HOME", self.path());
        command
    }

    /// Runs a program of the workspace to its end, without input. It must not leave anything behind that holds its output.
    pub(crate) fn run(&self, name: &str, arguments: &[&str]) -> Said {
        self.run_with_input(name, arguments, "")
    }

    /// As [`Home::run`], with input.
    pub(crate) fn run_with_input(&self, name: &str, arguments: &[&str], input: &str) -> Said {
        let mut command = self.command(program(name));
        finish(command.args(arguments), input)
    }
}

/// Runs a command to its end. It must not leave anything behind that holds its output.
pub(crate) fn finish(command: &mut Command, input: &str) -> Said {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that ends early does not read it all.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let (out, err) = (read_aside(child.stdout.take().unwrap()), read_aside(child.stderr.take().unwrap()));
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() && started.elapsed() < DEADLINE {
        std::thread::sleep(Duration::from_millis(5));
    }
    let in_time = child.try_wait().unwrap().is_some();
    if !in_time {
        child.kill().unwrap();
    }
    let code = child.wait().unwrap().code();
    let said = Said { code, out: out.join().unwrap(), err: err.join().unwrap() };
    assert!(in_time, "{command:?} does not end: {said:?}");
    said
}

fn read_aside(mut output: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        text
    })
}

/// Line by line, as it was said: this is what whoever looks into a failure wants to read.
impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it ended with {:?}; it said\n{}and complained\n{}", self.code, self.out, self.err)
    }
}

impl Said {
    /// Asserts how the program ended, showing all it said if it did not end so.
    pub(crate) fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Asserts that all of `texts` are in what went to standard error.
    pub(crate) fn complains(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.err.contains(text), "{text:?} is not in {self:#?}");
        }
        self
    }
}

/// A chat-server that is not deployed, only run; killed when dropped.
pub(crate) struct RunningServer {
    child: Child,
    pub(crate) port: u16,
}

impl RunningServer {
    /// Starts a server with its data in `home`, and waits until it listens.
    pub(crate) fn start(home: &Home, port: u16) -> Self {
        let mut command = home.command(program("chat-server"));
        command
            .args(["--port", &port.to_string(), "--log-level", "off"])
            .arg("--data")
            .arg(home.path().join("data"));
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        let server = Self { child, port };
        await_that("the server listens", || listens(port));
        server
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Kills it as hard as can be.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client in a pipe: lines go in, lines come out.
pub(crate) struct PipedClient {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
}

impl PipedClient {
    /// Starts a client that connects to a port of this machine.
    pub(crate) fn start(home: &Home, port: u16, flags: &[&str]) -> Self {
        Self::connect(home, "127.0.0.1", port, flags)
    }

    /// Starts a client that connects to a server.
    pub(crate) fn connect(home: &Home, host: &str, port: u16, flags: &[&str]) -> Self {
        let mut command = home.command(program("chat-client"));
        command.args(["connect", host, &port.to_string()]).args(flags);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        let (lines, output) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, input, output }
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Passes over lines up to one that is `expected`.
    pub(crate) fn await_line(&mut self, expected: &str) {
        self.await_matching(expected, |line| line == expected);
    }

    /// Passes over lines up to one that ends with `end`.
    pub(crate) fn await_line_like(&mut self, end: &str) {
        self.await_matching(end, |line| line.ends_with(end));
    }

    fn await_matching(&mut self, expected: &str, matches: impl Fn(&str) -> bool) {
        let mut seen = Vec::new();
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if matches(&line) => return,
                Ok(line) => seen.push(line),
                Err(error) => panic!("{expected:?} did not come ({error}), but {seen:#?}"),
            }
        }
    }

    /// Closes the input and returns the exit code and the lines not yet seen.
    pub(crate) fn end(mut self) -> (Option<i32>, Vec<String>) {
        drop(self.input.take());
        let rest = self.output.iter().collect();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for PipedClient {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
