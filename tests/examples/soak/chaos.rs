//! The other clients: each connects, behaves in one way or another, and is replaced by the next when it is gone.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use chat_core::frame::packet;
use chat_core::packet::PacketType;
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

use crate::wire::{Dialect, Host, Link, note};

/// What a client does with its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Behaviour {
    /// Reads for a while and says goodbye.
    Listen,
    /// Is gone without a word.
    Vanish,
    /// Is killed in the middle of a packet, and its connection reset.
    Killed,
    /// Does not read, and may have asked for a cipher that makes much of little.
    Stall,
    /// Sends what is no protocol.
    Garbage,
    /// Sends packets with random types and bodies.
    Nonsense,
    /// Says nothing.
    Silent,
    /// Begins a long packet that never ends.
    Half,
    /// Joins, and leaves in one way or another.
    Join,
    /// Says something as often as it can.
    Flood,
    /// Says as much at once as it can.
    Shout,
    /// Registers, logs in, rightly or wrongly, and out.
    Account,
    /// Turns some encryption on, and then sends what is none.
    Forge,
}

use Behaviour::{
    Account, Flood, Forge, Garbage, Half, Join, Killed, Listen, Nonsense, Shout, Silent, Stall, Vanish,
};

/// How many of all behave in which way.
type Mix = &'static [(Behaviour, u32)];

/// Who is told of others, and of whom others are hardly told.
const QUIET: Mix = &[
    (Listen, 60),
    (Vanish, 34),
    (Killed, 20),
    (Stall, 20),
    (Garbage, 16),
    (Nonsense, 14),
    (Silent, 8),
    (Half, 10),
    (Join, 3),
    (Account, 6),
    (Forge, 8),
];

/// Who speaks to everybody.
const LOUD: Mix = &[(Flood, 1), (Shout, 2)];

/// How many are loud, however many clients there are: among thousands, what a few say is much to carry.
const LOUD_CLIENTS: usize = 4;

/// How often a flooding client says something, at ten times its burst and more.
const FLOOD_MESSAGES: usize = 1000;

/// How often a shouting one does, at most as long as a message may be. All of it is less than it may send at once.
const SHOUT_MESSAGES: usize = 8;
const SHOUT_BYTES: usize = 16 * 1024;

/// The clients that misbehave.
pub(crate) struct Crowd {
    server: SocketAddr,
    random: StdRng,
    counts: Rc<RefCell<BTreeMap<Behaviour, u64>>>,
    /// Connections so far; each gets an address by its number.
    connections: usize,
}

impl Crowd {
    pub(crate) fn new(server: SocketAddr, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed);
        Self { server, random, counts: Rc::default(), connections: 0 }
    }

    /// Keeps so many clients connected for a time; all are gone at its end.
    pub(crate) async fn behave(&mut self, clients: usize, time: Duration) {
        let end = Instant::now() + time;
        let places = clients + LOUD_CLIENTS;
        let place = |number| {
            let first = self.connections + number;
            let mix = if number < clients { QUIET } else { LOUD };
            let random = StdRng::seed_from_u64(self.random.next_u64());
            let client = Client { server: self.server, mix, random, counts: Rc::clone(&self.counts), end };
            tokio::task::spawn_local(client.come_and_go(first, places))
        };
        let mut most = 0;
        for place in (0..places).map(place).collect::<Vec<_>>() {
            most = place.await.unwrap_or_default().max(most);
        }
        self.connections += (most + 1) * places;
    }
}

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.counts.borrow();
        write!(f, "{} connections", counts.values().sum::<u64>())?;
        counts.iter().try_for_each(|(behaviour, count)| write!(f, ", {count} {behaviour:?}"))
    }
}

/// One place in the crowd.
struct Client {
    server: SocketAddr,
    mix: Mix,
    random: StdRng,
    counts: Rc<RefCell<BTreeMap<Behaviour, u64>>>,
    end: Instant,
}

impl Client {
    /// Behaves in one way after the other until the end; returns how often it has connected.
    async fn come_and_go(mut self, first: usize, step: usize) -> usize {
        let mut times = 0;
        // Not all at once.
        let pause = self.millis(0..2000);
        tokio::time::sleep(pause).await;
        while let Some(left) = self.end.checked_duration_since(Instant::now()) {
            let behaviour = self.choose();
            let number = first + times * step;
            times += 1;
            *self.counts.borrow_mut().entry(behaviour).or_default() += 1;
            // That the server cuts it off is what it may expect.
            match tokio::time::timeout(left, self.behave(behaviour, number)).await {
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    note(&format!("refused: {error}"));
                    let pause = self.millis(100..1000);
                    tokio::time::sleep(pause).await;
                }
                Ok(Ok(()) | Err(_)) | Err(_) => {}
            }
        }
        times
    }

    fn choose(&mut self) -> Behaviour {
        let mut place = self.random.random_range(0..self.mix.iter().map(|(_, share)| share).sum());
        for &(behaviour, share) in self.mix {
            if place < share {
                return behaviour;
            }
            place -= share;
        }
        Listen
    }

    fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.random.random_range(range))
    }

    async fn behave(&mut self, behaviour: Behaviour, number: usize) -> io::Result<()> {
        let host = Host::of_crowd(number);
        let host = if behaviour == Stall { host.without_buffer() } else { host };
        let mut link = Link::open(self.server, host, Dialect::Plain).await?;
        if !matches!(behaviour, Silent | Garbage | Forge) {
            link.send(PacketType::CONNECT, "").await?;
        }
        match behaviour {
            Listen => {
                link.listen(self.millis(1000..10_000)).await?;
                link.send(PacketType::DISCONNECT, "").await?;
                link.listen(Duration::from_secs(2)).await
            }
            Vanish => {
                tokio::time::sleep(self.millis(0..2000)).await;
                Ok(())
            }
            Killed => self.be_killed(&mut link).await,
            Stall => self.stall(&mut link).await,
            Garbage | Nonsense => self.send_garbage(&mut link, behaviour).await,
            Silent => link.listen(Duration::from_secs(15)).await,
            Half => self.begin(&mut link).await,
            Join => self.join(&mut link).await,
            Flood => flood(&mut link).await,
            Shout => self.shout(&mut link).await,
            Account => self.use_accounts(&mut link, number).await,
            Forge => self.forge(number).await,
        }
    }

    async fn stall(&mut self, link: &mut Link) -> io::Result<()> {
        if self.random.random() {
            link.send(PacketType::ENCRYPTION_ON, &widest_key()).await?;
        }
        tokio::time::sleep(self.millis(5000..20_000)).await;
        Ok(())
    }

    async fn be_killed(&mut self, link: &mut Link) -> io::Result<()> {
        link.send_bytes(&[0, 0, 1]).await?;
        tokio::time::sleep(self.millis(0..1000)).await;
        link.end_by_reset()
    }

    fn noise(&mut self, longest: usize) -> Vec<u8> {
        let mut bytes = vec![0; self.random.random_range(0..longest)];
        self.random.fill_bytes(&mut bytes);
        bytes
    }

    async fn send_garbage(&mut self, link: &mut Link, behaviour: Behaviour) -> io::Result<()> {
        for _ in 0..8 {
            let body = self.noise(2000);
            let kind = PacketType::new(self.random.random());
            // What everybody is told of is for others to send.
            let is_told = matches!(kind, PacketType::MESSAGE | PacketType::JOIN | PacketType::LEAVE);
            match behaviour {
                Nonsense if is_told => {}
                Nonsense => link.send_bytes(&packet(kind, &body).map_err(io::Error::other)?).await?,
                _ => link.send_bytes(&body).await?,
            }
            link.listen(self.millis(0..500)).await?;
        }
        Ok(())
    }

    async fn begin(&mut self, link: &mut Link) -> io::Result<()> {
        link.send_bytes(&[0, 4, 0, 0, PacketType::MESSAGE.code()]).await?;
        for _ in 0..20 {
            link.send_bytes(&self.noise(18_000)).await?;
            link.listen(self.millis(0..1000)).await?;
        }
        Ok(())
    }

    async fn join(&mut self, link: &mut Link) -> io::Result<()> {
        link.send(PacketType::JOIN, "").await?;
        link.listen(self.millis(1000..10_000)).await?;
        if self.random.random() {
            link.send(PacketType::LEAVE, "").await?;
            link.listen(self.millis(0..1000)).await?;
        }
        Ok(())
    }

    /// Says everything in one breath, so that the server has it for everybody at once.
    async fn shout(&mut self, link: &mut Link) -> io::Result<()> {
        let mut all = Vec::new();
        for _ in 0..SHOUT_MESSAGES {
            let text = "A".repeat(self.random.random_range(0..SHOUT_BYTES));
            all.extend(packet(PacketType::MESSAGE, text.as_bytes()).map_err(io::Error::other)?);
        }
        link.send_bytes(&all).await?;
        link.listen(self.millis(5000..15_000)).await
    }

    async fn use_accounts(&mut self, link: &mut Link, number: usize) -> io::Result<()> {
        let name = format!("user{}", number % 500);
        link.send(PacketType::REGISTER, &format!("{name}:secret")).await?;
        link.listen(self.millis(0..1000)).await?;
        let password = if self.random.random() { "secret" } else { "wrong" };
        link.send(PacketType::LOGIN, &format!("{name}:{password}")).await?;
        link.listen(self.millis(0..2000)).await?;
        link.send(PacketType::LOGOUT, "").await?;
        link.listen(self.millis(0..1000)).await
    }

    async fn forge(&mut self, number: usize) -> io::Result<()> {
        let dialect = match self.random.random_range(0..3) {
            0 => Dialect::Classic,
            1 => Dialect::January,
            _ => Dialect::Noise,
        };
        let mut link = Link::open(self.server, Host::of_crowd(number), dialect).await?;
        link.send(PacketType::WHOAMI, "").await?;
        link.skip_to(PacketType::WHOAMI).await?;
        let kind = if dialect == Dialect::Noise { PacketType::SECURE } else { PacketType::LOGIN };
        link.send_bytes(&packet(kind, &self.noise(1000)).map_err(io::Error::other)?).await?;
        link.listen(self.millis(0..3000)).await
    }
}

async fn flood(link: &mut Link) -> io::Result<()> {
    for _ in 0..FLOOD_MESSAGES {
        link.send(PacketType::MESSAGE, "so much to say, and nobody who asked for it\n").await?;
    }
    link.listen(Duration::from_secs(20)).await
}

/// The longest key that the server takes, which makes some hundred bytes of each. Nobody has to decrypt what it encrypts.
fn widest_key() -> String {
    format!("{},3", "9".repeat(154))
}
