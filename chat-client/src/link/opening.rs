//! Opening a link: the TCP connection, what kind of server is there, the encryption, and who it must prove to be.

use std::collections::VecDeque;
use std::io;

use chat_core::january;
use chat_core::notice::Notice;
use chat_core::packet::PacketType;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::error::LinkError;
use super::january::OwnKeys;
use super::trust::{Dialect, Encryption, Peer, Plan};
use super::wire::{Signal, Wire};
use super::{Incoming, Link, Opened, Protection, Switch, Target};

/// What a server says to everyone while the link is being opened is kept up to this size and then dropped.
const EARLY_BYTES: usize = 256 * 1024;
/// What keeping a packet costs besides its text; packets may be empty.
const EARLY_OVERHEAD_BYTES: usize = 64;

/// Connects, finds out what the server is, encrypts as `target` wants it and verifies the server.
///
/// # Errors
///
/// [`LinkError`]; every wait has a deadline. Nothing but HELLO, CONNECT and a request to encrypt, in either revision, has
/// then been sent.
pub async fn open(target: &Target) -> Result<Opened, LinkError> {
    if target.dialect == Dialect::January {
        // Whoever names this revision knows its encryption: there is but one.
        let wanted = match target.encryption {
            Encryption::Auto => Encryption::Classic,
            named => named,
        };
        if let Some(pinned) = target.trust.expected(&target.address)? {
            return Err(LinkError::ProvesNothing { address: target.address.clone(), pinned });
        }
        target.trust.plan(&target.address, wanted, &Peer::January)?;
        return open_january(target, wanted).await;
    }
    match open_october(target).await? {
        Some(opened) => Ok(opened),
        // Nothing at all was heard: perhaps a server that waits for keys. Who is pinned would have answered.
        None if target.dialect == Dialect::Auto
            && matches!(target.encryption, Encryption::Auto | Encryption::Classic)
            && target.trust.expected(&target.address)?.is_none() =>
        {
            match open_january(target, target.encryption).await {
                Err(error) if !matches!(error, LinkError::January(_)) => Err(no_greeting(target)),
                opened => opened,
            }
        }
        None => Err(no_greeting(target)),
    }
}

/// Opens a link to a server of ours or of October 2025; `None` if nothing was heard of it.
async fn open_october(target: &Target) -> Result<Option<Opened>, LinkError> {
    let stream = connect(target).await?;
    let started = Instant::now();
    // Nothing is kept of what comes from somebody who is still to be verified.
    let early_room = match target.encryption {
        Encryption::Auto | Encryption::Noise => 0,
        Encryption::Classic | Encryption::Off => EARLY_BYTES,
    };
    let mut link = Link::new(stream, Wire::new(&target.agent)?, target, early_room);
    let unheard = link.heard;
    let (peer, greeting) = match timeout(target.timeouts.greeting, link.greet(Peer::Original)).await {
        Ok(greeted) => greeted?,
        Err(_) if link.heard == unheard => return Ok(None),
        Err(_) => return Err(no_greeting(target)),
    };
    let round_trip = started.elapsed();
    link.peer = Some(peer.clone());
    let (protection, greeting) = match target.trust.plan(&target.address, target.encryption, &peer)? {
        Plan::Plain => (Protection::Plain, greeting),
        Plan::Classic => (link.switch_now(Switch::Classic).await?, greeting),
        Plan::Noise => {
            let protection = link.switch_now(Switch::Noise).await?;
            // The first greeting came from somebody unverified; what comes now does not.
            link.early_room = EARLY_BYTES;
            (protection, link.greet_again().await?)
        }
    };
    Ok(Some(Opened { link, peer, protection, greeting, round_trip }))
}

/// Opens a link to a server of the January 2026 revision. Nothing but keys is exchanged before it is clear that its
/// encryption will do.
async fn open_january(target: &Target, wanted: Encryption) -> Result<Opened, LinkError> {
    let keys = OwnKeys::load(&target.classic_keys)?;
    let stream = connect(target).await?;
    let started = Instant::now();
    let mut link = Link::new(stream, Wire::january(keys)?, target, EARLY_BYTES);
    let exchanged = timeout(target.timeouts.greeting, link.exchange()).await;
    exchanged.map_err(|_| no_greeting(target))??;
    let round_trip = started.elapsed();
    target.trust.plan(&target.address, wanted, &Peer::January)?;
    // Everybody is told of every CONNECT: who this client is says which is its own.
    link.send(january::PROFILE, b"")?;
    link.send(PacketType::CONNECT, b"")?;
    let greeted = timeout(target.timeouts.greeting, link.greet(Peer::January)).await;
    let (peer, greeting) = greeted.map_err(|_| no_greeting(target))??;
    link.peer = Some(peer.clone());
    Ok(Opened { link, peer, protection: Protection::Classic, greeting, round_trip })
}

impl Link {
    /// Waits for the CONNECT reply; HELLO before it says that the server is one of ours, and else it is `peer`.
    async fn greet(&mut self, mut peer: Peer) -> Result<(Peer, String), LinkError> {
        let mut turned_away = None;
        loop {
            match self.wire.poll()? {
                Some(Signal::Hello(hello)) => peer = Peer::Ours(hello),
                Some(Signal::Packet { kind: PacketType::CONNECT, text }) => return Ok((peer, text)),
                Some(Signal::Packet { kind: PacketType::NOTICE, text }) => turned_away = Notice::parse(&text),
                Some(Signal::Packet { kind, text }) => self.keep(Incoming::Packet { kind, text }),
                Some(_) => {}
                None => match (self.transfer().await, turned_away.take()) {
                    (Err(LinkError::Closed | LinkError::Lost(_)), Some(notice)) => {
                        return Err(LinkError::TurnedAway(notice.text));
                    }
                    (result, notice) => {
                        result?;
                        turned_away = notice;
                    }
                },
            }
        }
    }

    /// Waits for the server's keys.
    async fn exchange(&mut self) -> Result<(), LinkError> {
        loop {
            match self.wire.poll()? {
                Some(Signal::Exchanged) => return Ok(()),
                Some(_) => {}
                None => self.transfer().await?,
            }
        }
    }

    /// Asks for a greeting inside the secure channel, where nobody can have made it up.
    async fn greet_again(&mut self) -> Result<String, LinkError> {
        self.send(PacketType::CONNECT, b"")?;
        let greeted = timeout(self.target.timeouts.greeting, async {
            loop {
                match self.take_incoming()? {
                    Some(Incoming::Packet { kind: PacketType::CONNECT, text }) => return Ok(text),
                    Some(other) => self.keep(other),
                    None => self.transfer().await?,
                }
            }
        });
        match greeted.await {
            Ok(greeting) => greeting,
            Err(_) => Err(no_greeting(&self.target)),
        }
    }

    /// Switches and waits until that is done; what else comes in the meantime is kept for [`Link::next`].
    async fn switch_now(&mut self, to: Switch) -> Result<Protection, LinkError> {
        self.switch(to)?;
        loop {
            match self.take_incoming()? {
                Some(Incoming::Switched { protection, text }) => {
                    self.keep(Incoming::Switched { protection, text });
                    return Ok(protection);
                }
                Some(other) => self.keep(other),
                None => self.transfer().await?,
            }
        }
    }

    /// Keeps what came too early for [`Link::next`], while there is room.
    fn keep(&mut self, incoming: Incoming) {
        let text_bytes = match &incoming {
            Incoming::Packet { text, .. } | Incoming::Switched { text, .. } => text.len(),
            Incoming::Unreadable(_) | Incoming::RoundTrip(_) => 0,
        };
        if let Some(left) = self.early_room.checked_sub(EARLY_OVERHEAD_BYTES + text_bytes) {
            self.early_room = left;
            self.early.push_back(incoming);
        }
    }
}

fn no_greeting(target: &Target) -> LinkError {
    LinkError::NoGreeting { address: target.address.clone(), waited: target.timeouts.greeting }
}

/// Connects to the first of a name's addresses that takes the connection, sharing the time among them.
async fn connect(target: &Target) -> Result<TcpStream, LinkError> {
    let address = &target.address;
    let deadline = Instant::now() + target.timeouts.connect;
    let unresolved = |source| LinkError::Resolve { address: address.clone(), source };
    let look_up = tokio::net::lookup_host((address.host(), address.port()));
    let found = timeout_at(deadline, look_up).await.map_err(|late| unresolved(late.into()))?;
    let mut found: VecDeque<_> = found.map_err(unresolved)?.collect();
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    while let Some(socket) = found.pop_front() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(found.len() + 1).unwrap_or(u32::MAX);
        match timeout(share, TcpStream::connect(socket)).await {
            Ok(Ok(stream)) => {
                // A chat line is one small packet that should leave at once.
                stream.set_nodelay(true).map_err(LinkError::Lost)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(late) => last = late.into(),
        }
    }
    Err(LinkError::Unreachable { address: address.clone(), source: last })
}
