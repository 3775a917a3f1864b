//! The log: structured lines on standard error, without messages or secrets.
//!
//! A thread of its own writes them, since whoever reads standard error may be slow or have stopped reading, and the chat
//! must not wait for that. What it cannot write in time is lost, and counted.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use chat_server::config::{LogFormat, LogSettings};
use tracing_subscriber::{EnvFilter, reload};

/// Most bytes that wait to be written; as many again are being written.
const MAX_WAITING_BYTES: usize = 1024 * 1024;

/// How long the end of the process waits for the last lines to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Puts another filter in force.
pub(crate) type SetLevel = Box<dyn Fn(&str)>;

/// Starts logging for the rest of the process. When the returned value is dropped, all lines logged before have been
/// written, unless nobody takes them.
///
/// # Errors
///
/// If the filter cannot be parsed, which the settings have ruled out, logging has been started before, or there can be no
/// thread.
pub(crate) fn start(settings: &LogSettings) -> anyhow::Result<(LogThread, SetLevel)> {
    let filter = EnvFilter::builder().parse(&settings.level)?;
    let thread = LogThread::start(io::stderr()).context("cannot start a thread for the log")?;
    let lines = Arc::clone(&thread.lines);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || Writer(Arc::clone(&lines)))
        .with_ansi(io::stderr().is_terminal());
    let (started, set_level) = match settings.format {
        LogFormat::Text => {
            let builder = builder.with_filter_reloading();
            let set_level = set_level(builder.reload_handle());
            (builder.try_init(), set_level)
        }
        LogFormat::Json => {
            let builder = builder.json().with_filter_reloading();
            let set_level = set_level(builder.reload_handle());
            (builder.try_init(), set_level)
        }
    };
    started.map_err(|error| anyhow::anyhow!(error))?;
    Ok((thread, set_level))
}

fn set_level<S: 'static>(filter: reload::Handle<EnvFilter, S>) -> SetLevel {
    Box::new(move |level| {
        // The settings have ruled out that it cannot be parsed, and the filter lives as long as the process.
        let set = EnvFilter::builder().parse(level).map(|level| filter.reload(level));
        if !matches!(set, Ok(Ok(()))) {
            tracing::warn!(level, "the log's level stays as it is");
        }
    })
}

/// The thread that writes the log.
pub(crate) struct LogThread {
    lines: Arc<Lines>,
}

impl LogThread {
    fn start(mut output: impl Write + Send + 'static) -> io::Result<Self> {
        let lines = Arc::new(Lines::default());
        let waiting = Arc::clone(&lines);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || waiting.write_to(&mut output))?;
        Ok(Self { lines })
    }
}

impl Drop for LogThread {
    fn drop(&mut self) {
        self.lines.finish();
    }
}

/// The lines on their way to the thread.
#[derive(Default)]
struct Lines {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    text: Vec<u8>,
    lost: u64,
    ending: bool,
    ended: bool,
}

impl Lines {
    fn add(&self, line: &[u8]) {
        let mut state = self.state();
        if state.text.len() + line.len() > MAX_WAITING_BYTES {
            state.lost += 1;
        } else {
            state.text.extend_from_slice(line);
            self.changed.notify_all();
        }
    }

    fn write_to(&self, output: &mut impl Write) {
        let mut text = Vec::new();
        loop {
            let idle = |state: &mut State| state.text.is_empty() && state.lost == 0 && !state.ending;
            let mut state =
                self.changed.wait_while(self.state(), idle).unwrap_or_else(PoisonError::into_inner);
            if state.text.is_empty() && state.lost == 0 {
                state.ended = true;
                self.changed.notify_all();
                return;
            }
            std::mem::swap(&mut state.text, &mut text);
            let lost = std::mem::take(&mut state.lost);
            drop(state);
            // If standard error is gone there is nobody to tell.
            let _ = output.write_all(&text).and_then(|()| output.flush());
            text.clear();
            if lost > 0 {
                tracing::warn!(lost, "lines of the log are lost, since they were not taken in time");
            }
        }
    }

    fn finish(&self) {
        let mut state = self.state();
        state.ending = true;
        self.changed.notify_all();
        // Whether it was in time makes no difference any more.
        let _ = self.changed.wait_timeout_while(state, LAST_WORDS, |state| !state.ended);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves whole lines.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes one line; it is given whole.
struct Writer(Arc<Lines>);

impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;

    /// Sends what is written, once somebody takes it.
    struct Rendezvous(mpsc::SyncSender<Vec<u8>>);

    impl Write for Rendezvous {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_owned()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn all_lines_are_written_before_the_end() {
        let (sender, receiver) = mpsc::sync_channel(1000);
        let thread = LogThread::start(Rendezvous(sender)).unwrap();
        (0..1000).for_each(|number| thread.lines.add(format!("{number}\n").as_bytes()));
        drop(thread);
        let expected: String = (0..1000).map(|number| format!("{number}\n")).collect();
        assert_eq!(receiver.iter().flatten().collect::<Vec<u8>>(), expected.as_bytes());
    }

    #[test]
    fn nobody_waits_for_a_reader_and_memory_stays_bounded() {
        let (sender, receiver) = mpsc::sync_channel(0);
        let thread = LogThread::start(Rendezvous(sender)).unwrap();
        let (line, start) = ([b'x'; 1024], Instant::now());
        (0..10_000).for_each(|_| thread.lines.add(&line));
        let state = thread.lines.state();
        assert!(state.text.len() <= MAX_WAITING_BYTES);
        assert!(state.lost >= 10_000 - 2 * 1024, "{}", state.lost);
        drop(state);
        drop(thread);
        assert!(start.elapsed() < LAST_WORDS * 10);
        drop(receiver);
    }
}
