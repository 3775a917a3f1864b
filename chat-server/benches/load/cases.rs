//! The cases: what the clients do, and what is measured meanwhile.

use std::thread;
use std::time::{Duration, Instant};

use chat_core::packet::PacketType;
use clap::{Args, ValueEnum};

use crate::fleet::{Dialog, Encryption, Fleet};
use crate::process::{Server, Subject};
use crate::report::{Figure, Figures};

/// Bytes of a message, without its sender's name.
const MESSAGE_BYTES: usize = 50;

/// A run fails when nothing is delivered for this long.
const STALL: Duration = Duration::from_secs(10);

/// How long a server rests before its memory is read.
const REST: Duration = Duration::from_secs(1);

/// Connections opened and closed together.
const WAVE: usize = 32;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Case {
    /// Four clients send to all, sixteen messages each on the way
    Fanout,
    /// One client sends one message at a time: nothing can be joined
    Single,
    /// Messages at a fixed rate; how long until everyone has each
    Paced,
    /// Memory of connections at rest
    Idle,
    /// Connections that come, greet and go
    Connect,
    /// Clients that join one after the other: what user lists cost, or (encrypted) their changes
    Join,
    /// Clients that join all at once
    Storm,
    /// Time until it listens; memory and size of the program
    Start,
}

/// How much of each.
#[derive(Args)]
pub(crate) struct Sizes {
    /// Clients of fanout, single, join and storm
    #[arg(long, default_value_t = 500)]
    clients: usize,
    /// Messages of fanout; single has a tenth
    #[arg(long, default_value_t = 20_000)]
    messages: usize,
    /// Clients of paced
    #[arg(long, default_value_t = 200)]
    paced_clients: usize,
    /// Messages a second of paced
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Seconds of paced and connect
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Connections of idle
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
}

impl Case {
    /// All of them, in the order of the tables.
    pub(crate) const ALL: &[Self] = &[
        Self::Fanout,
        Self::Single,
        Self::Paced,
        Self::Idle,
        Self::Connect,
        Self::Join,
        Self::Storm,
        Self::Start,
    ];

    /// Tells whether the floor server can do it, which has no user list.
    pub(crate) fn has_floor(self) -> bool {
        !matches!(self, Self::Join | Self::Storm)
    }

    /// Returns the encryptions that are measured beside none.
    pub(crate) fn encryptions(self) -> &'static [Encryption] {
        match self {
            Self::Fanout | Self::Single | Self::Paced => &[Encryption::Noise, Encryption::Classic],
            // The tables of ten thousand classic keys are beyond what a server allows.
            Self::Idle => &[Encryption::Noise],
            // Clients that speak Noise keep the list themselves, as all of ours do.
            Self::Join | Self::Storm => &[Encryption::Noise],
            Self::Connect | Self::Start => &[],
        }
    }

    /// Names it in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fanout => "fanout",
            Self::Single => "single",
            Self::Paced => "paced",
            Self::Idle => "idle",
            Self::Connect => "connect",
            Self::Join => "join",
            Self::Storm => "storm",
            Self::Start => "start",
        }
    }

    /// Measures once, on a server of its own.
    pub(crate) fn run(self, subject: &Subject, sizes: &Sizes) -> Figures {
        match self {
            Self::Fanout => closed_loop(subject, sizes.clients, 4, 16, sizes.messages),
            Self::Single => closed_loop(subject, sizes.clients, 1, 1, sizes.messages / 10),
            Self::Paced => open_loop(subject, sizes.paced_clients, sizes.rate, sizes.seconds),
            Self::Idle => idle(subject, sizes.connections),
            Self::Connect => connect(subject, Duration::from_secs(sizes.seconds)),
            Self::Join => join(subject, sizes.clients, 1),
            Self::Storm => join(subject, sizes.clients, sizes.clients),
            Self::Start => start(subject),
        }
    }
}

/// Who has received which message: each client has to receive each once, and those of one sender in order.
struct Ledger {
    started: Instant,
    senders: usize,
    sent: Vec<u64>,
    /// How many each client has received of each sender.
    received: Vec<u64>,
    deliveries: u64,
    /// From when each was due to each delivery, in microseconds.
    latencies: Vec<u32>,
}

impl Ledger {
    fn new(clients: usize, senders: usize) -> Self {
        let (sent, received) = (vec![0; senders], vec![0; clients * senders]);
        Self { started: Instant::now(), senders, sent, received, deliveries: 0, latencies: Vec::new() }
    }

    /// Writes the next message of a sender, due at a moment.
    fn write(&mut self, sender: usize, due: Instant) -> Vec<u8> {
        let micros = due.duration_since(self.started).as_micros();
        let number = self.sent[sender];
        self.sent[sender] += 1;
        let mut message = format!("{sender:02x}{number:08x}{micros:012x}").into_bytes();
        message.resize(MESSAGE_BYTES - 1, b'.');
        message.push(b'\n');
        message
    }

    /// Notes that a client has received a message, `body` if it has decrypted it.
    fn note(&mut self, client: usize, body: Option<&[u8]>, now: Instant) {
        self.deliveries += 1;
        let Some(body) = body else { return };
        let stamp = body.len().checked_sub(MESSAGE_BYTES).unwrap();
        let field = |from: usize, to: usize| {
            let digits = std::str::from_utf8(&body[stamp + from..stamp + to]).unwrap();
            u64::from_str_radix(digits, 16).unwrap()
        };
        let sender = usize::try_from(field(0, 2)).unwrap();
        let expected = &mut self.received[client * self.senders + sender];
        assert_eq!(
            field(2, 10),
            *expected,
            "client {client} lost a message of sender {sender}, or has it twice"
        );
        *expected += 1;
        let due = self.started + Duration::from_micros(field(10, 22));
        self.latencies
            .push(u32::try_from(now.saturating_duration_since(due).as_micros()).unwrap_or(u32::MAX));
    }

    fn latency_millis(&mut self, quantile: f64) -> f64 {
        self.latencies.sort_unstable();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
        let place = (self.latencies.len() as f64 * quantile) as usize;
        f64::from(self.latencies[place.min(self.latencies.len() - 1)]) / 1000.0
    }
}

/// Each sender keeps `window` messages on the way until all are delivered.
fn closed_loop(subject: &Subject, clients: usize, senders: usize, window: u64, messages: usize) -> Figures {
    let server = Server::start(subject);
    let mut fleet = Fleet::connect(server.address, clients, subject.encryption());
    let mut ledger = Ledger::new(clients, senders);
    let per_sender = (messages / senders) as u64;
    let mut run = |until: u64, ledger: &mut Ledger| {
        let expected = until * senders as u64 * clients as u64;
        let mut progress = Instant::now();
        while ledger.deliveries < expected {
            let now = Instant::now();
            for sender in 0..senders {
                // A sender receives its own messages, too.
                let own = ledger.received[sender * senders + sender];
                while ledger.sent[sender] < until.min(own + window) {
                    let message = ledger.write(sender, now);
                    fleet.clients[sender].send(PacketType::MESSAGE, &message);
                }
            }
            let before = ledger.deliveries;
            fleet.receive(now + STALL, |client, body| ledger.note(client, body, now));
            progress = if ledger.deliveries > before { now } else { progress };
            assert!(now - progress < STALL, "{} of {expected} were delivered", ledger.deliveries);
        }
        ledger.latencies.clear();
    };
    run(per_sender / 10, &mut ledger);
    let (cpu, started, before) = (server.cpu_seconds(), Instant::now(), ledger.deliveries);
    run(per_sender + per_sender / 10, &mut ledger);
    let elapsed = started.elapsed().as_secs_f64();
    let millions = (ledger.deliveries - before) as f64 / 1e6;
    Figures(vec![
        Figure::new("CPU s / M deliveries", (server.cpu_seconds() - cpu) / millions),
        Figure::new("M deliveries / s", millions / elapsed),
    ])
}

/// Clients in turn send at a fixed rate, however long deliveries take.
fn open_loop(subject: &Subject, clients: usize, rate: u32, seconds: u64) -> Figures {
    const SENDERS: usize = 4;
    let server = Server::start(subject);
    let mut fleet = Fleet::connect(server.address, clients, subject.encryption());
    let mut ledger = Ledger::new(clients, SENDERS);
    let messages = u64::from(rate) * seconds;
    let expected = messages * clients as u64;
    let (cpu, started) = (server.cpu_seconds(), Instant::now());
    let due = |number: u64| started + Duration::from_secs(1) * u32::try_from(number).unwrap() / rate;
    let mut number = 0;
    while ledger.deliveries < expected {
        let now = Instant::now();
        while number < messages && due(number) <= now {
            let sender = number as usize % SENDERS;
            let message = ledger.write(sender, due(number));
            fleet.clients[sender].send(PacketType::MESSAGE, &message);
            number += 1;
        }
        let next = if number < messages { due(number) } else { now + STALL };
        fleet.receive(next, |client, body| ledger.note(client, body, Instant::now()));
        assert!(started.elapsed() < STALL * 3 + Duration::from_secs(seconds), "messages were lost");
    }
    Figures(vec![
        Figure::new("CPU s / M deliveries", (server.cpu_seconds() - cpu) / (expected as f64 / 1e6)),
        Figure::new("p50 ms", ledger.latency_millis(0.5)),
        Figure::new("p99 ms", ledger.latency_millis(0.99)),
    ])
}

fn idle(subject: &Subject, connections: usize) -> Figures {
    let server = Server::start(subject);
    // What the first connection needs, the ten thousandth does not.
    drop(Fleet::connect(server.address, 10, subject.encryption()));
    thread::sleep(REST);
    let before = server.resident_bytes();
    let fleet = Fleet::connect(server.address, connections, subject.encryption());
    thread::sleep(REST);
    let bytes = server.resident_bytes() - before;
    drop(fleet);
    Figures(vec![Figure::new("bytes / connection", bytes / connections as f64)])
}

fn connect(subject: &Subject, duration: Duration) -> Figures {
    let server = Server::start(subject);
    let (cpu, started, mut connections) = (server.cpu_seconds(), Instant::now(), 0);
    while started.elapsed() < duration {
        let mut wave: Vec<_> = (0..WAVE).map(|_| Dialog::open(server.address)).collect();
        wave.iter_mut().for_each(|dialog| dialog.send(PacketType::CONNECT, b""));
        for dialog in &mut wave {
            dialog.expect(PacketType::CONNECT);
        }
        connections += WAVE;
    }
    let (elapsed, connections) = (started.elapsed().as_secs_f64(), connections as f64);
    Figures(vec![
        Figure::new("CPU ms / connection", (server.cpu_seconds() - cpu) * 1000.0 / connections),
        Figure::new("connections / s", connections / elapsed),
    ])
}

/// All clients join, so many `at_a_time`: the next do when all have been told of the last.
fn join(subject: &Subject, clients: usize, at_a_time: usize) -> Figures {
    let server = Server::start(subject);
    let mut fleet = Fleet::connect(server.address, clients, subject.encryption());
    let (cpu, mut joined, mut told) = (server.cpu_seconds(), 0, 0);
    while joined < clients {
        let next = clients.min(joined + at_a_time);
        fleet.clients[joined..next].iter_mut().for_each(|client| client.send(PacketType::JOIN, b""));
        joined = next;
        let stall = Instant::now() + STALL;
        while told < joined * clients {
            fleet.receive_all(stall, |_, kind, _| told += usize::from(kind == PacketType::JOIN));
            assert!(Instant::now() < stall, "{told} of {} were told", joined * clients);
        }
    }
    // The last list comes behind the last announcement.
    let rest = Instant::now() + REST;
    while Instant::now() < rest {
        fleet.receive_all(rest, |_, _, _| {});
    }
    Figures(vec![
        Figure::new("CPU s", server.cpu_seconds() - cpu),
        Figure::new("MB sent", fleet.received_bytes as f64 / 1e6),
    ])
}

fn start(subject: &Subject) -> Figures {
    let server = Server::start(subject);
    thread::sleep(REST);
    Figures(vec![
        Figure::new("ms until it listens", server.started_in.as_secs_f64() * 1000.0),
        Figure::new("MB resident", server.resident_bytes() / 1e6),
        Figure::new("MB program", subject.program_bytes() as f64 / 1e6),
    ])
}
