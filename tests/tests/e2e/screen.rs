//! A client on a real terminal: typing and reading, sizes, the server gone and back, and what is left of the terminal at the end.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chat_core::packet::PacketType as P;
use chat_tests::{Peer, TestServer};

use crate::programs::{Home, RunningServer, await_that, free_port, program};
use crate::tmux::Screen;

/// Returns the line that a shell becomes a client with.
fn client(port: u16, flags: &str) -> String {
    format!("exec {} connect 127.0.0.1 {port} {flags}", program("chat-client").display())
}

/// Opens a terminal with a client that is in the room, and somebody else who is.
fn chat(home: &Home, address: std::net::SocketAddr) -> (Screen, Peer) {
    let mut other = Peer::greet(address);
    other.send(P::JOIN, "");
    other.skip_to(P::JOIN);
    let screen = Screen::start(home, &client(address.port(), "--join"));
    screen.await_text("2 in the room", 1);
    other.skip_to(P::JOIN);
    (screen, other)
}

#[test]
fn a_person_types_reads_loses_the_server_and_is_back() {
    let (home, port) = (Home::new(), free_port());
    let server = RunningServer::start(&home, port);
    let mut other = Peer::greet(server.address());
    let screen = Screen::start(&home, &client(port, ""));
    screen.await_text("Noise", 1);
    screen.type_line("/join");
    other.skip_to(P::JOIN);
    screen.type_line("/register alice hunter2");
    screen.await_text("alice was successfully registered", 1);
    screen.type_line("/login alice hunter2");
    other.skip_to(P::LOGIN);
    screen.type_line("hello from a terminal");
    assert_eq!(other.skip_to(P::MESSAGE).text(), "alice: hello from a terminal\n");
    screen.await_text("alice: hello from a terminal", 1);
    other.send(P::MESSAGE, "and back\n");
    screen.await_text(": and back", 1);
    assert!(!screen.shown().contains("hunter2"), "a password is on the screen");

    server.kill();
    screen.await_text("reconnecting in", 1);
    screen.type_line("typed meanwhile");
    screen.type_line("and this");
    screen.type_text("half a line");
    let server = RunningServer::start(&home, port);
    // It is back as alice and in the room by itself, and what waited was sent in order.
    screen.await_text("logged in as alice", 2);
    screen.await_text("alice: and this", 1);
    let shown = screen.shown();
    assert!(shown.find("alice: typed meanwhile") < shown.find("alice: and this"), "{shown}");
    let mut other = Peer::greet(server.address());
    screen.type_line(" and the rest");
    assert_eq!(other.skip_to(P::MESSAGE).text(), "alice: half a line and the rest\n");
    screen.type_line("/exit");
    screen.await_end();
}

#[test]
fn another_size_loses_nothing() {
    let (home, server) = (Home::new(), TestServer::start());
    let (screen, mut other) = chat(&home, server.address());
    other.send(P::MESSAGE, "a message that needs more than one row where there is little room\n");
    screen.await_text("where there is little room", 1);
    screen.type_text("what is being typed");
    screen.await_text("> what is being typed", 1);
    let before = screen.shown();

    screen.resize(40, 10);
    screen.await_screen("all of it in fewer columns", |shown| {
        let is_in_view = shown.contains("> what is being typed") && shown.contains("room");
        is_in_view && shown.lines().all(|line| line.chars().count() <= 40) && !shown.contains('│')
    });
    for (columns, rows) in [(9, 3), (2, 2), (1, 1), (1, 40), (200, 1)] {
        screen.resize(columns, rows);
        other.send(P::MESSAGE, format!("said at {columns} by {rows}\n"));
        // It is drawn, and whoever draws is still there.
        screen.await_screen("anything at all", |shown| !shown.trim().is_empty());
    }
    screen.resize(200, 60);
    screen.await_text("said at 200 by 1", 1);
    screen.await_text("> what is being typed", 1);
    screen.resize(120, 40);
    screen.await_screen("what was there before, and what came meanwhile", |shown| {
        let kept = before.lines().filter(|line| line.contains(": a message that") || line.contains("> what"));
        kept.clone().count() == 2
            && kept.map(str::trim_end).all(|line| shown.lines().any(|now| now.trim_end() == line))
            && shown.matches("said at ").count() == 5
    });
}

#[test]
fn a_server_with_another_identity_is_refused_and_the_screen_says_how_to_go_on() {
    let (home, port) = (Home::new(), free_port());
    let server = RunningServer::start(&home, port);
    let (screen, _other) = chat(&home, server.address());
    server.kill();
    screen.await_text("reconnecting in", 1);
    screen.type_line("for the one server only");
    fs::remove_file(home.path().join("data/identity")).unwrap();
    let server = RunningServer::start(&home, port);
    let mut other = Peer::greet(server.address());
    other.send(P::JOIN, "");
    other.skip_to(P::JOIN);
    screen.await_text("the server is not the one from before", 1);
    // Saying so is not enough, since it is not the pinned one either.
    screen.type_line("/connect");
    screen.await_text("has changed: pinned SHA256:", 1);
    screen.await_text("somebody may be pretending to be the server", 1);
    let forget = format!("chat-client forget 127.0.0.1 {port}");
    screen.await_text(&forget, 1);
    screen.await_text("not connected", 1);

    let _ = home.run("chat-client", &["forget", "127.0.0.1", &port.to_string()]).ended_with(0);
    screen.type_line("/connect");
    screen.await_text("first contact", 1);
    // Nothing that was meant for the other one has reached this one.
    screen.type_line("hello");
    let told = other.skip_to(P::MESSAGE);
    assert!(told.text().ends_with(": hello\n"), "{told:?}");
}

#[test]
fn without_colours_nothing_is_coloured() {
    let (home, server) = (Home::new(), TestServer::start());
    let coloured = |shown: &str| {
        let sequences = shown.split("\x1b[").skip(1).filter_map(|rest| rest.split_once('m'));
        let parts =
            sequences.flat_map(|(sequence, _)| sequence.split(';').map(str::to_owned).collect::<Vec<_>>());
        let colours = |code: u32| matches!(code, 30..=38 | 40..=48 | 90..=97 | 100..=107);
        parts.filter_map(|part| part.parse().ok()).any(colours)
    };
    for (flags, expected) in [("", true), ("NO_COLOR=1 ", false)] {
        let line = format!("{flags}{}", client(server.address().port(), "--join").replace("exec ", ""));
        let screen = Screen::start(&home, &line);
        screen.await_text("in the room", 1);
        screen.type_line("/login nobody wrong");
        screen.await_text("Unable to login as nobody", 1);
        let shown = screen.shown_with_looks();
        assert_eq!(coloured(&shown), expected, "{flags:?}\n{shown}");
    }
}

#[test]
fn a_person_suspends_the_client_and_comes_back() {
    let (home, server) = (Home::new(), TestServer::start());
    let screen = Screen::start(&home, "exec env PS1='ready: ' bash --noprofile --norc -i");
    screen.await_text("ready:", 1);
    screen.type_line(client(server.address().port(), "--join").trim_start_matches("exec "));
    screen.await_text("1 in the room", 1);
    screen.type_text("half a line");
    screen.await_text("> half a line", 1);
    screen.press("C-z");
    screen.await_text("Stopped", 1);
    assert_put_back(&screen);
    let mut other = Peer::greet(server.address());
    other.send(P::JOIN, "");
    other.skip_to(P::JOIN);
    other.send(P::MESSAGE, "said meanwhile\n");
    assert!(other.skip_to(P::MESSAGE).text().ends_with(": said meanwhile\n"));
    screen.type_line("fg");
    screen.await_text("said meanwhile", 1);
    screen.await_text("> half a line", 1);
    screen.type_line(" and the rest");
    let told = other.skip_to(P::MESSAGE);
    assert!(told.text().ends_with(": half a line and the rest\n"), "{told:?}");
    // The same when it is somebody else who stops it.
    let shell = screen.state("pane_pid");
    let stop = format!("kill -TSTP $(cat /proc/{shell}/task/{shell}/children)");
    assert!(Command::new("sh").args(["-c", &stop]).status().unwrap().success());
    screen.await_text("Stopped", 2);
    assert_put_back(&screen);
    screen.type_line("fg");
    screen.await_text("half a line and the rest", 1);
}

#[test]
fn ctrl_c_twice_leaves_and_the_terminal_is_as_it_was() {
    let (home, server) = (Home::new(), TestServer::start());
    let screen = shell_around(&home, &client(server.address().port(), "--join").replace("exec ", ""));
    screen.await_text("1 in the room", 1);
    assert_eq!(screen.state("alternate_on"), "1");
    screen.press("C-c");
    screen.await_text("Ctrl-C again within", 1);
    screen.press("C-c");
    screen.await_text("it ended with 130", 1);
    assert_put_back(&screen);
    assert_modes_kept(&home);
}

#[test]
fn what_was_never_sent_can_be_read_when_the_screen_is_gone() {
    let (home, port) = (Home::new(), free_port());
    let server = RunningServer::start(&home, port);
    let screen = shell_around(&home, &client(port, "").replace("exec ", ""));
    screen.await_text("Noise", 1);
    server.kill();
    screen.await_text("reconnecting in", 1);
    screen.type_line("for nobody");
    screen.await_text("kept until the connection is back", 1);
    screen.type_line("/exit");
    screen.await_text("1 message was not sent yet", 1);
    screen.type_line("/exit");
    screen.await_text("it ended with 0", 1);
    screen.await_text("error: never sent: for nobody", 1);
    assert_put_back(&screen);
}

#[test]
fn a_panic_and_a_signal_leave_the_terminal_as_it_was() {
    let (home, server) = (Home::new(), TestServer::start());
    let panicking = program("examples/panicking").display().to_string();
    let screen = shell_around(&home, &panicking);
    screen.await_screen("the alternate screen", |_| screen.state("alternate_on") == "1");
    screen.type_line("x");
    screen.await_text("it ended with 101", 1);
    // Where it can be read.
    screen.await_text("panicked at", 1);
    assert_put_back(&screen);
    assert_modes_kept(&home);

    let line = format!("echo $$ >$HOME/pid; {}", client(server.address().port(), "--join"));
    let screen = shell_around(&home, &format!("sh -c '{line}'"));
    screen.await_text("1 in the room", 1);
    signal("TERM", &pid(&home));
    screen.await_text("it ended with 130", 1);
    assert_put_back(&screen);
    assert_modes_kept(&home);
}

#[test]
fn the_end_of_the_terminal_is_the_end_of_the_client() {
    let (home, server) = (Home::new(), TestServer::start());
    let line = format!("echo $$ >$HOME/pid; {}", client(server.address().port(), "--join"));
    // In a session of its own the client gets no SIGHUP, and has to notice by itself.
    for around in ["", "setsid --wait "] {
        let screen = Screen::start(&home, &format!("{around}sh -c '{line}'"));
        screen.await_text("1 in the room", 1);
        let pid = pid(&home);
        screen.close();
        await_that("the client ends", || !is_running(&pid));
        fs::remove_file(home.path().join("pid")).unwrap();
    }
}

#[test]
fn a_terminal_that_stands_still_keeps_nobody_from_leaving() {
    let (home, server) = (Home::new(), TestServer::start());
    let line = format!("echo $$ >$HOME/pid; {}", client(server.address().port(), "--join"));
    // Nobody reads what `script` hands on, so it soon takes nothing more from the terminal that it makes.
    let mut script = home.command("script");
    script.args(["--quiet", "--flush", "--command", &format!("stty rows 40 cols 120; {line}"), "/dev/null"]);
    script.env("TERM", "xterm-256color").env("SHELL", "/bin/sh");
    let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    await_that("the client runs", || home.path().join("pid").exists() && !pid(&home).is_empty());
    let pid = pid(&home);
    let mut other = Peer::greet(server.address());
    other.send(P::JOIN, "");
    other.skip_to(P::JOIN);
    let (started, mut said) = (Instant::now(), 0);
    await_that("the terminal stands still", || {
        said += 1;
        other.send(P::MESSAGE, format!("{said} {}\n", "a picture that is not the one before ".repeat(50)));
        other.skip_to(P::MESSAGE);
        // More pictures than the pipe and the terminal have room for.
        started.elapsed() > Duration::from_secs(3)
    });
    signal("TERM", &pid);
    await_that("the client ends", || !is_running(&pid));
    script.kill().unwrap();
    script.wait().unwrap();
}

/// Opens a terminal with a shell that notes the modes of the terminal, runs `line`, notes them again, and says how it ended.
fn shell_around(home: &Home, line: &str) -> Screen {
    let line = format!(
        "stty -a >$HOME/before; {line}; status=$?; stty -a >$HOME/after; echo it ended with $status; exec cat -v"
    );
    Screen::start(home, &line)
}

/// Asserts that the terminal shows what the shell showed, its cursor, and tells of neither the mouse nor pastes.
fn assert_put_back(screen: &Screen) {
    for (format, expected) in [
        ("alternate_on", "0"),
        ("cursor_flag", "1"),
        ("mouse_any_flag", "0"),
        ("wrap_flag", "1"),
        ("pane_in_mode", "0"),
    ] {
        assert_eq!(screen.state(format), expected, "{format}: {}", screen.shown());
    }
    screen.tmux(&["set-buffer", "pasted"]);
    // With the marks of a paste, if the terminal was left asking for them.
    screen.tmux(&["paste-buffer", "-p"]);
    screen.await_text("pasted", 1);
    let shown = screen.shown();
    assert!(!shown.contains("200~"), "{shown}");
    // Whatever reads it next begins with an empty line.
    screen.press("C-u");
}

/// Asserts that the terminal's driver does with what is typed what it did before.
fn assert_modes_kept(home: &Home) {
    let [before, after] = ["before", "after"].map(|name| fs::read_to_string(home.path().join(name)).unwrap());
    assert_eq!(before, after);
}

fn pid(home: &Home) -> String {
    fs::read_to_string(home.path().join("pid")).unwrap().trim().to_owned()
}

fn signal(signal: &str, pid: &str) {
    assert!(Command::new("kill").args(["-s", signal, pid]).status().unwrap().success());
}

fn is_running(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}
