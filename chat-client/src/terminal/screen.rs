//! Printing above the line that is being edited.
//!
//! The editor's printer may wait until the editor takes what is printed, so it runs on a thread of its own, and takes all
//! that has gathered at once: a flood costs one redrawing per batch, not per message.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustyline::ExternalPrinter;
use tokio::sync::Notify;

/// While more than this waits to be printed, nothing more is read from the server.
const FULL_BYTES: usize = 256 * 1024;
/// A printer that is stuck because the editor has just ended its line goes on with the next line.
const FLUSH_PATIENCE: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
struct Pending {
    text: String,
    /// The thread is printing what it took.
    printing: bool,
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    // A std mutex: held only to move text, never while printing or across an await.
    pending: Mutex<Pending>,
    changed: Condvar,
    drained: Notify,
}

/// The part of the terminal above the line.
#[derive(Debug)]
pub(super) struct Screen {
    shared: Arc<Shared>,
}

impl Screen {
    pub(super) fn start(mut printer: impl ExternalPrinter + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let ours = Arc::clone(&shared);
        std::thread::spawn(move || {
            while let Some(text) = shared.take() {
                // A terminal that has gone away is noticed by the editor.
                let _ = printer.print(text);
                shared.printed();
            }
        });
        Self { shared: ours }
    }

    /// Prints soon.
    pub(super) fn print(&self, text: &str) {
        self.shared.lock().text.push_str(text);
        self.shared.changed.notify_all();
    }

    /// Waits until everything is printed, for a moment at most.
    pub(super) fn flush(&self) {
        let unprinted = |pending: &mut Pending| pending.printing || !pending.text.is_empty();
        let pending = self.shared.lock();
        let _ = self.shared.changed.wait_timeout_while(pending, FLUSH_PATIENCE, unprinted);
    }

    /// Waits until there is room for more.
    pub(super) fn room(&self) -> impl Future<Output = ()> + 'static {
        let shared = Arc::clone(&self.shared);
        async move {
            loop {
                let drained = shared.drained.notified();
                if shared.lock().text.len() <= FULL_BYTES {
                    return;
                }
                drained.await;
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        // Moving text cannot leave it half moved.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to print; `None` when nothing more will come.
    fn take(&self) -> Option<String> {
        let idle = |pending: &mut Pending| pending.text.is_empty() && !pending.closed;
        let waited = self.changed.wait_while(self.lock(), idle);
        let mut pending = waited.unwrap_or_else(PoisonError::into_inner);
        if pending.text.is_empty() {
            return None;
        }
        pending.printing = true;
        Some(std::mem::take(&mut pending.text))
    }

    fn printed(&self) {
        self.lock().printing = false;
        self.changed.notify_all();
        self.drained.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct Printer(mpsc::Sender<String>);

    impl ExternalPrinter for Printer {
        fn print(&mut self, text: String) -> rustyline::Result<()> {
            self.0.send(text).map_err(|_| rustyline::error::ReadlineError::Eof)
        }
    }

    #[test]
    fn everything_is_printed_in_order_and_flushing_waits_for_it() {
        let (sender, printed) = mpsc::channel();
        let screen = Screen::start(Printer(sender));
        for i in 0..1000 {
            screen.print(&format!("{i}\n"));
        }
        screen.flush();
        let all: String = printed.try_iter().collect();
        assert_eq!(all, (0..1000).map(|i| format!("{i}\n")).collect::<String>());
        drop(screen);
        assert!(printed.recv().is_err(), "the thread ends with the screen");
    }

    #[tokio::test]
    async fn a_printer_that_stands_still_stops_the_reading_until_it_goes_on() {
        struct Stuck(mpsc::Receiver<()>);
        impl ExternalPrinter for Stuck {
            fn print(&mut self, _: String) -> rustyline::Result<()> {
                let _ = self.0.recv();
                Ok(())
            }
        }
        let (go_on, wait) = mpsc::channel();
        let screen = Screen::start(Stuck(wait));
        screen.print("first\n");
        while !screen.shared.lock().printing {
            tokio::task::yield_now().await;
        }
        screen.print(&"x".repeat(FULL_BYTES + 1));
        let room = screen.room();
        assert!(tokio::time::timeout(Duration::from_millis(20), screen.room()).await.is_err());
        go_on.send(()).unwrap();
        go_on.send(()).unwrap();
        room.await;
    }
}
