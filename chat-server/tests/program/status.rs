//! `chat-server status`, and the control socket it asks through.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use chat_core::hello::Hello;
use chat_core::noise::{self, Initiator};
use chat_core::packet::PacketType;
use chat_core::rsa::{KeyPair, KeySpec};
use serde_json::json;

use crate::process::{Connection, PATIENCE, ServerProcess, program, run};

/// What nobody gets an answer with.
fn no_server(data: &str) -> String {
    format!(
        "error: no server answers for the data directory {data}\n\
         hint: start one, or name its data directory with --data DIR\n"
    )
}

fn in_json(home: &Path) -> serde_json::Value {
    let (code, out, said) = run(home, &["status", "--json", "--data", "data"]);
    assert_eq!((code, said.as_str()), (0, ""));
    serde_json::from_str(out.strip_suffix('\n').unwrap()).unwrap()
}

/// Turns encryption on with `offer`; the server has switched once it has answered.
fn encrypted(mut connection: Connection, offer: &str) -> Connection {
    connection.send(PacketType::ENCRYPTION_ON, offer).unwrap();
    connection.receive(PacketType::ENCRYPTION_ON).unwrap();
    connection
}

fn classic(address: SocketAddr) -> Connection {
    let keys = KeyPair::generate(&KeySpec::bits(1, 32).unwrap()).unwrap();
    encrypted(Connection::open(address).unwrap(), &keys.public().to_wire())
}

fn modern(address: SocketAddr) -> Connection {
    let mut connection = Connection::open(address).unwrap();
    let ours = Hello::new("test").encode();
    connection.send(PacketType::HELLO, &ours).unwrap();
    let theirs = connection.receive(PacketType::HELLO).unwrap();
    let (_, offer) = Initiator::start(&noise::prologue(ours.as_bytes(), theirs.as_bytes())).unwrap();
    encrypted(connection, &offer)
}

#[test]
fn a_running_server_tells_how_it_is() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(home.path());
    let mut joined = Connection::open(server.address).unwrap();
    for (kind, body) in
        [(PacketType::REGISTER, "ada:secret"), (PacketType::LOGIN, "ada:secret"), (PacketType::JOIN, "")]
    {
        joined.send(kind, body).unwrap();
        joined.receive(kind).unwrap();
    }
    let _others = [classic(server.address), modern(server.address), modern(server.address)];

    let identity = run(home.path(), &["identity", "--data", "data"]).1;
    let mut status = in_json(home.path());
    assert!(status["uptime_seconds"].take().as_u64().unwrap() <= PATIENCE.as_secs());
    let expected = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": server.pid(),
        "uptime_seconds": null,
        "address": server.address.to_string(),
        "identity": identity.trim_end(),
        "connections": {"total": 4, "plain": 1, "classic": 1, "noise": 2},
        "joined": 1,
        "logged_in": 1,
        "users": 1,
    });
    assert_eq!(status, expected);

    let (code, out, said) = run(home.path(), &["status", "--data", "data"]);
    assert_eq!((code, said.as_str()), (0, ""));
    let told = format!("chat-server {}, process {}, up ", env!("CARGO_PKG_VERSION"), server.pid());
    assert!(out.starts_with(&told), "{out}");
    assert!(out.ends_with(
        "connections  4 (1 plain, 1 classic, 2 noise)\njoined       1\nlogged in    1\nusers        1\n"
    ));
}

#[test]
fn without_a_server_status_says_so_and_fails() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(run(home.path(), &["status", "--data", "data"]), (1, String::new(), no_server("data")));
    assert!(!home.path().join("data").exists());

    let socket = home.path().join("data/control.sock");
    let server = ServerProcess::start(home.path());
    assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o7777, 0o600);
    server.stop("TERM");
    assert!(!socket.exists());
    assert_eq!(
        run(home.path(), &["status", "--json", "--data", "data"]),
        (1, String::new(), no_server("data"))
    );
}

#[test]
fn the_socket_of_a_killed_server_is_no_server_and_no_obstacle() {
    let home = tempfile::tempdir().unwrap();
    ServerProcess::start(home.path()).stop("KILL");
    assert!(home.path().join("data/control.sock").exists());
    assert_eq!(run(home.path(), &["status", "--data", "data"]), (1, String::new(), no_server("data")));
    let server = ServerProcess::start(home.path());
    assert_eq!(in_json(home.path())["pid"], server.pid());
    // A second server is refused before it touches the first one's socket.
    assert_eq!(run(home.path(), &["--port", "0", "--data", "data", "--log-level", "off"]).0, 1);
    assert_eq!(in_json(home.path())["pid"], server.pid());
}

#[test]
fn a_request_that_hangs_does_not_hold_the_end_up() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(home.path());
    let mut hanging = UnixStream::connect(home.path().join("data/control.sock")).unwrap();
    hanging.write_all(b"{\"command\":").unwrap();
    // Answered behind it, so the server has begun with the one that hangs.
    assert_eq!(in_json(home.path())["pid"], server.pid());
    let started = Instant::now();
    assert_eq!(server.stop("TERM").0.code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    hanging.set_read_timeout(Some(PATIENCE)).unwrap();
    // Cut off with what it sent unread, which the system calls a reset.
    assert!(matches!(hanging.read(&mut [0]), Ok(0) | Err(_)));
}

#[test]
fn a_data_directory_with_too_long_a_path_costs_only_the_control_socket() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("x".repeat(100)).join("data");
    let data = data.to_str().unwrap();
    let arguments = ["--port", "0", "--log-format", "json", "--data", data];
    let server = ServerProcess::spawn(program(home.path()).args(arguments));
    Connection::open(server.address).unwrap();
    let (code, _, said) = run(home.path(), &["status", "--data", data]);
    assert_eq!(code, 1);
    let expected = format!("error: the path {data}/control.sock is longer than a socket's may be\nhint: ");
    assert!(said.starts_with(&expected), "{said}");
}
