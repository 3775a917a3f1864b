//! What all connections share: the room, delivery, accounts and keys, on one thread.
//!
//! Everything here runs on the server's single event-loop thread, so state is in `RefCell`s, no lock is taken on the way
//! of a message, and nothing can come between the steps of one function. What is handed over here leaves at the end of the
//! round, when `reactor` calls [`Hub::flush`].
//!
//! Invariant: no borrow of a cell lives across an `await`.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_core::frame::{Frame, FrameError};
use chat_core::hello::Hello;
use chat_core::names::{ClientId, Username};
use chat_core::noise::Identity;
use chat_core::notice::{self, NoticeCode};
use chat_core::packet::PacketType;
use chat_core::rsa::hazmat::{CharacterDecryptor, Decryptor, LAST_IN_TABLES};
use mio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, Semaphore};

use crate::accounts::Accounts;
use crate::admission::Admission;
use crate::clock::Clock;
use crate::config::Limits;
use crate::connection::{Report, TABLES_AT_A_TIME};
use crate::delivery::{Bounds, Cipher, Delivery, OpenError, PeerKey, Progress};
use crate::metrics::{Closed, Encryptions, Metrics, Queues};
use crate::presence::Tick;
use crate::rate::Floor;
use crate::room::{Effect, Event, Room};
use crate::status::{Census, Connections};
use crate::tables::TableMemory;

/// What each byte that everyone receives counts for in the rate of whoever caused it.
const FOR_EVERYONE: usize = 8;

/// What changing the user list counts for at most: one list is for all changes of a round, and our own clients get the changes
/// alone.
const MOST_FOR_A_LIST: usize = 64 * 1024;

/// Bytes read from a socket at a time.
const READ_BYTES: usize = 64 * 1024;

/// The server's own keys.
pub(crate) struct Keys {
    /// The identity that Noise clients pin.
    pub(crate) identity: Identity,
    /// The classic public key as sent on the wire.
    pub(crate) classic_wire: String,
    /// The tables that decrypt what classic clients send.
    pub(crate) decryptor: Rc<Decryptor>,
    /// The same key for clients of January 2026; nothing if it does not suit them.
    pub(crate) characters: Option<Rc<CharacterDecryptor>>,
}

/// The state that connections share.
pub(crate) struct Hub {
    limits: RefCell<Rc<Limits>>,
    pub(crate) accounts: Accounts,
    pub(crate) keys: Keys,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    /// The body of the server's HELLO.
    pub(crate) hello: String,
    /// The memory that cipher tables take.
    pub(crate) tables: RefCell<TableMemory>,
    /// Whose turn it is to have cipher tables worked out.
    pub(crate) table_turns: Arc<Semaphore>,
    pub(crate) admission: RefCell<Admission>,
    /// Where every connection reads to; empty again before the next one's turn.
    pub(crate) read_buffer: RefCell<Vec<u8>>,
    /// Where tasks that work for a connection say how it went; each has one at a time at most.
    pub(crate) reports: UnboundedSender<Report>,
    /// What has been said to everyone.
    floor: Cell<Floor>,
    /// Whether nobody waits any more until it is their turn to speak, and who is told when that begins.
    is_floor_open: Cell<bool>,
    floor_opened: Notify,
    room: RefCell<Room>,
    delivery: RefCell<Delivery>,
    effects: RefCell<Vec<Effect>>,
    /// Whose events have changed the user list since it was last handed over.
    unlisted: RefCell<HashSet<ClientId>>,
    /// Whose connections are to be ended when they are next judged.
    kicked: RefCell<HashSet<ClientId>>,
    /// Until when the last clients may stay; nobody new is taken from then on that this is set.
    drain_until: Cell<Option<Instant>>,
    /// Whether the clients have not been told of it yet.
    drain_untold: Cell<bool>,
    now: Cell<Tick>,
    /// When it was last logged that there are too many connections.
    full_logged: Cell<Option<Tick>>,
    /// When it was last logged that accounts cannot be used.
    failure_logged: Cell<Option<Tick>>,
}

impl Hub {
    /// Makes a hub without connections.
    pub(crate) fn new(
        limits: Limits,
        accounts: Accounts,
        keys: Keys,
        clock: Clock,
        delivery: Delivery,
        reports: UnboundedSender<Report>,
    ) -> Self {
        Self {
            floor: Cell::new(Floor::new(&limits, Instant::now())),
            is_floor_open: Cell::new(false),
            floor_opened: Notify::new(),
            limits: RefCell::new(Rc::new(limits)),
            metrics: Metrics::new(accounts.latencies()),
            accounts,
            keys,
            clock,
            hello: Hello::new(concat!("chat-server/", env!("CARGO_PKG_VERSION"))).encode(),
            tables: RefCell::default(),
            table_turns: Arc::new(Semaphore::new(TABLES_AT_A_TIME)),
            admission: RefCell::default(),
            room: RefCell::default(),
            delivery: RefCell::new(delivery),
            effects: RefCell::default(),
            unlisted: RefCell::default(),
            read_buffer: RefCell::new(vec![0; READ_BYTES]),
            reports,
            kicked: RefCell::default(),
            drain_until: Cell::new(None),
            drain_untold: Cell::new(false),
            now: Cell::new(0),
            full_logged: Cell::new(None),
            failure_logged: Cell::new(None),
        }
    }

    /// Returns the limits in force.
    pub(crate) fn limits(&self) -> Rc<Limits> {
        Rc::clone(&self.limits.borrow())
    }

    /// Puts other limits in force, for connections that are there as well.
    pub(crate) fn set_limits(&self, limits: Limits) {
        self.delivery.borrow_mut().set_bounds(Bounds::of(&limits));
        self.limits.replace(Rc::new(limits));
    }

    /// Lets a connection in; it receives what everyone does once it is heard of, see [`Self::hear`].
    pub(crate) fn open(&self, socket: Rc<TcpStream>) -> PeerKey {
        let client = self.room.borrow_mut().open();
        self.delivery.borrow_mut().add(client, socket)
    }

    /// Takes a connection out of the room and tells the rest; it is still to receive what was handed over before. Returns what
    /// that counts for, as [`Hub::apply`].
    pub(crate) fn leave(&self, key: PeerKey) -> usize {
        self.list_for(key.client);
        self.kicked.borrow_mut().remove(&key.client);
        self.finish(key);
        self.with_effects(key, |room, effects| room.close(key.client, effects))
    }

    /// Begins to send a connection what everyone receives: its first packet has told its dialect.
    pub(crate) fn hear(&self, key: PeerKey) {
        self.delivery.borrow_mut().hear(key);
    }

    /// Ends what a connection receives with what has been handed over so far.
    pub(crate) fn finish(&self, key: PeerKey) {
        self.delivery.borrow_mut().finish(key);
    }

    /// Forgets a connection that has left.
    pub(crate) fn forget(&self, key: PeerKey) {
        self.delivery.borrow_mut().remove(key);
    }

    /// Applies a client's event to the room and hands over what follows from it. Returns what that counts for in the client's
    /// rate of bytes: what everyone receives counts several times, a user list as much as it is long.
    pub(crate) fn apply(&self, key: PeerKey, event: Event<'_>) -> usize {
        self.with_effects(key, |room, effects| room.handle(key.client, event, effects))
    }

    fn with_effects(&self, key: PeerKey, decide: impl FnOnce(&mut Room, &mut Vec<Effect>)) -> usize {
        let mut effects = self.effects.take();
        decide(&mut self.room.borrow_mut(), &mut effects);
        let mut cost = 0;
        for effect in effects.drain(..) {
            match effect {
                Effect::Reply(kind, body) => self.reply(key, kind, body),
                Effect::Everyone(kind, body) => {
                    cost += FOR_EVERYONE * body.len() + self.weight_for_january(&body);
                    // Only what changes the list may come between a change and the list; both then share one.
                    if kind == PacketType::MESSAGE {
                        self.list();
                        self.count_message();
                    } else {
                        self.list_for(key.client);
                    }
                    self.broadcast(kind, &body);
                }
                Effect::UserList => {
                    let list = self.room.borrow().last_user_list().len();
                    cost += (FOR_EVERYONE * list).min(MOST_FOR_A_LIST);
                    self.unlisted.borrow_mut().insert(key.client);
                }
                Effect::SameUserList => {
                    self.same_list(key);
                    cost += self.room.borrow().last_user_list().len();
                }
            }
        }
        self.effects.replace(effects);
        cost
    }

    /// Returns what a text for everyone counts for besides its length: the characters that each client of January 2026 makes
    /// the server compute.
    fn weight_for_january(&self, text: &str) -> usize {
        match self.delivery.borrow().januaries() {
            0 => 0,
            januaries => januaries * text.chars().filter(|&letter| letter > LAST_IN_TABLES).count(),
        }
    }

    /// Counts a message that somebody wants to say to everyone; returns how long to wait before it may be said.
    pub(crate) fn wait_to_say(&self, message: &str) -> Duration {
        if self.is_floor_open.get() {
            return Duration::ZERO;
        }
        let mut floor = self.floor.get();
        let wait = floor.take(&self.limits(), Instant::now(), message.len());
        self.floor.set(floor);
        wait
    }

    /// Waits for that long, or until nobody waits any more.
    pub(crate) async fn wait_for_floor(&self, wait: Duration) {
        let opened = self.floor_opened.notified();
        if !self.is_floor_open.get() {
            // That the time is up is what is usually waited for.
            let _ = tokio::time::timeout(wait, opened).await;
        }
    }

    /// Lets everybody say at once what they wait to say: the server is stopping, and will not hear it later. That may be too
    /// much at once for any reader, so only all of it together is bounded from now on.
    pub(crate) fn open_floor(&self) {
        let together = self.limits().outbox_total_bytes;
        self.delivery.borrow_mut().set_bounds(Bounds { each: together, together });
        self.is_floor_open.set(true);
        self.floor_opened.notify_waiters();
    }

    /// Hands over the user list for one client, after whatever others have changed: it has that already.
    fn same_list(&self, key: PeerKey) {
        self.list();
        let mut room = self.room.borrow_mut();
        if let Err(error) = self.delivery.borrow_mut().reply_list(key, || room.user_list()) {
            tracing::warn!(client = %key.client, %error, "the user list is too long and was not sent");
        }
    }

    /// Hands over the user list if this client has changed it: its own list comes before anything else that it causes.
    fn list_for(&self, client: ClientId) {
        if self.unlisted.borrow().contains(&client) {
            self.list();
        }
    }

    /// Hands over the user list if it has changed. Changes that came together share one list: a crowd that joins at once
    /// would otherwise cost its size cubed in bytes.
    fn list(&self) {
        let causes = std::mem::take(&mut *self.unlisted.borrow_mut());
        if causes.is_empty() {
            return;
        }
        let mut room = self.room.borrow_mut();
        let changes = room.take_changes();
        let handed_over = self.delivery.borrow_mut().broadcast_list(|| room.user_list(), &changes, causes);
        drop(room);
        self.after_handing_over(PacketType::USERLIST, handed_over);
    }

    /// Hands over a packet for one connection.
    pub(crate) fn reply(&self, key: PeerKey, kind: PacketType, body: impl AsRef<[u8]>) {
        self.list_for(key.client);
        if let Err(error) = self.delivery.borrow_mut().reply(key, kind, body.as_ref()) {
            tracing::warn!(client = %key.client, ?kind, %error, "a reply is too long and was not sent");
        }
    }

    /// Hands over a NOTICE; only for clients that understand it.
    pub(crate) fn notice(&self, key: PeerKey, code: NoticeCode, text: &str) {
        self.reply(key, PacketType::NOTICE, notice::encode(code, text));
    }

    fn broadcast(&self, kind: PacketType, body: &str) {
        let handed_over = self.delivery.borrow_mut().broadcast(kind, body.as_bytes());
        self.after_handing_over(kind, handed_over);
    }

    /// Flushes early if there is much.
    fn after_handing_over(&self, kind: PacketType, is_much: Result<bool, FrameError>) {
        match is_much {
            Ok(true) => self.flush(),
            Ok(false) => {}
            Err(error) => tracing::warn!(?kind, %error, "a packet for everyone is too long and was not sent"),
        }
    }

    /// Sends a connection the changes of the user list from now on, once it has been sent all of it.
    pub(crate) fn send_changes(&self, key: PeerKey) {
        self.delivery.borrow_mut().send_changes(key);
    }

    /// Tells a connection by a NOTICE if it has to be given up because it reads too slowly.
    pub(crate) fn send_notices(&self, key: PeerKey) {
        self.delivery.borrow_mut().send_notices(key);
    }

    /// Returns the name that a client is logged in by.
    pub(crate) fn user(&self, client: ClientId) -> Option<Username> {
        self.room.borrow().user(client)
    }

    /// Returns what others call a client.
    pub(crate) fn display(&self, client: ClientId) -> chat_core::text::Display {
        self.room.borrow().display(client)
    }

    /// Changes how a connection's packets are encoded from now on.
    pub(crate) fn set_cipher(&self, key: PeerKey, cipher: Cipher) {
        self.delivery.borrow_mut().set_cipher(key, cipher);
    }

    /// Tells whether a connection uses the classic cipher.
    pub(crate) fn is_classic(&self, key: PeerKey) -> bool {
        matches!(self.delivery.borrow_mut().cipher(key), Some(Cipher::Classic(_)))
    }

    /// Tells whether a connection speaks the dialect of January 2026.
    pub(crate) fn is_january(&self, key: PeerKey) -> bool {
        matches!(self.delivery.borrow_mut().cipher(key), Some(Cipher::January(_)))
    }

    /// Decrypts a body that came from a connection.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; `out` is then unchanged.
    pub(crate) fn decrypt(&self, key: PeerKey, body: &[u8], out: &mut Vec<u8>) -> Result<(), OpenError> {
        self.delivery.borrow_mut().open(key, body, out)
    }

    /// Logs a packet that came from a connection, if packets are logged.
    pub(crate) fn log_received(&self, key: PeerKey, frame: &Frame<'_>, plain: Option<&[u8]>) {
        if let Some(log) = self.delivery.borrow_mut().packet_log() {
            log.received(key.client, frame, plain);
        }
    }

    /// Tells why a connection was cut off, if it was.
    pub(crate) fn why_cut_off(&self, key: PeerKey) -> Option<Closed> {
        self.delivery.borrow_mut().why_cut_off(key)
    }

    /// Writes what waits for one connection, as far as its socket takes it.
    pub(crate) fn drain(&self, key: PeerKey) -> Progress {
        self.delivery.borrow_mut().drain(key)
    }

    /// Tells whether bytes for a connection wait until its socket takes more.
    pub(crate) fn is_waiting(&self, key: PeerKey) -> bool {
        self.delivery.borrow_mut().is_waiting(key)
    }

    /// Tells whether bytes for any connection wait until its socket takes more.
    pub(crate) fn is_anyone_waiting(&self) -> bool {
        self.delivery.borrow().is_anyone_waiting()
    }

    /// Writes everything that has been handed over.
    pub(crate) fn flush(&self) {
        self.list();
        self.delivery.borrow_mut().flush();
    }

    /// Has a client's connection ended within a second, the client being named as in [`Room::find`]; tells which it is.
    pub(crate) fn kick(&self, who: &str) -> Option<ClientId> {
        let client = self.room.borrow().find(who)?;
        self.kicked.borrow_mut().insert(client);
        Some(client)
    }

    /// Returns the client that is logged in by a name, or has it.
    pub(crate) fn find(&self, who: &str) -> Option<ClientId> {
        self.room.borrow().find(who)
    }

    /// Tells, once, whether a client's connection is to be ended.
    pub(crate) fn take_kick(&self, client: ClientId) -> bool {
        let mut kicked = self.kicked.borrow_mut();
        !kicked.is_empty() && kicked.remove(&client)
    }

    /// Takes nobody new from now on; the server stops when everybody has left, or at that moment.
    pub(crate) fn drain_until(&self, deadline: Instant) {
        self.drain_until.set(Some(deadline));
        self.drain_untold.set(true);
    }

    /// Returns, once, what the clients are to be told of the server's end.
    pub(crate) fn take_drain_text(&self) -> Option<String> {
        let deadline = self.drain_until.get().filter(|_| self.drain_untold.take())?;
        let left = deadline.saturating_duration_since(Instant::now());
        let (minutes, time) = (left.as_secs().div_ceil(60), self.clock.utc_after(left));
        Some(format!(
            "The server takes nobody new and will stop when everybody has left, at {time} (in {minutes} min) at the latest. \
             If it is being restarted, it will be back a moment later."
        ))
    }

    /// Returns how long a server that takes nobody new still waits for everybody to leave.
    pub(crate) fn drained_in(&self, now: Instant) -> Option<Duration> {
        self.drain_until.get().map(|deadline| deadline.saturating_duration_since(now))
    }

    /// Tells whether nobody new is taken.
    pub(crate) fn is_draining(&self) -> bool {
        self.drain_until.get().is_some()
    }

    /// Tells whether nobody new is taken, and nobody is to be waited for any more.
    pub(crate) fn is_drained(&self, now: Instant) -> bool {
        self.drain_until.get().is_some_and(|deadline| deadline <= now || self.connections() == 0)
    }

    /// Returns what time it is, to the second.
    pub(crate) fn now(&self) -> Tick {
        self.now.get()
    }

    /// Sets what time it is.
    pub(crate) fn set_now(&self, now: Tick) {
        self.now.set(now);
    }

    /// Logs that a connection was refused for lack of room; once a second, however many there are.
    pub(crate) fn log_full(&self, peer: std::net::SocketAddr) {
        let now = Some(self.now.get());
        if self.full_logged.replace(now) != now {
            tracing::warn!(%peer, connections = self.connections(), "refused: as many connections as the server takes");
        }
    }

    /// Tells whether it is to be logged that accounts cannot be used: once a minute, however many ask.
    pub(crate) fn may_log_failure(&self) -> bool {
        let (now, last) = (self.now.get(), self.failure_logged.get());
        let may = last.is_none_or(|last| now.saturating_sub(last) >= 60);
        if may {
            self.failure_logged.set(Some(now));
        }
        may
    }

    /// Returns the number of open connections.
    pub(crate) fn connections(&self) -> usize {
        self.room.borrow().len()
    }

    /// Counts who is there; takes a moment that grows with their number.
    pub(crate) fn census(&self) -> Census {
        let room = self.room.borrow();
        let Encryptions { plain, october, january, noise } = self.encryptions();
        let classic = october + january;
        let connections = Connections { total: plain + classic + noise, plain, classic, noise };
        Census { connections, joined: room.joined(), logged_in: room.logged_in() }
    }

    /// Counts the open connections by their encryption; takes a moment that grows with their number, as does the next.
    pub(crate) fn encryptions(&self) -> Encryptions {
        self.delivery.borrow().encryptions()
    }

    /// Tells what waits for slow readers.
    pub(crate) fn queues(&self) -> Queues {
        self.delivery.borrow().queues()
    }

    fn count_message(&self) {
        let receivers = self.delivery.borrow().receivers();
        self.metrics.messages.inc();
        self.metrics.deliveries.inc_by(u64::try_from(receivers).unwrap_or(u64::MAX));
    }
}
