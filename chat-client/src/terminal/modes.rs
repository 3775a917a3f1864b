//! The modes of the terminal: how it is prepared, and how it is put back, also on a panic.

use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::crossterm::terminal::{disable_raw_mode, enable_raw_mode};

use super::output::{self, Frames};

/// Keep the title, take the alternate screen, mark pastes, tell of focus. Lines that are too long are cut: whatever a
/// terminal thinks of how wide a letter is, nothing runs into the next row.
const ENTER: &[u8] = b"\x1b[22;2t\x1b[?1049h\x1b[?2004h\x1b[?1004h\x1b[?7l\x1b[2J";
/// Presses and the wheel, not movements.
const MOUSE: &[u8] = b"\x1b[?1000h\x1b[?1006h";
/// All of it undone, and what may be half done of a picture.
const LEAVE: &[u8] =
    b"\x1b[?2026l\x1b[0m\x1b[?1006l\x1b[?1000l\x1b[?7h\x1b[?1004l\x1b[?2004l\x1b[?25h\x1b[?1049l\x1b[23;2t";

/// The terminal is not as the shell left it.
static ENTERED: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// Keeps the terminal in the modes of a full screen; dropping it puts the terminal back.
#[derive(Debug)]
pub(super) struct Modes {
    frames: Frames,
    mouse: bool,
}

impl Modes {
    /// Prepares the terminal.
    ///
    /// # Errors
    ///
    /// What the system said when it is no terminal.
    pub(super) fn enter(frames: Frames, mouse: bool) -> io::Result<Self> {
        HOOK.call_once(|| {
            let report = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                // Before the report, which nobody could read on the alternate screen.
                restore();
                report(panic);
            }));
        });
        let modes = Self { frames, mouse };
        modes.resume()?;
        Ok(modes)
    }

    /// Prepares the terminal again.
    ///
    /// # Errors
    ///
    /// As [`Modes::enter`].
    pub(super) fn resume(&self) -> io::Result<()> {
        enable_raw_mode()?;
        ENTERED.store(true, Ordering::SeqCst);
        output::write_standard(ENTER)?;
        if self.mouse { output::write_standard(MOUSE) } else { Ok(()) }
    }

    /// Puts the terminal back as the shell left it.
    pub(super) fn leave(&self) {
        self.frames.flush();
        restore();
    }
}

impl Drop for Modes {
    fn drop(&mut self) {
        self.leave();
    }
}

fn restore() {
    if ENTERED.swap(false, Ordering::SeqCst) {
        // Nothing can be done about a terminal that has gone away.
        let _ = output::write_standard(LEAVE);
        let _ = disable_raw_mode();
    }
}
