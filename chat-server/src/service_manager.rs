//! What a service manager such as systemd is told: that the server serves, how it is, that it is stopping, and, for a
//! watchdog, that its event loop still turns.
//!
//! The protocol is that of `sd_notify(3)`: datagrams of `NAME=value` lines to the Unix socket that `NOTIFY_SOCKET` names.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::status::Census;

/// How often the status is brought up to date, at least.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// How long a service manager may take to receive the first message. Later ones are dropped if it is not reading.
const FIRST_MESSAGE: Duration = Duration::from_secs(1);

/// A service manager that wants to be told.
#[derive(Debug)]
pub struct ServiceManager {
    socket: UnixDatagram,
    address: SocketAddr,
    /// How long it waits for a sign of life before it takes the server for stuck.
    watchdog: Option<Duration>,
}

/// Why a service manager cannot be told anything.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// Its address is no Unix socket's.
    #[error("NOTIFY_SOCKET is {value:?}, which names no Unix socket")]
    Address {
        /// What the variable says.
        value: OsString,
        /// What is wrong with it.
        source: io::Error,
    },
    /// There is no socket to send from.
    #[error("no socket to notify the service manager from")]
    Socket(#[source] io::Error),
}

impl ServiceManager {
    /// Finds the service manager of process `pid` in its environment; nothing if it has none.
    ///
    /// # Errors
    ///
    /// [`NotifyError`] if there is one that cannot be reached.
    pub fn from_environment(
        environment: &[(OsString, OsString)],
        pid: u32,
    ) -> Result<Option<Self>, NotifyError> {
        let variable = |name: &str| environment.iter().find(|(its_name, _)| its_name == name).map(|(_, v)| v);
        let Some(value) = variable("NOTIFY_SOCKET").filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let address =
            address(value).map_err(|source| NotifyError::Address { value: value.clone(), source })?;
        let socket = UnixDatagram::unbound().map_err(NotifyError::Socket)?;
        socket.set_write_timeout(Some(FIRST_MESSAGE)).map_err(NotifyError::Socket)?;
        let number = |name| variable(name).and_then(|value| value.to_str()?.parse::<u64>().ok());
        let is_for_us = variable("WATCHDOG_PID").is_none() || number("WATCHDOG_PID") == Some(u64::from(pid));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| is_for_us && *micros > 0);
        Ok(Some(Self { socket, address, watchdog: watchdog.map(Duration::from_micros) }))
    }

    /// Says that the server serves; also after [`Self::reloading`].
    pub(crate) fn ready(&self) {
        let sent = self.send("READY=1\n").and_then(|()| self.socket.set_nonblocking(true));
        if let Err(error) = sent {
            tracing::warn!(%error, "the service manager cannot be told that the server is ready");
        }
    }

    /// Says that the server reads its settings again.
    pub(crate) fn reloading(&self) {
        self.send_if_read("RELOADING=1\n");
    }

    /// Says that the server is stopping.
    pub(crate) fn stopping(&self) {
        self.send_if_read("STOPPING=1\n");
    }

    /// Says again and again how the server is. Runs on the event loop, so that a watchdog notices when that is stuck.
    pub(crate) async fn report_forever(&self, census: impl Fn() -> Census) {
        let period = self.watchdog.map_or(REPORT_INTERVAL, |limit| REPORT_INTERVAL.min(limit / 2));
        let mut interval = tokio::time::interval(period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = None;
        loop {
            interval.tick().await;
            let mut message = String::new();
            if self.watchdog.is_some() {
                message.push_str("WATCHDOG=1\n");
            }
            let census = census();
            if told.replace(census) != Some(census) {
                message.push_str(&format!("STATUS={census}\n"));
            }
            if !message.is_empty() {
                self.send_if_read(&message);
            }
        }
    }

    fn send_if_read(&self, message: &str) {
        if let Err(error) = self.send(message) {
            tracing::debug!(%error, "the service manager did not take a message");
        }
    }

    fn send(&self, message: &str) -> io::Result<()> {
        // Addressed anew each time: the other end may be replaced while the server runs.
        self.socket.send_to_addr(message.as_bytes(), &self.address).map(drop)
    }
}

/// A path, or behind an `@` a name in Linux's abstract namespace.
fn address(value: &OsStr) -> io::Result<SocketAddr> {
    match value.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(value),
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is neither an absolute path nor begins with @",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::rc::Rc;

    use super::*;
    use crate::status::Connections;

    fn manager(variables: &[(&str, &str)]) -> Result<Option<ServiceManager>, NotifyError> {
        let environment: Vec<_> = variables.iter().map(|(k, v)| (k.into(), v.into())).collect();
        ServiceManager::from_environment(&environment, 77)
    }

    /// What has come and not been looked at.
    fn received(socket: &UnixDatagram) -> Vec<String> {
        socket.set_nonblocking(true).unwrap();
        let mut bytes = [0; 1000];
        std::iter::from_fn(|| {
            let length = socket.recv(&mut bytes).ok()?;
            Some(String::from_utf8(bytes[..length].to_vec()).unwrap())
        })
        .collect()
    }

    #[test]
    fn without_a_socket_there_is_nobody_to_tell() {
        assert!(manager(&[]).unwrap().is_none());
        assert!(manager(&[("NOTIFY_SOCKET", ""), ("WATCHDOG_USEC", "1000000")]).unwrap().is_none());
    }

    #[test]
    fn only_unix_sockets_are_addresses() {
        for wrong in ["run/notify", "vsock:2:1234", &format!("/{}", "x".repeat(200))] {
            let error = manager(&[("NOTIFY_SOCKET", wrong)]).unwrap_err();
            assert_eq!(error.to_string(), format!("NOTIFY_SOCKET is {wrong:?}, which names no Unix socket"));
        }
    }

    #[test]
    fn a_watchdog_counts_if_it_is_meant_for_this_process() {
        let watchdog = |variables: &[(&str, &str)]| {
            let variables = [&[("NOTIFY_SOCKET", "/run/notify")], variables].concat();
            manager(&variables).unwrap().unwrap().watchdog
        };
        assert_eq!(watchdog(&[]), None);
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "0")]), None);
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "soon")]), None);
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "500000")]), Some(Duration::from_millis(500)));
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "5"), ("WATCHDOG_PID", "76")]), None);
        assert_eq!(
            watchdog(&[("WATCHDOG_USEC", "5"), ("WATCHDOG_PID", "77")]),
            Some(Duration::from_micros(5))
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn abstract_names_are_understood() {
        use std::os::linux::net::SocketAddrExt as _;
        let name = format!("chat-server-test-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        manager(&[("NOTIFY_SOCKET", &format!("@{name}"))]).unwrap().unwrap().ready();
        assert_eq!(received(&socket), ["READY=1\n"]);
    }

    fn listening(directory: &Path, watchdog: Option<&str>) -> (UnixDatagram, ServiceManager) {
        let path = directory.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let mut variables = vec![("NOTIFY_SOCKET", path.to_str().unwrap())];
        variables.extend(watchdog.map(|micros| ("WATCHDOG_USEC", micros)));
        (socket, manager(&variables).unwrap().unwrap())
    }

    #[tokio::test(start_paused = true, flavor = "local")]
    async fn signs_of_life_come_twice_per_limit_and_the_status_when_it_changes() {
        let directory = tempfile::tempdir().unwrap();
        let (socket, manager) = listening(directory.path(), Some("4000000"));
        let joined = Rc::new(std::cell::Cell::new(0));
        let census = {
            let joined = Rc::clone(&joined);
            move || {
                let connections = Connections { total: 1, noise: 1, ..Connections::default() };
                Census { connections, joined: joined.get(), logged_in: 0 }
            }
        };
        tokio::task::spawn_local(async move { manager.report_forever(census).await });
        tokio::time::sleep(Duration::from_millis(2100)).await;
        let first = "WATCHDOG=1\nSTATUS=1 connection, 0 joined, 0 logged in\n";
        assert_eq!(received(&socket), [first, "WATCHDOG=1\n"]);
        joined.set(1);
        tokio::time::sleep(Duration::from_millis(2000)).await;
        assert_eq!(received(&socket), ["WATCHDOG=1\nSTATUS=1 connection, 1 joined, 0 logged in\n"]);
    }

    #[tokio::test(start_paused = true, flavor = "local")]
    async fn without_a_watchdog_nothing_is_said_that_is_not_new() {
        let directory = tempfile::tempdir().unwrap();
        let (socket, manager) = listening(directory.path(), None);
        tokio::task::spawn_local(async move { manager.report_forever(Census::default).await });
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(received(&socket), ["STATUS=0 connections, 0 joined, 0 logged in\n"]);
    }

    #[test]
    fn a_manager_that_is_gone_or_does_not_read_holds_nothing_up() {
        let directory = tempfile::tempdir().unwrap();
        let (socket, manager) = listening(directory.path(), None);
        manager.ready();
        let started = std::time::Instant::now();
        (0..10_000).for_each(|_| manager.stopping());
        assert!(started.elapsed() < Duration::from_secs(5));
        assert!(received(&socket).len() < 10_000);
        drop(socket);
        manager.stopping();
    }
}
