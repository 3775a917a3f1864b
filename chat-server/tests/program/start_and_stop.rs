//! First start, second start, and the ways to stop.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use chat_core::packet::PacketType;

use crate::process::{Connection, PATIENCE, ServerProcess, run};

#[test]
fn the_first_start_makes_everything_and_the_second_finds_it() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(home.path());
    let mut connection = Connection::open(server.address).unwrap();
    connection.send(PacketType::CONNECT, "").unwrap();
    assert_eq!(
        connection.receive(PacketType::CONNECT).unwrap(),
        "Server: Client-1 has connected to the server\n"
    );
    let data = home.path().join("data");
    assert_eq!(fs::metadata(&data).unwrap().mode() & 0o7777, 0o700);
    for file in ["identity", "accounts.redb", "rsa/publickey.txt", "rsa/privatekey.txt"] {
        assert_eq!(fs::metadata(data.join(file)).unwrap().mode() & 0o7777, 0o600, "{file}");
    }
    let public = fs::read_to_string(data.join("rsa/publickey.txt")).unwrap();
    assert_eq!(public.lines().count(), 16);
    // A running server is no obstacle to asking for its identity.
    let (code, identity, said) = run(home.path(), &["identity", "--data", "data"]);
    assert_eq!((code, said.as_str()), (0, ""));
    server.stop("TERM");

    let _again = ServerProcess::start(home.path());
    assert_eq!(run(home.path(), &["identity", "--data", "data"]).1, identity);
    assert_eq!(fs::read_to_string(data.join("rsa/publickey.txt")).unwrap(), public);
}

#[test]
fn sigterm_is_a_clean_end_and_sigint_an_interruption() {
    let home = tempfile::tempdir().unwrap();
    for (signal, code) in [("TERM", 0), ("INT", 130)] {
        let server = ServerProcess::start(home.path());
        let (status, log) = server.stop(signal);
        assert_eq!(status.code(), Some(code), "SIG{signal}: {log}");
        assert!(log.contains("stopped"), "{log}");
    }
}

#[test]
fn not_even_the_most_talkative_log_has_passwords_or_messages() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start_with(home.path(), &[("CHAT_LOG", "trace")]);
    let mut connection = Connection::open(server.address).unwrap();
    connection.send(PacketType::REGISTER, "alice:hunter2").unwrap();
    connection.receive(PacketType::REGISTER).unwrap();
    connection.send(PacketType::LOGIN, "alice:hunter2").unwrap();
    connection.receive(PacketType::LOGIN).unwrap();
    connection.send(PacketType::MESSAGE, "a private word").unwrap();
    assert_eq!(connection.receive(PacketType::MESSAGE).unwrap(), "alice: a private word");
    let (_, log) = server.stop("TERM");
    assert!(!log.contains("hunter2") && !log.contains("private word"), "{log}");
}

#[test]
fn whoever_speaks_while_the_server_stops_hears_it_to_the_end() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(home.path());
    let mut connections: Vec<_> = (0..2).map(|_| Connection::open(server.address).unwrap()).collect();
    for connection in &mut connections {
        connection.send(PacketType::HELLO, "protocol=2\nagent=test\ncaps=notice\n").unwrap();
        connection.receive(PacketType::HELLO).unwrap();
    }
    server.signal("TERM");
    for mut connection in connections {
        assert!(connection.receive(PacketType::NOTICE).unwrap().starts_with("code=restart\n"));
        // Unread, it would make the kernel reset the connection.
        connection.send(PacketType::MESSAGE, "said while it stops").unwrap();
        let end = connection.receive_any().unwrap_err();
        assert_eq!(end.kind(), std::io::ErrorKind::UnexpectedEof);
    }
    assert_eq!(server.wait().0.code(), Some(0));
}

/// A connection that has said something and been answered.
fn greeted(server: &ServerProcess) -> Connection {
    let mut connection = Connection::open(server.address).unwrap();
    connection.send(PacketType::CONNECT, "").unwrap();
    connection.receive(PacketType::CONNECT).unwrap();
    connection
}

/// Waits until so many connections have been accepted: who has not been is not answered by a server that stops.
fn await_accepted(home: &Path, count: u32) {
    let line = format!("chat_connections_accepted_total {count}");
    let deadline = Instant::now() + PATIENCE;
    while !run(home, &["metrics", "--data", "data"]).1.lines().any(|its| its == line) {
        assert!(Instant::now() < deadline, "{line} never came");
    }
}

#[test]
fn what_waits_to_be_said_is_said_before_the_server_stops() {
    let home = tempfile::tempdir().unwrap();
    // Room for two at once, and then for one in fifteen seconds: the others wait.
    let limits = [
        ("CHAT_LIMITS_EXEMPT", ""),
        ("CHAT_LIMITS_OUTBOX_BYTES", "524288"),
        ("CHAT_LIMITS_ROOM_BYTES_PER_SECOND", "1024"),
    ];
    let server = ServerProcess::start_with(home.path(), &limits);
    let mut listener = greeted(&server);
    let mut speakers: Vec<_> = (0..8).map(|_| Connection::open(server.address).unwrap()).collect();
    for (number, speaker) in speakers.iter_mut().enumerate() {
        speaker.send(PacketType::MESSAGE, &format!("number {number}{}", " ".repeat(15_000))).unwrap();
    }
    let mut hear = || listener.receive(PacketType::MESSAGE).unwrap().split(' ').nth(2).unwrap().to_owned();
    let mut heard = vec![hear()];
    await_accepted(home.path(), 9);
    server.signal("TERM");
    heard.extend((1..8).map(|_| hear()));
    heard.sort_unstable();
    assert_eq!(heard, ["0", "1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn whoever_has_to_wait_a_moment_is_answered_before_the_server_stops() {
    let home = tempfile::tempdir().unwrap();
    // Two packets, of which opening a connection is one; then one each fifth of a second.
    let limits = [
        ("CHAT_LIMITS_EXEMPT", ""),
        ("CHAT_LIMITS_MESSAGES_PER_SECOND", "5"),
        ("CHAT_LIMITS_MESSAGE_BURST", "2"),
        ("CHAT_LIMITS_RATE_SHARES_PER_ADDRESS", "1"),
    ];
    let server = ServerProcess::start_with(home.path(), &limits);
    let _first = greeted(&server);
    let mut second = Connection::open(server.address).unwrap();
    second.send(PacketType::CONNECT, "").unwrap();
    await_accepted(home.path(), 2);
    server.signal("TERM");
    assert_eq!(
        second.receive(PacketType::CONNECT).unwrap(),
        "Server: Client-2 has connected to the server\n"
    );
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn a_second_server_is_told_what_is_in_its_way() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(home.path());
    let (code, _, said) = run(home.path(), &["--port", "0", "--data", "data", "--log-level", "off"]);
    assert_eq!(
        (code, said.as_str()),
        (
            1,
            "error: the data directory data is in use by another server\n\
             hint: stop that server first, or name another directory with --data DIR\n"
        )
    );
    let port = server.address.port().to_string();
    let (code, _, said) = run(home.path(), &["--port", &port, "--data", "other", "--log-level", "off"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.starts_with(&format!("error: cannot listen on 127.0.0.1:{port}\n")), "{said}");
    assert!(said.contains("\nhint: ") && said.contains("--port"), "{said}");
}

#[test]
fn whoever_asks_for_the_identity_while_the_server_makes_it_gets_it() {
    let home = tempfile::tempdir().unwrap();
    let (_, identity, _) = run(home.path(), &["identity", "--data", "data"]);
    let data = home.path().join("data");
    // So it is between the lock and the identity of a server that starts for the first time.
    let lock = fs::File::open(data.join("lock")).unwrap();
    lock.try_lock().unwrap();
    fs::rename(data.join("identity"), data.join("identity.new")).unwrap();
    let made = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        fs::rename(data.join("identity.new"), data.join("identity")).unwrap();
    });
    assert_eq!(run(home.path(), &["identity", "--data", "data"]), (0, identity, String::new()));
    made.join().unwrap();
}

#[test]
fn damage_in_the_data_directory_is_named_with_a_way_out() {
    let home = tempfile::tempdir().unwrap();
    let start = || run(home.path(), &["--port", "0", "--data", "data", "--log-level", "off"]);
    assert_eq!(run(home.path(), &["identity", "--data", "data"]).0, 0);
    fs::write(home.path().join("data/accounts.redb"), "no database").unwrap();
    let (code, _, said) = start();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("accounts.redb") && said.contains("hint: restore"), "{said}");
    fs::write(home.path().join("data/identity"), "no identity\n").unwrap();
    let (code, _, said) = start();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("data/identity") && said.contains("hint: restore"), "{said}");
}
