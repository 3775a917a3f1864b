//! Questions about a connection, asked on the terminal that this process belongs to, whatever standard input and output are.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::{Zeroize as _, Zeroizing};

use super::session::Prompt;
use crate::interrupt::Interrupt;

/// How often to look for Ctrl-C while nothing is typed.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// A longer answer is cut off; what is typed is never moved, and so leaves no copy behind.
const MAX_ANSWER_BYTES: usize = 1024;

/// The person at the terminal.
pub struct TerminalPrompt {
    interrupt: Interrupt,
}

impl TerminalPrompt {
    /// Returns the person; `None` if there is no terminal.
    #[must_use]
    pub fn find(interrupt: &Interrupt) -> Option<Self> {
        open().ok().map(|_| Self { interrupt: interrupt.clone() })
    }

    fn ask(&self, question: &str, is_secret: bool) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let mut terminal = open()?;
        let silence = if is_secret { Some(Silence::of(&terminal)?) } else { None };
        terminal.write_all(question.as_bytes())?;
        let answer = self.read_line(&mut terminal);
        if silence.is_some() || matches!(answer, Ok(None)) {
            // The person's own line end was not shown, or there was none.
            terminal.write_all(b"\n")?;
        }
        answer
    }

    fn read_line(&self, terminal: &mut File) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let mut line = Zeroizing::new(Vec::with_capacity(MAX_ANSWER_BYTES));
        let mut byte = [0];
        while !self.interrupt.is_set() {
            match poll(&mut [PollFd::new(terminal, PollFlags::IN)], Some(&LOOK_EVERY)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(errno) => return Err(errno.into()),
            }
            if terminal.read(&mut byte)? == 0 {
                return Ok(None);
            }
            if byte == *b"\n" {
                return Ok(Some(line));
            }
            if line.len() < MAX_ANSWER_BYTES {
                line.extend(byte);
            }
            byte.zeroize();
        }
        Ok(None)
    }
}

impl Prompt for TerminalPrompt {
    fn accept_host_key(&self, peer: &str, fingerprint: &str) -> io::Result<bool> {
        let question = format!(
            "Nothing vouches for {peer}, whose host key is\n  {fingerprint}\n\
             Compare it with what the host itself says. Is it the right one? [y/N] "
        );
        let answer = self.ask(&question, false)?.unwrap_or_default();
        Ok(matches!(answer.trim_ascii().to_ascii_lowercase().as_slice(), b"y" | b"yes"))
    }

    fn passphrase(&self, key: &Path) -> io::Result<Option<Zeroizing<String>>> {
        let Some(answer) = self.ask(&format!("Passphrase of {}: ", key.display()), true)? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&answer)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the passphrase is not UTF-8"))?;
        Ok((!text.is_empty()).then(|| Zeroizing::new(text.to_owned())))
    }
}

fn open() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/tty")
}

/// While it lives, what is typed is not shown.
struct Silence {
    terminal: File,
    before: Termios,
}

impl Silence {
    fn of(terminal: &File) -> io::Result<Self> {
        let terminal = terminal.try_clone()?;
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        // What was typed before the question was not meant for it.
        tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // Nobody can be told, and a shell mends its terminal.
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}
