//! An OpenSSH server of a test's own, on a port of its own, with keys of its own; and what a test connects to it with.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use chat_deploy::host::ssh::keys::{self, KeySource};
use chat_deploy::host::ssh::known_hosts::PinnedHosts;
use chat_deploy::host::ssh::remote::RemoteError;
use chat_deploy::host::ssh::session::{Session, Target};
use chat_deploy::host::ssh::trust::{Trust, fingerprint};
use chat_deploy::interrupt::Interrupt;
use ssh_key::PublicKey;
use tempfile::TempDir;

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A server, and a directory with everything that belongs to it.
pub(crate) struct Sshd {
    process: Option<Child>,
    pub(crate) port: u16,
    dir: TempDir,
}

impl Sshd {
    /// Starts a server that lets the key `client` in.
    pub(crate) fn start() -> Self {
        let mut server = Self::prepare();
        server.run();
        server
    }

    /// Prepares a server that does not run yet.
    pub(crate) fn prepare() -> Self {
        let server = Self { process: None, port: free_port(), dir: tempfile::tempdir().unwrap() };
        server.write_key("host");
        server.write_key("client");
        fs::copy(server.path("client.pub"), server.path("authorized_keys")).unwrap();
        let config = format!(
            "ListenAddress 127.0.0.1:{}\nHostKey {dir}/host\nPidFile {dir}/sshd.pid\n\
             AuthorizedKeysFile {dir}/authorized_keys\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nMaxStartups 100\n",
            server.port,
            dir = server.dir.path().display(),
        );
        fs::write(server.path("sshd_config"), config).unwrap();
        server
    }

    /// Starts it, and waits until it listens.
    pub(crate) fn run(&mut self) {
        let program = program();
        if rustix::process::geteuid().is_root() {
            // Where Debian's sshd, started by root, locks itself in.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let log = fs::File::create(self.path("sshd.log")).unwrap();
        let child = Command::new(&program)
            .args(["-D", "-e", "-f"])
            .arg(self.path("sshd_config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        self.process = Some(child);
        let deadline = Instant::now() + LONG;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "sshd did not start: {}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("sshd.log")).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(self.process.as_ref().unwrap())
    }

    /// Makes a key pair in the files `name` and `name.pub`.
    pub(crate) fn write_key(&self, name: &str) -> PublicKey {
        let key = keys::generate(name).unwrap();
        write_private(&self.path(name), &key.private);
        fs::write(self.path(&format!("{name}.pub")), format!("{}\n", key.public.to_string())).unwrap();
        key.public
    }

    pub(crate) fn public(&self, name: &str) -> PublicKey {
        fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap().parse().unwrap()
    }

    pub(crate) fn fingerprint(&self) -> String {
        fingerprint(&self.public("host"))
    }

    pub(crate) fn pins(&self) -> PinnedHosts {
        PinnedHosts::at(self.path("state/known_hosts"))
    }

    /// What connects: the key `client`, and a host key that is vouched for.
    pub(crate) fn target(&self) -> Target {
        Target {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            user: login_name(),
            trust: Trust {
                pinned_as: Some("token".to_owned()),
                vouched: vec![self.fingerprint()],
                given: None,
                pins: self.pins(),
                known_hosts: Vec::new(),
            },
            keys: vec![KeySource::File(self.path("client"))],
            agent: None,
            prompt: None,
        }
    }

    pub(crate) fn connect(&self) -> Session {
        let connected = connect(self.target());
        connected.unwrap_or_else(|error| panic!("{error:?}\n{}", self.log()))
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

pub(crate) fn connect(target: Target) -> Result<Session, RemoteError> {
    Session::connect(target, LONG, &Interrupt::default())
}

/// Connects where that must fail.
pub(crate) fn refusal(target: Target) -> RemoteError {
    connect(target).map(drop).unwrap_err()
}

pub(crate) fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Finds a port that nobody uses; none of those that the system gives to whoever asks for any.
pub(crate) fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| rand::random_range(10_000..30_000));
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

pub(crate) fn login_name() -> String {
    let id = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(id.stdout).unwrap().trim().to_owned()
}

/// Runs a program of OpenSSH's to its end, and returns its output.
pub(crate) fn tool(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// sshd wants to be called by its full path, and is often not on a user's search path.
fn program() -> PathBuf {
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = std::env::split_paths(&search_path).collect();
    dirs.extend(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = dirs.into_iter().map(|dir| dir.join("sshd")).find(|path| path.is_file());
    found.expect("there is no sshd: apt-get install openssh-server")
}
