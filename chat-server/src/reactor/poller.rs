//! The poller: one for all sockets, itself watched by tokio's.
//!
//! It tells of changes only (edge-triggered): whoever is told has to remember that there is something to read until it has
//! read everything.

use std::io;
use std::time::Duration;

use mio::event::{Event, Source};
use mio::{Events, Interest, Poll, Registry, Token};
use tokio::io::unix::AsyncFd;

/// Most events taken from the kernel at a time.
pub(super) const EVENTS: usize = 1024;

/// What a socket is ready for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readiness {
    /// There is something to read, or its end.
    pub(crate) readable: bool,
    /// The peer sends nothing more than what can be read now.
    pub(crate) at_end: bool,
    /// It takes bytes again.
    pub(crate) writable: bool,
    /// The connection is broken.
    pub(crate) broken: bool,
}

/// Tells what has happened to sockets.
pub(super) struct Poller {
    poll: AsyncFd<Poll>,
    events: Events,
}

impl Poller {
    /// Makes a poller that watches nothing yet. To be called inside tokio's runtime.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub(super) fn new() -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "what replaces it is unsafe code; a `Poll` owns its descriptor, which is all that asks"
        )]
        let poll = AsyncFd::with_interest(Poll::new()?, tokio::io::Interest::READABLE)?;
        Ok(Self { poll, events: Events::with_capacity(EVENTS) })
    }

    /// Returns what sockets are to be made known to.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub(super) fn registry(&self) -> io::Result<Registry> {
        self.poll.get_ref().registry().try_clone()
    }

    /// Waits until something has happened, and tells what; if `in_haste`, only lets other tasks have their turn and then
    /// tells what has happened so far, which may be nothing. Dropped before it is ready, it has told nothing.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub(super) async fn wait(
        &mut self,
        in_haste: bool,
    ) -> io::Result<impl Iterator<Item = (Token, Readiness)>> {
        let Self { poll, events } = self;
        if in_haste {
            tokio::task::yield_now().await;
            ask(poll.get_mut(), events)?;
        } else {
            let mut guard = poll.readable_mut().await?;
            ask(guard.get_inner_mut(), events)?;
            // A full answer may not be all there is.
            if events.iter().count() < EVENTS {
                guard.clear_ready();
            }
        }
        Ok(events.iter().map(|event| (event.token(), readiness(event))))
    }
}

/// Begins to watch a socket.
///
/// # Errors
///
/// The system's error.
pub(super) fn watch(registry: &Registry, socket: &mut impl Source, index: usize) -> io::Result<()> {
    registry.register(socket, Token(index), Interest::READABLE | Interest::WRITABLE)
}

/// Takes the events there are, without waiting.
fn ask(poll: &mut Poll, events: &mut Events) -> io::Result<()> {
    match poll.poll(events, Some(Duration::ZERO)) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            events.clear();
            Ok(())
        }
        other => other,
    }
}

fn readiness(event: &Event) -> Readiness {
    Readiness {
        readable: event.is_readable(),
        at_end: event.is_read_closed(),
        writable: event.is_writable(),
        broken: event.is_error(),
    }
}
