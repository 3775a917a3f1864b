//! The listening socket: binds it or takes it as it is handed over, accepts connections, and keeps going when there is no room
//! for more.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// Connections that may wait to be accepted. The kernel caps it at its own limit (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// How long accepting pauses when the process or the system is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// How often it is logged that accepting fails, at most.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// A silent connection is probed after this long, and given up after some unanswered probes: four minutes in all.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(120);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
const KEEPALIVE_PROBES: u32 = 4;

/// A connection is given up when it has not acknowledged what it was sent for as long, or when there was no room for more at its
/// end: nothing is probed then, and without this a client that vanished from a room that talks would keep its place for a
/// quarter of an hour.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(240);

/// Binds an address.
///
/// # Errors
///
/// The system's error, such as `AddrInUse`.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted server must not wait for the last one's connections to time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    configure(&SockRef::from(&socket))?;
    Ok(socket.into())
}

/// Prepares a socket that listens already.
///
/// # Errors
///
/// The system's error.
pub(crate) fn adopt(listener: &std::net::TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    configure(&SockRef::from(listener))
}

/// Sets on the listening socket what accepted ones inherit from it, which saves two system calls for each.
fn configure(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER);
    socket.set_tcp_keepalive(&keepalive.with_interval(KEEPALIVE_EVERY).with_retries(KEEPALIVE_PROBES))
}

/// The listening socket while the server runs.
pub(crate) struct Listener {
    socket: TcpListener,
    state: State,
    /// When a failure was last logged; it may go on for hours.
    warned: Option<Instant>,
}

/// Whether there is something to accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing that is known of.
    Asleep,
    /// Perhaps.
    Awake,
    /// It could not be accepted; connections wait in the backlog meanwhile.
    Paused { until: Instant },
}

impl Listener {
    /// Most connections accepted before those that are open get their turn.
    pub(crate) const ACCEPTS_PER_TURN: usize = 64;

    /// Begins to watch a socket that listens and does not block.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub(crate) fn new(socket: std::net::TcpListener, registry: &Registry, token: Token) -> io::Result<Self> {
        let mut socket = TcpListener::from_std(socket);
        registry.register(&mut socket, token, Interest::READABLE)?;
        // What came before it was watched may not be told of.
        Ok(Self { socket, state: State::Awake, warned: None })
    }

    /// Notes that somebody connects.
    pub(crate) fn wake(&mut self) {
        if self.state == State::Asleep {
            self.state = State::Awake;
        }
    }

    /// Tells whether there may be somebody to accept.
    pub(crate) fn is_awake(&self) -> bool {
        self.state == State::Awake
    }

    /// Returns when to try again after a failure.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        match self.state {
            State::Paused { until } => Some(until),
            State::Asleep | State::Awake => None,
        }
    }

    /// Tries again if it is time for it.
    pub(crate) fn retry(&mut self, now: Instant) {
        if self.retry_at().is_some_and(|until| until <= now) {
            self.state = State::Awake;
        }
    }

    /// Accepts the next connection, if there is one and it can be accepted. `connections` are open, for the log.
    pub(crate) fn accept(&mut self, connections: usize) -> Option<(TcpStream, SocketAddr)> {
        while self.state == State::Awake {
            match self.socket.accept() {
                Ok(accepted) => return Some(accepted),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.state = State::Asleep,
                Err(error) if is_of_the_connection(&error) => {
                    tracing::debug!(%error, "a connection was gone at once");
                }
                Err(error) => {
                    let now = Instant::now();
                    if self.warned.is_none_or(|warned| now - warned >= WARN_EVERY) {
                        self.warned = Some(now);
                        tracing::warn!(%error, connections, "cannot accept connections; trying again");
                    }
                    self.state = State::Paused { until: now + PAUSE };
                }
            }
        }
        None
    }
}

/// Errors that concern one connection and say nothing about the next.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
