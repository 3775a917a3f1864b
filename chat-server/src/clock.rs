//! The time of day: where it comes from, and the texts that DATE and TIME ask for.
//!
//! Zones come from the database compiled into the binary, never from the host's, so that every server answers
//! alike. The exact wording around these texts is chat-core's.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// A source of the current time; cheap to clone.
#[derive(Debug, Clone)]
pub struct Clock {
    source: Source,
    zones: TimeZoneDatabase,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    System,
    Fixed(Timestamp),
}

impl Clock {
    /// Returns the clock of the machine.
    #[must_use]
    pub fn system() -> Self {
        Self { source: Source::System, zones: TimeZoneDatabase::bundled() }
    }

    /// Returns a clock that stands still, for tests.
    #[must_use]
    pub fn fixed(now: Timestamp) -> Self {
        Self { source: Source::Fixed(now), zones: TimeZoneDatabase::bundled() }
    }

    /// Returns the current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self.source {
            Source::System => Timestamp::now(),
            Source::Fixed(now) => now,
        }
    }

    /// Returns the date in a zone, such as `Sunday, October 12, 2025`; nothing if there is no such zone.
    #[must_use]
    pub fn date_text(&self, zone: &str) -> Option<String> {
        self.text(zone, "%A, %B %-d, %Y")
    }

    /// Returns the time of day in a zone, such as `7:06 PM EDT`; nothing if there is no such zone.
    #[must_use]
    pub fn time_text(&self, zone: &str) -> Option<String> {
        self.text(zone, "%-I:%M %p %Z")
    }

    /// Returns the time of day in UTC, some time from now, such as `21:45 UTC`.
    pub(crate) fn utc_after(&self, wait: Duration) -> String {
        let then = self.now().checked_add(wait).unwrap_or_else(|_| self.now());
        then.to_zoned(TimeZone::UTC).strftime("%H:%M UTC").to_string()
    }

    /// Returns the current time in UTC as the original's packet log writes it: minutes, then microseconds.
    pub(crate) fn packet_log_timestamp(&self) -> String {
        self.now().to_zoned(TimeZone::UTC).strftime("%m/%d/%Y %-I:%M.%6f %p %Z").to_string()
    }

    fn text(&self, zone: &str, format: &str) -> Option<String> {
        let local = self.now().to_zoned(self.zone(zone)?);
        jiff::fmt::strtime::format(format, &local).ok()
    }

    /// Finds a zone by its name, the case of whose letters counts; jiff alone would not mind it.
    fn zone(&self, name: &str) -> Option<TimeZone> {
        let zone = self.zones.get(name).ok()?;
        (zone.iana_name() == Some(name) && !zone.is_unknown()).then_some(zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(now: &str, zone: &str, date: &str, time: &str) {
        let clock = Clock::fixed(now.parse().unwrap());
        assert_eq!(clock.date_text(zone).as_deref(), Some(date), "{zone}");
        assert_eq!(clock.time_text(zone).as_deref(), Some(time), "{zone}");
    }

    #[test]
    fn dates_and_times_read_as_the_originals() {
        let now = "2025-10-12T23:06:01Z";
        check(now, "America/New_York", "Sunday, October 12, 2025", "7:06 PM EDT");
        check(now, "Asia/Kolkata", "Monday, October 13, 2025", "4:36 AM IST");
        check(now, "America/Sao_Paulo", "Sunday, October 12, 2025", "8:06 PM -03");
        check(now, "Etc/UTC", "Sunday, October 12, 2025", "11:06 PM UTC");
        check(now, "UTC", "Sunday, October 12, 2025", "11:06 PM UTC");
        check(now, "US/Eastern", "Sunday, October 12, 2025", "7:06 PM EDT");
        check(now, "Asia/Kathmandu", "Monday, October 13, 2025", "4:51 AM +0545");
        check(now, "Etc/GMT+5", "Sunday, October 12, 2025", "6:06 PM -05");
    }

    #[test]
    fn days_and_hours_have_no_leading_zero_and_minutes_do() {
        check("2026-01-01T00:05:00Z", "Etc/UTC", "Thursday, January 1, 2026", "12:05 AM UTC");
        check("2026-07-04T12:00:00Z", "Europe/Berlin", "Saturday, July 4, 2026", "2:00 PM CEST");
        check("2026-07-04T12:00:00Z", "Etc/UTC", "Saturday, July 4, 2026", "12:00 PM UTC");
    }

    #[test]
    fn a_moment_to_come_is_told_in_utc() {
        let clock = Clock::fixed("2026-11-22T23:06:01Z".parse().unwrap());
        assert_eq!(clock.utc_after(Duration::from_secs(3600)), "00:06 UTC");
        assert_eq!(clock.utc_after(Duration::MAX), "23:06 UTC");
    }

    /// What the clock on the wall says is shown and written down, and nothing waits for it: a clock that jumps can do no more
    /// than that. Whoever needs another place for it explains it in docs/operations.md.
    #[test]
    fn the_clock_on_the_wall_is_read_in_known_places() {
        fn files(directory: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
            for entry in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() { files(&entry, found) } else { found.push(entry) }
            }
        }
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut all = Vec::new();
        files(&source, &mut all);
        let reads = ["SystemTime::", "Timestamp::", "Zoned::", ".elapsed_since_epoch"]
            .map(|name| format!("{name}now("));
        all.retain(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            reads.iter().any(|read| text.contains(read))
        });
        let mut names: Vec<_> =
            all.iter().map(|path| path.strip_prefix(&source).unwrap().display().to_string()).collect();
        names.sort();
        // The moment of the process's start, in the metrics.
        assert_eq!(names, ["clock.rs", "metrics.rs"]);
    }

    #[test]
    fn what_is_no_zone_has_no_time() {
        let clock = Clock::system();
        let names =
            ["", "Nope/Zone", "America", "america/new_york", "utc", "US/EASTERN", "/etc/localtime", ".."];
        for name in
            names.into_iter().chain(["../Etc/UTC", "Etc/../UTC", " Etc/UTC", "Etc/UTC\n", "Etc/Unknown"])
        {
            assert_eq!(clock.date_text(name), None, "{name:?}");
            assert_eq!(clock.time_text(name), None, "{name:?}");
        }
    }

    #[test]
    fn every_bundled_zone_has_a_time() {
        let clock = Clock::system();
        let zones: Vec<String> = clock.zones.available().map(|name| name.to_string()).collect();
        assert!(zones.len() > 500);
        for name in &zones {
            assert!(clock.time_text(name).is_some(), "{name}");
        }
    }
}
