//! Job control, as far as somebody must know of it who has the terminal in modes of his own: what a shell and its terminal
//! tell the programs that a person runs, and how to stop as Ctrl-Z does once the terminal is put back.

use std::io;
use std::time::Duration;

use rustix::process::{Signal as Kill, getpgid, getpgrp, getsid, kill_current_process_group};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long stopping may take.
const STOP_PATIENCE: Duration = Duration::from_millis(100);

/// What a program is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// To stop. It should put the terminal back and call [`stop`].
    Stop,
    /// It was stopped and goes on; the terminal is as the shell left it.
    Continue,
    /// To end: the terminal is gone, or Ctrl-\ was pressed.
    End,
}

/// The signals that say so. From their start on none of them has an effect of its own.
#[derive(Debug)]
pub(crate) struct Signs {
    stops: Signal,
    continuations: Signal,
    hangups: Signal,
    quits: Signal,
}

impl Signs {
    /// Begins to listen. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// What the system said when signals cannot be received.
    pub(crate) fn start() -> io::Result<Self> {
        Ok(Self {
            stops: signal(SignalKind::from_raw(Kill::TSTP.as_raw()))?,
            continuations: signal(SignalKind::from_raw(Kill::CONT.as_raw()))?,
            hangups: signal(SignalKind::hangup())?,
            quits: signal(SignalKind::quit())?,
        })
    }

    /// Waits for the next. May be dropped and called again at any time.
    pub(crate) async fn next(&mut self) -> Sign {
        tokio::select! {
            _ = self.stops.recv() => Sign::Stop,
            _ = self.continuations.recv() => Sign::Continue,
            _ = self.hangups.recv() => Sign::End,
            _ = self.quits.recv() => Sign::End,
        }
    }
}

/// Stops the program, and what was started with it, until the shell continues them; returns then. Does nothing where no
/// shell would.
///
/// # Errors
///
/// What the system said when it could not be stopped.
pub(crate) fn stop() -> io::Result<()> {
    if !can_be_continued() {
        return Ok(());
    }
    // Not the signal that Ctrl-Z sends: whoever listens to it is not stopped by it.
    kill_current_process_group(Kill::STOP)?;
    // The signal may reach another thread first; here nothing must happen before it stops them all.
    std::thread::sleep(STOP_PATIENCE);
    Ok(())
}

/// Tells whether there is a shell with job control: it leads the session, and has put this program into a group of its
/// own. A terminal window that was opened for this program has none.
fn can_be_continued() -> bool {
    getsid(None).and_then(|leader| getpgid(Some(leader))).is_ok_and(|group| group != getpgrp())
}
