//! How long to wait before the next attempt to reconnect.

use std::time::Duration;

/// The wait before the first attempt, at most.
const FIRST: Duration = Duration::from_millis(500);
/// No wait is longer.
const LONGEST: Duration = Duration::from_secs(30);

/// Waits that double up to a limit, each between half of it and all of it: many clients that lose one server together do
/// not come back together.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    attempts: u32,
    random: u64,
}

impl Backoff {
    /// Begins with any seed; only that it differs between clients matters.
    pub(super) fn new(seed: u64) -> Self {
        Self { attempts: 0, random: seed }
    }

    /// Returns how many waits there were since the last success.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Begins anew after a success.
    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Returns the next wait.
    pub(super) fn next_wait(&mut self) -> Duration {
        let full = FIRST.saturating_mul(1 << self.attempts.min(16)).min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        full.mul_f64(0.5 + 0.5 * self.next_fraction())
    }

    /// The upper 32 bits of the next number as a fraction of one.
    fn next_fraction(&mut self) -> f64 {
        let upper = u32::try_from(self.next_seed() >> 32).unwrap_or(u32::MAX);
        f64::from(upper) / f64::from(u32::MAX)
    }

    /// Returns a number for another one to begin with: SplitMix64.
    pub(super) fn next_seed(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_are_spread() {
        let mut backoff = Backoff::new(7);
        for full_ms in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000] {
            let (wait, full) = (backoff.next_wait(), Duration::from_millis(full_ms));
            assert!(full / 2 <= wait && wait <= full, "{wait:?} of {full:?}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= FIRST);
        assert_ne!(Backoff::new(1).next_wait(), Backoff::new(2).next_wait());
    }

    #[test]
    fn no_number_of_attempts_overflows() {
        let mut backoff = Backoff { attempts: u32::MAX - 1, random: 0 };
        for _ in 0..3 {
            assert!(backoff.next_wait() <= LONGEST);
        }
    }
}
