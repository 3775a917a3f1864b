//! The event loop of the connections: asks the kernel whose socket can be read or written, gives each its turn, and flushes
//! what came of it.
//!
//! Ten thousand connections rest most of the time, so one that rests has no task, no timer and no buffer: it is a place in a
//! slab. The sockets are watched through one poller (`reactor/poller.rs`) inside tokio's own; all else that takes time, such
//! as an account, runs as a task of its own and reports back through a channel. What a connection does with its turn is
//! `connection`'s business.
//!
//! A round goes: what happened, each connection concerned in turn, one flush. So whatever came in together leaves together, in
//! one write for each receiver.

mod poller;

pub(crate) use poller::Readiness;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Registry, Token};
use slab::Slab;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Sleep;

use crate::admission::Refusal;
use crate::connection::{Connection, Next, Report};
use crate::hub::Hub;
use crate::listener::Listener;
use crate::metrics::Refused;
use crate::presence::{Stopwatch, Tick};
use poller::Poller;

/// How often connections are judged.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// What clients are told when the server stops.
const STOPPING: &str = "The server is stopping. If it is being restarted, it will be back in a moment.";

/// How long a server that stops still answers whoever it has accepted and not heard yet, or is working for: a client sends its
/// first request as soon as it is connected, and nobody else will answer it.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// How long clients that have been sent everything may take to close their side when the server stops.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What the listening socket's events carry; no connection ever has this number.
const LISTENER: Token = Token(usize::MAX);

/// All connections and what drives them.
pub(crate) struct Reactor {
    poller: Poller,
    crowd: Crowd,
    reports: UnboundedReceiver<Report>,
    /// Ready when the crowd's next moment has come; set anew only when that changes.
    alarm: Pin<Box<Sleep>>,
}

/// The connections, and whose turn it is.
struct Crowd {
    hub: Rc<Hub>,
    registry: Registry,
    listener: Listener,
    /// Whether the server is not stopping yet.
    accepting: bool,
    connections: Slab<Connection>,
    /// Those that have more to do, each at most once.
    turns: VecDeque<usize>,
    /// When connections that wait for a time are to be woken.
    deadlines: BTreeSet<(Instant, usize)>,
    stopwatch: Stopwatch,
    next_sweep: Instant,
}

impl Reactor {
    /// Makes a reactor that accepts from `listener` and hears from the tasks it starts through `reports`.
    ///
    /// # Errors
    ///
    /// The system's error if it has no poller to give.
    pub(crate) fn new(
        hub: Rc<Hub>,
        listener: std::net::TcpListener,
        reports: UnboundedReceiver<Report>,
    ) -> io::Result<Self> {
        let poller = Poller::new()?;
        let registry = poller.registry()?;
        let listener = Listener::new(listener, &registry, LISTENER)?;
        let started = Instant::now();
        let crowd = Crowd {
            hub,
            registry,
            listener,
            accepting: true,
            connections: Slab::new(),
            turns: VecDeque::new(),
            deadlines: BTreeSet::new(),
            stopwatch: Stopwatch::start(started),
            next_sweep: started + SWEEP_INTERVAL,
        };
        let alarm = Box::pin(tokio::time::sleep_until(crowd.next_sweep.into()));
        Ok(Self { poller, crowd, reports, alarm })
    }

    /// Serves for ever, or until the last client has left a server that takes nobody new.
    ///
    /// # Errors
    ///
    /// The system's error if it can no longer tell what happens.
    pub(crate) async fn run(&mut self) -> io::Result<()> {
        while !self.crowd.hub.is_drained(Instant::now()) {
            self.round(false).await?;
        }
        Ok(())
    }

    /// Handles what happens next; if `in_haste` only what has happened, which may be nothing.
    async fn round(&mut self, in_haste: bool) -> io::Result<()> {
        let Self { poller, crowd, reports, alarm } = self;
        let next = crowd.next_moment().into();
        if alarm.deadline() != next {
            alarm.as_mut().reset(next);
        }
        let in_haste = in_haste || crowd.has_turns();
        let begun;
        tokio::select! {
            biased;
            // First, or work that is finished again and again would keep the sockets from being asked.
            events = poller.wait(in_haste) => {
                begun = Instant::now();
                crowd.take_reports(reports);
                for (token, readiness) in events? {
                    crowd.event(token, readiness);
                }
            }
            Some(report) = reports.recv() => {
                begun = Instant::now();
                crowd.report(report);
                crowd.take_reports(reports);
            }
            () = alarm.as_mut() => begun = Instant::now(),
        }
        crowd.take_turns();
        crowd.keep_time(Instant::now());
        crowd.hub.flush();
        crowd.hub.metrics.rounds.observe(begun.elapsed());
        Ok(())
    }

    /// Tells the clients that understand it that the server is stopping, and gives all a moment, until `deadline`, to take
    /// what waits for them. Nobody is accepted any more: where a service manager holds the socket they wait for the next server.
    ///
    /// # Errors
    ///
    /// The system's error if it can no longer tell what happens.
    pub(crate) async fn say_farewell(&mut self, deadline: Instant) -> io::Result<()> {
        self.give_last_answers(deadline.min(Instant::now() + LAST_ANSWERS), deadline).await?;
        let Self { poller, crowd, .. } = self;
        crowd.announce_restart(STOPPING);
        crowd.hub.flush();
        crowd.part(deadline);
        let (mut until, mut all_written) = (deadline, false);
        // Whoever has not read everything by then loses what was not read.
        while !crowd.connections.is_empty() && Instant::now() < until {
            if !all_written && !crowd.hub.is_anyone_waiting() {
                (until, all_written) = (deadline.min(Instant::now() + LAST_WORDS), true);
            }
            tokio::select! {
                biased;
                events = poller.wait(crowd.has_turns()) => for (token, readiness) in events? {
                    crowd.event(token, readiness);
                },
                () = tokio::time::sleep_until(until.into()) => {}
            }
            crowd.take_turns();
        }
        Ok(())
    }

    /// Answers what has been asked, up to `deadline`, and up to `until` what is about to be. What waits to be said is said now.
    async fn give_last_answers(&mut self, until: Instant, deadline: Instant) -> io::Result<()> {
        self.crowd.accepting = false;
        self.crowd.hub.open_floor();
        let asks = self.crowd.connections.len().div_ceil(poller::EVENTS) + 1;
        for _ in 0..asks {
            if Instant::now() < deadline {
                self.round(true).await?;
            }
        }
        while (self.crowd.has_turns() || self.crowd.is_anyone_owed(until)) && Instant::now() < until {
            if let Ok(round) = tokio::time::timeout_at(until.into(), self.round(false)).await {
                round?;
            }
        }
        Ok(())
    }
}

impl Crowd {
    fn event(&mut self, token: Token, readiness: Readiness) {
        if token == LISTENER {
            self.listener.wake();
        } else {
            self.with(token.0, |connection| connection.ready(readiness));
        }
    }

    fn report(&mut self, report: Report) {
        let (index, client) = (report.index, report.client);
        self.with(index, |connection| {
            // Another may be in the place of the one that asked.
            if connection.client() == client { connection.finish(report.outcome) } else { Next::Rest }
        });
    }

    /// Handles what has been reported so far: before what the sockets say, such as that a client is gone.
    fn take_reports(&mut self, reports: &mut UnboundedReceiver<Report>) {
        while let Ok(report) = reports.try_recv() {
            self.report(report);
        }
    }

    fn is_accepting(&self) -> bool {
        self.accepting && !self.hub.is_draining()
    }

    fn has_turns(&self) -> bool {
        !self.turns.is_empty() || (self.listener.is_awake() && self.is_accepting())
    }

    /// Accepts some connections and gives a turn to each that had more to do when this began.
    fn take_turns(&mut self) {
        for _ in 0..self.turns.len() {
            if let Some(index) = self.turns.pop_front() {
                self.with(index, Connection::take_turn);
            }
        }
        let accepts = if self.is_accepting() { Listener::ACCEPTS_PER_TURN } else { 0 };
        for _ in 0..accepts {
            let Some((stream, peer)) = self.listener.accept(self.hub.connections()) else { break };
            self.admit(stream, peer);
        }
    }

    fn admit(&mut self, mut stream: TcpStream, peer: SocketAddr) {
        let admitted = self.hub.admission.borrow_mut().admit(peer.ip(), &self.hub.limits(), Instant::now());
        let usage = match admitted {
            Ok(usage) => usage,
            // Closed at once: nothing is known yet of what the client would understand.
            Err(Refusal::Full) => {
                self.hub.metrics.count_refused(Refused::Full);
                return self.hub.log_full(peer);
            }
            Err(Refusal::AddressFull) => {
                self.hub.metrics.count_refused(Refused::AddressFull);
                return tracing::debug!(%peer, "refused: too many connections from this address");
            }
            Err(Refusal::TooFast) => {
                self.hub.metrics.count_refused(Refused::TooFast);
                return tracing::debug!(%peer, "refused: this address connects too often");
            }
        };
        let place = self.connections.vacant_entry();
        match poller::watch(&self.registry, &mut stream, place.key()) {
            Ok(()) => {
                let hub = Rc::clone(&self.hub);
                let connection = Connection::open(hub, place.key(), stream, peer, usage);
                self.deadlines.extend(connection.deadline().map(|deadline| (deadline, place.key())));
                place.insert(connection);
                self.hub.metrics.accepted.inc();
            }
            Err(error) => {
                self.hub.admission.borrow_mut().release(peer.ip());
                self.hub.metrics.count_refused(Refused::System);
                tracing::warn!(%peer, %error, "a connection cannot be watched and was closed");
            }
        }
    }

    /// Lets a connection act, and does what it says is next.
    fn with(&mut self, index: usize, act: impl FnOnce(&mut Connection) -> Next) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let before = connection.deadline();
        let next = act(connection);
        let after = connection.deadline().filter(|_| next != Next::Gone);
        if before != after {
            before.map(|deadline| self.deadlines.remove(&(deadline, index)));
            after.map(|deadline| self.deadlines.insert((deadline, index)));
        }
        match next {
            Next::Rest => {}
            Next::Turn => self.turns.push_back(index),
            Next::Gone => self.connections.remove(index).forget(),
        }
    }

    /// When something is to be done next, whatever happens.
    fn next_moment(&self) -> Instant {
        let deadline = self.deadlines.first().map_or(self.next_sweep, |(deadline, _)| *deadline);
        self.listener.retry_at().map_or(deadline, |retry| deadline.min(retry)).min(self.next_sweep)
    }

    /// Does what it is time for.
    fn keep_time(&mut self, now: Instant) {
        self.listener.retry(now);
        while let Some(&(deadline, index)) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now) {
            self.with(index, |connection| connection.expire(now));
            // One that has set itself the same moment again would keep this from ending.
            self.deadlines.remove(&(deadline, index));
        }
        if now >= self.next_sweep {
            self.next_sweep = now + SWEEP_INTERVAL;
            let tick = self.stopwatch.look(now);
            self.sweep(tick);
        }
    }

    /// Ends connections that hold most, while all together hold too much of packets that are not finished. It is looked at once
    /// a second, which costs a connection at rest nothing.
    fn keep_inbox(&mut self) {
        let most = self.hub.limits().inbox_total_bytes;
        let held = |connections: &Slab<Connection>| -> Vec<(usize, usize)> {
            connections.iter().map(|(index, connection)| (connection.held_bytes(), index)).collect()
        };
        let mut total: usize = held(&self.connections).iter().map(|(bytes, _)| bytes).sum();
        if total <= most {
            return;
        }
        let mut fullest = held(&self.connections);
        fullest.sort_unstable_by(|a, b| b.cmp(a));
        for (bytes, index) in fullest {
            if total <= most {
                return;
            }
            self.with(index, Connection::make_room);
            total -= bytes;
        }
    }

    /// Judges every connection, and tells all of them if the server is going to stop.
    fn sweep(&mut self, now: Tick) {
        self.hub.set_now(now);
        self.hub.admission.borrow_mut().forget_old(&self.hub.limits(), Instant::now());
        let all: Vec<usize> = self.connections.iter().map(|(index, _)| index).collect();
        for index in all {
            self.with(index, |connection| connection.judge(now));
        }
        self.keep_inbox();
        if let Some(text) = self.hub.take_drain_text() {
            self.announce_restart(&text);
        }
    }

    fn announce_restart(&self, text: &str) {
        self.connections.iter().for_each(|(_, connection)| connection.announce_restart(text));
    }

    /// Tells whether anybody is to be answered who has been accepted, and can be by `until`.
    fn is_anyone_owed(&self, until: Instant) -> bool {
        self.connections.iter().any(|(_, connection)| connection.is_owed(until))
    }

    /// Handles nothing more of what clients send, and closes each connection once all is written.
    fn part(&mut self, deadline: Instant) {
        let all: Vec<usize> = self.connections.iter().map(|(index, _)| index).collect();
        for index in all {
            self.with(index, |connection| connection.part(deadline));
        }
    }
}
