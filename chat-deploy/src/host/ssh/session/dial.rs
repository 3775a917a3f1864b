//! From a name to a TCP connection, with an exact word for each way in which that fails.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::patience::{Patience, Stop};
use crate::host::ssh::remote::RemoteError;

/// How long an address has before the next one of the same host is tried beside it (RFC 8305 calls it the connection
/// attempt delay).
const HEAD_START: Duration = Duration::from_millis(250);

/// A connection on which nothing happens, as while a person thinks, is kept alive through routers that forget, and found
/// dead within a minute.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(20))
    .with_interval(Duration::from_secs(10))
    .with_retries(4);

/// Connects. The socket does not block.
pub(super) fn dial(host: &str, port: u16, peer: &str, patience: &Patience) -> Result<TcpStream, RemoteError> {
    let addresses = resolve(host, port, patience).map_err(|error| error.into_remote(host, peer, patience))?;
    connect(&addresses, patience).map_err(|error| error.into_remote(host, peer, patience))
}

#[derive(Debug)]
enum DialError {
    Stop(Stop),
    NotFound(io::Error),
    System(io::Error),
}

impl DialError {
    fn into_remote(self, host: &str, peer: &str, patience: &Patience) -> RemoteError {
        let peer = peer.to_owned();
        match self {
            Self::Stop(Stop::Interrupted) => RemoteError::Interrupted,
            Self::Stop(_) => RemoteError::Filtered { peer, within: patience.within },
            Self::NotFound(source) => RemoteError::Unknown { host: host.to_owned(), source },
            Self::System(source) => match source.kind() {
                io::ErrorKind::ConnectionRefused => RemoteError::Refused { peer },
                io::ErrorKind::TimedOut => RemoteError::Filtered { peer, within: patience.within },
                _ => RemoteError::Unreachable { peer, source },
            },
        }
    }
}

fn resolve(host: &str, port: u16, patience: &Patience) -> Result<Vec<SocketAddr>, DialError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let name = host.to_owned();
    let look_up = move || Ok((name.as_str(), port).to_socket_addrs()?.collect::<Vec<_>>());
    let answer = match patience.elsewhere(look_up) {
        // A resolver that does not answer is no firewall.
        Err(Stop::Late) => Err(io::Error::from(io::ErrorKind::TimedOut)),
        Err(stop) => return Err(DialError::Stop(stop)),
        Ok(answer) => answer,
    };
    match answer {
        Ok(addresses) if addresses.is_empty() => Err(DialError::NotFound(io::ErrorKind::NotFound.into())),
        answer => answer.map_err(DialError::NotFound),
    }
}

/// Tries the addresses, each a little after the one before, and takes the first that answers.
fn connect(addresses: &[SocketAddr], patience: &Patience) -> Result<TcpStream, DialError> {
    let mut waiting = addresses.iter();
    let mut under_way: Vec<Socket> = Vec::new();
    let mut failure = None;
    let mut next_at = Instant::now();
    loop {
        if (under_way.is_empty() || Instant::now() >= next_at)
            && let Some(&address) = waiting.next()
        {
            next_at = Instant::now() + HEAD_START;
            match start(address) {
                Ok(socket) => under_way.push(socket),
                Err(error) => failure = Some(graver(failure, error)),
            }
            continue;
        }
        if under_way.is_empty() {
            let error = failure.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into());
            return Err(DialError::System(error));
        }
        for index in ready(&under_way, patience).map_err(DialError::Stop)? {
            let socket = under_way.swap_remove(index);
            match socket.take_error() {
                Ok(None) => return finish(socket).map_err(DialError::System),
                Ok(Some(error)) | Err(error) => failure = Some(graver(failure, error)),
            }
        }
    }
}

/// Returns which connections came about or failed, the last one first, so that they can be taken out one by one.
fn ready(sockets: &[Socket], patience: &Patience) -> Result<Vec<usize>, Stop> {
    let mut wanted: Vec<PollFd<'_>> =
        sockets.iter().map(|socket| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::OUT)).collect();
    // A poll that a signal ends leaves no word of readiness.
    patience.poll(&mut wanted, HEAD_START)?;
    Ok(wanted.iter().enumerate().rev().filter(|(_, fd)| !fd.revents().is_empty()).map(|(i, _)| i).collect())
}

fn start(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
            Err(error)
        }
        _ => Ok(socket),
    }
}

fn finish(socket: Socket) -> io::Result<TcpStream> {
    // Commands are small and wait for their answers.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    Ok(socket.into())
}

/// Of two failures, the one that says more: that a machine refused is news of the machine, that there is no way to one of
/// its addresses may be news of our network.
fn graver(former: Option<io::Error>, latter: io::Error) -> io::Error {
    match former {
        Some(former) if former.kind() == io::ErrorKind::ConnectionRefused => former,
        _ => latter,
    }
}
