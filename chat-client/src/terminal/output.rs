//! Writing pictures to the terminal, on a thread of its own: a terminal that stands still (Ctrl-S, a slow line) stops that
//! thread and nothing else. The next picture is drawn when the last one is written, so that none piles up.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// How long the end of the program waits until the terminal has taken the last of it.
const FLUSH_PATIENCE: Duration = Duration::from_millis(200);
/// A terminal that knows these shows a picture whole or not at all.
const BEGIN: &[u8] = b"\x1b[?2026h";
const END: &[u8] = b"\x1b[?2026l";
const BELL: &[u8] = b"\x07";

#[derive(Debug, Default)]
struct State {
    /// The picture that is being drawn.
    drawn: Vec<u8>,
    /// What the thread is to write next.
    ready: Vec<u8>,
    writing: bool,
    failed: bool,
    ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    // A std mutex: held only to move bytes, never while writing or across an await.
    state: Mutex<State>,
    changed: Condvar,
    written: Notify,
}

/// What ratatui writes to. Clones write to the same terminal.
#[derive(Clone, Debug)]
pub(super) struct Frames {
    shared: Arc<Shared>,
}

impl Frames {
    /// Starts the thread; `write` may wait as long as it wants. The thread lives as long as the program.
    pub(super) fn start(mut write: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let ours = Arc::clone(&shared);
        std::thread::spawn(move || {
            while let Some(bytes) = shared.take() {
                let failed = write(&bytes).is_err();
                let mut state = shared.lock();
                (state.writing, state.failed) = (false, failed);
                drop(state);
                shared.changed.notify_all();
                shared.written.notify_waiters();
                if failed {
                    return;
                }
            }
        });
        Self { shared: ours }
    }

    /// Begins a picture.
    pub(super) fn begin(&self) {
        self.shared.lock().drawn.extend_from_slice(BEGIN);
    }

    /// Ends the picture; it is written soon.
    pub(super) fn end(&self) {
        let mut state = self.shared.lock();
        state.drawn.extend_from_slice(END);
        let drawn = std::mem::take(&mut state.drawn);
        state.ready.extend_from_slice(&drawn);
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Sets the title of the window with the next picture.
    pub(super) fn title(&self, title: &str) {
        // Whoever made it has made it safe; this is the place where it would matter.
        let title = title.replace(char::is_control, "");
        self.shared.lock().drawn.extend_from_slice(format!("\x1b]2;{title}\x07").as_bytes());
    }

    /// Lets the desktop tell something, through terminals that can.
    pub(super) fn notify(&self, text: &str) {
        let text = text.replace(char::is_control, "");
        self.shared.lock().drawn.extend_from_slice(format!("\x1b]9;{text}\x07").as_bytes());
    }

    /// Rings the bell with the next picture.
    pub(super) fn ring(&self) {
        let mut state = self.shared.lock();
        if !state.drawn.ends_with(BELL) {
            state.drawn.extend_from_slice(BELL);
        }
    }

    /// Tells whether everything is written.
    pub(super) fn is_written(&self) -> bool {
        self.shared.lock().is_written()
    }

    /// Waits until everything is written.
    pub(super) fn written(&self) -> impl Future<Output = ()> + 'static {
        let shared = Arc::clone(&self.shared);
        async move {
            loop {
                let written = shared.written.notified();
                if shared.lock().is_written() {
                    return;
                }
                written.await;
            }
        }
    }

    /// Says whether the terminal still takes anything.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::BrokenPipe`] if not.
    pub(super) fn failure(&self) -> io::Result<()> {
        if self.shared.lock().failed { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }

    /// Lets the terminal obey something after the pictures that were drawn.
    pub(super) fn order(&self, order: &[u8]) {
        self.shared.lock().ready.extend_from_slice(order);
        self.shared.changed.notify_all();
    }

    /// Ends with an order: drops what is half drawn, and waits until everything is written, for a moment at most.
    pub(super) fn finish(&self, order: &[u8]) {
        let mut state = self.shared.lock();
        state.drawn.clear();
        state.ready.extend_from_slice(order);
        self.shared.changed.notify_all();
        let unwritten = |state: &mut State| !state.is_written();
        drop(self.shared.changed.wait_timeout_while(state, FLUSH_PATIENCE, unwritten));
    }
}

impl Write for Frames {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.shared.lock().drawn.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Pictures are written whole: [`Frames::end`] says when.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes to the program's standard output.
pub(super) fn write_standard(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

impl State {
    fn is_written(&self) -> bool {
        self.failed || self.ready.is_empty() && !self.writing
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Moving bytes cannot leave them half moved.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to write.
    fn take(&self) -> Option<Vec<u8>> {
        let idle = |state: &mut State| state.ready.is_empty() && !state.ended;
        let waited = self.changed.wait_while(self.lock(), idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.ready.is_empty() {
            return None;
        }
        state.writing = true;
        Some(std::mem::take(&mut state.ready))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn picture(frames: &Frames, text: &str) {
        frames.begin();
        frames.clone().write_all(text.as_bytes()).unwrap();
        frames.end();
    }

    #[test]
    fn pictures_are_written_whole_and_in_order() {
        let (sender, written) = mpsc::channel();
        let frames = Frames::start(move |bytes| sender.send(bytes.to_vec()).map_err(io::Error::other));
        for i in 0..100 {
            picture(&frames, &i.to_string());
        }
        frames.clone().write_all(b"half drawn").unwrap();
        frames.finish(b"the end");
        assert!(frames.is_written());
        let all: String = written.try_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect();
        let expected: String = (0..100).map(|i| format!("\x1b[?2026h{i}\x1b[?2026l")).collect();
        assert_eq!(all, expected + "the end");
    }

    #[test]
    fn a_title_and_a_bell_cannot_be_more_than_that() {
        let (sender, written) = mpsc::channel();
        let frames = Frames::start(move |bytes| sender.send(bytes.to_vec()).map_err(io::Error::other));
        frames.title("a\x07\x1b]52;c;\u{9c}b");
        frames.ring();
        frames.ring();
        frames.end();
        frames.finish(b"");
        assert_eq!(written.try_iter().flatten().collect::<Vec<_>>(), b"\x1b]2;a]52;c;b\x07\x1b[?2026l");
    }

    #[tokio::test]
    async fn a_terminal_that_stands_still_stops_only_the_pictures() {
        let (go_on, wait) = mpsc::channel::<()>();
        let frames = Frames::start(move |_| {
            let _ = wait.recv();
            Ok(())
        });
        picture(&frames, "x");
        assert!(!frames.is_written());
        assert!(tokio::time::timeout(Duration::from_millis(20), frames.written()).await.is_err());
        // Nor is the end of the program kept waiting.
        frames.finish(b"the end");
        assert!(!frames.is_written());
        go_on.send(()).unwrap();
        go_on.send(()).unwrap();
        frames.written().await;
        assert!(frames.failure().is_ok());
    }

    #[tokio::test]
    async fn a_terminal_that_has_gone_away_is_noticed() {
        let frames = Frames::start(|_| Err(io::ErrorKind::NotConnected.into()));
        picture(&frames, "x");
        frames.written().await;
        assert_eq!(frames.failure().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
