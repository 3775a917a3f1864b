//! Keys: files of every kind, encrypted ones, those of an agent, and our own.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use chat_deploy::host::ssh::keys::{self, KeyError, KeySource};
use chat_deploy::host::ssh::remote::{Remote as _, RemoteError};
use chat_deploy::host::ssh::session::{Prompt, Target};
use zeroize::Zeroizing;

use crate::sshd::{Sshd, connect, refusal, tool};

/// A person who knows a passphrase, after some tries.
struct Person {
    words: &'static [&'static str],
    asked: AtomicUsize,
}

impl Prompt for Person {
    fn accept_host_key(&self, _: &str, _: &str) -> io::Result<bool> {
        panic!("the host key is vouched for")
    }

    fn passphrase(&self, _: &Path) -> io::Result<Option<Zeroizing<String>>> {
        let count = self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(self.words.get(count).map(|&word| Zeroizing::new(word.to_owned())))
    }
}

fn person(words: &'static [&'static str]) -> Arc<Person> {
    Arc::new(Person { words, asked: AtomicUsize::new(0) })
}

/// Makes a key with ssh-keygen, and lets it in.
fn add_key(server: &Sshd, name: &str, arguments: &[&str]) -> PathBuf {
    let path = server.path(name);
    tool(Command::new("ssh-keygen").args(["-q", "-C", name]).args(arguments).arg("-f").arg(&path));
    let authorized = server.path("authorized_keys");
    let text = std::fs::read_to_string(&authorized).unwrap() + &server.public(name).to_string() + "\n";
    std::fs::write(authorized, text).unwrap();
    path
}

fn with_key(server: &Sshd, path: &Path) -> Target {
    Target { keys: vec![KeySource::File(path.to_owned())], ..server.target() }
}

fn data(line: &str) -> Vec<&str> {
    line.split_whitespace().take(2).collect()
}

#[test]
fn keys_of_every_kind_let_us_in() {
    let server = Sshd::start();
    for (name, arguments) in [
        ("ed25519", &["-t", "ed25519", "-N", ""][..]),
        ("ecdsa", &["-t", "ecdsa", "-N", ""]),
        ("rsa", &["-t", "rsa", "-b", "2048", "-N", ""]),
        ("rsa.pem", &["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", ""]),
        ("ecdsa.pem", &["-t", "ecdsa", "-m", "PEM", "-N", ""]),
        ("rsa.p8", &["-t", "rsa", "-b", "2048", "-m", "PKCS8", "-N", ""]),
    ] {
        let path = add_key(&server, name, arguments);
        let session =
            connect(with_key(&server, &path)).unwrap_or_else(|e| panic!("{name}: {e:?} {}", server.log()));
        assert_eq!(session.key_file(), Some(path.clone()));
        let public = server.public(name).to_string();
        assert_eq!(data(&keys::public_line(&path).unwrap()), data(&public), "{name}");
        std::fs::remove_file(server.path(&format!("{name}.pub"))).unwrap();
        match keys::public_line(&path) {
            Ok(line) => assert_eq!(data(&line), data(&public), "{name}"),
            Err(KeyError::NoPublicHalf { .. }) => assert!(["ecdsa.pem", "rsa.p8"].contains(&name), "{name}"),
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

#[test]
fn a_key_may_have_lines_of_any_length() {
    let server = Sshd::start();
    let path = add_key(&server, "narrow", &["-t", "ed25519", "-N", ""]);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let [first, body @ .., last] = lines.as_slice() else { panic!("{lines:?}") };
    let body: Vec<char> = body.concat().chars().collect();
    let body: Vec<String> = body.chunks(64).map(|line| line.iter().collect()).collect();
    crate::sshd::write_private(&path, &format!("{first}\n{}\n{last}\n", body.join("\n")));
    std::fs::remove_file(server.path("narrow.pub")).unwrap();
    assert!(keys::public_line(&path).unwrap().starts_with("ssh-ed25519 "));
    connect(with_key(&server, &path)).unwrap();
}

#[test]
fn a_stranger_is_told_what_was_offered() {
    let server = Sshd::start();
    let stranger = server.write_key("stranger");
    let mut target = with_key(&server, &server.path("stranger"));
    target.keys.push(KeySource::File(server.path("absent")));
    let error = refusal(target);
    let RemoteError::Denied { tried, .. } = &error else { panic!("{error:?}") };
    assert!(tried.contains(&chat_deploy::host::ssh::trust::fingerprint(&stranger)), "{tried}");
    assert!(tried.contains("absent cannot be read"), "{tried}");
    assert!(!error.is_transient());

    let error = refusal(Target { keys: Vec::new(), ..server.target() });
    assert!(error.to_string().ends_with("does not accept a login without a key"), "{error}");
    let user = Target { user: "nobody-here".to_owned(), ..server.target() };
    assert!(matches!(refusal(user), RemoteError::Denied { .. }));
}

#[test]
fn too_many_keys_end_the_connection() {
    let server = Sshd::start();
    let names: Vec<String> = (0..8).map(|n| format!("stranger{n}")).collect();
    let sources = names.iter().map(|name| {
        server.write_key(name);
        KeySource::File(server.path(name))
    });
    let error = refusal(Target { keys: sources.collect(), ..server.target() });
    let RemoteError::Denied { tried, .. } = &error else { panic!("{error:?}") };
    assert!(tried.contains("hung up"), "{tried}");
}

#[test]
fn a_key_that_others_can_read_is_not_used() {
    let server = Sshd::start();
    std::fs::set_permissions(server.path("client"), std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = refusal(server.target());
    assert!(matches!(error, RemoteError::Key(KeyError::Exposed { mode: 0o640, .. })), "{error:?}");
}

#[test]
fn what_is_no_key_is_named() {
    let server = Sshd::start();
    for text in
        ["", "hello", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "-----BEGIN RSA PRIVATE KEY-----\n"]
    {
        crate::sshd::write_private(&server.path("client"), text);
        let error = refusal(server.target());
        assert!(matches!(error, RemoteError::Key(KeyError::Unusable { .. })), "{text:?}: {error:?}");
    }
    let error = refusal(with_key(&server, &server.path("client.pub")));
    assert!(matches!(error, RemoteError::Key(_)), "{error:?}");
    let error = refusal(with_key(&server, &server.path("absent")));
    assert!(matches!(error, RemoteError::Key(KeyError::Read { .. })), "{error:?}");
}

#[test]
fn an_encrypted_key_takes_its_passphrase_once() {
    let server = Sshd::start();
    for (name, arguments) in [
        ("new", &["-t", "ed25519", "-N", "a word"][..]),
        ("old.pem", &["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "a word"]),
    ] {
        let path = add_key(&server, name, arguments);
        let mut target = with_key(&server, &path);
        let error = refusal(target.clone());
        assert!(matches!(error, RemoteError::Key(KeyError::Locked { .. })), "{name}: {error:?}");

        let someone = person(&["wrong", "a word"]);
        target.prompt = Some(Arc::clone(&someone) as Arc<dyn Prompt>);
        let session = connect(target.clone()).unwrap();
        session.renew().unwrap();
        assert_eq!(someone.asked.load(Ordering::Relaxed), 2);

        target.prompt = Some(person(&["wrong", "again", "and again", "a word"]));
        let error = refusal(target);
        assert!(matches!(error, RemoteError::Key(KeyError::Locked { .. })), "{name}: {error:?}");
    }
    // In OpenSSH's format the public half is in clear.
    std::fs::remove_file(server.path("new.pub")).unwrap();
    keys::public_line(&server.path("new")).unwrap();
}

/// An agent of a test's own, with some keys.
struct Agent {
    process: std::process::Child,
    socket: PathBuf,
}

impl Agent {
    fn start(server: &Sshd) -> Self {
        let socket = server.path("agent");
        let process = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).spawn().unwrap();
        while !socket.exists() {
            thread::sleep(std::time::Duration::from_millis(5));
        }
        Self { process, socket }
    }

    fn add(&self, key: &Path) {
        tool(Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn an_agent_lets_us_in() {
    let server = Sshd::start();
    let agent = Agent::start(&server);
    server.write_key("stranger");
    let socket = Some(agent.socket.clone());
    let target = Target { keys: vec![KeySource::Agent], agent: socket, ..server.target() };
    assert!(matches!(refusal(target.clone()), RemoteError::Denied { .. }));

    agent.add(&server.path("stranger"));
    agent.add(&server.path("client"));
    let session = connect(target).unwrap();
    assert_eq!(session.key_file(), None);
    session.renew().unwrap();
    let rsa = add_key(&server, "rsa", &["-t", "rsa", "-b", "2048", "-N", ""]);
    agent.add(&rsa);
    std::fs::write(server.path("authorized_keys"), server.public("rsa").to_string()).unwrap();
    session.renew().unwrap();

    // An agent that is gone has no keys.
    let socket = Some(server.path("no-agent"));
    let target = Target { keys: vec![KeySource::Agent], agent: socket, ..server.target() };
    assert!(matches!(refusal(target), RemoteError::Denied { .. }));
}

#[test]
fn an_agent_may_hold_an_encrypted_key() {
    let server = Sshd::start();
    let agent = Agent::start(&server);
    let path = add_key(&server, "locked", &["-t", "ed25519", "-N", ""]);
    agent.add(&path);
    tool(Command::new("ssh-keygen").args(["-q", "-p", "-P", "", "-N", "a word", "-f"]).arg(&path));
    let target = Target { agent: Some(agent.socket.clone()), ..with_key(&server, &path) };
    let session = connect(target).unwrap();
    assert_eq!(session.key_file(), Some(path));
}

#[test]
fn an_agent_that_does_not_answer_is_not_waited_for() {
    let server = Sshd::start();
    let listener = std::os::unix::net::UnixListener::bind(server.path("agent")).unwrap();
    let target =
        Target { keys: vec![KeySource::Agent], agent: Some(server.path("agent")), ..server.target() };
    let within = std::time::Duration::from_millis(500);
    let interrupt = chat_deploy::interrupt::Interrupt::default();
    let error =
        chat_deploy::host::ssh::session::Session::connect(target, within, &interrupt).map(drop).unwrap_err();
    assert!(matches!(error, RemoteError::Slow { .. }), "{error:?}");
    drop(listener);
}

#[test]
fn our_own_key_is_made_once() {
    let server = Sshd::start();
    let dir = server.path("state/keys");
    let barrier = Arc::new(Barrier::new(8));
    let makers = (0..8).map(|_| {
        let (dir, barrier) = (dir.clone(), Arc::clone(&barrier));
        thread::spawn(move || {
            barrier.wait();
            keys::own_key(&dir).unwrap()
        })
    });
    let made: Vec<_> = makers.collect::<Vec<_>>().into_iter().map(|maker| maker.join().unwrap()).collect();
    assert!(made.iter().all(|key| *key == made[0]));
    assert_eq!(std::fs::metadata(&made[0].path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
    // OpenSSH reads the same from it.
    let read = tool(Command::new("ssh-keygen").arg("-y").arg("-f").arg(&made[0].path));
    assert_eq!(data(&read), data(&made[0].public_line));
    std::fs::write(server.path("authorized_keys"), &made[0].public_line).unwrap();
    connect(with_key(&server, &made[0].path)).unwrap();
}

#[test]
fn openssh_is_told_the_same() {
    let server = Sshd::start();
    let session = server.connect();
    let words = ["echo".into(), "$((6 * 7))".into()];
    let answer = tool(&mut session.openssh_command(&words));
    assert_eq!(answer, "42\n");
}
