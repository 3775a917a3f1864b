//! What the server counts about itself, as it is read over HTTP and through the control socket.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use chat_core::packet::PacketType;

use crate::process::{Connection, PATIENCE, ServerProcess, run, server};

/// Asks over HTTP, and returns everything that comes back.
fn scrape(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[track_caller]
fn has(text: &str, line: &str) {
    assert!(text.lines().any(|its| its == line), "{line} is not in:\n{text}");
}

#[test]
fn prometheus_and_the_control_socket_read_the_same() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start_with(home.path(), &[("CHAT_METRICS_ADDRESS", "127.0.0.1:0")]);
    let address = server.metrics.unwrap();
    let mut ada = Connection::open(server.address).unwrap();
    for (kind, body) in [
        (PacketType::REGISTER, "ada:secret"),
        (PacketType::REGISTER, "ada:secret"),
        (PacketType::LOGIN, "ada:wrong"),
        (PacketType::LOGIN, "ada:secret"),
        (PacketType::JOIN, ""),
        (PacketType::MESSAGE, "hello\n"),
    ] {
        ada.send(kind, body).unwrap();
        ada.receive(kind).unwrap();
    }
    let mut garbage = TcpStream::connect(server.address).unwrap();
    garbage.write_all(&[0; 5]).unwrap();
    // Answered when it has been cut off.
    garbage.read_to_end(&mut Vec::new()).unwrap();

    let answer = scrape(address, "GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    has(head, "HTTP/1.1 200 OK");
    has(head, "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8");
    for line in [
        "chat_connections{encryption=\"none\",dialect=\"october-2025\"} 1",
        "chat_connections_accepted_total 2",
        "chat_connections_closed_total{reason=\"malformed\"} 1",
        "chat_messages_total 1",
        "chat_registrations_total{result=\"registered\"} 1",
        "chat_registrations_total{result=\"taken\"} 1",
        "chat_logins_total{result=\"accepted\"} 1",
        "chat_logins_total{result=\"refused\"} 1",
        "chat_clients_joined 1",
        "chat_clients_logged_in 1",
        "chat_users 1",
        "chat_queued_bytes 0",
        "chat_store_seconds_count{operation=\"add\"} 1",
        "# EOF",
    ] {
        has(text, line);
    }
    assert!(!text.contains("ada") && !text.contains("127.0.0.1"), "{text}");

    let (code, printed, said) = run(home.path(), &["metrics", "--data", "data"]);
    assert_eq!((code, said.as_str()), (0, ""));
    has(&printed, "chat_messages_total 1");
    let names = |text: &str| -> BTreeSet<String> {
        let sample = |line: &str| line.rsplit_once(' ').map(|(name, _)| name.to_owned());
        text.lines().filter(|line| !line.contains("_store_")).filter_map(sample).collect()
    };
    assert_eq!(names(&printed), names(text));

    for (head, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found"),
        ("POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"),
        ("what?\r\n\r\n", "HTTP/1.1 400 Bad Request"),
    ] {
        has(&scrape(address, head), status);
    }
    // Whoever hangs there holds nothing up, the end least of all.
    let _hanging: Vec<_> = (0..8).map(|_| TcpStream::connect(address).unwrap()).collect();
    ada.send(PacketType::MESSAGE, "still here\n").unwrap();
    ada.receive(PacketType::MESSAGE).unwrap();
    assert_eq!(server.stop("TERM").0.code(), Some(0));
}

#[test]
fn without_an_address_nobody_listens_and_the_control_socket_tells() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(home.path());
    let (code, printed, _) = run(home.path(), &["metrics", "--data", "data"]);
    assert_eq!(code, 0);
    has(&printed, "chat_connections_accepted_total 0");
    let (_, log) = server.stop("TERM");
    assert!(!log.contains("\"message\":\"metrics\""), "{log}");
}

#[test]
fn an_address_that_cannot_be_had_is_named_with_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let fails = |address: &str| {
        let output = server(home.path()).args(["--metrics-address", address, "--log-level", "off"]).output();
        let (code, _, said) = crate::process::finished(output.unwrap());
        (code, said)
    };
    let (code, said) = fails(&address);
    assert_eq!(code, 1);
    assert!(said.starts_with(&format!("error: cannot listen on {address} for metrics\n")), "{said}");
    assert!(said.contains("\nhint: another program listens on port "), "{said}");
    let (code, said) = fails("localhost:9464");
    assert_eq!(code, 2);
    assert!(
        said.contains("--metrics-address localhost:9464: must be a literal address and a port"),
        "{said}"
    );
}
