//! Connections, and the exact word for each way in which one does not come about.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chat_deploy::host::ssh::remote::{Remote as _, RemoteError};
use chat_deploy::host::ssh::session::{Prompt, Session, Target, Wait};
use chat_deploy::interrupt::Interrupt;
use chat_deploy::machine::HostKeyPins as _;
use rustix::process::{Signal, kill_process};
use zeroize::Zeroizing;

use crate::sshd::{LONG, Sshd, connect, free_port, refusal, tool};

const SHORT: Duration = Duration::from_millis(300);

/// A person who always says the same, and is counted.
#[derive(Default)]
struct Person {
    accepts: bool,
    questions: AtomicUsize,
}

impl Prompt for Person {
    fn accept_host_key(&self, _: &str, fingerprint: &str) -> io::Result<bool> {
        assert!(fingerprint.starts_with("SHA256:"));
        self.questions.fetch_add(1, Ordering::Relaxed);
        Ok(self.accepts)
    }

    fn passphrase(&self, _: &Path) -> io::Result<Option<Zeroizing<String>>> {
        Ok(None)
    }
}

/// A target whose host key nobody knows.
fn unknown(server: &Sshd) -> Target {
    let mut target = server.target();
    target.trust.vouched.clear();
    target
}

fn briefly(target: Target) -> RemoteError {
    Session::connect(target, SHORT, &Interrupt::default()).map(drop).unwrap_err()
}

#[test]
fn a_vouched_host_is_connected_to_and_pinned() {
    let server = Sshd::start();
    let session = server.connect();
    assert_eq!(session.host_key().split(' ').take(2).collect::<Vec<_>>().join(" "), {
        let line = server.public("host").to_string();
        line.split(' ').take(2).collect::<Vec<_>>().join(" ")
    });
    // From now on the pin alone does.
    connect(unknown(&server)).unwrap();
    server.pins().forget("token").unwrap();
    assert!(matches!(refusal(unknown(&server)), RemoteError::UnknownHostKey { .. }));
}

#[test]
fn another_host_key_is_refused() {
    let server = Sshd::start();
    let other = server.write_key("other");
    let mut target = unknown(&server);
    target.trust.vouched = vec![chat_deploy::host::ssh::trust::fingerprint(&other)];
    let RemoteError::WrongHostKey { shown, expected, .. } = refusal(target) else { panic!() };
    assert_eq!((shown, expected), (server.fingerprint(), chat_deploy::host::ssh::trust::fingerprint(&other)));
    // Nothing was learnt from it.
    assert!(!server.pins().path().exists());

    server.pins().pin("token", &other.to_string()).unwrap();
    assert!(matches!(refusal(unknown(&server)), RemoteError::WrongHostKey { .. }));
    // What the person says counts more, and stays.
    let mut target = unknown(&server);
    target.trust.given = Some(server.fingerprint());
    connect(target).unwrap();
    connect(unknown(&server)).unwrap();
}

#[test]
fn an_unknown_host_key_is_asked_about_once() {
    let server = Sshd::start();
    let mut target = unknown(&server);
    let RemoteError::UnknownHostKey { shown, .. } = refusal(target.clone()) else { panic!() };
    assert_eq!(shown, server.fingerprint());

    target.prompt = Some(Arc::new(Person::default()));
    assert!(matches!(refusal(target.clone()), RemoteError::NotAccepted { .. }));

    let person = Arc::new(Person { accepts: true, ..Person::default() });
    target.prompt = Some(Arc::clone(&person) as Arc<dyn Prompt>);
    connect(target.clone()).unwrap();
    connect(target).unwrap();
    assert_eq!(person.questions.load(Ordering::Relaxed), 1);
}

#[test]
fn what_openssh_knows_is_taken_over() {
    let server = Sshd::start();
    let file = server.path("users_known_hosts");
    let line = |key| format!("[127.0.0.1]:{} {}\n", server.port, server.public(key).to_string());
    std::fs::write(&file, line("host")).unwrap();
    tool(Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&file));
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("|1|"));
    let mut target = unknown(&server);
    target.trust.known_hosts = vec![server.path("absent"), file.clone()];
    connect(target.clone()).unwrap();
    connect(unknown(&server)).unwrap();

    // Withdrawn is withdrawn, even if we had pinned it.
    std::fs::write(&file, format!("@revoked * {}\n", server.public("host").to_string())).unwrap();
    assert!(matches!(refusal(target.clone()), RemoteError::RevokedHostKey { .. }));
    std::fs::write(&file, line("client")).unwrap();
    server.pins().forget("token").unwrap();
    assert!(matches!(refusal(target), RemoteError::WrongHostKey { .. }));
}

#[test]
fn the_kind_of_key_that_is_pinned_is_the_one_that_is_shown() {
    let mut server = Sshd::prepare();
    let rsa = server.path("host_rsa");
    tool(Command::new("ssh-keygen").args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f"]).arg(&rsa));
    let config = server.path("sshd_config");
    let text = format!("{}HostKey {}\n", std::fs::read_to_string(&config).unwrap(), rsa.display());
    std::fs::write(&config, text).unwrap();
    server.run();
    let known = server.public("host_rsa").to_string();
    server.pins().pin("token", &known).unwrap();
    let session = connect(unknown(&server)).unwrap();
    assert!(session.host_key().starts_with("ssh-rsa "));
    // A fingerprint does not say of what kind its key is.
    let mut target = unknown(&server);
    server.pins().forget("token").unwrap();
    target.trust.given = Some(chat_deploy::host::ssh::trust::fingerprint(&server.public("host_rsa")));
    connect(target).unwrap();
}

#[test]
fn nothing_listening_is_a_refusal() {
    let server = Sshd::prepare();
    let error = refusal(server.target());
    assert!(matches!(error, RemoteError::Refused { .. }), "{error:?}");
    assert!(error.is_transient());
}

#[test]
fn a_name_that_means_nothing_is_not_waited_for() {
    let server = Sshd::prepare();
    let target = Target { host: "no-such-host.invalid".to_owned(), ..server.target() };
    let error = refusal(target);
    assert!(
        matches!(&error, RemoteError::Unknown { host, .. } if host == "no-such-host.invalid"),
        "{error:?}"
    );
    assert!(!error.is_transient());
}

#[test]
fn what_is_dropped_on_the_way_is_filtered() {
    // A listener that is full drops what it cannot queue, as a firewall does.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let fill = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200));
    let filling: Vec<_> = std::iter::from_fn(|| fill().ok()).take(64).collect();
    assert!(filling.len() < 64, "the listener's queue does not fill up");

    let server = Sshd::prepare();
    let error = briefly(Target { port: address.port(), ..server.target() });
    assert!(matches!(error, RemoteError::Filtered { within: SHORT, .. }), "{error:?}");
}

#[test]
fn a_server_that_stopped_is_silent() {
    let server = Sshd::start();
    kill_process(server.pid(), Signal::STOP).unwrap();
    let started = Instant::now();
    let error = briefly(server.target());
    assert!(matches!(error, RemoteError::Silent { within: SHORT, .. }), "{error:?}");
    assert!(started.elapsed() < SHORT * 3);
    kill_process(server.pid(), Signal::CONT).unwrap();
    server.connect();
}

#[test]
fn another_protocol_is_named() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // As over a network; words that are there with the connection itself may be missed.
            thread::sleep(Duration::from_millis(50));
            let _ = stream.unwrap().write_all(b"220 mail.example.com \x1b[2J ESMTP\r\n");
        }
    });
    let server = Sshd::prepare();
    let error = briefly(Target { port, ..server.target() });
    let RemoteError::NotSsh { said, .. } = &error else { panic!("{error:?}") };
    assert_eq!(said, "'220 mail.example.com \\x1b[2J ESMTP'");
}

#[test]
fn a_hang_up_is_no_time_out() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || listener.incoming().for_each(drop));
    let server = Sshd::prepare();
    let error = briefly(Target { port, ..server.target() });
    assert!(matches!(error, RemoteError::HungUp { .. }), "{error:?}");
    assert!(error.is_transient());
}

#[test]
fn a_host_that_starts_is_waited_for() {
    let mut server = Sshd::prepare();
    let target = server.target();
    let waiting = thread::spawn(move || {
        let mut seen = 0;
        let mut report = |error: &RemoteError| {
            assert!(
                matches!(
                    error,
                    RemoteError::Refused { .. } | RemoteError::HungUp { .. } | RemoteError::Handshake { .. }
                ),
                "{error:?}"
            );
            seen += 1;
        };
        let mut wait = Wait { within: LONG, denied_grace: Duration::ZERO, report: &mut report };
        let session = Session::connect_until(target, &mut wait, &Interrupt::default());
        session.map(|session| (session.peer(), seen))
    });
    thread::sleep(Duration::from_millis(500));
    server.run();
    let (_, seen) = waiting.join().unwrap().unwrap();
    assert!((2..20).contains(&seen), "{seen}");
}

#[test]
fn a_key_that_is_installed_late_is_waited_for_a_moment() {
    let server = Sshd::start();
    let authorized = server.path("authorized_keys");
    let keys = std::fs::read(&authorized).unwrap();
    std::fs::write(&authorized, "").unwrap();
    let mut ignore = |_: &RemoteError| {};

    let started = Instant::now();
    let mut wait = Wait { within: LONG, denied_grace: SHORT, report: &mut ignore };
    let error =
        Session::connect_until(server.target(), &mut wait, &Interrupt::default()).map(drop).unwrap_err();
    assert!(matches!(error, RemoteError::Denied { .. }), "{error:?}");
    assert!(started.elapsed() >= SHORT && started.elapsed() < LONG / 2);

    let late = thread::spawn(move || {
        thread::sleep(SHORT);
        std::fs::write(&authorized, keys).unwrap();
    });
    let mut wait = Wait { within: LONG, denied_grace: LONG, report: &mut ignore };
    Session::connect_until(server.target(), &mut wait, &Interrupt::default()).map(drop).unwrap();
    late.join().unwrap();
}

#[test]
fn waiting_ends_with_the_deadline_or_with_the_person() {
    let server = Sshd::prepare();
    let mut target = server.target();
    target.port = free_port();
    let mut ignore = |_: &RemoteError| {};
    let mut wait = Wait { within: SHORT, denied_grace: Duration::ZERO, report: &mut ignore };
    let error =
        Session::connect_until(target.clone(), &mut wait, &Interrupt::default()).map(drop).unwrap_err();
    assert!(matches!(error, RemoteError::Refused { .. }), "{error:?}");

    let interrupt = Interrupt::default();
    let ctrl_c = interrupt.clone();
    thread::spawn(move || {
        thread::sleep(SHORT);
        ctrl_c.set();
    });
    let started = Instant::now();
    let mut wait = Wait { within: LONG, denied_grace: Duration::ZERO, report: &mut ignore };
    let error = Session::connect_until(target, &mut wait, &interrupt).map(drop).unwrap_err();
    assert!(matches!(error, RemoteError::Interrupted), "{error:?}");
    assert!(started.elapsed() < SHORT * 4);
}

#[test]
fn a_name_with_several_addresses_is_tried_at_each() {
    // On most machines ::1 comes first, where nothing listens.
    let server = Sshd::start();
    connect(Target { host: "localhost".to_owned(), ..server.target() }).unwrap();
}
