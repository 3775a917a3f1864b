//! Commands: input, output, errors and how they end.

use std::io::{self, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use chat_deploy::host::ssh::remote::{Answer, Call, Remote, RemoteError, quoted};
use chat_deploy::host::ssh::session::{Session, Target};
use chat_deploy::interrupt::Interrupt;

use crate::sshd::{LONG, Sshd, connect};

const MIB: usize = 1024 * 1024;

fn run_with(session: &Session, command: &str, mut input: impl Read) -> Result<Answer, RemoteError> {
    session.run(Call { command, input: &mut input, within: LONG })
}

fn run(session: &Session, command: &str) -> Answer {
    run_with(session, command, io::empty()).unwrap()
}

#[test]
fn a_command_answers_with_its_code_output_and_errors() {
    let server = Sshd::start();
    let session = server.connect();
    let check = |command: &str, code: Option<i32>, out: &str, err: &str| {
        let expected = Answer { code, out: out.to_owned(), err: err.to_owned() };
        assert_eq!(run(&session, command), expected, "{command}");
    };
    check("echo out; echo err >&2", Some(0), "out\n", "err\n");
    check("exit 3", Some(3), "", "");
    check("exit 255", Some(255), "", "");
    check("no-such-program 2>/dev/null", Some(127), "", "");
    check("kill -9 $$", None, "", "ended by SIGKILL\n");
    check("printf '\\377'", Some(0), "\u{fffd}", "");
    let odd = "it's $HOME \\ \"quoted\"\nand `id`";
    check(&format!("printf %s {}", quoted(odd)), Some(0), odd, "");
    // More than sshd lets us have at once, were they not closed.
    for _ in 0..30 {
        check("true", Some(0), "", "");
    }
}

#[test]
fn a_command_reads_its_input_to_the_end() {
    let server = Sshd::start();
    let session = server.connect();
    assert_eq!(run_with(&session, "cat", &b"hello"[..]).unwrap().out, "hello");
    assert_eq!(run(&session, "wc -c").out.trim(), "0");
    // One that ends early, or closes its input, is no error.
    let big = vec![7; 20 * MIB];
    assert_eq!(run_with(&session, "exit 4", &big[..]).unwrap().code, Some(4));
    assert_eq!(run_with(&session, "exec <&-; echo done", &big[..]).unwrap().out, "done\n");
    assert_eq!(run(&session, "echo still here").out, "still here\n");
}

#[test]
fn much_goes_in_and_out_at_once() {
    let server = Sshd::start();
    let session = server.connect();
    let big: Vec<u8> = (0..20 * MIB).map(|n| (n % 251) as u8).collect();
    let counted = run_with(&session, "tee /dev/stderr | wc -c", &big[..]).unwrap();
    assert_eq!(counted.out.trim(), (20 * MIB).to_string());
    assert_eq!(counted.err.len(), String::from_utf8_lossy(&big[big.len() - 64 * 1024..]).len());
    // What comes back is kept up to a limit, and does not stall.
    let echoed = run_with(&session, "cat", &vec![b'x'; 20 * MIB][..]).unwrap();
    assert_eq!(echoed.out.len(), MIB);
}

#[test]
fn a_flood_of_errors_does_not_stall() {
    let server = Sshd::start();
    let session = server.connect();
    let answer = run(&session, "yes mistake | head -c 20000000 >&2; echo last >&2; echo out");
    assert_eq!((answer.code, answer.out.as_str(), answer.err.len()), (Some(0), "out\n", 64 * 1024));
    assert!(answer.err.ends_with("last\n"));
}

#[test]
fn what_cannot_be_read_here_is_told() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
    }
    let server = Sshd::start();
    let session = server.connect();
    assert!(matches!(run_with(&session, "cat", Broken), Err(RemoteError::Input { .. })));
    assert_eq!(run(&session, "echo ok").out, "ok\n");
}

#[test]
fn a_slow_command_is_given_up() {
    let server = Sshd::start();
    let session = server.connect();
    let started = Instant::now();
    let within = Duration::from_millis(300);
    for command in ["sleep 60", "yes", "yes >&2"] {
        let result = session.run(Call { command, input: &mut io::empty(), within });
        assert!(matches!(&result, Err(RemoteError::Slow { doing, .. }) if doing == command), "{result:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_eq!(run(&session, "echo ok").out, "ok\n");
}

#[test]
fn ctrl_c_ends_a_command() {
    let server = Sshd::start();
    let interrupt = Interrupt::default();
    let session = Session::connect(server.target(), LONG, &interrupt).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(200));
            interrupt.set();
        });
        let started = Instant::now();
        let result = session.run(Call { command: "sleep 60", input: &mut io::empty(), within: LONG });
        assert!(matches!(result, Err(RemoteError::Interrupted)), "{result:?}");
        assert!(started.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn output_is_passed_on_as_it_is() {
    let server = Sshd::start();
    let session = server.connect();
    let mut copy = Vec::new();
    let receive = |command: &str, limit_bytes, sink: &mut dyn io::Write| {
        session.receive(Call { command, input: &mut &b"abc"[..], within: LONG }, limit_bytes, sink)
    };
    let command = "head -c 20000000 /dev/zero; echo err >&2; exit 2";
    let answer = receive(command, 20_000_000, &mut copy).unwrap();
    assert_eq!((answer.code, answer.out.as_str(), answer.err.as_str()), (Some(2), "", "err\n"));
    assert!(copy.len() == 20_000_000 && copy.iter().all(|&byte| byte == 0));
    let error = receive(command, 19_999_999, &mut io::sink()).unwrap_err();
    assert!(error.to_string().ends_with(&format!("sent more than 19.9 MB: {command}")), "{error}");
    let mut copy = Vec::new();
    receive("cat", 3, &mut copy).unwrap();
    assert_eq!(copy, b"abc");

    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    assert!(matches!(receive("echo x", 2, &mut Full), Err(RemoteError::Sink { .. })));
}

#[test]
fn what_keeps_coming_may_take_its_time() {
    let server = Sshd::start();
    let session = server.connect();
    let within = Duration::from_millis(1500);
    let receive = |command: &str| {
        let mut copy = Vec::new();
        let call = Call { command, input: &mut io::empty(), within };
        session.receive(call, 100, &mut copy).map(|_| copy)
    };
    assert_eq!(receive("for i in 1 2 3 4; do sleep 0.6; printf $i; done").unwrap(), b"1234");
    let stuck = receive("echo x; sleep 60");
    assert!(matches!(stuck, Err(RemoteError::Slow { .. })), "{stuck:?}");
}

#[test]
fn lines_are_followed_until_somebody_ends_it() {
    let server = Sshd::start();
    let interrupt = Interrupt::default();
    let session = Session::connect(server.target(), LONG, &interrupt).unwrap();
    let mut lines = Vec::new();
    let mut keep = |line: &str| {
        lines.push(line.to_owned());
        Ok(())
    };
    session.follow("printf 'one\\ntw'; sleep 0.2; printf 'o\\nrest'", &mut keep).unwrap();
    assert_eq!(lines, ["one", "two", "rest"]);

    let failed = session.follow("echo why >&2; exit 1", &mut |_| Ok(()));
    assert!(matches!(&failed, Err(RemoteError::Ended { answer, .. }) if answer.err == "why\n"), "{failed:?}");
    let full = session.follow("yes", &mut |_| Err(io::ErrorKind::BrokenPipe.into()));
    assert!(matches!(full, Err(RemoteError::Sink { .. })));

    let mut count = 0;
    let mut until_three = |_: &str| {
        count += 1;
        if count == 3 {
            interrupt.set();
        }
        Ok(())
    };
    session.follow("while echo tick; do sleep 0.05; done", &mut until_three).unwrap();
    assert_eq!(count, 3);
}

#[test]
fn what_is_held_goes_on_beside_other_commands() {
    let server = Sshd::start();
    let session = server.connect();
    let mark = server.path("held");
    let command = format!("touch {0}; echo locked; cat; rm {0}", mark.display());
    let (line, held) = session.hold(&command, LONG).unwrap();
    assert_eq!(line, "locked");
    let big = vec![1; 5 * MIB];
    for _ in 0..3 {
        assert_eq!(run_with(&session, "wc -c", &big[..]).unwrap().out.trim(), big.len().to_string());
    }
    session.renew().unwrap();
    assert_eq!(run(&session, "echo new").out, "new\n");
    assert!(mark.exists());
    held.keep().unwrap();
    held.keep().unwrap();
    drop(held);
    wait_until(|| !mark.exists());
    assert_eq!(run(&session, "echo still here").out, "still here\n");
}

#[test]
fn what_is_held_no_more_is_noticed() {
    let server = Sshd::start();
    let session = server.connect();
    let (_, held) =
        session.hold("echo locked; read line; echo still; read line; echo gone >&2", LONG).unwrap();
    held.keep().unwrap();
    let error = held.keep().unwrap_err();
    assert!(error.to_string().ends_with("ended what should have gone on: gone"), "{error}");
    assert!(held.keep().is_err());
}

#[test]
fn what_is_held_ends_with_the_connection() {
    let server = Sshd::start();
    let (port, cut) = relay(server.port);
    let session = connect(Target { port, ..server.target() }).unwrap();
    let mark = server.path("held");
    let command = format!("touch {0}; echo locked; cat; rm {0}", mark.display());
    let (_, held) = session.hold(&command, LONG).unwrap();
    assert!(mark.exists());
    // As when this process is killed: nothing is said, the connection is gone.
    cut();
    wait_until(|| !mark.exists());
    assert!(matches!(run_with(&session, "true", io::empty()), Err(RemoteError::Broken { .. })));
    drop(held);
}

/// Stands between a client and a server for one connection; returns its port, and what cuts it.
fn relay(server: u16) -> (u16, impl FnOnce()) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            thread::spawn(move || io::copy(&mut from, &mut to));
        }
        sender.send([client, server]).unwrap();
    });
    let cut = move || {
        for stream in receiver.recv().unwrap() {
            stream.shutdown(Shutdown::Both).unwrap();
        }
    };
    (port, cut)
}

#[test]
fn holding_what_ends_at_once_says_how() {
    let server = Sshd::start();
    let session = server.connect();
    let held = session.hold("printf busy; echo by whom >&2; exit 75", LONG).map(drop);
    let Err(RemoteError::Ended { answer, .. }) = held else { panic!("{held:?}") };
    let expected = Answer { code: Some(75), out: "busy".to_owned(), err: "by whom\n".to_owned() };
    assert_eq!(answer, expected);
    let slow = session.hold("sleep 60", Duration::from_millis(200)).map(drop);
    assert!(matches!(slow, Err(RemoteError::Slow { .. })));
}

#[test]
fn a_connection_that_breaks_is_noticed() {
    let server = Sshd::start();
    let session = server.connect();
    // The parent of the shell is sshd's process for this connection.
    let result = run_with(&session, "kill -9 $PPID; sleep 5", io::empty());
    assert!(matches!(result, Err(RemoteError::Broken { .. })), "{result:?}");
    let result = run_with(&session, "echo too late", io::empty());
    assert!(matches!(result, Err(RemoteError::Broken { .. })), "{result:?}");
    session.renew().unwrap();
    assert_eq!(run(&session, "echo again").out, "again\n");
}

#[test]
fn a_session_may_move_to_another_thread() {
    let server = Sshd::start();
    let session = Mutex::new(server.connect());
    thread::scope(|scope| {
        let other = scope.spawn(|| run(&session.lock().unwrap(), "echo there").out);
        assert_eq!(other.join().unwrap(), "there\n");
    });
}

fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "it did not come about");
        thread::sleep(Duration::from_millis(10));
    }
}
