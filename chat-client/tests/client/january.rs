//! A small stand-in for a server of the original's January 2026 revision, written from the protocol's description; the link
//! and the program against it; and against our own server, which takes clients of that revision too.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chat_client::link::{self, Dialect, Encryption, KeySource, LinkError, Opened, Peer, Protection, Target};
use chat_core::frame::{FrameBuffer, MAX_PACKET_LEN, packet};
use chat_core::january;
use chat_core::names::{ClientId, Username};
use chat_core::noise::Fingerprint;
use chat_core::packet::PacketType as T;
use chat_core::rsa::hazmat::{CharacterDecryptor, CharacterEncryptor};
use chat_core::rsa::{KeyLimits, KeyPair, KeySpec, PublicKey};
use chat_core::text::{self, Display};

use crate::original::Original;
use crate::pipe::{Guest, chat};
use crate::proxy::{Mischief, Proxy};
use crate::world::{Home, Server, next};

const SHORT: Duration = Duration::from_millis(300);

/// A running stand-in; its threads end with the test.
struct JanuaryServer {
    address: SocketAddr,
}

struct Client {
    id: ClientId,
    stream: TcpStream,
    key: Option<CharacterEncryptor>,
    user: Option<Username>,
}

struct State {
    keys: KeyPair,
    decryptor: CharacterDecryptor,
    clients: Vec<Client>,
    accounts: HashMap<String, String>,
}

impl JanuaryServer {
    fn start() -> Self {
        let keys = KeyPair::generate(&KeySpec::bits(64, 22).unwrap()).unwrap();
        let decryptor = CharacterDecryptor::new(keys.private()).unwrap();
        let (clients, accounts) = (Vec::new(), HashMap::new());
        let state = Arc::new(Mutex::new(State { keys, decryptor, clients, accounts }));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let state = Arc::clone(&state);
                std::thread::spawn(move || serve(&state, stream.unwrap()));
            }
        });
        Self { address }
    }
}

fn serve(state: &Mutex<State>, mut stream: TcpStream) {
    let id = {
        let mut state = state.lock().unwrap();
        let is_free = |id: &u64| state.clients.iter().all(|client| client.id != ClientId(*id));
        let id = ClientId((1..).find(is_free).unwrap());
        state.clients.push(Client { id, stream: stream.try_clone().unwrap(), key: None, user: None });
        id
    };
    let (mut buffer, mut bytes) = (FrameBuffer::default(), [0; 4096]);
    while let Ok(len @ 1..) = stream.read(&mut bytes) {
        buffer.extend(&bytes[..len]);
        while let Some(frame) = buffer.next_frame(MAX_PACKET_LEN).unwrap() {
            state.lock().unwrap().obey(id, frame.kind.code(), frame.body);
        }
    }
    state.lock().unwrap().remove(id);
}

impl State {
    fn obey(&mut self, id: ClientId, kind: u8, body: &[u8]) {
        let Some(me) = self.clients.iter().position(|client| client.id == id) else { return };
        if self.clients[me].key.is_none() {
            // An empty exchange, as a client of October 2025 seems to send, is never answered.
            if let (1, Ok(key)) =
                (kind, PublicKey::parse_wire(str::from_utf8(body).unwrap(), &KeyLimits::PEER))
            {
                self.clients[me].send(1, &self.keys.public().to_wire());
                self.clients[me].key = CharacterEncryptor::new(&key);
            }
            return;
        }
        let body = self.decryptor.decrypt(body, MAX_PACKET_LEN).unwrap();
        let display = self.clients[me].display();
        match kind {
            2 => self.tell_everyone(kind, &text::connected(id), true),
            3 => self.remove(id),
            4 => {
                let (name, password) = body.split_once(':').unwrap();
                let free = !self.accounts.contains_key(name);
                self.accounts.entry(name.to_owned()).or_insert_with(|| password.to_owned());
                let reply = if free { text::registered(name) } else { text::taken(name) };
                self.clients[me].send(kind, &reply);
            }
            5 => {
                let (name, password) = body.split_once(':').unwrap();
                let is_right = self.accounts.get(name).is_some_and(|known| known == password);
                if !is_right || self.clients[me].user.is_some() {
                    return self.clients[me].send(kind, &text::login_refused(name));
                }
                let user = Username::parse(name).unwrap();
                self.clients[me].user = Some(user.clone());
                self.tell_everyone(kind, &text::logged_in(id, &user), true);
                self.send_profile(me);
            }
            6 => {
                let Some(user) = self.clients[me].user.take() else { return };
                self.tell_everyone(kind, &text::logged_out(&user), true);
                self.send_profile(me);
            }
            7 => self.send_profile(me),
            9 => self.tell_everyone(kind, &text::message(&display, &body), false),
            10 => {
                let peer = self.clients[me].stream.peer_addr().unwrap();
                let reply = text::whoami(id, peer, self.clients[me].user.as_ref());
                self.clients[me].send(kind, &reply);
            }
            11 if body == "Etc/UTC" => self.clients[me].send(kind, &text::date("Friday, January 30, 2026")),
            12 if body == "Etc/UTC" => self.clients[me].send(kind, &text::time("8:25 AM UTC")),
            _ => {}
        }
    }

    fn send_profile(&mut self, me: usize) {
        let client = &mut self.clients[me];
        // It may be gone already.
        let Ok(peer) = client.stream.peer_addr() else { return };
        let profile = january::profile(client.id, peer, client.user.as_ref());
        client.send(7, &profile);
    }

    fn tell_everyone(&mut self, kind: u8, text: &str, with_list: bool) {
        let is_listed = |client: &&Client| client.key.is_some();
        let mut names: Vec<String> =
            self.clients.iter().filter(is_listed).map(|client| client.display().to_string()).collect();
        names.sort();
        for client in self.clients.iter_mut().filter(|client| client.key.is_some()) {
            client.send(kind, text);
            if with_list {
                client.send(8, &names.join(":"));
            }
        }
    }

    fn remove(&mut self, id: ClientId) {
        let Some(me) = self.clients.iter().position(|client| client.id == id) else { return };
        let client = self.clients.remove(me);
        let _ = client.stream.shutdown(Shutdown::Both);
        self.tell_everyone(3, &text::disconnected(&client.display()), true);
    }
}

impl Client {
    fn display(&self) -> Display {
        self.user.clone().map_or(Display::Client(self.id), Display::User)
    }

    fn send(&mut self, kind: u8, text: &str) {
        let mut body = Vec::new();
        match &self.key {
            Some(key) => key.encrypt(text, &mut body),
            None => body.extend_from_slice(text.as_bytes()),
        }
        let _ = self.stream.write_all(&packet(T::new(kind), &body).unwrap());
    }
}

fn target(home: &Home, address: SocketAddr, dialect: Dialect, encryption: Encryption) -> Target {
    let mut target = Target { dialect, ..home.target(address, encryption) };
    target.timeouts.greeting = SHORT;
    target
}

async fn open(address: SocketAddr, dialect: Dialect, encryption: Encryption) -> Result<Opened, LinkError> {
    link::open(&target(&Home::new(), address, dialect, encryption)).await
}

#[tokio::test]
async fn the_dialect_is_spoken_when_it_is_named() {
    let server = JanuaryServer::start();
    let mut guest = open(server.address, Dialect::January, Encryption::Classic).await.unwrap();
    let mut opened = open(server.address, Dialect::January, Encryption::Auto).await.unwrap();
    assert_eq!((&opened.peer, opened.protection), (&Peer::January, Protection::Classic));
    assert_eq!(opened.greeting, "Server: Client-2 has connected to the server\n");
    assert_eq!(next(&mut guest.link, T::JOIN).await.unwrap(), "Server: Client-2 joined the chat room\n");
    assert_eq!(next(&mut opened.link, T::USERLIST).await.unwrap(), "Client-1:Client-2");
    opened.link.send(T::MESSAGE, "π 😀\n".as_bytes()).unwrap();
    for link in [&mut opened.link, &mut guest.link] {
        assert_eq!(next(link, T::MESSAGE).await.unwrap(), "Client-2: π 😀\n");
    }
    assert!(matches!(opened.link.send(T::LEAVE, b""), Err(LinkError::NotInJanuary(T::LEAVE))));
    opened.link.send(T::DISCONNECT, b"").unwrap();
    assert!(matches!(next(&mut opened.link, T::DISCONNECT).await, Err(LinkError::Closed)));
    assert_eq!(next(&mut guest.link, T::LEAVE).await.unwrap(), "Server: Client-2 left the chat room\n");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_found_out() {
    let server = JanuaryServer::start();
    let opened = open(server.address, Dialect::Auto, Encryption::Classic).await.unwrap();
    assert_eq!(opened.peer, Peer::January);
    let error = open(server.address, Dialect::Auto, Encryption::Auto).await.unwrap_err();
    assert!(matches!(error, LinkError::January(_)), "{error:?}");
    for (dialect, encryption) in [
        (Dialect::October, Encryption::Classic),
        (Dialect::Auto, Encryption::Noise),
        (Dialect::Auto, Encryption::Off),
    ] {
        let error = open(server.address, dialect, encryption).await.unwrap_err();
        assert!(matches!(error, LinkError::NoGreeting { .. }), "{dialect:?} {encryption:?} {error:?}");
    }
    let error = open(server.address, Dialect::January, Encryption::Off).await.unwrap_err();
    assert!(matches!(error, LinkError::AlwaysEncrypts(_)), "{error:?}");
    let error = open(server.address, Dialect::January, Encryption::Noise).await.unwrap_err();
    assert!(matches!(error, LinkError::January(_)), "{error:?}");
}

#[tokio::test]
async fn who_is_pinned_is_not_spoken_to_in_a_dialect_that_proves_nothing() {
    let (server, home) = (JanuaryServer::start(), Home::new());
    let mut target = target(&home, server.address, Dialect::January, Encryption::Classic);
    home.pins().pin(&target.address, Fingerprint::of(&[7; 32])).unwrap();
    let error = link::open(&target).await.unwrap_err();
    assert!(matches!(error, LinkError::ProvesNothing { .. }), "{error:?}");
    target.dialect = Dialect::Auto;
    let error = link::open(&target).await.unwrap_err();
    assert!(matches!(error, LinkError::NoGreeting { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_of_another_kind_and_unfit_keys_are_named() {
    let original = Original::start();
    let error = open(original.address, Dialect::January, Encryption::Classic).await.unwrap_err();
    assert!(error.to_string() == "the server broke the protocol" && !error.is_transient(), "{error:?}");
    assert!(error.hints()[0].contains("leave out --dialect 2026"), "{:?}", error.hints());
    let (home, mut target) =
        (Home::new(), target(&Home::new(), original.address, Dialect::January, Encryption::Classic));
    std::fs::write(home.path().join("publickey.txt"), "n=3233 e=17\n").unwrap();
    std::fs::write(home.path().join("privatekey.txt"), "n=3233 d=413\n").unwrap();
    target.classic_keys = KeySource::Directory(home.path());
    let error = link::open(&target).await.unwrap_err();
    assert!(matches!(error, LinkError::OwnKeys(_)), "{error:?}");
}

#[tokio::test]
async fn our_own_server_has_both_revisions_in_one_room() {
    let server = Server::start();
    let october = Home::new().target(server.address(), Encryption::Auto);
    let mut october = link::open(&october).await.unwrap().link;
    october.send(T::JOIN, b"").unwrap();
    assert_eq!(next(&mut october, T::JOIN).await.unwrap(), "Server: Client-1 joined the chat room\n");
    let mut january = open(server.address(), Dialect::January, Encryption::Auto).await.unwrap().link;
    assert_eq!(next(&mut october, T::JOIN).await.unwrap(), "Server: Client-2 joined the chat room\n");
    assert_eq!(next(&mut january, T::USERLIST).await.unwrap(), "Client-1:Client-2");
    january.send(T::MESSAGE, "中文 😀\n".as_bytes()).unwrap();
    for link in [&mut january, &mut october] {
        assert_eq!(next(link, T::MESSAGE).await.unwrap(), "Client-2: 中文 😀\n");
    }
    october.send(T::MESSAGE, "π\n".as_bytes()).unwrap();
    for link in [&mut october, &mut january] {
        assert_eq!(next(link, T::MESSAGE).await.unwrap(), "Client-1: π\n");
    }
    october.send(T::LEAVE, b"").unwrap();
    assert_eq!(next(&mut october, T::LEAVE).await.unwrap(), "Server: Client-1 left the chat room\n");
    assert_eq!(next(&mut january, T::LEAVE).await.unwrap(), "Server: Client-1 left the chat room\n");
}

const SCRIPT: &str = "/register zoë two words\n/login zoë two words\n/join\nhello π 😀\n/profile\n/whoami\n\
                      /date Etc/UTC\n/time Etc/UTC\n/users\n/login zoë two words\n/logout\n/encryption off\n/leave\n";

/// What the script brings, up to where the servers differ.
fn check_script(address: SocketAddr) {
    let (out, err, status) = chat(&Home::new(), address, &["--dialect", "2026", "--join"], SCRIPT);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines[..4],
        [
            "Server: Client-1 has connected to the server",
            "Server: The username zoë was successfully registered",
            "Server: Client-1 logged in as zoë",
            "zoë: hello π 😀",
        ],
        "{out}{err}"
    );
    assert!(lines[4].starts_with("client_name=Client-1:") && lines[4].ends_with(":username=zoë"), "{out}");
    assert_eq!((lines[5], lines[9]), ("Server: whoami results", "username=zoë"));
    assert!(lines[10].starts_with("Server: The date is ") && lines[11].ends_with(" UTC"), "{out}");
    assert_eq!(
        lines[12..],
        ["in the chat room: zoë", "Server: Unable to login as zoë", "Server: zoë logged out"]
    );
    for said in [
        "a chat server of the January 2026 revision; classic encryption: the original's cipher, which anybody who \
         listens can break",
        "* in the room already",
        "error: this server's encryption cannot be turned off",
        "error: on this server everybody who is connected is in the room",
    ] {
        assert!(err.contains(said), "{said}: {err}");
    }
    assert!(!err.contains("no answer") && !err.contains("two words"), "{err}");
    assert_eq!(status, 1, "the refused login counts");
}

#[test]
fn every_command_with_a_counterpart_works_in_a_pipe() {
    check_script(JanuaryServer::start().address);
    check_script(Server::start().address());
}

#[test]
fn a_pipe_is_not_talked_into_a_cipher_that_protects_nothing() {
    let server = JanuaryServer::start();
    let (out, err, status) = chat(&Home::new(), server.address, &[], "hello\n");
    assert_eq!((out.as_str(), status), ("", 1));
    assert!(
        err.contains("January 2026 revision: it cannot encrypt") && err.contains("hint: --dialect 2026"),
        "{err}"
    );
}

#[test]
fn a_lost_connection_of_this_dialect_is_restored_with_its_login() {
    let server = JanuaryServer::start();
    let proxy = Proxy::start(server.address, Mischief::None);
    let mut guest = Guest::enter(&Home::new(), proxy.address, &["--dialect", "2026", "--reconnect"]);
    guest.say("/register alice pw");
    guest.say("/login alice pw");
    guest.hear("logged in as alice");
    proxy.cut(true);
    guest.hear("has connected to the server");
    guest.hear("logged in as alice");
    guest.say("here again");
    assert_eq!(guest.hear("here again"), "alice: here again\n");
    guest.say("/exit");
    assert_eq!(guest.end().1, Some(0));
}
