//! What a test needs around a client: a server of ours and a home of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use chat_client::link::{Dialect, Encryption, Incoming, KeySource, Link, LinkError, Target, Timeouts, Trust};
use chat_client::pins::Pins;
use chat_core::known_servers::ServerAddress;
use chat_core::packet::PacketType;
use chat_server::{Clock, Running, Settings};
use tempfile::TempDir;

/// Where nobody listens on the machines that this is tried on: the port of a service (tcpmux) that hardly any has.
pub(crate) const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// No test waits longer than this for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server of ours with data of its own.
pub(crate) struct Server {
    pub(crate) running: Running,
    _data: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub(crate) fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut settings = Settings { port: 0, data: data.path().join("data"), ..Settings::default() };
        change(&mut settings);
        Self { running: chat_server::spawn(settings, Clock::system()).unwrap(), _data: data }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.addr()
    }
}

/// A user's home.
pub(crate) struct Home {
    directory: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    pub(crate) fn pins(&self) -> Pins {
        Pins::at(self.path().join(".config/chat-client/known_servers"))
    }

    pub(crate) fn target(&self, address: SocketAddr, encryption: Encryption) -> Target {
        Target {
            address: server_address(address),
            agent: "chat-client/test".to_owned(),
            dialect: Dialect::Auto,
            encryption,
            trust: Trust { pins: Some(self.pins()), demanded: None },
            classic_keys: KeySource::Fresh,
            timeouts: Timeouts::default(),
        }
    }
}

pub(crate) fn server_address(address: SocketAddr) -> ServerAddress {
    ServerAddress::new(&address.ip().to_string(), address.port())
}

/// Waits for the next packet of a kind and returns its text.
pub(crate) async fn next(link: &mut Link, kind: PacketType) -> Result<String, LinkError> {
    let waiting = async {
        loop {
            match link.next().await? {
                Incoming::Packet { kind: came, text } if came == kind => return Ok(text),
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the packet never came")
}
