//! Time, handed to the engine so that tests need not wait for it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What the engine wants to know of time.
pub trait Clock {
    /// Returns the time since some fixed moment; it never goes back.
    fn now(&self) -> Duration;

    /// Returns the seconds since 1970, as the calendar has them.
    fn unix_seconds(&self) -> u64;

    /// Lets `duration` pass.
    fn sleep(&self, duration: Duration);
}

/// The system's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Starts the clock.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn unix_seconds(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// Shows a moment for a person: `2026-02-11 10:33:12 UTC`; `never` for 0.
#[must_use]
pub fn show_moment(unix_seconds: u64) -> String {
    let timestamp = i64::try_from(unix_seconds).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
    match timestamp {
        Some(timestamp) if unix_seconds > 0 => timestamp.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        _ => "never".to_owned(),
    }
}

/// Shows a stretch of time for a person, in its two largest units: `3 d 4 h`, `5 min 12 s`, `0.4 s`.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, _) if seconds < 10 => format!("{:.1} s", duration.as_secs_f64()),
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, min, s) => format!("{min} min {s} s"),
        (0, h, min, _) => format!("{h} h {min} min"),
        (d, h, ..) => format!("{d} d {h} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_show_two_units() {
        let check = |seconds: f64, expected: &str| {
            assert_eq!(show_duration(Duration::from_secs_f64(seconds)), expected);
        };
        check(0.04, "0.0 s");
        check(9.96, "10.0 s");
        check(12.0, "12 s");
        check(312.9, "5 min 12 s");
        check(7_260.0, "2 h 1 min");
        check(273_600.0, "3 d 4 h");
    }

    #[test]
    fn moments_are_calendar_time() {
        assert_eq!(show_moment(0), "never");
        assert_eq!(show_moment(1_770_806_000), "2026-02-11 10:33:20 UTC");
        assert_eq!(show_moment(u64::MAX), "never");
    }
}
