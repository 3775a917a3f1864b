//! What a service manager is told by the program: a datagram socket stands in for systemd's.

use std::os::unix::net::UnixDatagram;

use crate::process::{Connection, PATIENCE, ServerProcess};

/// Receives until a message has a line that begins with `wanted`; returns the messages passed over and that one.
fn wait_for(socket: &UnixDatagram, wanted: &str) -> Vec<String> {
    let mut messages = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        let length =
            socket.recv(&mut bytes).unwrap_or_else(|error| panic!("no {wanted:?}: {error} {messages:?}"));
        messages.push(std::str::from_utf8(&bytes[..length]).unwrap().to_owned());
        if messages.last().unwrap().lines().any(|line| line.starts_with(wanted)) {
            return messages;
        }
    }
}

#[test]
fn a_service_manager_hears_of_start_life_and_end() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let variables = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "100000")];
    let server = ServerProcess::start_with(home.path(), &variables);
    assert_eq!(wait_for(&socket, "READY=1"), ["READY=1\n"]);
    let first = wait_for(&socket, "WATCHDOG=1");
    assert_eq!(first, ["WATCHDOG=1\nSTATUS=0 connections, 0 joined, 0 logged in\n"]);
    let _connection = Connection::open(server.address).unwrap();
    let messages = wait_for(&socket, "STATUS=1 connection, 0 joined, 0 logged in");
    assert!(messages.iter().all(|message| message.starts_with("WATCHDOG=1\n")), "{messages:?}");
    server.signal("HUP");
    wait_for(&socket, "RELOADING=1");
    wait_for(&socket, "READY=1");
    assert_eq!(server.stop("TERM").0.code(), Some(0));
    wait_for(&socket, "STOPPING=1");
}

#[test]
fn a_service_manager_that_cannot_be_reached_is_no_obstacle() {
    let home = tempfile::tempdir().unwrap();
    for socket in ["vsock:2:1234", "/nowhere/notify"] {
        let server = ServerProcess::start_with(home.path(), &[("NOTIFY_SOCKET", socket)]);
        Connection::open(server.address).unwrap();
        let (status, log) = server.stop("TERM");
        assert_eq!(status.code(), Some(0));
        // Where there is an address, only sending to it shows that nobody is there.
        let told = log.contains("the service manager cannot be told that the server is ready");
        assert_eq!(told, socket.starts_with('/'), "{log}");
    }
}
