//! The thread that keeps the SDK's connections and clocks going, so that everybody else may simply wait for an answer.

use std::io;
use std::pin::pin;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::interrupt::Interrupt;

/// How much longer an answer is waited for once the run is to stop. EC2 takes a second on most days, and an answer that
/// comes saves the next run from finding out what became of the call.
const GRACE: Duration = Duration::from_secs(3);
/// How soon an interrupt is noticed.
const HEED: Duration = Duration::from_millis(50);

/// One runtime on a thread of its own. Any number of threads may wait on it at once; what they wait for runs on them.
#[derive(Debug)]
pub(super) struct Driver {
    handle: Handle,
    /// Dropped to end the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("aws".to_owned()).spawn(move || {
            // Ends when the sender is dropped.
            let _ = runtime.block_on(stopped);
            // Not at the end of the scope, which would wait for a look-up of a name that may take long.
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Waits for a future on the calling thread, which must not be one of a runtime.
    pub(super) fn wait<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }

    /// The same, but gives up a moment after the run was asked to stop; the answer is `None` then, and what was asked for
    /// may have been done.
    pub(super) fn wait_unless<F: Future>(&self, interrupt: &Interrupt, future: F) -> Option<F::Output> {
        self.handle.block_on(async {
            let mut future = pin!(future);
            while !interrupt.is_set() {
                tokio::select! {
                    biased;
                    answer = &mut future => return Some(answer),
                    () = sleep(HEED) => {}
                }
            }
            timeout(GRACE, future).await.ok()
        })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It does not panic; and if it did, there is nothing left to keep going.
            let _ = thread.join();
        }
    }
}
