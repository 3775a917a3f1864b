//! A small stand-in for an original server, written from the protocol's description: plain and classic, no extension,
//! silent where the original is silent.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use chat_core::frame::{FrameBuffer, MAX_PACKET_LEN, packet};
use chat_core::names::{ClientId, Username};
use chat_core::packet::{Credentials, PacketType as T};
use chat_core::rsa::hazmat::{Decryptor, Encryptor};
use chat_core::rsa::{KeyLimits, KeyPair, KeySpec, PublicKey};
use chat_core::text::{self, Display};

/// A running stand-in; its threads end with the test.
pub(crate) struct Original {
    pub(crate) address: SocketAddr,
}

struct Client {
    id: ClientId,
    stream: TcpStream,
    key: Option<Encryptor>,
    joined: bool,
    user: Option<Username>,
}

struct State {
    clients: Vec<Client>,
    accounts: HashMap<String, String>,
    connections: u64,
}

struct Server {
    state: Mutex<State>,
    keys: KeyPair,
    decryptor: Decryptor,
}

impl Original {
    pub(crate) fn start() -> Self {
        let keys = KeyPair::generate(&KeySpec::bits(16, 24).unwrap()).unwrap();
        let state = State { clients: Vec::new(), accounts: HashMap::new(), connections: 0 };
        let decryptor = Decryptor::new(&keys);
        let server = Arc::new(Server { state: Mutex::new(state), keys, decryptor });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let server = Arc::clone(&server);
                std::thread::spawn(move || server.serve(stream.unwrap()));
            }
        });
        Self { address }
    }
}

impl Server {
    fn serve(&self, mut stream: TcpStream) {
        let id = {
            let mut state = self.state.lock().unwrap();
            state.connections += 1;
            let id = ClientId(state.connections);
            let stream = stream.try_clone().unwrap();
            state.clients.push(Client { id, stream, key: None, joined: false, user: None });
            id
        };
        let (mut buffer, mut bytes) = (FrameBuffer::default(), [0; 4096]);
        while let Ok(len @ 1..) = stream.read(&mut bytes) {
            buffer.extend(&bytes[..len]);
            while let Some(frame) = buffer.next_frame(MAX_PACKET_LEN).unwrap() {
                self.obey(&mut self.state.lock().unwrap(), id, frame.kind, frame.body);
            }
        }
        self.state.lock().unwrap().clients.retain(|client| client.id != id);
    }

    fn obey(&self, state: &mut MutexGuard<'_, State>, id: ClientId, kind: T, body: &[u8]) {
        let Some(me) = state.clients.iter().position(|client| client.id == id) else { return };
        let mut plain = body.to_vec();
        if state.clients[me].key.is_some() {
            plain.clear();
            self.decryptor.decrypt(body, MAX_PACKET_LEN, &mut plain).unwrap();
        }
        let Ok(body) = String::from_utf8(plain) else { return };
        let client = &mut state.clients[me];
        match kind {
            T::CONNECT => client.send(kind, &text::connected(id)),
            T::DISCONNECT => {
                client.send(kind, &text::disconnected(&client.display()));
                let _ = client.stream.shutdown(std::net::Shutdown::Both);
            }
            T::ENCRYPTION_ON => {
                let Ok(key) = PublicKey::parse_wire(&body, &KeyLimits::PEER) else { return };
                let reply = text::encryption_on(&client.display(), &self.keys.public().to_wire());
                // The reply is encoded as before the switch, or with the new key if encryption was on.
                let key = Encryptor::new(&key);
                if client.key.is_some() {
                    client.key = Some(key.clone());
                }
                client.send(kind, &reply);
                client.key = Some(key);
            }
            T::ENCRYPTION_OFF => {
                client.send(kind, &text::encryption_off(&client.display()));
                client.key = None;
            }
            T::WHOAMI => {
                let peer = client.stream.peer_addr().unwrap();
                client.send(kind, &text::whoami(id, peer, client.user.as_ref()));
            }
            T::DATE if body == "Etc/UTC" => client.send(kind, &text::date("Sunday, October 12, 2025")),
            T::REGISTER => {
                let Some(Credentials { name, password }) = Credentials::parse(&body) else { return };
                let free = !state.accounts.contains_key(name);
                state.accounts.entry(name.to_owned()).or_insert_with(|| password.to_owned());
                let reply = if free { text::registered(name) } else { text::taken(name) };
                state.clients[me].send(kind, &reply);
            }
            _ => broadcast_request(state, me, kind, &body),
        }
    }
}

fn broadcast_request(state: &mut MutexGuard<'_, State>, me: usize, kind: T, body: &str) {
    let client = &mut state.clients[me];
    let text = match kind {
        T::JOIN => {
            client.joined = true;
            text::joined(client.id)
        }
        T::LEAVE => {
            client.joined = false;
            text::left(&client.display())
        }
        T::LOGIN => {
            let Some(Credentials { name, password }) = Credentials::parse(body) else { return };
            // The original is silent about a refused login.
            if state.accounts.get(name).is_none_or(|known| known != password) {
                return;
            }
            let user = Username::parse(name).unwrap();
            let client = &mut state.clients[me];
            client.user = Some(user.clone());
            text::logged_in(client.id, &user)
        }
        T::LOGOUT => match client.user.take() {
            Some(user) => text::logged_out(&user),
            None => return,
        },
        T::MESSAGE => text::message(&client.display(), body),
        _ => return,
    };
    let names: Vec<String> = state
        .clients
        .iter()
        .filter(|client| client.joined)
        .map(|client| client.display().to_string())
        .collect();
    let list = text::user_list(names.iter().map(String::as_str));
    for client in &mut state.clients {
        client.send(kind, &text);
        if kind != T::MESSAGE {
            client.send(T::USERLIST, &list);
        }
    }
}

impl Client {
    fn display(&self) -> Display {
        self.user.clone().map_or(Display::Client(self.id), Display::User)
    }

    fn send(&mut self, kind: T, text: &str) {
        let mut body = text.as_bytes().to_vec();
        if let Some(key) = &self.key {
            body.clear();
            key.encrypt(text.as_bytes(), &mut body);
        }
        let _ = self.stream.write_all(&packet(kind, &body).unwrap());
    }
}
