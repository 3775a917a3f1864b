//! One SSH connection: libssh2 without its waiting, which has neither deadline nor Ctrl-C.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;

use rustix::event::PollFlags;
use ssh_key::PublicKey;
use ssh2::{BlockDirections, ErrorCode, MethodType};

use super::patience::{Patience, Stop};
use crate::host::ssh::remote::RemoteError;

/// libssh2's `LIBSSH2_ERROR_EAGAIN`.
const AGAIN: i32 = -37;
/// libssh2's `LIBSSH2_ERROR_BANNER_RECV`.
const NO_BANNER: i32 = -2;
/// libssh2's `LIBSSH2_ERROR_SOCKET_DISCONNECT`.
const DISCONNECTED: i32 = -13;
/// libssh2's `LIBSSH2_ERROR_SOCKET_RECV`.
const NOT_RECEIVED: i32 = -43;

/// How much of what a stranger says is shown.
const SHOWN_BYTES: usize = 80;

/// A connection whose host key is known, and perhaps not verified yet.
pub(super) struct Link {
    pub(super) ssh: ssh2::Session,
    socket: TcpStream,
    pub(super) peer: String,
    pub(super) host_key: PublicKey,
}

impl Link {
    /// Shakes hands. `preference` says which kinds of host key are asked for, as libssh2 takes it.
    pub(super) fn open(
        socket: TcpStream,
        peer: &str,
        preference: &str,
        patience: &Patience,
    ) -> Result<Self, RemoteError> {
        let mut first_words = Vec::new();
        let ssh = shake_hands(&socket, preference, &mut first_words, patience)
            .map_err(|stop| not_shaken(stop, peer, &first_words, patience))?;
        let failed = |source| RemoteError::Handshake { peer: peer.to_owned(), source };
        let blob = ssh.host_key().map(|(blob, _)| blob).unwrap_or_default();
        let host_key = PublicKey::from_bytes(blob).map_err(|error| failed(error.into()))?;
        Ok(Self { ssh, socket, peer: peer.to_owned(), host_key })
    }

    /// Repeats a call of libssh2 until it wants to wait no longer.
    pub(super) fn finish<T>(
        &self,
        patience: &Patience,
        mut call: impl FnMut() -> Result<T, ssh2::Error>,
    ) -> Result<T, Stop> {
        loop {
            match call() {
                Err(error) if is_again(&error) => self.wait(patience)?,
                Err(error) => return Err(Stop::Failed(error)),
                Ok(value) => return Ok(value),
            }
        }
    }

    /// Waits for the socket as libssh2 wants it, for a slice of time at most.
    pub(super) fn wait(&self, patience: &Patience) -> Result<(), Stop> {
        wait(&self.ssh, &self.socket, patience)
    }

    /// Tells whether the other side has ended the connection, or does so in a moment.
    pub(super) fn is_ending(&self, patience: &Patience) -> bool {
        let _ = patience.poll_one(self.socket.as_fd(), PollFlags::IN);
        match self.socket.peek(&mut [0]) {
            Ok(length) => length == 0,
            Err(error) => !is_again_io(&error),
        }
    }

    /// Ends the connection. What was begun and given up halfway would be taken for the beginning of the next call.
    pub(super) fn cut(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Makes the error for a wait that ended during `doing`.
    pub(super) fn stopped(&self, stop: Stop, doing: &str, patience: &Patience) -> RemoteError {
        let peer = self.peer.clone();
        let doing = doing.to_owned();
        match stop {
            Stop::Interrupted => RemoteError::Interrupted,
            Stop::Late => RemoteError::Slow { peer, doing, within: patience.within },
            Stop::Failed(error) => RemoteError::Broken { peer, doing, source: error.into() },
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // A word of farewell, if it goes out at once; without it the other side sees the end of the connection.
        let _ = self.ssh.disconnect(None, "done", None);
        self.cut();
    }
}

fn shake_hands(
    socket: &TcpStream,
    preference: &str,
    first_words: &mut Vec<u8>,
    patience: &Patience,
) -> Result<ssh2::Session, Stop> {
    let mut ssh = ssh2::Session::new().map_err(Stop::Failed)?;
    let owned = socket.try_clone().map_err(|error| Stop::Failed(as_ssh2(&error)))?;
    ssh.set_tcp_stream(owned);
    ssh.set_blocking(false);
    ssh.method_pref(MethodType::HostKey, preference).map_err(Stop::Failed)?;
    let stop = loop {
        if first_words.is_empty() {
            // libssh2 keeps what is no SSH to itself, so we look before it does. Waiting for the words, though, would cost
            // a round trip: it has something to say first.
            let mut words = [0; SHOWN_BYTES];
            let length = socket.peek(&mut words).unwrap_or(0);
            first_words.extend(words.iter().take(length));
        }
        match ssh.handshake() {
            Ok(()) => return Ok(ssh),
            Err(error) if !is_again(&error) => break Stop::Failed(error),
            Err(_) => {
                if let Err(stop) = wait(&ssh, socket, patience) {
                    break stop;
                }
            }
        }
    };
    if first_words.is_empty() {
        // They may have come between our look and libssh2's.
        first_words.extend(ssh.banner_bytes().unwrap_or_default());
    }
    Err(stop)
}

fn wait(ssh: &ssh2::Session, socket: &TcpStream, patience: &Patience) -> Result<(), Stop> {
    // Always for reading too: libssh2 has read all there was, and what comes may be what it waits for to write.
    let flags = match ssh.block_directions() {
        BlockDirections::Outbound | BlockDirections::Both => PollFlags::IN | PollFlags::OUT,
        BlockDirections::None | BlockDirections::Inbound => PollFlags::IN,
    };
    patience.poll_one(socket.as_fd(), flags)
}

fn not_shaken(stop: Stop, peer: &str, first_words: &[u8], patience: &Patience) -> RemoteError {
    let peer = peer.to_owned();
    let is_ssh = first_words.starts_with(b"SSH-");
    match stop {
        Stop::Interrupted => RemoteError::Interrupted,
        _ if !is_ssh && !first_words.is_empty() => {
            RemoteError::NotSsh { peer, said: show_words(first_words) }
        }
        Stop::Late => RemoteError::Silent { peer, within: patience.within },
        Stop::Failed(error) if first_words.is_empty() && has_hung_up(&error) => RemoteError::HungUp { peer },
        Stop::Failed(error) => RemoteError::Handshake { peer, source: error.into() },
    }
}

/// Tells whether the other side ended the connection, in whichever of the ways libssh2 sees that.
fn has_hung_up(error: &ssh2::Error) -> bool {
    matches!(error.code(), ErrorCode::Session(NO_BANNER | DISCONNECTED | NOT_RECEIVED))
}

/// Shows the first line of what a stranger said, without what could steer a terminal.
fn show_words(words: &[u8]) -> String {
    let line = words.split(|&byte| byte == b'\n' || byte == b'\r').next().unwrap_or_default();
    format!("'{}'", line.escape_ascii())
}

pub(super) fn is_again(error: &ssh2::Error) -> bool {
    error.code() == ErrorCode::Session(AGAIN)
}

/// Tells whether a read or write only has to wait.
pub(super) fn is_again_io(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// There is no way to make an `ssh2::Error` of a system's; `SOCKET_NONE` is what libssh2 says in that case.
fn as_ssh2(_: &io::Error) -> ssh2::Error {
    ssh2::Error::new(ErrorCode::Session(-1), "the socket cannot be shared")
}
