//! The modes of the terminal: how it is prepared, and how it is put back, also on a panic, and without waiting for one that
//! stands still: only the thread of `output` ever writes.

use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::crossterm::terminal::{disable_raw_mode, enable_raw_mode};

use super::output::Frames;

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
        let ours = frames.clone();
        HOOK.call_once(|| {
            let report = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                // Before the report, which nobody could read on the alternate screen.
                restore(&ours);
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
        self.frames.order(ENTER);
        if self.mouse {
            self.frames.order(MOUSE);
        }
        Ok(())
    }

    /// Puts the terminal back as the shell left it.
    pub(super) fn leave(&self) {
        restore(&self.frames);
    }
}

impl Drop for Modes {
    fn drop(&mut self) {
        self.leave();
    }
}

fn restore(frames: &Frames) {
    if ENTERED.swap(false, Ordering::SeqCst) {
        frames.finish(LEAVE);
        // Nothing can be done about a terminal that has gone away.
        let _ = disable_raw_mode();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The private modes that a text switches on (`true`) or off.
    fn switched(text: &[u8]) -> Vec<(String, bool)> {
        let text = String::from_utf8(text.to_vec()).unwrap();
        let modes = text.split("\x1b[?").skip(1).map(|rest| {
            let end = rest.find(['h', 'l']).unwrap();
            (rest[..end].to_owned(), rest[end..].starts_with('h'))
        });
        modes.collect()
    }

    #[test]
    fn whatever_is_switched_is_switched_back() {
        let left = switched(LEAVE);
        for (mode, on) in [ENTER, MOUSE].concat().split(|byte| *byte == 0).flat_map(switched) {
            assert!(left.contains(&(mode.clone(), !on)), "{mode} stays {on}");
        }
        // What pictures switch: the cursor is hidden while they are drawn, and terminals hold them back until they are whole.
        assert!(left.contains(&("25".to_owned(), true)) && left.contains(&("2026".to_owned(), false)));
    }
}
