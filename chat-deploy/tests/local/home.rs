//! A user with a home of their own, who runs `chat-deploy` in it.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_chat-deploy");

/// What a run came to.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// Insists on an exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// Insists that something was said to the person.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "'{text}' is missing in:\n{}", self.err);
        self
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// A temporary home; whatever was deployed in it is gone when it is dropped.
pub(crate) struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path().join(".local/state/chat-deploy")
    }

    pub(crate) fn instance(&self) -> PathBuf {
        self.state().join("instances/myserver")
    }

    /// Makes a server that behaves in a certain way; every way is another release.
    pub(crate) fn server(&self, behaviour: &str) -> PathBuf {
        let stand_in = Path::new(PROGRAM).parent().unwrap().join("examples/stand-in");
        let server = self.path().join(format!("chat-server-{behaviour}"));
        // `cargo test` builds it unless it is told to build one test only.
        let hint = "`cargo build -p chat-deploy --examples` makes it";
        fs::copy(&stand_in, &server)
            .unwrap_or_else(|error| panic!("{}: {error}; {hint}", stand_in.display()));
        writeln!(fs::OpenOptions::new().append(true).open(&server).unwrap(), "\nstand-in: {behaviour}")
            .unwrap();
        server
    }

    /// Prepares a run with nothing of the surroundings of whoever runs the tests.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", "/usr/bin:/bin")
            .env("CHAT_DEPLOY_SETTLING_TIME", "0");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs a command about the one instance of this home.
    pub(crate) fn of_server(&self, command: &str, more: &[&str]) -> Run {
        self.run(&[&[command, "--instance", "myserver", "--provider", "local"], more].concat())
    }

    pub(crate) fn up(&self, server: &Path, port: u16) -> Run {
        self.of_server("up", &["--yes", "--binary", server.to_str().unwrap(), "--port", &port.to_string()])
    }

    /// Begins an `up` and does not wait for it.
    pub(crate) fn begin_up(&self, server: &Path, port: u16) -> Child {
        let port = port.to_string();
        let arguments = [
            "up",
            "-i",
            "myserver",
            "--provider",
            "local",
            "-y",
            "--port",
            &port,
            "--binary",
            server.to_str().unwrap(),
        ];
        self.command(&arguments).spawn().unwrap()
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.of_server("status", &["--json"]).expect(0).out).unwrap()
    }

    /// Counts the processes that run a program of this home: the servers, whoever started them.
    pub(crate) fn servers(&self) -> Vec<u32> {
        let releases = self.instance().join("releases").canonicalize().unwrap_or_default();
        let runs_ours = |pid: &u32| {
            let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
            !releases.as_os_str().is_empty() && program.starts_with(&releases)
        };
        let pids =
            fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter(runs_ours).collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.instance().exists() {
            let run = self.of_server("down", &["--yes", "--no-backup"]);
            assert!(run.code == Some(0) || std::thread::panicking(), "{}", run.err);
        }
    }
}

/// Finds a port that nobody uses; none of those that the system gives to outgoing connections, one of which might be in the
/// way of a server that comes back.
pub(crate) fn free_port() -> u16 {
    let mut ports =
        std::iter::repeat_with(|| 10_000 + u16::try_from(RandomState::new().hash_one(()) % 20_000).unwrap());
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// Names all that a directory holds, below it too.
pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() { dirs.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}
