//! What a connection is up to between its packets: whether it reads on, waits for something, or is leaving.
//!
//! `reactor` calls in here when something has happened, and does what the answer says is next.

use std::io::{self, Read as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use chat_core::notice::NoticeCode;
use chat_core::packet::PacketType;
use chat_core::ping;
use socket2::SockRef;

use super::work::{Outcome, Working};
use super::{Connection, Delay, Ending, Next};
use crate::delivery::Progress;
use crate::metrics::Closed;
use crate::presence::{Tick, Verdict, is_overdue};
use crate::reactor::Readiness;

/// How long a client that is going may take to read what it has been sent.
const LINGER: Duration = Duration::from_secs(2);

/// How long requests of a client that has closed its side are still worked on: it may be a script that has said all it
/// had to say, or it may be gone.
const GRACE: Duration = Duration::from_secs(2);

/// Most reads of a client that is going, before others get their turn.
const LAST_READS_PER_TURN: usize = 4;

/// What a connection is up to.
pub(super) enum Phase {
    /// It handles what comes.
    Open,
    /// Its next packet waits.
    Waiting(Box<Waiting>),
    /// It is out of the room; the client may still read what it was sent, up to a moment. `parted` once all is written and
    /// it has been told that nothing more comes.
    Leaving { until: Instant, parted: bool },
}

/// What a packet waits for: first for the work, if there is any, and then for as long as `pause` says.
pub(super) struct Waiting {
    /// Stops when this is dropped.
    _work: Option<Working>,
    pause: Duration,
    /// When the pause ends; unknown until the work is done.
    until: Option<Instant>,
}

impl Phase {
    /// Waits for nothing but a moment.
    pub(super) fn paused(until: Instant) -> Self {
        Self::Waiting(Box::new(Waiting { _work: None, pause: Duration::ZERO, until: Some(until) }))
    }
}

impl Connection {
    /// Does what the socket is ready for.
    pub(crate) fn ready(&mut self, readiness: Readiness) -> Next {
        let Readiness { readable, at_end, writable, broken } = readiness;
        self.unread |= readable || at_end || broken;
        if at_end && self.closed_at.is_none() {
            self.closed_at = Some(Instant::now());
        }
        if writable && self.hub.is_waiting(self.key) {
            self.hub.drain(self.key);
        }
        match self.phase {
            _ if self.in_line => Next::Rest,
            // It must not stay on the list, and hold a place and a descriptor, because of what it sent before.
            Phase::Waiting(_) if broken => self.close(Ending::Lost(io::ErrorKind::ConnectionReset.into())),
            Phase::Waiting(_) => Next::Rest,
            Phase::Open if self.unread => self.read_on(),
            Phase::Open => Next::Rest,
            Phase::Leaving { .. } => self.linger(),
        }
    }

    /// Goes on after others have had their turn.
    pub(crate) fn take_turn(&mut self) -> Next {
        self.in_line = false;
        match self.phase {
            Phase::Open => self.go_on(),
            Phase::Waiting(_) => Next::Rest,
            Phase::Leaving { .. } => self.linger(),
        }
    }

    /// Goes on with what the work that was waited for has brought.
    pub(crate) fn finish(&mut self, outcome: Outcome) -> Next {
        let Phase::Waiting(waiting) = &mut self.phase else { return Next::Rest };
        let pause = waiting.pause;
        if pause.is_zero() {
            self.resume();
        } else {
            waiting.until = Some(Instant::now() + pause);
        }
        self.settle(outcome);
        if pause.is_zero() { self.go_on() } else { Next::Rest }
    }

    /// Returns when the connection is to be woken, if nothing happens before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Open => None,
            Phase::Waiting(waiting) => {
                let gone = self.closed_at.map(|at| at + GRACE);
                waiting.until.into_iter().chain(gone).min()
            }
            Phase::Leaving { until, .. } => Some(*until),
        }
    }

    /// Does what the deadline was for.
    pub(crate) fn expire(&mut self, now: Instant) -> Next {
        match &self.phase {
            Phase::Open => Next::Rest,
            Phase::Waiting(_) if self.closed_at.is_some_and(|at| at + GRACE <= now) => {
                self.close(Ending::Eof)
            }
            Phase::Waiting(_) => {
                self.resume();
                self.go_on()
            }
            Phase::Leaving { .. } => Next::Gone,
        }
    }

    /// Judges whether the client is still there, and asks it or ends the connection: nothing that it has sent is done then.
    pub(crate) fn judge(&mut self, now: Tick) -> Next {
        // The settings may have changed.
        self.exempt = self.hub.limits().is_exempt(self.peer.ip());
        if matches!(self.phase, Phase::Leaving { .. }) {
            return Next::Rest;
        }
        if self.hub.why_cut_off(self.key) == Some(Closed::QueueFull) {
            return self.close(Ending::TooSlow);
        }
        if self.hub.take_kick(self.key.client) {
            return self.close(Ending::Kicked);
        }
        match &self.phase {
            // Its address has been spared the rates since.
            Phase::Waiting(waiting) if self.exempt && waiting.until.is_some() => {
                self.resume();
                return self.go_on();
            }
            // What waits behind some work is not the client's fault, and nothing it says is heard.
            Phase::Waiting(_) => return Next::Rest,
            Phase::Open | Phase::Leaving { .. } => {}
        }
        if self.has_overdue_packet(now) {
            tracing::info!(client = %self.key.client, "closed: a packet took too long");
            return self.close(Ending::Unfinished);
        }
        match self.presence.judge(now, &self.hub.limits()) {
            Verdict::Keep => Next::Rest,
            Verdict::Ping => {
                self.hub.reply(self.key, PacketType::PING, ping::request(u64::from(now)));
                Next::Rest
            }
            Verdict::NeverSpoke => self.close(Ending::NeverSpoke),
            Verdict::Silent => {
                tracing::info!(client = %self.key.client, "closed: silent for too long");
                self.close(Ending::Silent)
            }
        }
    }

    /// Returns how many bytes of packets that are not whole yet, or not handled, the connection holds.
    pub(crate) fn held_bytes(&self) -> usize {
        self.carried.capacity() + self.secure.as_ref().map_or(0, |inner| inner.packets.len())
    }

    /// Ends the connection because all together hold too much.
    pub(crate) fn make_room(&mut self) -> Next {
        tracing::info!(client = %self.key.client, bytes = self.held_bytes(), "closed: too much is begun and not finished");
        self.close(Ending::Crowded)
    }

    /// Tells a client that understands it that the server is stopping, or will.
    pub(crate) fn announce_restart(&self, text: &str) {
        if !matches!(self.phase, Phase::Leaving { .. }) {
            self.notice(NoticeCode::Restart, text);
        }
    }

    /// Handles again what comes. A packet that had begun has its time from now on, and the client may be silent as long:
    /// nothing was read meanwhile.
    fn resume(&mut self) {
        self.phase = Phase::Open;
        let now = self.hub.now();
        self.presence.heard(now);
        self.incomplete_since = now;
        if let Some(inner) = &mut self.secure {
            inner.incomplete_since = now;
        }
    }

    /// Tells whether a packet that was begun takes too long, in the stream or inside SECURE packets.
    fn has_overdue_packet(&self, now: Tick) -> bool {
        let outer = (!self.carried.is_empty()).then_some(self.incomplete_since);
        let inner = self.secure.as_ref().filter(|inner| !inner.packets.is_empty());
        let begun = [outer, inner.map(|inner| inner.incomplete_since)];
        begun.into_iter().flatten().any(|since| is_overdue(since, now, &self.hub.limits()))
    }

    /// Tells whether the client has not been heard yet, or waits for some work, or for a moment before `until`.
    pub(crate) fn is_owed(&self, until: Instant) -> bool {
        match &self.phase {
            Phase::Open => !self.spoke && self.closed_at.is_none(),
            Phase::Waiting(waiting) => waiting.until.is_none_or(|at| at <= until),
            Phase::Leaving { .. } => false,
        }
    }

    /// Ends the connection with the server, unlike [`Self::close`] without a word to the room: its client may read what it was
    /// sent, until `deadline`.
    pub(crate) fn part(&mut self, deadline: Instant) -> Next {
        if matches!(self.phase, Phase::Leaving { .. }) {
            return Next::Rest;
        }
        self.hub.finish(self.key);
        self.phase = Phase::Leaving { until: deadline, parted: false };
        self.linger()
    }

    /// Forgets the connection, and closes it.
    pub(crate) fn forget(mut self) {
        self.hub.forget(self.key);
        self.hold_tables(0);
        self.hub.admission.borrow_mut().release(self.peer.ip());
    }

    /// Handles what was read before, then reads.
    fn go_on(&mut self) -> Next {
        match self.advance(&[]) {
            Ok(None) if self.unread => self.read_on(),
            outcome => self.follow(outcome),
        }
    }

    fn read_on(&mut self) -> Next {
        let outcome = self.read();
        self.follow(outcome)
    }

    /// Does what the packets that were handled have come to.
    fn follow(&mut self, outcome: Result<Option<Delay>, Ending>) -> Next {
        match outcome {
            Err(ending) => self.close(ending),
            Ok(None) if self.unread => self.line_up(),
            Ok(None) => Next::Rest,
            Ok(Some(Delay { work: None, pause })) if pause.is_zero() => self.line_up(),
            Ok(Some(Delay { work, pause })) => {
                let until = work.is_none().then(|| Instant::now() + pause);
                let _work = work.map(|work| self.start(work));
                self.phase = Phase::Waiting(Box::new(Waiting { _work, pause, until }));
                Next::Rest
            }
        }
    }

    fn line_up(&mut self) -> Next {
        if std::mem::replace(&mut self.in_line, true) { Next::Rest } else { Next::Turn }
    }

    /// Leaves the room at once, and the socket when the client has had time to read what it was sent.
    fn close(&mut self, ending: Ending) -> Next {
        tracing::debug!(client = %self.key.client, reason = %ending, "disconnected");
        match ending {
            Ending::Framing(_) | Ending::BehindSwitch | Ending::PlainWhileSecure | Ending::Unfinished => {
                self.notice(NoticeCode::Malformed, &format!("The connection is closed: {ending}."));
            }
            Ending::Kicked => {
                self.notice(NoticeCode::Kicked, "Whoever runs this server has ended your connection.");
            }
            Ending::Silent => self.notice(NoticeCode::Idle, "You have been silent for too long."),
            Ending::Crowded => {
                self.notice(
                    NoticeCode::Unavailable,
                    "The server has no room for what you have begun to send.",
                );
            }
            // Whoever is too slow has the NOTICE behind what waits already.
            Ending::TooSlow
            | Ending::Goodbye
            | Ending::Eof
            | Ending::Lost(_)
            | Ending::Insecure(_)
            | Ending::NeverSpoke => {}
        }
        // Whoever is cut off closes its side then, which is not why it ended.
        let why = self.hub.why_cut_off(self.key).unwrap_or_else(|| ending.reason());
        self.hub.metrics.count_closed(why);
        let bytes = self.hub.leave(self.key);
        self.charge(0, bytes);
        (self.carried, self.secure) = (Vec::new(), None);
        let progress = self.hub.drain(self.key);
        self.phase = Phase::Leaving { until: Instant::now() + LINGER, parted: false };
        match (ending, progress) {
            (Ending::Lost(_), _) => Next::Gone,
            // Both sides are done.
            (Ending::Eof, Progress::Written) => Next::Gone,
            _ => self.linger(),
        }
    }

    /// Says that nothing more comes, once everything is written, and reads to the end of the stream: closing a socket with
    /// unread bytes would make the kernel reset the connection and destroy the answer under way.
    fn linger(&mut self) -> Next {
        if self.hub.is_waiting(self.key) {
            return Next::Rest;
        }
        if let Phase::Leaving { parted, .. } = &mut self.phase
            && !std::mem::replace(parted, true)
            && SockRef::from(&*self.socket).shutdown(Shutdown::Write).is_err()
        {
            return Next::Gone;
        }
        let mut buffer = self.hub.read_buffer.borrow_mut();
        for _ in 0..LAST_READS_PER_TURN {
            match (&*self.socket).read(&mut buffer) {
                Ok(0) => return Next::Gone,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Next::Rest,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Next::Gone,
            }
        }
        drop(buffer);
        self.line_up()
    }
}
