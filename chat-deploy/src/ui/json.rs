//! A run for programs: one JSON object per line on standard output.
//!
//! Each has `event`, and by that:
//!
//! - `started`: `step`, `what`; then `progress`, at most two a second: `done` and `total` where known, `note`; then
//!   `finished` or `failed`: `step`, `what`, `seconds`;
//! - `plan`: `changes`, each with `action` (`add`, `change`, `remove`), `subject` and `text`; empty if all is as it
//!   should be; and `notes`, what to know besides;
//! - `ready`: `host`, `port`, `identity`, `command`, the line to type;
//! - `note`: `text`;
//! - `error`: `message`, `details`, `notes`, `hints`, `exit_code`; always the last.
//!
//! `status`, `releases` and `logs` print their own objects, without `event`.

use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use super::Ready;
use crate::error::Error;
use crate::outline::Outline;
use crate::report::Event;

/// The least time between two lines of progress: an upload would have one for every packet.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// Writes JSON lines.
#[derive(Default)]
pub(super) struct Json {
    pace: Mutex<Pace>,
}

impl Json {
    pub(super) fn event(&self, event: &Event<'_>) -> io::Result<()> {
        let line = describe(event);
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if pace.lets_through(event, &line, Instant::now()) { self.value(&line) } else { Ok(()) }
    }

    pub(super) fn plan(&self, outline: &Outline) -> io::Result<()> {
        self.value(&json!({ "event": "plan", "changes": outline.rows, "notes": outline.notes }))
    }

    pub(super) fn ready(&self, ready: &Ready<'_>) -> io::Result<()> {
        self.value(&json!({
            "event": "ready",
            "host": ready.address.host(),
            "port": ready.address.port(),
            "identity": ready.identity.map(|identity| identity.to_string()),
            "command": ready.command,
        }))
    }

    pub(super) fn error(&self, error: &Error) -> io::Result<()> {
        self.value(&json!({
            "event": "error",
            "message": error.message(),
            "details": error.details(),
            "notes": error.notes(),
            "hints": error.hints(),
            "exit_code": error.exit_code(),
        }))
    }

    pub(super) fn value(&self, value: &impl Serialize) -> io::Result<()> {
        let line = serde_json::to_string(value)?;
        writeln!(io::stdout(), "{line}")
    }
}

/// Leaves out progress that comes too soon after the last, or says the same.
#[derive(Default)]
struct Pace {
    /// The last line of progress of the step under way, and when it was written.
    last: Option<(Instant, Value)>,
}

impl Pace {
    fn lets_through(&mut self, event: &Event<'_>, line: &Value, now: Instant) -> bool {
        if !matches!(event, Event::Progress { .. }) {
            if !matches!(event, Event::Note(_)) {
                self.last = None;
            }
            return true;
        }
        let is_due = self
            .last
            .as_ref()
            .is_none_or(|(at, last)| now.saturating_duration_since(*at) >= PROGRESS_EVERY && last != line);
        if is_due {
            self.last = Some((now, line.clone()));
        }
        is_due
    }
}

fn describe(event: &Event<'_>) -> Value {
    match event {
        Event::Started { step, what } => json!({ "event": "started", "step": step, "what": what }),
        Event::Progress { units: Some((done, total)), note } => {
            json!({ "event": "progress", "done": done, "total": total, "note": note })
        }
        Event::Progress { units: None, note } => json!({ "event": "progress", "note": note }),
        Event::Finished { step, what, elapsed } => {
            json!({ "event": "finished", "step": step, "what": what, "seconds": elapsed.as_secs_f64() })
        }
        Event::Failed { step, what, elapsed } => {
            json!({ "event": "failed", "step": step, "what": what, "seconds": elapsed.as_secs_f64() })
        }
        Event::Note(text) => json!({ "event": "note", "text": text }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_now_and_then_and_never_twice() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let mut told = |event: &Event<'_>, millis| {
            pace.lets_through(event, &describe(event), start + Duration::from_millis(millis))
        };
        let sent = |done| Event::Progress { units: Some((done, 20)), note: "" };
        let started = Event::Started { step: "install", what: "a release" };
        assert!(told(&started, 0));
        assert!(told(&sent(1), 1));
        assert!(!told(&sent(2), 499));
        assert!(told(&Event::Note("by the way"), 499));
        assert!(told(&sent(3), 501));
        assert!(!told(&sent(3), 2000));
        assert!(told(&sent(20), 2001));
        assert!(told(&started, 2002));
        assert!(told(&sent(20), 2003));
    }
}
