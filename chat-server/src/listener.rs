//! The listening socket: binds it or takes it as it is handed over, accepts connections, and keeps going when there is no room for more.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::admission::Refusal;
use crate::connection;
use crate::hub::Hub;

/// Connections that may wait to be accepted. The kernel caps it at its own limit (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// How long accepting pauses when the process or the system is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// A silent connection is probed after this long, and given up after some unanswered probes: four minutes in all.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(120);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
const KEEPALIVE_PROBES: u32 = 4;

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
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER);
    socket.set_tcp_keepalive(&keepalive.with_interval(KEEPALIVE_EVERY).with_retries(KEEPALIVE_PROBES))
}

/// Accepts connections for ever; each is served by a task of its own.
pub(crate) async fn accept_forever(hub: Rc<Hub>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => admit(&hub, stream, peer),
            Err(error) if is_of_the_connection(&error) => {
                tracing::debug!(%error, "a connection was gone at once")
            }
            Err(error) => {
                // Connections wait in the backlog meanwhile.
                tracing::warn!(%error, connections = hub.connections(), "cannot accept connections; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn admit(hub: &Rc<Hub>, stream: TcpStream, peer: SocketAddr) {
    let admitted = hub.admission.borrow_mut().admit(peer.ip(), &hub.limits);
    match admitted {
        Ok(()) => {
            tokio::task::spawn_local(connection::serve(Rc::clone(hub), stream, peer));
        }
        // Closed at once: nothing is known yet of what the client would understand.
        Err(Refusal::Full) => hub.log_full(peer),
        Err(Refusal::AddressFull) => {
            tracing::debug!(%peer, "refused: too many connections from this address")
        }
    }
}

/// Errors that concern one connection and say nothing about the next.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
