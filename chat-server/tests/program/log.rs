//! The log of the built program, and what happens when nobody reads it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use chat_core::packet::PacketType;

use crate::process::{Connection, PATIENCE, run, server};

/// Reads the log of a server up to its listening, and no further.
fn listening(server: &mut Child) -> (BufReader<ChildStderr>, SocketAddr) {
    let mut log = BufReader::new(server.stderr.take().unwrap());
    loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "it has ended");
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        if line["fields"]["message"] == "listening" {
            let address = line["fields"]["address"].as_str().unwrap().parse().unwrap();
            return (log, address);
        }
    }
}

#[test]
fn a_log_that_nobody_reads_stops_neither_the_chat_nor_the_end() {
    let home = tempfile::tempdir().unwrap();
    let mut server = server(home.path());
    let mut server = server.args(["--log-level", "trace"]).stderr(Stdio::piped()).spawn().unwrap();
    let (mut log, address) = listening(&mut server);
    // Two lines of some 200 bytes each; a pipe holds 64 KiB.
    for _ in 0..500 {
        let mut connection = Connection::open(address).unwrap();
        connection.send(PacketType::CONNECT, "").unwrap();
        connection.receive(PacketType::CONNECT).unwrap();
    }
    let killed = Command::new("kill").args(["-s", "TERM", &server.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match server.try_wait().unwrap() {
            Some(status) => break status,
            None => assert!(Instant::now() < deadline, "the server does not stop"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(status.success(), "{status}");
    let mut unread = Vec::new();
    assert!(log.read_to_end(&mut unread).unwrap() > 60_000, "the pipe was full");
}

#[test]
fn what_was_logged_comes_before_the_error_that_ends_the_program() {
    let home = tempfile::tempdir().unwrap();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let (code, _, said) = run(
        home.path(),
        &["--port", &port, "--data", "data", "--log-format", "json", "--log-level", "trace"],
    );
    assert_eq!(code, 1, "{said}");
    let first_of_error = said.lines().position(|line| line.starts_with("error: "));
    assert!(first_of_error.is_some_and(|position| position > 0), "{said}");
    assert!(!said.lines().last().unwrap().starts_with('{'), "{said}");
}
