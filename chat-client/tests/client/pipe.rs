//! The program itself in a pipe: what it prints where, and how it ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};

use chat_core::noise::Fingerprint;

use crate::original::Original;
use crate::proxy::{Mischief, Proxy};
use crate::world::{Home, NOBODY, PATIENCE, Server, server_address};

fn client(home: &Home, address: SocketAddr, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-client"));
    command
        .args(["connect", &address.ip().to_string(), &address.port().to_string()])
        .args(options)
        .env_clear()
        .env("HOME", home.path())
        .env("TZ", "UTC");
    command
}

/// Starts the client in pipes.
fn start(home: &Home, address: SocketAddr, options: &[&str]) -> Child {
    let mut command = client(home, address, options);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Kills a child unless what is returned is dropped in time: whoever waits for it then goes on, and fails.
fn limit(child: &Child) -> mpsc::Sender<()> {
    let (done, ended) = mpsc::channel();
    let pid = child.id().to_string();
    std::thread::spawn(move || {
        if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").args(["-KILL", &pid]).status();
        }
    });
    done
}

/// Reads what a child says on standard error until it ends; returns that and its exit status.
fn end(child: &mut Child) -> (String, Option<i32>) {
    let _limit = limit(child);
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (err, child.wait().unwrap().code())
}

/// Runs the client over some input and returns its standard output, standard error and exit status.
pub(crate) fn chat(home: &Home, address: SocketAddr, options: &[&str], input: &str) -> (String, String, i32) {
    let mut child = start(home, address, options);
    let _limit = limit(&child);
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(stdout), text(stderr), status.code().unwrap_or(-1))
}

/// A client that stays, and whose output is read line by line.
pub(crate) struct Guest {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Guest {
    pub(crate) fn enter(home: &Home, address: SocketAddr, options: &[&str]) -> Self {
        let mut child = start(home, address, options);
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// Reads up to the line that contains `text`, and returns it.
    pub(crate) fn hear(&mut self, text: &str) -> String {
        let _limit = limit(&self.child);
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "{text:?} was never heard");
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Waits until it has ended; returns what it said on standard error, and its exit status.
    pub(crate) fn end(mut self) -> (String, Option<i32>) {
        end(&mut self.child)
    }

    fn interrupt(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    }
}

#[test]
fn a_scripted_chat_prints_what_the_original_shows_and_succeeds() {
    let (server, home) = (Server::start(), Home::new());
    let script = "/register alice two words\n/login alice two words\n/join\nhello\n//slash\n/whoami\n\
                  /time Asia/Kolkata\n/users\n/leave\n";
    let (out, err, status) = chat(&home, server.address(), &[], script);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines[..7],
        [
            "Server: Client-1 has connected to the server",
            "Server: The username alice was successfully registered",
            "Server: Client-1 logged in as alice",
            "Server: Client-1 joined the chat room",
            "alice: hello",
            "alice: /slash",
            "Server: whoami results",
        ]
    );
    assert!(lines[11].ends_with(" IST") && lines[12] == "in the chat room: alice", "{out}");
    assert_eq!(lines[13..], ["Server: alice left the chat room"]);
    assert!(
        err.contains("first contact") && err.contains(&server.running.fingerprint().to_string()),
        "{err}"
    );
    assert!(!err.contains("two words") && !err.contains("error"), "{err}");
    assert_eq!(status, 0);
}

#[test]
fn two_clients_hear_each_other_and_nobody_can_forge_a_line() {
    let (server, home) = (Server::start(), Home::new());
    let mut guest = Guest::enter(&home, server.address(), &[]);
    guest.say("/join");
    guest.hear("joined the chat room");
    let (_, _, status) = chat(&home, server.address(), &[], "hello \u{1b}]0;owned\u{7}\u{9b}2J π\n");
    assert_eq!(status, 0);
    assert_eq!(guest.hear("Client-2:"), "Client-2: hello \u{fffd}]0;owned\u{fffd}\u{fffd}2J π\n");
    guest.say("/exit");
    assert_eq!(guest.end().1, Some(0));
}

#[test]
fn the_exit_status_is_true_to_what_happened() {
    let (server, home) = (Server::start(), Home::new());
    let check = |input: &str, expected_status, expected_error: &str| {
        let (_, err, status) = chat(&home, server.address(), &[], input);
        assert_eq!((status, err.contains(expected_error)), (expected_status, true), "{input}: {err}");
    };
    check("", 0, "");
    check("/exit\nnever sent\n", 0, "");
    check("/login alice nothing\n", 1, "error: the login as alice failed");
    check("/jion\n/exit\n", 1, "did you mean /join?");
    check("/date Nope/Zone\n", 1, "/date was refused");
    check("/encryption off\n/login alice x\n", 1, "a password over a connection without encryption");
    check("/login alice\n", 1, "a password is needed");
    check("/help\n/help nothing\n", 1, "there is no command nothing");
    let (out, err, status) = chat(&home, NOBODY, &[], "hello\n");
    assert_eq!((out.as_str(), status), ("", 1));
    assert!(
        err.starts_with(&format!("error: cannot connect to {NOBODY}: ")) && err.contains("\nhint: "),
        "{err}"
    );
}

#[test]
fn wrong_usage_is_2_and_a_changed_identity_is_told_with_both_fingerprints() {
    let (server, home) = (Server::start(), Home::new());
    let (_, err, status) = chat(&home, server.address(), &["--encryption", "rot13"], "");
    assert_eq!(status, 2, "{err}");
    let pinned = Fingerprint::of(&[7; 32]);
    let address = server_address(server.address());
    home.pins().pin(&address, pinned).unwrap();
    let (out, err, status) = chat(&home, server.address(), &[], "/join\nsecret\n");
    assert_eq!((out.as_str(), status), ("", 1), "{err}");
    assert!(err.contains(&pinned.to_string()) && err.contains(&server.running.fingerprint().to_string()));
    assert!(err.contains(&format!("chat-client forget {} {}", address.host(), address.port())), "{err}");
    let forget = |home: &Home| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chat-client"));
        command.args(["forget", address.host(), &address.port().to_string()]);
        command.env_clear().env("HOME", home.path()).output().unwrap().status.code()
    };
    assert_eq!((forget(&home), forget(&home)), (Some(0), Some(1)));
    assert_eq!(chat(&home, server.address(), &[], "/join\n").2, 0);
}

#[test]
fn an_original_server_needs_an_explicit_flag() {
    let (original, home) = (Original::start(), Home::new());
    let (out, err, status) = chat(&home, original.address, &[], "hello\n");
    assert_eq!((out.as_str(), status), ("", 1), "{err}");
    assert!(err.contains("is an original chat server") && err.contains("--encryption classic"), "{err}");
    let script = "/register zoë x\n/login zoë x\n/join\nhello π\n/date Etc/UTC\n/logout\n";
    let (out, err, status) = chat(&home, original.address, &["--encryption", "classic"], script);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines,
        [
            "Server: Client-2 has connected to the server",
            "Server: Encryption turned on for Client-2",
            "Server: The username zoë was successfully registered",
            "Server: Client-2 logged in as zoë",
            "Server: Client-2 joined the chat room",
            "zoë: hello π",
            "Server: The date is Sunday, October 12, 2025",
            "Server: zoë logged out",
        ],
        "{err}"
    );
    assert_eq!(status, 0, "{err}");
    let (_, err, status) = chat(&home, original.address, &["--encryption", "off"], "/date Nope\n/exit\n");
    assert!(status == 1 && err.contains("no answer to /date"), "{err}");
    let (_, err, status) = chat(&home, original.address, &["--encryption", "off"], "/login zoë x\n");
    assert!(status == 1 && err.contains("--allow-plain-passwords"), "{err}");
}

#[test]
fn classic_keys_can_come_from_the_originals_files() {
    let (original, home) = (Original::start(), Home::new());
    let keys = home.path().join("rsa");
    std::fs::create_dir(&keys).unwrap();
    std::fs::write(keys.join("publickey.txt"), "n=3233 e=17\nn=3127 e=3\n").unwrap();
    std::fs::write(keys.join("privatekey.txt"), "n=3233 d=413\nn=3127 d=503\n").unwrap();
    let options = ["--encryption", "classic", "--key-dir", keys.to_str().unwrap()];
    let (out, err, status) = chat(&home, original.address, &options, "hello\n");
    assert!(status == 0 && out.ends_with("Client-1: hello\n"), "{out}{err}");
    let options = ["--encryption", "classic", "--key-dir", "/nowhere"];
    let (_, err, status) = chat(&home, original.address, &options, "hello\n");
    assert!(status == 1 && err.contains("cannot read /nowhere/publickey.txt"), "{err}");
}

#[test]
fn a_lost_connection_ends_the_program_or_is_restored() {
    let (server, home) = (Server::start(), Home::new());
    let proxy = Proxy::start(server.address(), Mischief::None);
    let mut guest = Guest::enter(&home, proxy.address, &[]);
    guest.hear("has connected");
    proxy.cut(true);
    assert_eq!(guest.end().1, Some(1));

    let mut guest = Guest::enter(&home, proxy.address, &["--reconnect"]);
    guest.say("/register bob x y");
    guest.say("/login bob x y");
    guest.say("/join");
    guest.hear("joined the chat room");
    proxy.cut(false);
    std::thread::sleep(std::time::Duration::from_millis(300));
    proxy.mend();
    guest.hear("logged in as bob");
    guest.hear("joined the chat room");
    guest.say("back");
    assert_eq!(guest.hear("back"), "bob: back\n");
    guest.say("/exit");
    assert_eq!(guest.end().1, Some(0));
}

#[test]
fn an_interrupted_client_says_goodbye() {
    let (server, home) = (Server::start(), Home::new());
    let mut witness = Guest::enter(&home, server.address(), &[]);
    witness.hear("has connected");
    let mut guest = Guest::enter(&home, server.address(), &[]);
    guest.say("/join");
    guest.hear("joined");
    guest.interrupt();
    assert_eq!(guest.end().1, Some(130));
    witness.hear("Client-2 left the chat room");
}

#[test]
fn a_reader_who_goes_away_is_no_error() {
    let (server, home) = (Server::start(), Home::new());
    let mut child = start(&home, server.address(), &[]);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    drop(output);
    let mut input = child.stdin.take().unwrap();
    // The pipe to a program that ended may break here, too.
    let _ = input.write_all(b"/join\nhello\nagain\n");
    let (err, status) = end(&mut child);
    assert_eq!(status, Some(0), "{err}");
    assert!(!err.contains("error"), "{err}");
}

#[test]
fn a_reader_who_stands_still_does_not_keep_a_client_from_stopping() {
    let (server, home) = (Server::start(), Home::new());
    let mut guest = Guest::enter(&home, server.address(), &[]);
    guest.hear("has connected");
    // More than the pipe takes comes back, and nobody reads it.
    for _ in 0..3 {
        guest.say(&"x".repeat(50_000));
    }
    std::thread::sleep(std::time::Duration::from_millis(500));
    guest.interrupt();
    let started = std::time::Instant::now();
    let status = loop {
        if let Some(status) = guest.child.try_wait().unwrap() {
            break status;
        }
        assert!(started.elapsed() < PATIENCE, "it cannot be interrupted");
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(130));
}

/// Runs the client with these arguments, this environment and this input.
fn run(home: &Home, arguments: &[&str], password: Option<&str>, input: &str) -> (String, String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-client"));
    command.args(arguments).env_clear().env("HOME", home.path()).env("TZ", "UTC");
    command.envs(password.map(|password| ("CHAT_CLIENT_PASSWORD", password)));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _limit = limit(&child);
    // A program that reads nothing may have ended before.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(stdout), text(stderr), status.code().unwrap_or(-1))
}

#[test]
fn a_script_sends_watches_and_waits() {
    let (server, home) = (Server::start(), Home::new());
    let address = server.address().to_string();
    let mut witness = Guest::enter(&home, server.address(), &[]);
    witness.hear("has connected");
    for (message, input, expected) in [
        (&["backup", "done"][..], "", ": backup done"),
        (&[], "/usr is full\nso is /\n", ": /usr is full"),
        (&["//x"], "", ": //x"),
    ] {
        let arguments = [&["send", &address][..], message].concat();
        let (out, err, status) = run(&home, &arguments, None, input);
        assert_eq!((out.as_str(), err.as_str(), status), ("", "", 0), "{arguments:?}");
        assert!(witness.hear(expected).trim_end().ends_with(expected));
    }
    let (_, err, status) = run(&home, &["send", &address, "x", "--user", "bob"], Some("hunter2"), "");
    assert_eq!((status, err.contains("hunter2")), (1, false), "{err}");

    let mut watch =
        client(&home, server.address(), &["--json", "--timeout", "20", "--wait-for", "^Client-1: .*done$"]);
    // Standard input at its end does not end it: something is waited for.
    let watcher = std::thread::spawn(move || watch.stdin(Stdio::null()).output().unwrap());
    let mut said = 0;
    while !watcher.is_finished() {
        witness.say(&format!("step {said} is done"));
        said += 1;
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let output = watcher.join().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && out.contains(r#""event":"message","from":"Client-1","text":"step"#),
        "{out}"
    );
    assert!(out.contains(r#""event":"status""#) && out.contains(r#""stage":"online""#), "{out}");
    let connected = format!(
        "* connected to {address}, chat-server/{}; encrypted with Noise; the server proved its pinned identity {}",
        env!("CARGO_PKG_VERSION"),
        server.running.fingerprint()
    );
    let up = "error: time was up after 0.3 s\n";
    let said = format!("{connected}\n{up}");
    for (json, expected) in [(&[][..], up), (&["--json"], "")] {
        let arguments = [&["watch", &address, "--timeout", "0.3"][..], json].concat();
        let (out, err, status) = run(&home, &arguments, None, "");
        assert_eq!(status, 4, "{err}");
        // On a machine that is busy, time is up before the connection is there.
        assert!(
            err.ends_with(expected) && said.ends_with(&err) && err.is_empty() != json.is_empty(),
            "{err}"
        );
        let event = r#""event":"error","text":"time was up after 0.3 s""#;
        assert_eq!(out.contains(event), !json.is_empty(), "{out}");
    }
}

#[test]
fn a_password_comes_from_where_nobody_else_reads_it() {
    let (server, home) = (Server::start(), Home::new());
    let (host, port) = (server.address().ip().to_string(), server.address().port().to_string());
    let connect = ["connect", &host, &port];
    run(&home, &connect, None, "/register bob two words\n");
    let as_bob = [&connect[..], &["--user", "bob", "--join"]].concat();
    let (out, err, status) = run(&home, &as_bob, Some("two words"), "hello\n");
    assert!(status == 0 && out.contains("logged in as bob") && out.ends_with("bob: hello\n"), "{out}{err}");
    let by_command = [&as_bob[..], &["--password-command", "echo two words"]].concat();
    assert!(run(&home, &by_command, None, "").0.contains("logged in as bob"));
    // The rest of the input is the chat's.
    let by_input = [&as_bob[..], &["--password-fd", "0"]].concat();
    let (out, err, status) = run(&home, &by_input, None, "two words\nhello\n");
    assert!(status == 0 && out.ends_with("bob: hello\n"), "{out}{err}");
    // The same from a file, which must not be read twice: its first line would be said in the room.
    let file = home.path().join("input");
    std::fs::write(&file, "two words\nhello\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-client"));
    command.args(&by_input).env_clear().env("HOME", home.path()).env("TZ", "UTC");
    let output = command.stdin(std::fs::File::open(&file).unwrap()).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.ends_with("bob: hello\n") && !out.contains("two words"), "{out}");
    // Nobody is heard under another name.
    for (password, said) in [(None, "a password is needed"), (Some("wrong"), "not logged in as bob")] {
        let (out, err, status) = run(&home, &as_bob, password, "hello\n");
        assert!(status == 1 && err.contains(said) && !out.contains("hello"), "{out}{err}");
    }
    let address = server.address().to_string();
    let (_, err, status) = run(&home, &["send", &address], None, "");
    assert!(status == 1 && err.contains("nothing is sent"), "{err}");
    let (_, err, status) = run(&home, &[&as_bob[..], &["--password-fd", "77"]].concat(), None, "");
    assert!(status == 1 && err.contains("file descriptor 77"), "{err}");
}

#[test]
fn a_thousand_lines_arrive_in_order() {
    let (server, home) = (Server::start(), Home::new());
    let script: String = (0..1000).map(|i| format!("line {i}\n")).collect();
    let (out, err, status) = chat(&home, server.address(), &[], &script);
    let heard: Vec<&str> = out.lines().filter(|line| line.starts_with("Client-1: ")).collect();
    let sent: Vec<String> = (0..1000).map(|i| format!("Client-1: line {i}")).collect();
    assert_eq!(heard, sent, "{err}");
    assert_eq!(status, 0, "{err}");
}

#[test]
fn the_list_is_printed_when_it_is_news_and_what_one_says_oneself_is_not_waited_for() {
    let (server, home) = (Server::start(), Home::new());
    let log = home.path().join("log");
    let options = ["--join", "--wait-for", "done", "--log", log.to_str().unwrap()];
    let mut waiting = Guest::enter(&home, server.address(), &options);
    waiting.hear("Client-1 joined");
    for _ in 0..2 {
        let mut guest = Guest::enter(&home, server.address(), &["--join"]);
        guest.say("/exit");
        assert_eq!(guest.end().1, Some(0));
        waiting.hear("left the chat room");
    }
    waiting.say("I am done");
    waiting.hear("Client-1: I am done");
    let mut guest = Guest::enter(&home, server.address(), &[]);
    guest.say("so am I: done");
    waiting.hear("so am I: done");
    let (err, status) = waiting.end();
    assert_eq!(status, Some(0), "{err}");
    let log = std::fs::read_to_string(log).unwrap();
    for said in [err, log] {
        assert_eq!(said.matches("in the chat room").count(), 1, "{said}");
    }
}
