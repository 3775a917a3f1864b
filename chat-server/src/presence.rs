//! Which connections are still alive, judged once a second from when each was last heard of. Time in which the server itself did
//! not run counts for nobody.
//!
//! Our own clients answer PING, so silence of theirs means something; an original client may listen for days without a
//! word, and only TCP keepalive (set on the listening socket) tells whether it is there.

use std::time::{Duration, Instant};

use chat_core::hello::Caps;

use crate::config::Limits;

/// Seconds that the server has run.
pub(crate) type Tick = u32;

/// The longest time between two looks at the clock that counts in full; connections are judged every second.
const LONGEST_STEP: Duration = Duration::from_secs(2);

/// Counts the seconds that the server runs. While it is stopped, as by a debugger, a machine that sleeps or one that is moved, its
/// clients may talk and nobody hears them: that time is no silence of theirs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch {
    looked: Instant,
    ran: Duration,
}

impl Stopwatch {
    /// Begins to count.
    pub(crate) fn start(now: Instant) -> Self {
        Self { looked: now, ran: Duration::ZERO }
    }

    /// Looks at the clock, and returns for how long the server has run.
    pub(crate) fn look(&mut self, now: Instant) -> Tick {
        self.ran += now.saturating_duration_since(self.looked).min(LONGEST_STEP);
        self.looked = now;
        Tick::try_from(self.ran.as_secs()).unwrap_or(Tick::MAX)
    }
}

/// What is known of one connection's life.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Presence {
    opened: Tick,
    heard: Tick,
    greeted: bool,
    answers_ping: bool,
    pinged: bool,
    given_up: bool,
}

/// What to do about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Keep,
    /// Ask whether it is there.
    Ping,
    /// Close it: it never sent a whole packet.
    NeverSpoke,
    /// Close it: it does not answer any more; it may be told so.
    Silent,
}

impl Presence {
    /// Begins with a connection that has just been accepted.
    pub(crate) fn new(now: Tick) -> Self {
        Self { opened: now, heard: now, ..Self::default() }
    }

    /// Notes that bytes came.
    pub(crate) fn heard(&mut self, now: Tick) {
        self.heard = now;
        self.pinged = false;
    }

    /// Notes the first whole packet.
    pub(crate) fn greeted(&mut self) {
        self.greeted = true;
    }

    /// Notes what the client said it understands.
    pub(crate) fn understands(&mut self, caps: Caps) {
        self.answers_ping = caps.ping;
    }

    /// Judges the connection; a [`Verdict::Ping`] is given once per silence, and a connection is given up once.
    pub(crate) fn judge(&mut self, now: Tick, limits: &Limits) -> Verdict {
        let verdict = if self.given_up { Verdict::Keep } else { self.verdict(now, limits) };
        self.given_up |= matches!(verdict, Verdict::NeverSpoke | Verdict::Silent);
        verdict
    }

    fn verdict(&mut self, now: Tick, limits: &Limits) -> Verdict {
        if !self.greeted {
            let late = passed(self.opened, now, limits.handshake_timeout);
            return if late { Verdict::NeverSpoke } else { Verdict::Keep };
        }
        if !self.answers_ping {
            return Verdict::Keep;
        }
        if passed(self.heard, now, limits.idle_timeout) {
            return Verdict::Silent;
        }
        if !self.pinged && passed(self.heard, now, limits.idle_timeout / 2) {
            self.pinged = true;
            return Verdict::Ping;
        }
        Verdict::Keep
    }
}

/// Tells whether a packet that was begun at `since` takes too long.
pub(crate) fn is_overdue(since: Tick, now: Tick, limits: &Limits) -> bool {
    passed(since, now, limits.packet_timeout)
}

/// Tells whether `limit` (zero: never) has passed between two ticks.
fn passed(from: Tick, to: Tick, limit: Duration) -> bool {
    !limit.is_zero() && Duration::from_secs(u64::from(to.saturating_sub(from))) >= limit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(100),
            ..Limits::default()
        }
    }

    #[test]
    fn time_in_which_the_server_did_not_run_is_nobodys_silence() {
        let mut now = Instant::now();
        let mut stopwatch = Stopwatch::start(now);
        let mut after = |milliseconds| {
            now += Duration::from_millis(milliseconds);
            stopwatch.look(now)
        };
        assert_eq!([after(999), after(1001), after(1500), after(1500)], [0, 2, 3, 5]);
        assert_eq!(after(24 * 3600 * 1000), 7, "a day asleep");
        assert_eq!(after(1000), 8);
        // A clock that goes back, which this one should not.
        assert_eq!(stopwatch.look(now - Duration::from_secs(100)), 8);
    }

    #[test]
    fn whoever_never_speaks_is_closed() {
        let mut presence = Presence::new(5);
        assert_eq!(presence.judge(14, &limits()), Verdict::Keep);
        assert_eq!(presence.judge(15, &limits()), Verdict::NeverSpoke);
        let forever = Limits { handshake_timeout: Duration::ZERO, ..limits() };
        assert_eq!(presence.judge(Tick::MAX, &forever), Verdict::Keep);
    }

    #[test]
    fn an_original_client_may_listen_for_ever() {
        let mut presence = Presence::new(0);
        presence.greeted();
        assert_eq!(presence.judge(Tick::MAX, &limits()), Verdict::Keep);
    }

    #[test]
    fn a_client_of_ours_is_asked_once_and_then_given_up() {
        let mut presence = Presence::new(0);
        presence.greeted();
        presence.understands(Caps::ALL);
        assert_eq!(presence.judge(49, &limits()), Verdict::Keep);
        assert_eq!(presence.judge(50, &limits()), Verdict::Ping);
        assert_eq!(presence.judge(51, &limits()), Verdict::Keep);
        let mut silent = presence;
        assert_eq!(silent.judge(100, &limits()), Verdict::Silent);
        assert_eq!(silent.judge(101, &limits()), Verdict::Keep, "given up already");
        presence.heard(99);
        assert_eq!(presence.judge(100, &limits()), Verdict::Keep);
        assert_eq!(presence.judge(149, &limits()), Verdict::Ping);
    }
}
