//! The other end of the control socket: asks a running server something, and says what is in the way if there is no answer.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chat_core::secret::Secret;
use socket2::{Domain, SockAddr, Socket, Type};

use super::{Password, Reply, Request, UserEntry, path_in};
use crate::status::Status;

/// How long a server may take for each step of an answer; less than it gives a connection in all.
const PATIENCE: Duration = Duration::from_secs(4);

/// The longest answer, in bytes.
const MAX_REPLY_BYTES: u64 = 1024 * 1024;

/// Why a running server could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No server listens there.
    #[error("no server answers for the data directory {}", data.display())]
    NotRunning {
        /// The directory.
        data: PathBuf,
    },
    /// The directory's path leaves no room for the socket's name.
    #[error("the path {} is longer than a socket's may be", path.display())]
    PathTooLong {
        /// The socket.
        path: PathBuf,
    },
    /// The socket cannot be used.
    #[error("cannot ask the server through {}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The server did not answer in time.
    #[error("the server did not answer within {} seconds", patience.as_secs())]
    Silent {
        /// How long it was waited for.
        patience: Duration,
    },
    /// The answer is none.
    #[error("the server's answer is not understood")]
    Garbled(#[source] serde_json::Error),
    /// The server did not understand.
    #[error("the server refused: {0}")]
    Refused(String),
    /// It cannot be done.
    #[error("{0}")]
    Impossible(String),
}

impl ControlError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotRunning { .. } => "start one, or name its data directory with --data DIR",
            Self::PathTooLong { .. } => {
                "such a server runs without control socket; give it a data directory with a shorter path, which may be a \
                 relative one"
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "run this as the user who runs the server, or as root"
            }
            Self::Silent { .. } => "it is stopped, stuck or very busy; its log may tell",
            Self::Garbled(_) | Self::Refused(_) => {
                "the server may be of another version than this program; restart it with this one"
            }
            Self::Io { .. } | Self::Impossible(_) => return None,
        };
        Some(hint.to_owned())
    }
}

/// Asks the server that uses a data directory how it is. Blocks, for some seconds at most.
///
/// # Errors
///
/// [`ControlError`], also if there is no such server.
pub fn status(data: &Path) -> Result<Status, ControlError> {
    match ask(data, &Request::Status {}, PATIENCE)? {
        Reply::Status(status) => Ok(status),
        other => Err(unexpected(other)),
    }
}

/// Asks the server that uses a data directory what it counts about itself, in the text format of OpenMetrics.
///
/// # Errors
///
/// As [`status`].
pub fn metrics(data: &Path) -> Result<String, ControlError> {
    match ask(data, &Request::Metrics {}, PATIENCE)? {
        Reply::Metrics(text) => Ok(text),
        other => Err(unexpected(other)),
    }
}

/// Asks for all accounts, in the order of their names; some at a time, each time for some seconds at most.
///
/// # Errors
///
/// As [`status`].
pub fn users(data: &Path) -> Result<Vec<UserEntry>, ControlError> {
    let mut all: Vec<UserEntry> = Vec::new();
    loop {
        let after = all.last().map(|user| user.name.clone()).unwrap_or_default();
        match ask(data, &Request::Users { after }, PATIENCE)? {
            Reply::Users { users, last } => {
                // A server that sent nothing and said there were more would be asked for ever.
                let is_over = last || users.is_empty();
                all.extend(users);
                if is_over {
                    return Ok(all);
                }
            }
            other => return Err(unexpected(other)),
        }
    }
}

/// Asks for one account.
///
/// # Errors
///
/// As [`status`], also if there is no such account.
pub fn user(data: &Path, name: &str) -> Result<UserEntry, ControlError> {
    match ask(data, &Request::User { name: name.to_owned() }, PATIENCE)? {
        Reply::User(user) => Ok(user),
        other => Err(unexpected(other)),
    }
}

/// Gives an account another password.
///
/// # Errors
///
/// As [`status`], also if there is no such account or it cannot have such a password.
pub fn reset_password(data: &Path, name: &str, password: &Secret) -> Result<(), ControlError> {
    done(data, &Request::ResetPassword { name: name.to_owned(), password: Password(password.clone()) })
}

/// Removes an account, and ends the connection that is logged in by it.
///
/// # Errors
///
/// As [`status`], also if there is no such account.
pub fn remove_user(data: &Path, name: &str) -> Result<(), ControlError> {
    done(data, &Request::RemoveUser { name: name.to_owned() })
}

/// Ends the connection that is logged in by a name, or is called `Client-<number>`, within a second.
///
/// # Errors
///
/// As [`status`], also if there is no such connection.
pub fn kick(data: &Path, who: &str) -> Result<(), ControlError> {
    done(data, &Request::Kick { who: who.to_owned() })
}

/// Has the server take nobody new, and stop when everybody has left or that many seconds have passed.
///
/// # Errors
///
/// As [`status`].
pub fn drain(data: &Path, seconds: u64) -> Result<(), ControlError> {
    done(data, &Request::Drain { seconds })
}

fn done(data: &Path, request: &Request) -> Result<(), ControlError> {
    match ask(data, request, PATIENCE)? {
        Reply::Done {} => Ok(()),
        other => Err(unexpected(other)),
    }
}

/// What an answer is that was not hoped for.
fn unexpected(reply: Reply) -> ControlError {
    match reply {
        Reply::Error(why) => ControlError::Refused(why),
        Reply::Refused(why) => ControlError::Impossible(why),
        Reply::Status(_) | Reply::Metrics(_) | Reply::Users { .. } | Reply::User(_) | Reply::Done {} => {
            ControlError::Refused("it answered something else".to_owned())
        }
    }
}

fn ask(data: &Path, request: &Request, patience: Duration) -> Result<Reply, ControlError> {
    let path = path_in(data);
    let Ok(address) = SockAddr::unix(&path) else { return Err(ControlError::PathTooLong { path }) };
    let line = exchange(&address, request, patience).map_err(|source| match source.kind() {
        // Nothing there, or what a server left that was killed, or one that stopped this moment.
        io::ErrorKind::NotFound
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => ControlError::NotRunning { data: data.to_owned() },
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ControlError::Silent { patience },
        _ => ControlError::Io { path, source },
    })?;
    serde_json::from_slice(&line).map_err(ControlError::Garbled)
}

fn exchange(address: &SockAddr, request: &Request, patience: Duration) -> io::Result<Vec<u8>> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Connecting, too, waits no longer than writing may.
    socket.set_write_timeout(Some(patience))?;
    socket.set_read_timeout(Some(patience))?;
    socket.connect(address)?;
    let mut stream = std::os::unix::net::UnixStream::from(socket);
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut reply = Vec::new();
    BufReader::new(stream.take(MAX_REPLY_BYTES)).read_until(b'\n', &mut reply)?;
    if reply.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(reply) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Asks a server that answers everything with `answer`; nothing at all for `None`.
    fn asked(answer: Option<&'static [u8]>) -> ControlError {
        let data = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(path_in(data.path())).unwrap();
        let serving = std::thread::spawn(move || {
            let Some(answer) = answer else { return Some(listener) };
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = String::new();
            BufReader::new(&stream).read_line(&mut request).unwrap();
            assert_eq!(request, "{\"command\":\"status\"}\n");
            stream.write_all(answer).unwrap();
            None
        });
        let result = ask(data.path(), &Request::Status {}, Duration::from_millis(200));
        serving.join().unwrap();
        match result {
            Ok(reply) => unexpected(reply),
            Err(error) => error,
        }
    }

    #[test]
    fn every_way_not_to_answer_has_its_error() {
        assert!(matches!(asked(None), ControlError::Silent { .. }));
        assert!(matches!(asked(Some(b"")), ControlError::NotRunning { .. }));
        assert!(matches!(asked(Some(b"what?\n")), ControlError::Garbled(_)));
        assert!(matches!(asked(Some(b"{\"status\":{\"pid\":1}}\n")), ControlError::Garbled(_)));
        let refused = asked(Some(b"{\"error\":\"no\"}\n"));
        assert_eq!(refused.to_string(), "the server refused: no");
    }

    #[test]
    fn no_server_is_an_error_that_names_the_directory() {
        let data = tempfile::tempdir().unwrap();
        let expected = format!("no server answers for the data directory {}", data.path().display());
        assert_eq!(status(data.path()).unwrap_err().to_string(), expected);
        drop(UnixListener::bind(path_in(data.path())).unwrap());
        assert_eq!(status(data.path()).unwrap_err().to_string(), expected);
        let error = status(&data.path().join("x".repeat(120))).unwrap_err();
        assert!(matches!(error, ControlError::PathTooLong { .. }), "{error:?}");
    }
}
