//! Administering a running server through its control socket, and a server that is out of descriptors.

use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use chat_core::hello::Hello;
use chat_core::packet::PacketType;

use crate::process::{Connection, PATIENCE, ServerProcess, finished, program, run, server};

/// Runs a command about the server of `home`, and returns what it printed.
fn done(home: &Path, arguments: &[&str]) -> String {
    let (code, out, said) = run(home, &[arguments, &["--data", "data"]].concat());
    assert_eq!((code, said.as_str()), (0, ""), "{arguments:?}");
    out
}

fn refused(home: &Path, arguments: &[&str]) -> String {
    let (code, out, said) = run(home, &[arguments, &["--data", "data"]].concat());
    assert_eq!((code, out.as_str()), (1, ""), "{arguments:?}");
    said
}

fn registered(server: &ServerProcess, name: &str) -> Connection {
    let mut connection = Connection::open(server.address).unwrap();
    connection.send(PacketType::REGISTER, &format!("{name}:secret")).unwrap();
    connection.receive(PacketType::REGISTER).unwrap();
    connection
}

fn logs_in(connection: &mut Connection, name: &str, password: &str) -> bool {
    connection.send(PacketType::LOGIN, &format!("{name}:{password}")).unwrap();
    !connection.receive(PacketType::LOGIN).unwrap().contains("Unable to login")
}

#[test]
fn accounts_are_listed_shown_and_removed() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(home.path());
    let mut ada = registered(&server, "ada");
    registered(&server, "bob");
    assert!(logs_in(&mut ada, "ada", "secret"));

    let listed = done(home.path(), &["users", "list"]);
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| line.contains("  registered 20")), "{listed}");
    assert!(
        lines.iter().any(|line| line.starts_with("ada ") && line.ends_with(", logged in as Client-1")),
        "{listed}"
    );
    let shown: serde_json::Value =
        serde_json::from_str(done(home.path(), &["users", "list", "--json"]).lines().last().unwrap())
            .unwrap();
    assert_eq!((&shown["name"], &shown["client"]), (&"bob".into(), &serde_json::Value::Null));
    assert!(done(home.path(), &["users", "show", "bob"]).starts_with("bob  registered 20"));
    assert_eq!(refused(home.path(), &["users", "show", "carol"]), "error: there is no account \"carol\"\n");
    assert!(refused(home.path(), &["users", "show", "a:b"]).contains("is no name"));

    done(home.path(), &["users", "remove", "ada"]);
    // Its connection ends with it, and the name is free.
    assert_eq!(ada.receive(PacketType::SECURE).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert!(refused(home.path(), &["users", "remove", "ada"]).contains("no account"));
    assert!(logs_in(&mut registered(&server, "ada"), "ada", "secret"));

    let (_, log) = server.stop("TERM");
    assert!(
        log.contains("RemoveUser { name: \\\"ada\\\" }") && log.contains("\"outcome\":\"done\""),
        "{log}"
    );
}

#[test]
fn a_password_is_reset_and_never_seen_but_where_it_is_asked_for() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start_with(home.path(), &[("CHAT_LOG", "debug")]);
    let mut ada = registered(&server, "ada");
    let password = done(home.path(), &["users", "reset-password", "ada"]);
    assert!(!logs_in(&mut ada, "ada", "secret"));
    assert!(logs_in(&mut ada, "ada", password.trim_end()), "{password:?}");

    let mut child = program(home.path())
        .args(["users", "reset-password", "ada", "--stdin", "--data", "data"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all("correct horse:\n".as_bytes()).unwrap();
    assert_eq!(finished(child.wait_with_output().unwrap()), (0, String::new(), String::new()));
    let mut other = Connection::open(server.address).unwrap();
    ada.send(PacketType::LOGOUT, "").unwrap();
    ada.receive(PacketType::LOGOUT).unwrap();
    assert!(logs_in(&mut other, "ada", "correct horse:"));

    let (_, log) = server.stop("TERM");
    assert!(
        log.contains("ResetPassword") && !log.contains("correct horse") && !log.contains(password.trim_end()),
        "{log}"
    );
}

#[test]
fn whoever_is_kicked_is_told_and_gone() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(home.path());
    let mut ours = Connection::open(server.address).unwrap();
    ours.send(PacketType::HELLO, &Hello::new("test").encode()).unwrap();
    ours.receive(PacketType::HELLO).unwrap();
    done(home.path(), &["kick", "Client-1"]);
    assert!(ours.receive(PacketType::NOTICE).unwrap().starts_with("code=kicked\n"));
    assert_eq!(ours.receive(PacketType::NOTICE).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(refused(home.path(), &["kick", "Client-1"]), "error: nobody here is called \"Client-1\"\n");
}

#[test]
fn what_a_kicked_client_has_sent_before_is_not_done() {
    let home = tempfile::tempdir().unwrap();
    let variables = [("CHAT_LIMITS_EXEMPT", "192.0.2.1"), ("CHAT_LIMITS_MESSAGES_PER_SECOND", "1")];
    let server = ServerProcess::start_with(home.path(), &variables);
    let mut witness = Connection::open(server.address).unwrap();
    let mut spammer = Connection::open(server.address).unwrap();
    for connection in [&mut witness, &mut spammer] {
        connection.send(PacketType::CONNECT, "").unwrap();
        connection.receive(PacketType::CONNECT).unwrap();
    }
    // More than its rate allows: what is left waits in the server.
    for number in 0..200 {
        spammer.send(PacketType::MESSAGE, &format!("spam {number}\n")).unwrap();
    }
    witness.receive(PacketType::MESSAGE).unwrap();
    done(home.path(), &["kick", "Client-2"]);
    let end = loop {
        // Whatever is left of the burst may come, and then nothing more.
        match spammer.receive_any() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(end.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{end}");
    std::thread::sleep(Duration::from_secs(3));
    let counted = run(home.path(), &["metrics", "--data", "data"]).1;
    let messages = || counted.lines().find_map(|line| line.strip_prefix("chat_messages_total ")).unwrap();
    let before: u32 = messages().parse().unwrap();
    assert!(before < 120, "{before} of 200 were sent on");
    assert!(
        counted.lines().any(|line| line == "chat_connections_closed_total{reason=\"kicked\"} 1"),
        "{counted}"
    );
}

#[test]
fn packets_that_are_begun_by_a_crowd_hold_no_more_memory_than_they_may() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start_with(home.path(), &[("CHAT_LIMITS_INBOX_TOTAL_BYTES", "1048576")]);
    let mut witness = Connection::open(server.address).unwrap();
    witness.send(PacketType::CONNECT, "").unwrap();
    witness.receive(PacketType::CONNECT).unwrap();
    // Two mebibytes of packets that never end.
    let begun = [&[0, 3, 0, 0, 11], [b'x'; 65_536].as_slice()].concat();
    let mut crowd: Vec<Connection> = (0..32).map(|_| Connection::open(server.address).unwrap()).collect();
    for connection in &mut crowd {
        connection.send_bytes(&begun).unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let counted = run(home.path(), &["metrics", "--data", "data"]).1;
        let closed = counted
            .lines()
            .find_map(|line| line.strip_prefix("chat_connections_closed_total{reason=\"inbox_full\"} "));
        let closed: u32 = closed.unwrap().parse().unwrap();
        if closed >= 16 {
            assert!(closed < 32, "no more than needed");
            break;
        }
        assert!(Instant::now() < deadline, "{closed} were closed");
        std::thread::sleep(Duration::from_millis(200));
    }
    witness.send(PacketType::MESSAGE, "still here\n").unwrap();
    assert_eq!(witness.receive(PacketType::MESSAGE).unwrap(), "Client-1: still here\n");
}

#[test]
fn a_drained_server_serves_those_who_are_there_and_then_ends() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(home.path());
    let mut there = Connection::open(server.address).unwrap();
    there.send(PacketType::CONNECT, "").unwrap();
    there.receive(PacketType::CONNECT).unwrap();
    let mut ours = Connection::open(server.address).unwrap();
    ours.send(PacketType::HELLO, &Hello::new("test").encode()).unwrap();
    ours.receive(PacketType::HELLO).unwrap();
    done(home.path(), &["drain", "--seconds", "60"]);
    // At its beginning, within a second or so, and not only when it is over.
    let told = ours.receive(PacketType::NOTICE).unwrap();
    assert!(
        told.starts_with("code=restart\ntext=The server takes nobody new and will stop when everybody"),
        "{told}"
    );
    assert!(told.contains(" UTC (in 1 min) at the latest. "), "{told}");
    let (_, status, _) = run(home.path(), &["status", "--data", "data"]);
    assert!(status.contains("\ndraining     takes nobody new and stops when all have left, in "), "{status}");
    drop(ours);
    let mut late = Connection::open(server.address).unwrap();
    late.send(PacketType::CONNECT, "").unwrap();
    there.send(PacketType::MESSAGE, "still here\n").unwrap();
    assert_eq!(there.receive(PacketType::MESSAGE).unwrap(), "Client-1: still here\n");
    drop(there);
    assert!(late.receive(PacketType::CONNECT).is_err(), "nobody new is taken");
    let (status, _) = server.wait();
    assert!(status.success());
}

#[test]
fn without_descriptors_the_chat_goes_on_and_connections_are_taken_when_there_are_some_again() {
    let home = tempfile::tempdir().unwrap();
    let plain = server(home.path());
    let mut limited = std::process::Command::new("sh");
    limited
        .args(["-c", "ulimit -n 40; exec \"$0\" \"$@\""])
        .arg(plain.get_program())
        .args(plain.get_args())
        .env_clear()
        .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(home.path());
    let server = ServerProcess::spawn(&mut limited);
    let mut first = Connection::open(server.address).unwrap();
    first.send(PacketType::CONNECT, "").unwrap();
    first.receive(PacketType::CONNECT).unwrap();
    // More than it can take: the rest waits in the backlog.
    let mut crowd: Vec<Connection> = (0..60).map(|_| Connection::open(server.address).unwrap()).collect();
    let mut last = crowd.pop().unwrap();
    last.send(PacketType::CONNECT, "").unwrap();
    first.send(PacketType::MESSAGE, "still here\n").unwrap();
    assert_eq!(first.receive(PacketType::MESSAGE).unwrap(), "Client-1: still here\n");
    drop(crowd);
    let started = Instant::now();
    assert!(last.receive(PacketType::CONNECT).unwrap().contains("has connected"));
    assert!(started.elapsed() < PATIENCE.min(Duration::from_secs(10)));
    let (status, log) = server.stop("TERM");
    assert!(status.success() && log.contains("cannot accept connections; trying again"), "{log}");
}
