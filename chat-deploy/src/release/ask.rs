//! Asks a program something about itself: a server binary, or the compiler.
//!
//! What is said to be a server may be any program and may do anything, so it gets an environment without what the shell of
//! whoever deploys knows, little time, and little room to answer.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::interrupt::Interrupt;

/// How long it has to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How much of an answer is read, on each of its outputs.
const ANSWER_BYTES: u64 = 64 << 10;
const PAUSE: Duration = Duration::from_millis(5);

/// What it answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// Runs a server, in an environment of its own, for as long as it takes to answer, 10 s at most.
///
/// # Errors
///
/// `TimedOut` if it takes longer, `Interrupted` after Ctrl-C, or the system's; the program is ended in any case.
pub fn ask(server: &mut Command, interrupt: &Interrupt) -> io::Result<Answer> {
    clear_environment(server);
    ask_within(ANSWER_WITHIN, server, interrupt)
}

/// Runs a tool of the person's, in the person's environment, for as long as it takes to answer, 10 s at most.
///
/// # Errors
///
/// As those of [`ask`].
pub fn ask_tool(tool: &mut Command, interrupt: &Interrupt) -> io::Result<Answer> {
    ask_within(ANSWER_WITHIN, tool, interrupt)
}

/// Gives a server an environment of its own: what is set in the shell of whoever deploys, be it settings or secrets, is
/// none of its business.
pub fn clear_environment(server: &mut Command) {
    const KEPT: [&str; 6] = ["HOME", "LANG", "PATH", "RUST_BACKTRACE", "TMPDIR", "TZ"];
    server.env_clear().envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
}

fn ask_within(limit: Duration, program: &mut Command, interrupt: &Interrupt) -> io::Result<Answer> {
    let mut child = program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let deadline = Instant::now() + limit;
    let (out, err) = (child.stdout.take().map(read_aside), child.stderr.take().map(read_aside));
    let waited = wait(&mut child, deadline, interrupt);
    if waited.is_err() {
        // The error that is under way says more.
        let _ = child.kill().and_then(|()| child.wait());
    }
    let status = waited?;
    // It may have left a child of its own behind that holds its outputs open.
    let text = |reader: Option<Receiver<Vec<u8>>>| {
        let left = deadline.saturating_duration_since(Instant::now());
        let bytes = reader.and_then(|reader| reader.recv_timeout(left).ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Ok(Answer { status, out: text(out), err: text(err) })
}

fn wait(child: &mut Child, deadline: Instant, interrupt: &Interrupt) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if interrupt.is_set() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted"));
        }
        if Instant::now() >= deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it did not answer in time"));
        }
        thread::sleep(PAUSE);
    }
}

/// Reads in a thread of its own, so that neither output waits for the other. Whoever writes more than fits finds the
/// pipe closed.
fn read_aside(output: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before the failure is what there is; and nobody may be waiting for it any more.
        let _ = output.take(ANSWER_BYTES).read_to_end(&mut bytes);
        let _ = sender.send(bytes);
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn an_answer_is_read_whole() {
        let answer = ask(&mut shell("echo yes; echo no >&2; exit 3"), &Interrupt::default()).unwrap();
        assert_eq!((answer.status.code(), &*answer.out, &*answer.err), (Some(3), "yes\n", "no\n"));
    }

    #[test]
    fn nothing_of_the_surroundings_is_handed_on() {
        let mut command = shell("echo ${CHAT_PORT-unset}");
        let answer = ask(command.env("CHAT_PORT", "1"), &Interrupt::default()).unwrap();
        assert_eq!(answer.out, "unset\n");
    }

    #[test]
    fn time_and_room_are_limited() {
        let start = Instant::now();
        let hanging =
            ask_within(Duration::from_millis(100), &mut shell("exec sleep 60"), &Interrupt::default());
        assert_eq!(hanging.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let interrupt = Interrupt::default();
        interrupt.set();
        let interrupted = ask(&mut shell("exec sleep 60"), &interrupt);
        assert_eq!(interrupted.unwrap_err().kind(), io::ErrorKind::Interrupted);
        let endless = ask(&mut shell("exec cat /dev/zero"), &Interrupt::default()).unwrap();
        assert_eq!(endless.out.len() as u64, ANSWER_BYTES);
        let held =
            ask_within(Duration::from_millis(300), &mut shell("sleep 2 & echo x"), &Interrupt::default());
        assert!(held.unwrap().status.success());
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}
