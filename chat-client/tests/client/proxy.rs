//! Somebody between client and server: slow, malicious, or gone.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chat_core::frame::{FrameBuffer, MAX_PACKET_LEN, packet};
use chat_core::packet::PacketType;

/// What happens to the bytes on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mischief {
    /// Nothing.
    None,
    /// They arrive one by one.
    Dribble,
    /// HELLO disappears, in both directions.
    StripHello,
    /// The server's HELLO loses its capabilities.
    StripCaps,
    /// A bit of each SECURE packet from the server is flipped.
    Tamper,
    /// A message of the attacker's own stands behind each ENCRYPTION_ON reply.
    Inject,
}

/// A running proxy; its threads end with the test.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    open: Arc<AtomicBool>,
}

impl Proxy {
    pub(crate) fn start(server: SocketAddr, mischief: Mischief) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (streams, open) = (Arc::<Mutex<Vec<TcpStream>>>::default(), Arc::new(AtomicBool::new(true)));
        let (kept, letting_in) = (Arc::clone(&streams), Arc::clone(&open));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                if !letting_in.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(server) else { continue };
                kept.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || forward(from, to, mischief, false));
                std::thread::spawn(move || forward(server, client, mischief, true));
            }
        });
        Self { address, streams, open }
    }

    /// Cuts all connections, and lets new ones in or not.
    pub(crate) fn cut(&self, let_in: bool) {
        self.open.store(let_in, Ordering::SeqCst);
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets new connections in again.
    pub(crate) fn mend(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, mischief: Mischief, from_server: bool) {
    to.set_nodelay(true).unwrap();
    let (mut buffer, mut bytes) = (FrameBuffer::default(), [0; 4096]);
    while let Ok(len @ 1..) = from.read(&mut bytes) {
        buffer.extend(&bytes[..len]);
        while let Some(frame) = buffer.next_frame(MAX_PACKET_LEN).unwrap() {
            let passed = pass(mischief, from_server, frame.kind, frame.body);
            let size = if mischief == Mischief::Dribble { 1 } else { usize::MAX };
            for piece in passed.chunks(size.min(passed.len().max(1))) {
                if to.write_all(piece).is_err() {
                    return;
                }
                if mischief == Mischief::Dribble {
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

fn pass(mischief: Mischief, from_server: bool, kind: PacketType, body: &[u8]) -> Vec<u8> {
    let original = packet(kind, body).unwrap();
    match (mischief, kind, from_server) {
        (Mischief::StripHello, PacketType::HELLO, _) => Vec::new(),
        (Mischief::StripCaps, PacketType::HELLO, true) => {
            packet(kind, b"protocol=2\nagent=chat-server\ncaps=notice,ping\n").unwrap()
        }
        (Mischief::Tamper, PacketType::SECURE, true) => {
            let mut body = body.to_vec();
            body[0] ^= 1;
            packet(kind, &body).unwrap()
        }
        (Mischief::Inject, PacketType::ENCRYPTION_ON, true) => {
            [original, packet(PacketType::MESSAGE, b"bob: forged\n").unwrap()].concat()
        }
        _ => original,
    }
}
