//! How fast one connection may send: token buckets for packets and bytes.
//!
//! Who asks too fast is not refused but made to wait: the server stops reading, TCP slows the sender down, and nothing that
//! was sent is lost.

use std::time::{Duration, Instant};

use crate::config::Limits;

/// No setting makes a connection wait longer than this for one packet.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// What one connection has used of its rates. The rates themselves are the same for everyone and arrive as an argument: there
/// is one of these for each connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    packets: Bucket,
    bytes: Bucket,
    last: Instant,
}

/// A token bucket that may be overdrawn: whoever overdraws it waits until it is level again.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
}

impl Rates {
    /// Starts with full buckets.
    pub(crate) fn new(limits: &Limits, now: Instant) -> Self {
        let full = |burst| Bucket { tokens: f64::from(burst) };
        Self { packets: full(limits.message_burst), bytes: full(limits.byte_burst), last: now }
    }

    /// Counts packets and bytes; returns how long to wait before handling more.
    pub(crate) fn take(&mut self, limits: &Limits, now: Instant, packets: u32, bytes: usize) -> Duration {
        let seconds = now.saturating_duration_since(self.last).as_secs_f64();
        self.last = now;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let for_packets =
            self.packets.take(limits.messages_per_second, limits.message_burst, seconds, packets);
        for_packets.max(self.bytes.take(limits.bytes_per_second, limits.byte_burst, seconds, bytes))
    }
}

impl Bucket {
    fn take(&mut self, per_second: u32, burst: u32, seconds: f64, amount: u32) -> Duration {
        let per_second = f64::from(per_second);
        self.tokens = (self.tokens + seconds * per_second).min(f64::from(burst)) - f64::from(amount);
        if self.tokens >= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(-self.tokens / per_second).unwrap_or(MAX_WAIT).min(MAX_WAIT)
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
            ..Limits::default()
        }
    }

    #[test]
    fn a_burst_is_free_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut rates = Rates::new(&limits(), start);
        for _ in 0..5 {
            assert_eq!(rates.take(&limits(), start, 1, 10), Duration::ZERO);
        }
        assert_eq!(rates.take(&limits(), start, 1, 10), Duration::from_millis(100));
        assert_eq!(rates.take(&limits(), start + Duration::from_millis(200), 1, 10), Duration::ZERO);
        assert_eq!(rates.take(&limits(), start + Duration::from_secs(3600), 1, 10), Duration::ZERO);
        assert!(rates.packets.tokens <= 5.0, "a quiet hour saves up no more than the burst");
    }

    #[test]
    fn large_packets_count_by_their_bytes() {
        let start = Instant::now();
        let mut rates = Rates::new(&limits(), start);
        assert_eq!(rates.take(&limits(), start, 1, 2000), Duration::ZERO);
        assert_eq!(rates.take(&limits(), start, 1, 500), Duration::from_millis(500));
        assert_eq!(rates.take(&limits(), start, 1, usize::MAX), MAX_WAIT);
    }
}
