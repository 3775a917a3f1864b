//! Whether the computer slept: then the wall clock goes on, and the clock that waits are measured with stands still.

use std::time::{Duration, Instant, SystemTime};

/// A wall clock is set right by less than this.
const SLEPT: Duration = Duration::from_secs(10);

/// Compares the two clocks.
pub(super) struct SleepWatch {
    steady: Instant,
    wall: SystemTime,
}

impl SleepWatch {
    pub(super) fn new(steady: Instant, wall: SystemTime) -> Self {
        Self { steady, wall }
    }

    /// Tells whether the computer slept since it was last asked. A wall clock that was set may look like that, and does
    /// no harm.
    pub(super) fn slept(&mut self, steady: Instant, wall: SystemTime) -> bool {
        let awake = steady.saturating_duration_since(self.steady);
        let passed = wall.duration_since(self.wall).unwrap_or_default();
        (self.steady, self.wall) = (steady, wall);
        passed > awake + SLEPT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_is_time_that_only_the_wall_clock_has_seen() {
        let (steady, wall) = (Instant::now(), SystemTime::now());
        let mut watch = SleepWatch::new(steady, wall);
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        assert!(!watch.slept(steady + minute, wall + minute + second));
        assert!(watch.slept(steady + minute + second, wall + 3 * minute));
        assert!(!watch.slept(steady + minute + second, wall + 3 * minute));
        assert!(!watch.slept(steady + minute, wall));
    }
}
