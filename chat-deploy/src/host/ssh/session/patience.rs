//! How long a call may take, and who may end it earlier. Every wait of the SSH transport goes through here.

use std::os::fd::BorrowedFd;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::interrupt::Interrupt;

/// How often to look for Ctrl-C while nothing comes.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The limits of one call.
#[derive(Clone)]
pub(super) struct Patience {
    /// `None` only for what the person ends.
    until: Option<Instant>,
    /// What it was at first.
    pub(super) within: Duration,
    interrupt: Interrupt,
}

/// Why a wait ended without what was waited for.
#[derive(Debug)]
pub(super) enum Stop {
    /// Somebody asked us to stop.
    Interrupted,
    /// The time is over.
    Late,
    /// libssh2 failed.
    Failed(ssh2::Error),
}

impl Patience {
    pub(super) fn new(within: Duration, interrupt: &Interrupt) -> Self {
        Self { until: Instant::now().checked_add(within), within, interrupt: interrupt.clone() }
    }

    /// Waits until the person ends it.
    pub(super) fn endless(interrupt: &Interrupt) -> Self {
        Self { until: None, within: Duration::MAX, interrupt: interrupt.clone() }
    }

    /// Starts anew, since something came of the wait.
    pub(super) fn renew(&mut self) {
        self.until = Instant::now().checked_add(self.within);
    }

    /// Returns how long the next wait may be, at most.
    pub(super) fn slice(&self) -> Result<Duration, Stop> {
        if self.interrupt.is_set() {
            return Err(Stop::Interrupted);
        }
        let left = self.until.map_or(LOOK_EVERY, |until| until.saturating_duration_since(Instant::now()));
        if left.is_zero() { Err(Stop::Late) } else { Ok(left.min(LOOK_EVERY)) }
    }

    /// Does something whose time does not count: a question to the person.
    pub(super) fn pause<T>(&mut self, ask: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let answer = ask();
        self.until = self.until.and_then(|until| until.checked_add(started.elapsed()));
        answer
    }

    /// Waits until one of the descriptors is ready, for a slice of time at most.
    pub(super) fn poll(&self, wanted: &mut [PollFd<'_>], at_most: Duration) -> Result<(), Stop> {
        let slice = self.slice()?.min(at_most);
        let timeout = Timespec { tv_sec: 0, tv_nsec: slice.subsec_nanos().into() };
        match poll(wanted, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            // Only a descriptor or memory that is gone: the next read says so too. Not at full speed, though.
            Err(_) => {
                thread::sleep(slice);
                Ok(())
            }
        }
    }

    /// Waits until a descriptor can be read from, or written to if that is `flags`, for a slice of time at most.
    pub(super) fn poll_one(&self, fd: BorrowedFd<'_>, flags: PollFlags) -> Result<(), Stop> {
        self.poll(&mut [PollFd::from_borrowed_fd(fd, flags)], LOOK_EVERY)
    }

    /// Does what cannot be told to stop on a thread of its own, and leaves that behind if it takes too long.
    pub(super) fn elsewhere<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Stop> {
        let (sender, receiver) = mpsc::channel();
        // Nobody may be left to hear the answer.
        thread::spawn(move || drop(sender.send(work())));
        loop {
            match receiver.recv_timeout(self.slice()?) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Timeout) => {}
                // It panicked, and the panic's message was shown.
                Err(RecvTimeoutError::Disconnected) => return Err(Stop::Late),
            }
        }
    }
}
