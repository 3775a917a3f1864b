//! Where the messages come from: somebody who talks through a server of ours, or a stand-in for the server of another client.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use chat_core::frame::packet;
use chat_core::packet::PacketType;
use chat_server::{Clock, Running, Settings};
use tempfile::TempDir;

/// Only in the last message of a flood.
pub(crate) const END: char = 'Y';
/// How often what is due is sent.
const PACE: Duration = Duration::from_millis(1);

/// What a program's server speaks.
#[derive(Clone, Copy)]
pub(crate) enum Speech {
    /// Ours.
    Chat,
    Irc,
    /// Nothing but what is to be shown.
    Lines,
}

/// Where a program can connect to.
pub(crate) enum Place {
    Server { server: Running, _data: TempDir },
    StandIn { listener: TcpListener, speech: Speech },
}

/// Who talks there.
pub(crate) struct Sender {
    stream: TcpStream,
    speech: Speech,
    /// Runs as long as somebody talks.
    _place: Place,
}

impl Place {
    /// Opens one.
    pub(crate) fn new(speech: Speech) -> Self {
        if let Speech::Chat = speech {
            let data = tempfile::tempdir().unwrap();
            let settings = Settings { port: 0, data: data.path().to_owned(), ..Settings::default() };
            let server = chat_server::spawn(settings, Clock::system()).unwrap();
            return Self::Server { server, _data: data };
        }
        Self::StandIn { listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), speech }
    }

    /// Returns its port.
    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Server { server, .. } => server.addr().port(),
            Self::StandIn { listener, .. } => listener.local_addr().unwrap().port(),
        }
    }

    /// Returns who talks there. A stand-in waits for the program first.
    pub(crate) fn sender(self) -> Sender {
        let (mut stream, speech) = match &self {
            Self::Server { server, .. } => (TcpStream::connect(server.addr()).unwrap(), Speech::Chat),
            Self::StandIn { listener, speech } => (listener.accept().unwrap().0, *speech),
        };
        stream.set_nodelay(true).unwrap();
        match speech {
            Speech::Chat => {
                for kind in [PacketType::CONNECT, PacketType::JOIN] {
                    stream.write_all(&packet(kind, b"").unwrap()).unwrap();
                }
            }
            Speech::Irc => welcome(&mut stream),
            Speech::Lines => {}
        }
        // What comes back is of no interest, but must not pile up.
        let mut ears = stream.try_clone().unwrap();
        thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while ears.read(&mut buffer).is_ok_and(|length| length > 0) {}
        });
        Sender { stream, speech, _place: self }
    }
}

/// As much of an IRC server as a client waits for before it shows a channel.
fn welcome(stream: &mut TcpStream) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let mut begun = (false, false);
    for line in lines {
        if line.starts_with("CAP LS") {
            stream.write_all(b":server CAP * LS :\r\n").unwrap();
        }
        begun = (begun.0 || line.starts_with("CAP END"), begun.1 || line.starts_with("USER"));
        if begun == (true, true) {
            break;
        }
    }
    let welcome = ":server 001 me :welcome\r\n:me!me@here JOIN #room\r\n:server 353 me = #room :me other\r\n\
                   :server 366 me #room :end\r\n";
    stream.write_all(welcome.as_bytes()).unwrap();
}

impl Sender {
    /// Says one thing.
    pub(crate) fn say(&mut self, text: &str) {
        let mut bytes = Vec::new();
        self.encode(text, &mut bytes);
        self.stream.write_all(&bytes).unwrap();
    }

    /// Says `rate` things a second, as evenly as can be, and [`END`] at the end; returns when that was.
    pub(crate) fn flood(&mut self, rate: u32, duration: Duration) -> Instant {
        let started = Instant::now();
        let (mut said, mut bytes) = (0, Vec::new());
        while started.elapsed() < duration {
            let due = (started.elapsed().as_secs_f64() * f64::from(rate)) as u64;
            for number in said..due {
                let text = format!("message {number:08}: the quick brown fox jumps over the lazy dog");
                self.encode(&text, &mut bytes);
            }
            self.stream.write_all(&bytes).unwrap();
            bytes.clear();
            said = due;
            thread::sleep(PACE);
        }
        let sent = Instant::now();
        self.say(&END.to_string());
        sent
    }

    fn encode(&self, text: &str, bytes: &mut Vec<u8>) {
        match self.speech {
            Speech::Chat => {
                bytes.extend(packet(PacketType::MESSAGE, format!("{text}\n").as_bytes()).unwrap());
            }
            Speech::Irc => bytes.extend(format!(":other!other@here PRIVMSG #room :{text}\r\n").bytes()),
            Speech::Lines => bytes.extend(format!("{text}\n").bytes()),
        }
    }
}
