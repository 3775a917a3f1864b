//! Socket activation: takes over the listening socket that a service manager such as systemd holds, so that connections wait
//! while the server is restarted, and none is refused.
//!
//! The protocol is that of `sd_listen_fds(3)`: `LISTEN_PID` names the process meant, `LISTEN_FDS` says how many descriptors
//! it has been given, from 3 on. What becomes of the socket is in the library.

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::TcpListener;

use listenfd::ListenFd;
use socket2::SockRef;

/// Why what was handed over cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActivationError {
    /// The environment makes no sense.
    #[error("LISTEN_FDS is {0:?}, which is no number of sockets")]
    Count(OsString),
    /// There is more than one socket.
    #[error("{0} sockets were handed over, and the server listens on one")]
    Several(u32),
    /// The descriptor is something else.
    #[error("what was handed over as descriptor 3 is no listening TCP socket")]
    Kind(#[source] Option<io::Error>),
}

impl ActivationError {
    /// What the operator can do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Count(_) => "unset LISTEN_PID and LISTEN_FDS to let the server listen by itself",
            Self::Several(_) => "keep one ListenStream= in the socket unit",
            Self::Kind(_) => "the socket unit needs ListenStream= with an address and a port, and Accept=no",
        }
        .to_owned()
    }
}

/// Takes the socket over that was handed to this process; nothing if none was. To be called once, before the process opens
/// anything and while it has one thread: the variables are removed, so that no child takes them for its own.
///
/// # Errors
///
/// [`ActivationError`] if there is something, but not one listening TCP socket.
pub(crate) fn take(environment: &[(OsString, OsString)]) -> Result<Option<TcpListener>, ActivationError> {
    match announced(environment, std::process::id())? {
        0 => return Ok(None),
        1 => {}
        several => return Err(ActivationError::Several(several)),
    }
    let taken =
        ListenFd::from_env().take_tcp_listener(0).map_err(|error| ActivationError::Kind(Some(error)))?;
    let listener = taken.ok_or(ActivationError::Kind(None))?;
    match is_listening(&SockRef::from(&listener)) {
        Ok(true) => Ok(Some(listener)),
        Ok(false) => Err(ActivationError::Kind(None)),
        Err(error) => Err(ActivationError::Kind(Some(error))),
    }
}

/// The number of sockets for process `pid`.
fn announced(environment: &[(OsString, OsString)], pid: u32) -> Result<u32, ActivationError> {
    let variable = |name: &str| environment.iter().find(|(its_name, _)| its_name == name).map(|(_, v)| v);
    let number = |value: &OsStr| value.to_str()?.parse::<u32>().ok();
    // Meant for somebody else, such as the shell that started this process.
    if variable("LISTEN_PID").and_then(|value| number(value)) != Some(pid) {
        return Ok(0);
    }
    let Some(count) = variable("LISTEN_FDS") else { return Ok(0) };
    number(count).ok_or_else(|| ActivationError::Count(count.clone()))
}

#[cfg(target_os = "linux")]
fn is_listening(socket: &SockRef<'_>) -> io::Result<bool> {
    Ok(socket.is_listener()? && socket.protocol()? == Some(socket2::Protocol::TCP))
}

/// Other systems cannot be asked; there, accepting would fail and say why.
#[cfg(not(target_os = "linux"))]
fn is_listening(_: &SockRef<'_>) -> io::Result<bool> {
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(variables: &[(&str, &str)], expected: Result<u32, &str>) {
        let environment: Vec<_> = variables.iter().map(|(k, v)| (k.into(), v.into())).collect();
        let announced = announced(&environment, 77).map_err(|error| error.to_string());
        assert_eq!(announced, expected.map_err(str::to_owned), "{variables:?}");
    }

    #[test]
    fn sockets_count_only_if_they_are_meant_for_this_process() {
        check(&[], Ok(0));
        check(&[("LISTEN_FDS", "1")], Ok(0));
        check(&[("LISTEN_PID", "77")], Ok(0));
        check(&[("LISTEN_PID", "76"), ("LISTEN_FDS", "1")], Ok(0));
        check(&[("LISTEN_PID", ""), ("LISTEN_FDS", "1")], Ok(0));
        check(&[("LISTEN_PID", "77"), ("LISTEN_FDS", "0")], Ok(0));
        check(&[("LISTEN_PID", "77"), ("LISTEN_FDS", "1")], Ok(1));
        check(&[("LISTEN_PID", "77"), ("LISTEN_FDS", "4000000000")], Ok(4_000_000_000));
        for wrong in ["", "one", "-1", "4294967296"] {
            let expected = format!("LISTEN_FDS is {wrong:?}, which is no number of sockets");
            check(&[("LISTEN_PID", "77"), ("LISTEN_FDS", wrong)], Err(&expected));
        }
    }
}
