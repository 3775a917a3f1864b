//! A run for programs: one JSON object per line on standard output.
//!
//! Each has `event`, and by that:
//!
//! - `started`: `step`, `what`; then `progress`: `done` and `total` where known, `note`; then `finished` or `failed`:
//!   `step`, `what`, `seconds`;
//! - `plan`: `changes`, each with `action` (`add`, `change`, `remove`), `subject` and `text`; empty if all is as it
//!   should be; and `notes`, what to know besides;
//! - `ready`: `host`, `port`, `identity`, `command`, the line to type;
//! - `note`: `text`;
//! - `error`: `message`, `details`, `notes`, `hints`, `exit_code`; always the last.
//!
//! `status`, `releases` and `logs` print their own objects, without `event`.

use std::io::{self, Write as _};

use serde::Serialize;
use serde_json::{Value, json};

use super::Ready;
use crate::error::Error;
use crate::outline::Outline;
use crate::report::Event;

/// Writes JSON lines.
pub(super) struct Json;

impl Json {
    pub(super) fn event(&self, event: &Event<'_>) -> io::Result<()> {
        self.value(&describe(event))
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
