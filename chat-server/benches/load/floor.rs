//! The floor: a server that does only what cannot be left out. What came in one round is joined, and each client gets it with
//! one write. It answers CONNECT, relays MESSAGE, and knows neither names, limits nor slow readers.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};

use chat_core::frame::{FrameBuffer, MAX_PACKET_LEN, packet, write_frame};
use chat_core::packet::PacketType;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

const LISTENER: Token = Token(usize::MAX);

struct Client {
    socket: TcpStream,
    name: String,
    /// Part of a packet.
    carried: Option<Box<FrameBuffer>>,
    /// What the socket has not taken.
    waiting: Vec<u8>,
}

/// Serves on a port of the loopback address until the process is ended.
pub(crate) fn serve(port: u16) {
    let mut poll = Poll::new().unwrap();
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).unwrap();
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).unwrap();
    let (mut clients, mut accepted) = (Slab::<Client>::new(), 0);
    let (mut events, mut buffer, mut batch) = (Events::with_capacity(1024), vec![0; 64 * 1024], Vec::new());
    loop {
        poll.poll(&mut events, None).unwrap();
        for event in &events {
            let Token(index) = event.token();
            if event.token() == LISTENER {
                while let Ok((mut socket, _)) = listener.accept() {
                    socket.set_nodelay(true).unwrap();
                    let place = clients.vacant_entry();
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut socket, Token(place.key()), both).unwrap();
                    accepted += 1;
                    let name = format!("Client-{accepted}");
                    place.insert(Client { socket, name, carried: None, waiting: Vec::new() });
                }
            } else if let Some(client) = clients.get_mut(index) {
                let waiting = std::mem::take(&mut client.waiting);
                client.send(&waiting);
                if client.receive(&mut buffer, &mut batch).is_err() {
                    clients.remove(index);
                }
            }
        }
        if !batch.is_empty() {
            clients.iter_mut().for_each(|(_, client)| client.send(&batch));
            batch.clear();
        }
    }
}

impl Client {
    /// Handles what has come; an error if there is no more to come.
    fn receive(&mut self, buffer: &mut [u8], batch: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let count = match self.socket.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let mut stream = self.carried.take().map_or_else(FrameBuffer::default, |carried| *carried);
            stream.extend(&buffer[..count]);
            while let Some(frame) = stream.next_frame(MAX_PACKET_LEN).map_err(io::Error::other)? {
                match frame.kind {
                    PacketType::MESSAGE => {
                        let body = [self.name.as_bytes(), b": ", frame.body].concat();
                        write_frame(batch, PacketType::MESSAGE, &body).unwrap();
                    }
                    PacketType::CONNECT => {
                        let text = format!("Server: {} has connected to the server\n", self.name);
                        let reply = packet(PacketType::CONNECT, text.as_bytes()).unwrap();
                        self.send(&reply);
                    }
                    _ => {}
                }
            }
            self.carried = (!stream.is_empty()).then(|| Box::new(stream));
            // Edge-triggered: a full buffer may not have been everything.
            if count < buffer.len() {
                return Ok(());
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        let written = if self.waiting.is_empty() { self.socket.write(bytes).unwrap_or(0) } else { 0 };
        self.waiting.extend_from_slice(&bytes[written..]);
    }
}
