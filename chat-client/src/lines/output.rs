//! Writing to standard output and standard error, on a thread of its own: a reader who stands still stops that thread
//! and not the client, which could otherwise not even be interrupted.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};

use crate::display::Stream;

/// While more than this waits to be written, nothing more is read, from the server or from standard input.
const FULL_BYTES: usize = 256 * 1024;

/// The two streams, in the order in which they were written to.
#[derive(Debug)]
pub(super) struct Output {
    texts: mpsc::UnboundedSender<(Stream, String)>,
    unwritten: Arc<watch::Sender<usize>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Output {
    /// Starts the thread; `write` may wait as long as it wants.
    pub(super) fn start(mut write: impl FnMut(Stream, &str) -> io::Result<()> + Send + 'static) -> Self {
        let (texts, mut waiting) = mpsc::unbounded_channel::<(Stream, String)>();
        let unwritten = Arc::new(watch::Sender::new(0));
        let counter = Arc::clone(&unwritten);
        let thread = std::thread::spawn(move || {
            while let Some((stream, text)) = waiting.blocking_recv() {
                write(stream, &text)?;
                counter.send_modify(|bytes| *bytes -= text.len());
            }
            Ok(())
        });
        Self { texts, unwritten, thread: Some(thread) }
    }

    /// Writes soon.
    ///
    /// # Errors
    ///
    /// What the system said when something before could not be written.
    pub(super) fn write(&mut self, stream: Stream, text: String) -> io::Result<()> {
        self.unwritten.send_modify(|bytes| *bytes += text.len());
        if self.texts.send((stream, text)).is_err() {
            return self.failure();
        }
        Ok(())
    }

    /// Waits until there is room for more.
    pub(super) fn room(&self) -> impl Future<Output = ()> + 'static {
        self.at_most(FULL_BYTES)
    }

    /// Waits until something could not be written, which may be for ever.
    pub(super) fn failed(&self) -> impl Future<Output = ()> + 'static {
        let texts = self.texts.clone();
        async move { texts.closed().await }
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    ///
    /// As [`Output::write`].
    pub(super) async fn written(&mut self) -> io::Result<()> {
        self.at_most(0).await;
        if self.texts.is_closed() { self.failure() } else { Ok(()) }
    }

    /// Waits until no more than this is unwritten, or the thread has failed.
    fn at_most(&self, bytes: usize) -> impl Future<Output = ()> + 'static {
        let (texts, mut unwritten) = (self.texts.clone(), self.unwritten.subscribe());
        async move {
            tokio::select! {
                _ = unwritten.wait_for(|unwritten| *unwritten <= bytes) => {}
                () = texts.closed() => {}
            }
        }
    }

    /// Returns what the thread failed with.
    fn failure(&mut self) -> io::Result<()> {
        let ended = self.thread.take().and_then(|thread| thread.join().ok());
        ended.unwrap_or_else(|| Err(io::ErrorKind::BrokenPipe.into()))
    }
}

/// Writes to the program's own streams.
pub(super) fn write_standard(stream: Stream, text: &str) -> io::Result<()> {
    match stream {
        Stream::Data => {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()
        }
        Stream::Remark => {
            // Who does not want the remarks may close them.
            let _ = io::stderr().lock().write_all(text.as_bytes());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as blocking;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn everything_is_written_in_order() {
        let (sender, written) = blocking::channel();
        let mut output = Output::start(move |_, text| sender.send(text.to_owned()).map_err(io::Error::other));
        for i in 0..100 {
            output.write(Stream::Data, i.to_string()).unwrap();
        }
        output.written().await.unwrap();
        assert!(written.try_iter().eq((0..100).map(|i| i.to_string())));
    }

    #[tokio::test]
    async fn a_reader_who_stands_still_stops_nobody_but_the_writing() {
        let (go_on, wait) = blocking::channel::<()>();
        let mut output = Output::start(move |_, _| {
            let _ = wait.recv();
            Ok(())
        });
        output.write(Stream::Data, "x".repeat(FULL_BYTES + 1)).unwrap();
        let short = Duration::from_millis(20);
        assert!(tokio::time::timeout(short, output.room()).await.is_err());
        assert!(tokio::time::timeout(short, output.written()).await.is_err());
        go_on.send(()).unwrap();
        output.room().await;
        output.written().await.unwrap();
    }

    #[tokio::test]
    async fn a_reader_who_went_away_is_noticed() {
        let mut output = Output::start(|_, _| Err(io::ErrorKind::BrokenPipe.into()));
        output.write(Stream::Data, "x".repeat(FULL_BYTES + 1)).unwrap();
        output.failed().await;
        output.room().await;
        assert_eq!(output.written().await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(output.write(Stream::Data, String::new()).is_err());
    }
}
