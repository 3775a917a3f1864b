//! The well-behaved clients: each says something once a second, reads everything, and counts what the others say.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use chat_core::packet::PacketType;
use chat_core::ping;
use tokio::task::JoinHandle;

use crate::wire::{Dialect, Host, Link, PATIENCE, note};

/// How often each says something.
const EVERY: Duration = Duration::from_secs(1);

/// The conversation of the well-behaved clients.
pub(crate) struct Conversation {
    clients: Vec<JoinHandle<Result<u64, String>>>,
    board: Rc<RefCell<Board>>,
}

/// What the clients know of each other without the server.
struct Board {
    over: bool,
    /// How many messages each has sent.
    sent: Vec<u64>,
}

/// How a conversation went.
pub(crate) struct Summary {
    sent: u64,
    received: u64,
}

impl Conversation {
    /// Connects so many clients, in all dialects; when this returns they talk.
    pub(crate) async fn start(server: SocketAddr, count: usize) -> io::Result<Self> {
        let board = Rc::new(RefCell::new(Board { over: false, sent: vec![0; count] }));
        let mut links = Vec::new();
        for number in 0..count {
            let dialects = [Dialect::Plain, Dialect::Noise, Dialect::Classic, Dialect::January];
            let dialect = dialects.into_iter().cycle().nth(number).unwrap_or(Dialect::Plain);
            let mut link = Link::open(server, Host::of_good(number), dialect).await?;
            link.send(PacketType::CONNECT, "").await?;
            link.skip_to(PacketType::CONNECT).await?;
            links.push(link);
        }
        let talk = |(number, link)| {
            let board = Rc::clone(&board);
            tokio::task::spawn_local(async move {
                let result = Good { link, number, board, heard: vec![0; count] }.talk().await;
                result.inspect_err(|why| note(&format!("well-behaved client {number}: {why}")))
            })
        };
        Ok(Self { clients: links.into_iter().enumerate().map(talk).collect(), board })
    }

    /// Lets everybody hear what has been said, and says how it went.
    pub(crate) async fn finish(self) -> Result<Summary, String> {
        self.board.borrow_mut().over = true;
        let mut received = 0;
        for client in self.clients {
            received += client.await.map_err(|error| error.to_string())??;
        }
        Ok(Summary { sent: self.board.borrow().sent.iter().sum(), received })
    }
}

struct Good {
    link: Link,
    number: usize,
    board: Rc<RefCell<Board>>,
    /// The last message of each, all before which have been heard.
    heard: Vec<u64>,
}

impl Good {
    /// Talks until the conversation is over, and listens until everything said was heard; returns how much that was.
    async fn talk(mut self) -> Result<u64, String> {
        let mut tick = tokio::time::interval(EVERY);
        let mut over_since = None;
        loop {
            let due = tokio::select! {
                packet = self.link.receive() => {
                    let (kind, body) = packet.map_err(|error| format!("cut off: {error}"))?;
                    self.hear(kind, &body).await?;
                    false
                }
                _ = tick.tick() => true,
            };
            if self.board.borrow().over {
                if self.heard == self.board.borrow().sent {
                    return Ok(self.heard.iter().sum());
                }
                if *over_since.get_or_insert_with(Instant::now) + PATIENCE < Instant::now() {
                    return Err(format!("of {:?} only {:?} came", self.board.borrow().sent, self.heard));
                }
            } else if due {
                self.say().await?;
            }
        }
    }

    async fn say(&mut self) -> Result<(), String> {
        let next = 1 + self.board.borrow().sent.get(self.number).copied().unwrap_or_default();
        let text = format!("soak {} {next}\n", self.number);
        self.link.send(PacketType::MESSAGE, &text).await.map_err(|error| format!("cannot say: {error}"))?;
        if let Some(sent) = self.board.borrow_mut().sent.get_mut(self.number) {
            *sent = next;
        }
        Ok(())
    }

    /// Counts a message of a well-behaved client; it has to be the one after the last.
    async fn hear(&mut self, kind: PacketType, body: &[u8]) -> Result<(), String> {
        if kind == PacketType::PING
            && let Some(reply) = ping::reply_to(body)
        {
            let reply = String::from_utf8(reply).map_err(|error| error.to_string())?;
            return self.link.send(kind, &reply).await.map_err(|error| error.to_string());
        }
        let said = str::from_utf8(body).ok().filter(|_| kind == PacketType::MESSAGE).and_then(parse);
        let Some((who, number)) = said else { return Ok(()) };
        match self.heard.get_mut(who) {
            Some(last) if number == *last + 1 => {
                *last = number;
                Ok(())
            }
            last => Err(format!("message {number} of {who} came after {last:?}")),
        }
    }
}

/// Reads `Client-7: soak WHO NUMBER`.
fn parse(body: &str) -> Option<(usize, u64)> {
    let (_, text) = body.split_once(": soak ")?;
    let (who, number) = text.trim_end().split_once(' ')?;
    Some((who.parse().ok()?, number.parse().ok()?))
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, received } = self;
        write!(f, "{sent} messages sent, {received} received, each once and in order")
    }
}
