//! How fast one connection may send, and all of an address together: token buckets for packets and bytes.
//!
//! Who asks too fast is not refused but made to wait: the server stops reading, TCP slows the sender down, and nothing that
//! was sent is lost.
//!
//! What an address has used outlives its connections (`admission` keeps it), or every new connection would bring full buckets.
//! Those of an address that has overdrawn its buckets go on one after the other, each when what it sent itself is level.
//!
//! What is said to everyone has one more bucket, [`Floor`], so that many together do not say more than readers can read.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::config::Limits;

/// No setting makes a connection wait longer than this for one packet.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// How long anybody waits to say something to everyone. It is less than a sender's PING may go unanswered, and than a connection
/// is kept that has said its last; and nobody can take the floor from the others for longer by asking for it.
const MAX_WAIT_FOR_FLOOR: Duration = Duration::from_secs(1);

/// What one connection has used of its rates, and of those that it shares with its address. The rates themselves are the same
/// for everyone and arrive as an argument: there is one of these for each connection.
#[derive(Debug)]
pub(crate) struct Rates {
    own: Usage,
    of_address: SharedUsage,
}

/// What all connections from one address have used together.
pub(crate) type SharedUsage = Rc<Cell<Usage>>;

/// What has been used of a rate of packets and one of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    packets: Bucket,
    bytes: Bucket,
    last: Instant,
}

/// A token bucket that may be overdrawn: whoever overdraws it waits until it is level again.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
}

/// What a bucket holds, and how fast it fills.
#[derive(Clone, Copy, Debug)]
struct Rate {
    per_second: f64,
    burst: f64,
}

impl Rates {
    /// Starts with full buckets of the connection's own.
    pub(crate) fn new(of_address: SharedUsage, limits: &Limits, now: Instant) -> Self {
        Self { own: Usage::none(limits, 1, now), of_address }
    }

    /// Counts the opening of the connection as a packet of its address; returns how long to wait for that before the first
    /// packet is handled.
    pub(crate) fn opened(&mut self, limits: &Limits, now: Instant) -> Duration {
        self.take_of_address(limits, now, 1, 0)
    }

    /// Counts packets and bytes; returns how long to wait before handling more.
    pub(crate) fn take(&mut self, limits: &Limits, now: Instant, packets: u32, bytes: usize) -> Duration {
        let for_address = self.take_of_address(limits, now, packets, bytes);
        for_address.max(self.own.take(limits, 1, now, packets, bytes))
    }

    fn take_of_address(&self, limits: &Limits, now: Instant, packets: u32, bytes: usize) -> Duration {
        let mut usage = self.of_address.get();
        let wait = usage.take(limits, limits.rate_shares_per_address, now, packets, bytes);
        self.of_address.set(usage);
        wait
    }
}

/// What everyone together has said to everyone: who would overdraw it waits first, but not for long. So it spreads what many say
/// at once; for what one address may say in the long run there are its own rates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    bytes: Bucket,
    last: Instant,
}

impl Floor {
    /// Starts with a full bucket.
    pub(crate) fn new(limits: &Limits, now: Instant) -> Self {
        Self { bytes: Bucket { tokens: Rate::of_room(limits).burst }, last: now }
    }

    /// Counts what somebody wants to say; returns how long to wait before it may be said.
    pub(crate) fn take(&mut self, limits: &Limits, now: Instant, bytes: usize) -> Duration {
        let seconds = now.saturating_duration_since(self.last).as_secs_f64();
        self.last = now;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let rate = Rate::of_room(limits);
        let wait = self.bytes.take(rate, seconds, bytes);
        self.bytes.tokens = self.bytes.tokens.max(-rate.per_second * MAX_WAIT_FOR_FLOOR.as_secs_f64());
        wait.min(MAX_WAIT_FOR_FLOOR)
    }
}

impl Usage {
    /// Starts with full buckets for an address.
    pub(crate) fn of_address(limits: &Limits, now: Instant) -> SharedUsage {
        Rc::new(Cell::new(Self::none(limits, limits.rate_shares_per_address, now)))
    }

    /// Tells whether an address's buckets are as full as if nothing had ever been sent.
    pub(crate) fn is_paid_off(mut self, limits: &Limits, now: Instant) -> bool {
        let shares = limits.rate_shares_per_address;
        self.take(limits, shares, now, 0, 0);
        self.packets.tokens >= Rate::of_packets(limits, shares).burst
            && self.bytes.tokens >= Rate::of_bytes(limits, shares).burst
    }

    /// Starts with full buckets, `shares` times as large as those of one connection.
    fn none(limits: &Limits, shares: u32, now: Instant) -> Self {
        let full = |rate: Rate| Bucket { tokens: rate.burst };
        let (packets, bytes) = (Rate::of_packets(limits, shares), Rate::of_bytes(limits, shares));
        Self { packets: full(packets), bytes: full(bytes), last: now }
    }

    fn take(&mut self, limits: &Limits, shares: u32, now: Instant, packets: u32, bytes: usize) -> Duration {
        let seconds = now.saturating_duration_since(self.last).as_secs_f64();
        self.last = now;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let for_packets = self.packets.take(Rate::of_packets(limits, shares), seconds, packets);
        for_packets.max(self.bytes.take(Rate::of_bytes(limits, shares), seconds, bytes))
    }
}

impl Rate {
    fn of_packets(limits: &Limits, shares: u32) -> Self {
        Self::new(limits.messages_per_second, limits.message_burst, shares)
    }

    fn of_bytes(limits: &Limits, shares: u32) -> Self {
        Self::new(limits.bytes_per_second, limits.byte_burst, shares)
    }

    /// At once a sixteenth of what may wait for a reader: a burst must not throw out those who were reading well, not even where
    /// the original's encryption makes eight bytes of one.
    fn of_room(limits: &Limits) -> Self {
        let burst = u32::try_from(limits.outbox_bytes / 16).unwrap_or(u32::MAX);
        Self::new(limits.room_bytes_per_second, burst, 1)
    }

    fn new(per_second: u32, burst: u32, shares: u32) -> Self {
        let times = |of_one| f64::from(of_one) * f64::from(shares);
        Self { per_second: times(per_second), burst: times(burst) }
    }
}

impl Bucket {
    fn take(&mut self, rate: Rate, seconds: f64, amount: u32) -> Duration {
        self.tokens = (self.tokens + seconds * rate.per_second).min(rate.burst) - f64::from(amount);
        if self.tokens >= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(-self.tokens / rate.per_second).unwrap_or(MAX_WAIT).min(MAX_WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            messages_per_second: 10,
            message_burst: 5,
            bytes_per_second: 1000,
            byte_burst: 2000,
            rate_shares_per_address: 2,
            ..Limits::default()
        }
    }

    fn open(used: &SharedUsage, now: Instant) -> (Rates, Duration) {
        let mut rates = Rates::new(Rc::clone(used), &limits(), now);
        let wait = rates.opened(&limits(), now);
        (rates, wait)
    }

    /// A connection from an address that nobody else connects from.
    fn alone(now: Instant) -> Rates {
        open(&Usage::of_address(&limits(), now), now).0
    }

    #[test]
    fn a_burst_is_free_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut rates = alone(start);
        for _ in 0..5 {
            assert_eq!(rates.take(&limits(), start, 1, 10), Duration::ZERO);
        }
        assert_eq!(rates.take(&limits(), start, 1, 10), Duration::from_millis(100));
        assert_eq!(rates.take(&limits(), start + Duration::from_millis(200), 1, 10), Duration::ZERO);
        assert_eq!(rates.take(&limits(), start + Duration::from_secs(3600), 1, 10), Duration::ZERO);
        assert!(rates.own.packets.tokens <= 5.0, "a quiet hour saves up no more than the burst");
    }

    #[test]
    fn large_packets_count_by_their_bytes() {
        let start = Instant::now();
        let mut rates = alone(start);
        assert_eq!(rates.take(&limits(), start, 1, 2000), Duration::ZERO);
        assert_eq!(rates.take(&limits(), start, 1, 500), Duration::from_millis(500));
        assert_eq!(rates.take(&limits(), start, 1, usize::MAX), MAX_WAIT);
    }

    #[test]
    fn what_is_said_to_everyone_waits_but_never_long() {
        let limits = Limits { outbox_bytes: 16_000, room_bytes_per_second: 1000, ..limits() };
        let start = Instant::now();
        let mut floor = Floor::new(&limits, start);
        let mut waits = |bytes, after| floor.take(&limits, start + Duration::from_millis(after), bytes);
        assert_eq!([waits(600, 0), waits(400, 0)], [Duration::ZERO; 2]);
        assert_eq!(waits(500, 0), Duration::from_millis(500));
        assert_eq!(waits(100, 100), Duration::from_millis(500));
        assert_eq!(waits(300, 1000), Duration::ZERO);
        // However many ask, and even if none of them stays to speak: a second later it is as if they had not.
        for _ in 0..1000 {
            assert!(waits(100_000, 1000) <= MAX_WAIT_FOR_FLOOR);
        }
        assert_eq!(waits(0, 2000), Duration::ZERO);
    }

    #[test]
    fn many_connections_of_an_address_have_the_shares_of_two() {
        let now = Instant::now();
        let used = Usage::of_address(&limits(), now);
        let open = || open(&used, now);
        // Ten packets are free, two of which open these; then twenty a second, each connection waiting for its own.
        let [(mut first, _), (mut second, _)] = [open(), open()];
        for rates in [&mut first, &mut second] {
            (0..4).for_each(|_| assert_eq!(rates.take(&limits(), now, 1, 0), Duration::ZERO));
        }
        assert_eq!(first.take(&limits(), now, 1, 0), Duration::from_millis(50));
        assert_eq!(second.take(&limits(), now, 1, 0), Duration::from_millis(100));
        let (mut third, wait) = open();
        assert_eq!(wait, Duration::from_millis(150), "what is used up does not come back by connecting anew");
        let later = now + wait;
        assert_eq!(third.take(&limits(), later, 1, 0), Duration::from_millis(50));
        let is_paid_off = |after| used.get().is_paid_off(&limits(), now + Duration::from_millis(after));
        assert!(!is_paid_off(650) && is_paid_off(750));
    }
}
