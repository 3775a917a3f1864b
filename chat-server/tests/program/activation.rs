//! Sockets handed over as a service manager does it: as descriptor 3, announced to one process.

use std::fs::File;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use chat_core::packet::PacketType;

use crate::process::{Connection, ServerProcess, finished, server};

/// Moves standard input to descriptor 3 and becomes the program, whose process is the shell's own.
const HAND_OVER: &str = "exec 3<&0 </dev/null; LISTEN_PID=$$ exec \"$0\" \"$@\"";

/// A server that is handed `descriptor` over, and told that there are `count`.
fn activated(home: &Path, descriptor: impl Into<OwnedFd>, count: &str) -> Command {
    let server = server(home);
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(HAND_OVER).arg(server.get_program()).args(server.get_args());
    command.env_clear().current_dir(home).stdin(Stdio::from(descriptor.into())).env("LISTEN_FDS", count);
    command.envs(server.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

fn greet(address: std::net::SocketAddr) -> String {
    try_to_greet(address).0.unwrap()
}

/// Returns the greeting, and how long after connecting it was asked for.
fn try_to_greet(address: std::net::SocketAddr) -> (std::io::Result<String>, Duration) {
    let before = Instant::now();
    let mut connection = Connection::open(address).unwrap();
    let asked = connection.send(PacketType::CONNECT, "");
    let hesitation = before.elapsed();
    (asked.and_then(|()| connection.receive(PacketType::CONNECT)), hesitation)
}

#[test]
fn whoever_connects_while_the_server_is_restarted_waits_and_is_served() {
    let home = tempfile::tempdir().unwrap();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    // Here before any server is, and not refused.
    let mut early = Connection::open(address).unwrap();
    early.send(PacketType::CONNECT, "").unwrap();
    let first = ServerProcess::spawn(&mut activated(home.path(), held.try_clone().unwrap(), "1"));
    assert_eq!(first.address, address);
    let greeting = "Server: Client-1 has connected to the server\n";
    assert_eq!(early.receive(PacketType::CONNECT).unwrap(), greeting);
    assert_eq!(first.stop("TERM").0.code(), Some(0));

    let mut between = Connection::open(address).unwrap();
    between.send(PacketType::CONNECT, "").unwrap();
    let _second = ServerProcess::spawn(&mut activated(home.path(), held, "1"));
    assert_eq!(between.receive(PacketType::CONNECT).unwrap(), greeting);
}

#[test]
fn restarts_under_load_cost_nobody_a_connection_or_an_answer() {
    let home = tempfile::tempdir().unwrap();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    let restarting = AtomicBool::new(true);
    let served: [AtomicUsize; 4] = Default::default();
    let come_and_go = |served: &AtomicUsize| {
        while restarting.load(Relaxed) {
            match try_to_greet(address) {
                (Ok(greeting), _) => assert!(greeting.contains("has connected")),
                // Whoever waits before they speak, as a client does whose machine is busy, may find that it was too long.
                (Err(_), hesitation) if hesitation > Duration::from_millis(200) => continue,
                (Err(error), _) => panic!("connected, and not answered: {error}"),
            }
            served.fetch_add(1, Relaxed);
        }
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = served.iter().map(|served| scope.spawn(move || come_and_go(served))).collect();
        let are_there = || clients.iter().all(|client| !client.is_finished());
        for _ in 0..4 {
            let server = ServerProcess::spawn(&mut activated(home.path(), held.try_clone().unwrap(), "1"));
            let before = served.each_ref().map(|served| served.load(Relaxed));
            let is_new = |(served, before): (&AtomicUsize, usize)| served.load(Relaxed) > before + 10;
            while are_there() && !served.iter().zip(before).all(is_new) {
                std::thread::sleep(Duration::from_millis(5));
            }
            assert_eq!(server.stop("TERM").0.code(), Some(0));
        }
        restarting.store(false, Relaxed);
        let _last = ServerProcess::spawn(&mut activated(home.path(), held.try_clone().unwrap(), "1"));
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
}

#[test]
fn a_socket_that_was_handed_over_is_configured_as_ever() {
    let home = tempfile::tempdir().unwrap();
    let held = TcpListener::bind("[::1]:0").unwrap();
    // Connections take these over from the listening socket, which this process has as well.
    let server = ServerProcess::spawn(&mut activated(home.path(), held.try_clone().unwrap(), "1"));
    assert_eq!(greet(server.address), "Server: Client-1 has connected to the server\n");
    let socket = socket2::SockRef::from(&held);
    assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
    #[cfg(target_os = "linux")]
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(240)));
}

#[test]
fn what_is_handed_over_to_another_process_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let server = ServerProcess::start_with(home.path(), &[("LISTEN_PID", "1"), ("LISTEN_FDS", "1")]);
    assert!(greet(server.address).contains("has connected"));
}

#[test]
fn anything_but_one_listening_tcp_socket_is_an_error_that_says_so() {
    let home = tempfile::tempdir().unwrap();
    let refused = |descriptor: OwnedFd, count| {
        let (code, out, said) = finished(activated(home.path(), descriptor, count).output().unwrap());
        assert_eq!((code, out.as_str()), (1, ""), "{said}");
        assert!(said.contains("\nhint: "), "{said}");
        said
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let others: [OwnedFd; 4] = [
        File::open("/dev/null").unwrap().into(),
        UdpSocket::bind("127.0.0.1:0").unwrap().into(),
        UnixListener::bind(home.path().join("socket")).unwrap().into(),
        connected.into(),
    ];
    for other in others {
        let said = refused(other, "1");
        assert!(
            said.starts_with("error: what was handed over as descriptor 3 is no listening TCP socket\n"),
            "{said}"
        );
    }
    let said = refused(listener.try_clone().unwrap().into(), "2");
    assert!(said.starts_with("error: 2 sockets were handed over, and the server listens on one\n"), "{said}");
    let said = refused(listener.into(), "all");
    assert!(said.starts_with("error: LISTEN_FDS is \"all\", which is no number of sockets\n"), "{said}");
    assert!(!home.path().join("data").exists());
}
