//! Commands on a connection: each on a channel of its own, which libssh2 keeps apart.

use std::cell::RefCell;
use std::io::{self, Read, Write as _};
use std::sync::Arc;
use std::time::Duration;

use super::link::{Link, is_again_io};
use super::patience::{Patience, Stop};
use crate::host::ssh::remote::{Answer, Call, RemoteError};
use crate::host::ssh::tail::Tail;
use crate::host::{Held, HostError};
use crate::interrupt::Interrupt;

/// How much input is read at once. libssh2 cuts it into packets of 32 KiB, as many as the other side's window takes.
const SLICE_BYTES: usize = 512 * 1024;
/// How much output is read at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// What the other side may send before we read it. 2 MiB would do on a local network; over 100 ms more keeps it flowing.
const WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// OpenSSH sends no larger packets.
const PACKET_BYTES: u32 = 32 * 1024;

/// How much of the output is kept: the beginning.
const KEPT_OUT_BYTES: usize = 1024 * 1024;
/// How much of what went wrong is kept: the end.
const KEPT_ERR_BYTES: usize = 64 * 1024;

/// What a command that is held is sent, to see whether it still is.
const ARE_YOU_THERE: &[u8] = b"?\n";

/// How much of a command is shown in a message.
const SHOWN_CHARS: usize = 80;

type Sink<'s> = &'s mut dyn FnMut(&[u8]) -> io::Result<Flow>;

/// Whether to read on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Enough,
}

/// A command that goes on at the other side until this is dropped. Its patience is that for one answer.
struct HeldCommand(RefCell<Running>);

impl Held for HeldCommand {
    fn keep(&self) -> Result<(), HostError> {
        let running = &mut *self.0.borrow_mut();
        running.patience.renew();
        running.write(ARE_YOU_THERE)?;
        running.first_line()?;
        Ok(())
    }
}

impl Drop for HeldCommand {
    fn drop(&mut self) {
        // Sends the end of its input, which ends it; its answer is of no interest.
        let _ = self.0.get_mut().channel.close();
    }
}

/// Runs a command to its end.
pub(super) fn run(link: &Arc<Link>, call: Call<'_>, interrupt: &Interrupt) -> Result<Answer, RemoteError> {
    let mut out = Vec::new();
    let mut keep = |bytes: &[u8]| {
        let room = KEPT_OUT_BYTES - out.len();
        out.extend(bytes.iter().take(room));
        Ok(Flow::On)
    };
    let patience = Patience::new(call.within, interrupt);
    let mut running = Running::start(link, call.command, patience)?;
    running.pump(Some(call.input), &mut keep)?;
    running.answer(&out)
}

/// Runs a command to its end and passes its output on, as long as some comes and it is not too much.
pub(super) fn receive(
    link: &Arc<Link>,
    call: Call<'_>,
    limit_bytes: u64,
    sink: &mut dyn io::Write,
    interrupt: &Interrupt,
) -> Result<Answer, RemoteError> {
    let mut running = Running::start(link, call.command, Patience::new(call.within, interrupt))?;
    running.renews_patience = true;
    let mut left = limit_bytes;
    let mut is_too_much = false;
    running.pump(Some(call.input), &mut |bytes| match left.checked_sub(bytes.len() as u64) {
        Some(rest) => {
            left = rest;
            sink.write_all(bytes).map(|()| Flow::On)
        }
        None => {
            is_too_much = true;
            Ok(Flow::Enough)
        }
    })?;
    if is_too_much {
        return Err(RemoteError::TooMuch { peer: link.peer.clone(), doing: running.doing, limit_bytes });
    }
    running.answer(&[])
}

/// Passes on the output of a command, line by line, until the run is interrupted or the command ends.
pub(super) fn follow(
    link: &Arc<Link>,
    command: &str,
    sink: &mut dyn FnMut(&str) -> io::Result<()>,
    interrupt: &Interrupt,
) -> Result<(), RemoteError> {
    let mut running = Running::start(link, command, Patience::endless(interrupt))?;
    let mut lines = Lines::default();
    match running.pump(Some(&mut io::empty()), &mut |bytes| lines.push(bytes, sink).map(|()| Flow::On)) {
        Err(RemoteError::Interrupted) => return Ok(()),
        other => other?,
    }
    let sunk = lines.finish(sink);
    sunk.map_err(|source| RemoteError::Sink { peer: link.peer.clone(), source })?;
    let answer = running.answer(&[])?;
    if answer.code == Some(0) { Ok(()) } else { Err(RemoteError::Ended { peer: link.peer.clone(), answer }) }
}

/// Starts a command that goes on, and returns with the first line it writes.
pub(super) fn hold(
    link: &Arc<Link>,
    command: &str,
    within: Duration,
    interrupt: &Interrupt,
) -> Result<(String, Box<dyn Held>), RemoteError> {
    let mut running = Running::start(link, command, Patience::new(within, interrupt))?;
    let line = running.first_line()?;
    Ok((line, Box::new(HeldCommand(RefCell::new(running)))))
}

/// A command under way.
struct Running {
    link: Arc<Link>,
    channel: ssh2::Channel,
    err: Tail,
    doing: String,
    patience: Patience,
    /// Whether output gives it more time.
    renews_patience: bool,
}

impl Running {
    fn start(link: &Arc<Link>, command: &str, patience: Patience) -> Result<Self, RemoteError> {
        let doing = shown(command);
        let open = || link.ssh.channel_open("session", WINDOW_BYTES, PACKET_BYTES, None);
        let started = link.finish(&patience, open).and_then(|mut channel| {
            link.finish(&patience, || channel.exec(command))?;
            Ok(channel)
        });
        match started {
            Ok(channel) => {
                let (link, err) = (Arc::clone(link), Tail::new(KEPT_ERR_BYTES));
                Ok(Self { link, channel, err, doing, patience, renews_patience: false })
            }
            Err(stop) => {
                if !matches!(stop, Stop::Failed(_)) {
                    link.cut();
                }
                Err(link.stopped(stop, &doing, &patience))
            }
        }
    }

    /// Moves input, output and errors until the command has closed its output or `sink` has enough. Without an input, its
    /// standard input stays open.
    fn pump(&mut self, input: Option<&mut dyn Read>, sink: Sink<'_>) -> Result<(), RemoteError> {
        let mut input = input.map(Input::new);
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let mut moved = false;
            if let Some(source) = input.take() {
                let (rest, sent) = self.send(source)?;
                input = rest;
                moved |= sent;
            }
            let (flow, received) = self.read_out(&mut chunk, sink)?;
            if flow == Flow::Enough {
                return Ok(());
            }
            moved |= received;
            moved |= self.read_err(&mut chunk)?;
            if self.channel.eof() {
                return Ok(());
            }
            if moved {
                // A command that never pauses must not keep us from looking at the clock.
                self.patience.slice().map(drop).map_err(|stop| self.stopped(stop))?;
            } else {
                self.link.wait(&self.patience).map_err(|stop| self.stopped(stop))?;
            }
        }
    }

    /// Reads up to the end of a line. What comes after it is passed over.
    fn first_line(&mut self) -> Result<String, RemoteError> {
        let mut line = Vec::new();
        let mut has_line = false;
        self.pump(None, &mut |bytes| {
            let end = bytes.iter().position(|&byte| byte == b'\n');
            line.extend(bytes.iter().take(end.unwrap_or(bytes.len()).min(KEPT_OUT_BYTES - line.len())));
            has_line = end.is_some();
            Ok(if has_line { Flow::Enough } else { Flow::On })
        })?;
        if !has_line {
            return Err(RemoteError::Ended { peer: self.link.peer.clone(), answer: self.answer(&line)? });
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Sends all of it.
    fn write(&mut self, mut bytes: &[u8]) -> Result<(), RemoteError> {
        while !bytes.is_empty() {
            match self.channel.write(bytes) {
                Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
                Err(error) if is_again_io(&error) => {
                    self.link.wait(&self.patience).map_err(|stop| self.stopped(stop))?;
                }
                Err(error) => return Err(self.broken(error)),
            }
        }
        Ok(())
    }

    /// Sends what the other side takes at once. Returns the input unless it is at its end, and whether anything was sent.
    fn send<'r>(&mut self, mut input: Input<'r>) -> Result<(Option<Input<'r>>, bool), RemoteError> {
        let failed = |source| RemoteError::Input { peer: self.link.peer.clone(), source };
        let slice = input.slice().map_err(failed)?;
        if slice.is_empty() {
            return match self.channel.send_eof() {
                Err(error) if super::link::is_again(&error) => Ok((Some(input), false)),
                // It does not want to hear of it; reading tells whether the connection is broken.
                _ => Ok((None, true)),
            };
        }
        match self.channel.write(slice) {
            Ok(length) => {
                input.sent(length);
                Ok((Some(input), length > 0))
            }
            Err(error) if is_again_io(&error) => Ok((Some(input), false)),
            // The command ended, or closed its input. If it is the connection, reading says so.
            Err(_) => Ok((None, true)),
        }
    }

    fn read_out(&mut self, chunk: &mut [u8], sink: Sink<'_>) -> Result<(Flow, bool), RemoteError> {
        match self.channel.read(chunk) {
            Ok(0) => Ok((Flow::On, false)),
            Ok(length) => {
                if self.renews_patience {
                    self.patience.renew();
                }
                let sunk = sink(chunk.get(..length).unwrap_or_default());
                let flow =
                    sunk.map_err(|source| RemoteError::Sink { peer: self.link.peer.clone(), source })?;
                Ok((flow, true))
            }
            Err(error) if is_again_io(&error) => Ok((Flow::On, false)),
            Err(error) => Err(self.broken(error)),
        }
    }

    fn read_err(&mut self, chunk: &mut [u8]) -> Result<bool, RemoteError> {
        match self.channel.stderr().read(chunk) {
            Ok(0) => Ok(false),
            Ok(length) => {
                self.err.push(chunk.get(..length).unwrap_or_default());
                Ok(true)
            }
            Err(error) if is_again_io(&error) => Ok(false),
            Err(error) => Err(self.broken(error)),
        }
    }

    /// Waits until the command has ended, and says how.
    fn answer(&mut self, out: &[u8]) -> Result<Answer, RemoteError> {
        let link = Arc::clone(&self.link);
        link.finish(&self.patience, || self.channel.wait_close()).map_err(|stop| self.stopped(stop))?;
        let failed = |error| self.stopped(Stop::Failed(error));
        let signal = self.channel.exit_signal().map_err(failed)?.exit_signal;
        let code = self.channel.exit_status().map_err(failed)?;
        let mut err = self.err.text();
        if let Some(signal) = &signal {
            err.push_str(&format!("ended by SIG{signal}\n"));
        }
        let out = String::from_utf8_lossy(out).into_owned();
        Ok(Answer { code: signal.is_none().then_some(code), out, err })
    }

    fn stopped(&self, stop: Stop) -> RemoteError {
        self.link.stopped(stop, &self.doing, &self.patience)
    }

    fn broken(&self, error: io::Error) -> RemoteError {
        let (peer, doing) = (self.link.peer.clone(), self.doing.clone());
        RemoteError::Broken { peer, doing, source: error.into() }
    }
}

/// What a command is given to read, a slice at a time.
struct Input<'r> {
    source: &'r mut dyn Read,
    buffer: Vec<u8>,
    /// What of the buffer was sent.
    sent: usize,
}

impl<'r> Input<'r> {
    fn new(source: &'r mut dyn Read) -> Self {
        Self { source, buffer: Vec::new(), sent: 0 }
    }

    /// Returns what is to be sent next; nothing at the end.
    fn slice(&mut self) -> io::Result<&[u8]> {
        if self.sent == self.buffer.len() {
            self.buffer.clear();
            self.sent = 0;
            let limit = SLICE_BYTES as u64;
            Read::take(&mut *self.source, limit).read_to_end(&mut self.buffer)?;
        }
        Ok(self.buffer.get(self.sent..).unwrap_or_default())
    }

    fn sent(&mut self, length: usize) {
        self.sent += length;
    }
}

/// A stream cut into lines.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            // A line without end is passed on in pieces.
            self.0.extend(piece);
            if piece.ends_with(b"\n") || self.0.len() >= KEPT_OUT_BYTES {
                self.finish(sink)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, sink: &mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let line = self.0.strip_suffix(b"\n").unwrap_or(&self.0);
        let passed = sink(&String::from_utf8_lossy(line));
        self.0.clear();
        passed
    }
}

/// Shortens a command for a message: of a script, the end says what was asked of it.
fn shown(command: &str) -> String {
    let line: String = command.split_whitespace().collect::<Vec<_>>().join(" ");
    let length = line.chars().count();
    if length <= SHOWN_CHARS {
        return line;
    }
    format!("...{}", line.chars().skip(length - SHOWN_CHARS).collect::<String>())
}
