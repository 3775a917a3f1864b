//! A pseudo-terminal with a program on it, what comes out of it with the time at which it came, and who types there.
//!
//! util-linux's `script` makes it, since without unsafe code we cannot. /proc says what the program costs (so, on Linux).

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::flood::END;

/// What is typed. Nothing else on the screens of the programs contains it, nor what moves their cursors.
pub(crate) const KEY: &str = "Q";
/// Ends each picture of ours.
const FRAME: &[u8] = b"\x1b[?2026l";
/// In /proc, CPU time is counted in hundredths of a second on every processor that Linux runs on.
const TICK: Duration = Duration::from_millis(10);
/// How long anything may take to be seen.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came out so far.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) frames: Vec<Instant>,
    pub(crate) echoes: Vec<Instant>,
    pub(crate) last_end: Option<Instant>,
    /// What may be the beginning of a mark.
    rest: Vec<u8>,
}

/// The terminal.
pub(crate) struct Terminal {
    script: Child,
    pid: u32,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    person: Mutex<Option<Person>>,
}

/// Who types.
pub(crate) struct Person {
    keys: ChildStdin,
}

impl Terminal {
    /// Makes a terminal of 120 by 40, with a shell that waits for [`Terminal::begin`] to become `command`.
    pub(crate) fn start(command: &str, home: &Path) -> Self {
        // On a processor of its own, where there are two.
        let line = format!("stty rows 40 cols 120 echo; echo $$; read go; exec taskset -c 0 {command}");
        let mut script = Command::new("script");
        script.args(["--quiet", "--flush", "--command", &line, "/dev/null"]).env_clear();
        script.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        script
            .envs([("SHELL", "/bin/sh"), ("TERM", "xterm-256color"), ("LANG", "C.UTF-8")])
            .env("HOME", home);
        let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let keys = script.stdin.take().unwrap();
        let mut output = script.stdout.take().unwrap();
        let mut first = Vec::new();
        while first.last() != Some(&b'\n') {
            let mut byte = [0];
            output.read_exact(&mut byte).unwrap();
            first.extend(byte);
        }
        let pid = String::from_utf8_lossy(&first).trim().parse().unwrap();
        let seen = Arc::default();
        let theirs = Arc::clone(&seen);
        std::thread::spawn(move || look(output, &theirs));
        Self { script, pid, seen, person: Mutex::new(Some(Person { keys })) }
    }

    /// Lets the shell become the program.
    pub(crate) fn begin(&self) -> Person {
        let mut person = self.person.lock().unwrap().take().unwrap();
        person.press("\n");
        person
    }

    /// Looks at what has come.
    pub(crate) fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.0.lock().unwrap())
    }

    /// Waits until `look` finds what it looks for.
    pub(crate) fn await_seen<T>(&self, look: impl Fn(&Seen) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.seen.0.lock().unwrap();
        loop {
            if let Some(found) = look(&seen) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "not seen within {PATIENCE:?}");
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// Counts the pictures of the second that had most, from `start` on.
    pub(crate) fn most_frames_in_a_second(&self, start: Instant) -> usize {
        let frames: Vec<_> =
            self.seen(|seen| seen.frames.iter().copied().filter(|at| *at >= start).collect());
        let second = |at: Instant| at..at + Duration::from_secs(1);
        let counts =
            frames.iter().map(|at| frames.iter().filter(|frame| second(*at).contains(frame)).count());
        counts.max().unwrap_or_default()
    }

    /// Returns the CPU time that the program has used, all threads together.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap();
        // The name before it may contain anything.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        TICK * fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u32>().unwrap()).sum()
    }

    /// Returns the memory that the program has resident.
    pub(crate) fn resident_megabytes(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }
}

impl Person {
    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Ctrl-U, and time to see it: the same letter in the same place would not be drawn again.
    pub(crate) fn empty_the_line(&mut self) {
        self.press("\x15");
        std::thread::sleep(Duration::from_millis(300));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // With it the terminal goes away, and that ends the program.
        let _ = self.script.kill();
        let _ = self.script.wait();
        let gone = || !Path::new(&format!("/proc/{}", self.pid)).exists();
        let deadline = Instant::now() + PATIENCE;
        while !gone() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn look(mut output: ChildStdout, seen: &(Mutex<Seen>, Condvar)) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = output.read(&mut buffer) {
        seen.0.lock().unwrap().take_in(&buffer[..length], Instant::now());
        seen.1.notify_all();
    }
}

impl Seen {
    fn take_in(&mut self, bytes: &[u8], at: Instant) {
        for byte in bytes {
            if KEY.as_bytes() == [*byte] {
                self.echoes.push(at);
            } else if *byte == END as u8 {
                self.last_end = Some(at);
            }
        }
        self.rest.extend_from_slice(bytes);
        let frames = self.rest.windows(FRAME.len()).filter(|window| *window == FRAME).count();
        self.frames.extend(std::iter::repeat_n(at, frames));
        // A mark that ends here is counted; one that begins here may end in what comes next.
        let keep = self.rest.len().min(FRAME.len() - 1);
        self.rest.drain(..self.rest.len() - keep);
    }
}
