//! Ctrl-C, SIGTERM and SIGHUP: noted here, acted upon where a run can stop cleanly.
//!
//! A second Ctrl-C ends the program at once; whatever was under way is then finished by the next run.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The exit code of an interrupted run.
pub const EXIT_CODE: u8 = 130;

/// Tells whether the run is to stop.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Begins to listen for the signals that ask a program to stop.
    ///
    /// # Errors
    ///
    /// The system's, if it refuses a handler.
    pub fn listen() -> io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // The order matters: the shutdown acts when the flag is set already, so on the second signal.
            signal_hook::flag::register_conditional_shutdown(
                signal,
                i32::from(EXIT_CODE),
                Arc::clone(&flag),
            )?;
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    /// Tells whether a signal came.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Does what a signal does.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
