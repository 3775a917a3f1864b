//! A question on the terminal, and its answer.

use std::io::{self, BufRead as _, Write as _};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::Error;
use crate::interrupt::Interrupt;

/// How often to look for Ctrl-C while nothing is typed.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Asks and waits for a line.
pub(super) fn ask(question: &str, interrupt: &Interrupt) -> Result<bool, Error> {
    let mut err = io::stderr();
    write!(err, "{question} [y/N] ").and_then(|()| err.flush()).map_err(Error::NotShown)?;
    let stdin = io::stdin();
    while !interrupt.is_set() {
        match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&LOOK_EVERY)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => {
                let mut answer = String::new();
                stdin.lock().read_line(&mut answer).map_err(Error::Setup)?;
                return Ok(is_yes(&answer));
            }
            Err(errno) => return Err(Error::Setup(errno.into())),
        }
    }
    // The shell's prompt belongs on a line of its own.
    let _ = writeln!(err);
    Err(Error::Interrupted)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for (answer, expected) in
            [("y\n", true), (" Yes \n", true), ("", false), ("\n", false), ("yep\n", false)]
        {
            assert_eq!(is_yes(answer), expected, "{answer:?}");
        }
    }
}
