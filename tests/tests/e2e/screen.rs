//! A client on a real terminal, with tmux as the person.

use std::process::Command;

use chat_core::packet::PacketType as P;
use chat_tests::Peer;

use crate::programs::{Home, RunningServer, await_that, free_port, program};

/// A terminal in which a client runs.
struct Screen {
    socket: String,
}

impl Screen {
    fn start(home: &Home, command: &str) -> Self {
        let socket = format!("chat-tests-{}-{}", std::process::id(), free_port());
        let screen = Self { socket };
        let mut tmux = home.command("tmux");
        tmux.args([
            "-L",
            &screen.socket,
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "120",
            "-y",
            "40",
            command,
        ]);
        assert!(tmux.status().unwrap().success(), "tmux does not start");
        screen
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux").args(["-L", &self.socket]).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Types a line and presses Return.
    fn type_line(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.tmux(&["send-keys", "Enter"]);
    }

    /// Waits until the screen shows `text`, `times` times at least.
    fn await_text(&self, text: &str, times: usize) {
        let mut shown = String::new();
        let started = std::time::Instant::now();
        while shown.matches(text).count() < times {
            assert!(started.elapsed() < crate::programs::DEADLINE, "{text:?} is not on the screen:\n{shown}");
            std::thread::sleep(std::time::Duration::from_millis(50));
            shown = self.tmux(&["capture-pane", "-p", "-S", "-200"]);
        }
    }

    fn is_alive(&self) -> bool {
        let sessions = Command::new("tmux").args(["-L", &self.socket, "list-sessions"]).output().unwrap();
        sessions.status.success()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

#[test]
fn a_person_types_reads_loses_the_server_and_is_back() {
    let (home, port) = (Home::new(), free_port());
    let server = RunningServer::start(&home, port);
    let mut other = Peer::greet(server.address());
    let client = program("chat-client");
    let screen = Screen::start(&home, &format!("{} connect 127.0.0.1 {port}", client.display()));
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
    assert!(
        !screen.tmux(&["capture-pane", "-p", "-S", "-200"]).contains("hunter2"),
        "a password is on the screen"
    );

    server.kill();
    screen.await_text("reconnecting in", 1);
    let server = RunningServer::start(&home, port);
    screen.await_text("connected to 127.0.0.1", 2);
    let mut other = Peer::greet(server.address());
    // It has joined and logged in again by itself, perhaps before `other` came.
    screen.await_text("logged in as alice", 2);
    other.settle();
    screen.type_line("back again");
    assert_eq!(other.skip_to(P::MESSAGE).text(), "alice: back again\n");
    screen.type_line("/exit");
    await_that("the client ends", || !screen.is_alive());
}
