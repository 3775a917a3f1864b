//! A real server on a free port of the loopback address, with its data in a directory that goes away with it.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use chat_server::{Clock, Running, Settings};
use tempfile::TempDir;

use crate::Peer;
use crate::vectors::Key;

/// A server that runs until it is dropped.
pub struct TestServer {
    running: Option<Running>,
    address: SocketAddr,
    data: TempDir,
}

impl TestServer {
    /// Starts a server with the default settings but for a cheap password hash.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(Clock::system(), |_, _| {})
    }

    /// Starts a server after `prepare` has changed its settings and filled its data directory.
    #[must_use]
    pub fn start_with(clock: Clock, prepare: impl FnOnce(&mut Settings, &Path)) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let mut settings = Settings { port: 0, data: data.path().to_owned(), ..Settings::default() };
        // The smallest that argon2id allows: tests are about the chat, not about hashing.
        settings.accounts.memory_kib = 8;
        settings.accounts.iterations = 1;
        prepare(&mut settings, data.path());
        let running = chat_server::spawn(settings, clock).expect("the server starts");
        Self { address: running.addr(), running: Some(running), data }
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Connects a peer and greets.
    #[must_use]
    pub fn peer(&self) -> Peer {
        Peer::greet(self.address)
    }
}

/// Writes a classic key pair into a data directory as the server itself would.
pub fn write_server_key(data: &Path, key: &Key) {
    let directory = data.join("rsa");
    fs::create_dir_all(&directory).expect("a directory for the keys");
    fs::write(directory.join("publickey.txt"), &key.public_file).expect("the public key is written");
    let path = directory.join("privatekey.txt");
    fs::write(&path, &key.private_file).expect("the private key is written");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("the private key is made private");
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            let stopped = running.stop();
            // A second panic would hide the report of the first.
            assert!(stopped.is_ok() || std::thread::panicking(), "the server did not stop well: {stopped:?}");
        }
    }
}
