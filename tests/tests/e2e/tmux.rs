//! A terminal, with tmux as the person who sits at it.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::programs::{DEADLINE, Home, await_that, free_port};

/// A terminal in which a shell line runs; everything in it ends when this is dropped.
pub(crate) struct Screen {
    socket: String,
}

impl Screen {
    /// Opens a terminal of 120 by 40 in which a shell becomes or runs `line`.
    pub(crate) fn start(home: &Home, line: &str) -> Self {
        let screen = Self { socket: format!("chat-tests-{}-{}", std::process::id(), free_port()) };
        let mut tmux = home.command("tmux");
        // Of what a developer may have set, this changes what is tested.
        tmux.env_remove("NO_COLOR")
            .env_remove("COLORFGBG")
            .env_remove("TMUX")
            .env("SHELL", "/bin/sh")
            .env("RUST_BACKTRACE", "0");
        tmux.args(["-u", "-L", &screen.socket, "-f", "/dev/null"]);
        tmux.args(["new-session", "-d", "-x", "120", "-y", "40", line]);
        assert!(tmux.status().unwrap().success(), "tmux does not start");
        screen
    }

    /// Gives tmux a command; returns what it printed.
    pub(crate) fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux").args(["-L", &self.socket]).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Types a text.
    pub(crate) fn type_text(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    /// Types a line and presses Return.
    pub(crate) fn type_line(&self, line: &str) {
        self.type_text(line);
        self.press("Enter");
    }

    /// Presses a key, by tmux's name for it.
    pub(crate) fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// Makes the terminal another size.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// Returns what is on the screen now.
    pub(crate) fn shown(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Returns what is on the screen now, with the sequences that make it look as it does.
    pub(crate) fn shown_with_looks(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    /// Returns what tmux knows of the terminal: the value of one of its formats.
    pub(crate) fn state(&self, format: &str) -> String {
        self.tmux(&["display-message", "-p", &format!("#{{{format}}}")]).trim().to_owned()
    }

    /// Waits until the screen shows `text`, `times` times at least.
    pub(crate) fn await_text(&self, text: &str, times: usize) {
        self.await_screen(text, |shown| shown.matches(text).count() >= times);
    }

    /// Waits until the screen is as it should be.
    pub(crate) fn await_screen(&self, what: &str, mut is_so: impl FnMut(&str) -> bool) {
        let started = Instant::now();
        loop {
            let shown = self.shown();
            if is_so(&shown) {
                return;
            }
            assert!(started.elapsed() < DEADLINE, "{what:?} is not on the screen:\n{shown}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until what ran in the terminal has ended, and the terminal with it.
    pub(crate) fn await_end(&self) {
        let is_there = || {
            let sessions = Command::new("tmux").args(["-L", &self.socket, "list-sessions"]).output();
            sessions.unwrap().status.success()
        };
        await_that("what runs in the terminal ends", || !is_there());
    }

    /// Takes the terminal away from what runs in it.
    pub(crate) fn close(&self) {
        self.tmux(&["kill-server"]);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.close();
    }
}
