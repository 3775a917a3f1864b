//! The life of a server on this machine, from nothing through updates to nothing, with people in it.

use std::fs;
use std::io::Write as _;
use std::process::Command;

use crate::programs::{Home, PipedClient, Said, await_that, free_port, listens, program};

/// An instance in a home of its own; taken down when dropped.
struct Instance {
    home: Home,
    port: u16,
}

impl Instance {
    fn new() -> Self {
        Self { home: Home::new(), port: free_port() }
    }

    fn run(&self, command: &str, flags: &[&str]) -> Said {
        self.home.run("chat-deploy", &[&[command, "--instance", "test"], flags].concat())
    }

    fn up(&self, binary: &str) -> Said {
        let port = self.port.to_string();
        let said = self.run("up", &["--provider", "local", "--port", &port, "--binary", binary, "--yes"]);
        said.ended_with(0)
    }

    fn status(&self) -> serde_json::Value {
        let said = self.run("status", &["--json"]);
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:#?}"))
    }

    /// Makes a server that differs from the real one only in its last bytes, and so in its release.
    fn changed_server(&self) -> String {
        let path = self.home.path().join("chat-server-changed");
        fs::copy(program("chat-server"), &path).unwrap();
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"changed").unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if listens(self.port) {
            let _ = self.run("down", &["--yes", "--no-backup"]);
        }
    }
}

#[test]
fn the_printed_line_connects_as_it_is() {
    let instance = Instance::new();
    // With the client on the PATH the line names it; otherwise it would build one.
    let directory = program("chat-client").parent().unwrap().to_owned();
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    let server = program("chat-server");
    let port = instance.port.to_string();
    let mut up = instance.home.command(program("chat-deploy"));
    up.args(["up", "--instance", "test", "--provider", "local", "--yes", "--port", &port, "--binary"])
        .arg(server);
    let said = up.env("PATH", &path).output().unwrap();
    let line = String::from_utf8(said.stdout).unwrap();
    assert_eq!(line.trim_end(), format!("chat-client connect 127.0.0.1 {port}"));
    let script = format!("printf '/join\\nhello\\n' | {line}");
    let chat = instance.home.command("sh").args(["-c", &script]).env("PATH", &path).output().unwrap();
    let (out, err) = (String::from_utf8(chat.stdout).unwrap(), String::from_utf8(chat.stderr).unwrap());
    assert!(chat.status.success() && out.lines().any(|line| line.ends_with(": hello")), "{out}{err}");
    assert!(err.contains("pinned identity SHA256:"), "up has pinned the server: {err}");
}

#[test]
fn people_stay_through_an_update_and_a_rollback() {
    let instance = Instance::new();
    let _ = instance.up(program("chat-server").to_str().unwrap());
    let first = instance.status();
    let mut alice = PipedClient::start(&instance.home, instance.port, &["--reconnect"]);
    alice.type_line("/join");
    alice.type_line("/register alice correct horse");
    alice.type_line("/login alice correct horse");
    alice.type_line("before");
    alice.await_line("alice: before");

    let _ = instance.up(&instance.changed_server());
    let second = instance.status();
    assert_ne!(first["release"], second["release"]);
    assert_eq!((&first["identity"], &second["server"]), (&second["identity"], &"healthy".into()));
    // She joins and logs in again by herself.
    alice.await_line_like("logged in as alice");
    alice.type_line("after the update");
    alice.await_line("alice: after the update");

    let _ = instance.run("rollback", &["--yes"]).ended_with(0);
    assert_eq!(instance.status()["release"], first["release"]);
    alice.await_line_like("logged in as alice");
    alice.type_line("after the rollback");
    alice.await_line("alice: after the rollback");
    let (code, _) = alice.end();
    assert_eq!(code, Some(0));
}

#[test]
fn a_killed_server_comes_back_with_its_accounts() {
    let instance = Instance::new();
    let server = program("chat-server");
    let _ = instance.up(server.to_str().unwrap());
    let mut client = PipedClient::start(&instance.home, instance.port, &[]);
    client.type_line("/register alice pw");
    client.await_line("Server: The username alice was successfully registered");
    let pid = instance.status()["pid"].to_string();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    await_that("the server is gone", || !listens(instance.port));
    assert_ne!(instance.status()["server"], "healthy");
    let (code, _) = client.end();
    assert_eq!(code, Some(1), "the connection was lost");
    let _ = instance.up(server.to_str().unwrap());
    let mut client = PipedClient::start(&instance.home, instance.port, &[]);
    client.type_line("/login alice pw");
    client.await_line_like("logged in as alice");
}

#[test]
fn down_leaves_the_backup_and_nothing_else() {
    let instance = Instance::new();
    let _ = instance.up(program("chat-server").to_str().unwrap());
    let _ = instance.run("down", &["--yes"]).ended_with(0);
    assert!(!listens(instance.port));
    let state = instance.home.path().join(".local/state/chat-deploy");
    assert_eq!(fs::read_dir(state.join("instances")).map_or(0, Iterator::count), 0);
    let backups: Vec<_> =
        fs::read_dir(state.join("backups")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(backups.len() == 1 && backups[0].extension().is_some_and(|end| end == "tar"), "{backups:?}");
    let listed = Command::new("tar").arg("tf").arg(&backups[0]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for file in ["identity", "accounts.redb", "privatekey.txt"] {
        assert!(listed.contains(file), "{file} is not in the backup: {listed}");
    }
    let pins = fs::read_to_string(instance.home.path().join(".config/chat-client/known_servers")).unwrap();
    assert!(!pins.contains("SHA256:"), "{pins}");
}
