//! What cargo prints, read: its JSON messages, and the status lines and progress bar meant for a terminal.

use std::collections::VecDeque;
use std::path::PathBuf;

use serde::Deserialize;

use super::{BuildProgress, SERVER};

/// How many of cargo's lines are kept for the error of a failed build.
const KEPT_LINES: usize = 40;
/// The longest line kept, in bytes: the rest of a longer one is of no use on a screen.
const MAX_LINE_BYTES: usize = 1000;

/// The server binary that cargo made, or found made already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Artifact {
    pub(super) executable: PathBuf,
    pub(super) version: String,
}

impl Artifact {
    /// Reads one message; `None` for all the others.
    pub(super) fn from_message(line: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Message {
            package_id: String,
            target: Target,
            executable: Option<PathBuf>,
        }
        #[derive(Deserialize)]
        struct Target {
            name: String,
        }
        let message: Message = serde_json::from_str(line).ok()?;
        // `path+file:///src/chat-server#0.1.0`, or with the name, `#chat-server@0.1.0`, where the directory has another.
        let (_, tail) = message.package_id.rsplit_once('#')?;
        let version = tail.rsplit_once('@').map_or(tail, |(_, version)| version);
        let executable = message.executable.filter(|_| message.target.name == SERVER)?;
        Some(Self { executable, version: version.to_owned() })
    }
}

/// cargo's stderr, cut into lines as a terminal would show them.
#[derive(Debug, Default)]
pub(super) struct Screen {
    partial: Vec<u8>,
    last: VecDeque<String>,
    progress: BuildProgress,
}

impl Screen {
    /// Takes what cargo wrote next.
    pub(super) fn feed(&mut self, bytes: &[u8], report: &mut dyn FnMut(&BuildProgress)) {
        for &byte in bytes {
            // The bar ends in a carriage return, which lets the next bar overwrite it.
            if matches!(byte, b'\n' | b'\r') {
                let line = String::from_utf8_lossy(&std::mem::take(&mut self.partial)).into_owned();
                self.take_line(&line, report);
            } else if self.partial.len() < MAX_LINE_BYTES {
                self.partial.push(byte);
            }
        }
    }

    /// Returns the last lines for a person, the bars and statuses left out.
    pub(super) fn into_last_lines(mut self) -> Vec<String> {
        self.feed(b"\n", &mut |_| {});
        self.last.into()
    }

    fn take_line(&mut self, line: &str, report: &mut dyn FnMut(&BuildProgress)) {
        let words = line.trim();
        if let Some(units) = bar_units(words) {
            self.progress.units = Some(units);
            report(&self.progress);
        } else if is_status(words) {
            self.progress.note = words.to_owned();
            report(&self.progress);
        } else if !(words.is_empty() && self.last.is_empty()) {
            self.last.push_back(line.trim_end().to_owned());
            if self.last.len() > KEPT_LINES {
                self.last.pop_front();
            }
        }
    }
}

/// Reads `Building [===>   ] 12/87: redb, tokio`.
fn bar_units(line: &str) -> Option<(u64, u64)> {
    let (_, counts) = line.strip_prefix("Building [")?.split_once(']')?;
    let (done, rest) = counts.trim_start().split_once('/')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((done.parse().ok()?, rest.get(..digits)?.parse().ok()?))
}

fn is_status(line: &str) -> bool {
    const STATUSES: [&str; 9] = [
        "Compiling ",
        "Checking ",
        "Downloading ",
        "Downloaded ",
        "Updating ",
        "Locking ",
        "Finished ",
        "Fresh ",
        "Blocking ",
    ];
    STATUSES.iter().any(|status| line.starts_with(status)) || line.starts_with("Building ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_server_is_found_among_the_messages() {
        let check = |line: &str, expected: Option<(&str, &str)>| {
            let expected = expected
                .map(|(path, version)| Artifact { executable: path.into(), version: version.to_owned() });
            assert_eq!(Artifact::from_message(line), expected, "{line}");
        };
        check(
            r#"{"reason":"compiler-artifact","package_id":"path+file:///src/chat-server#0.1.0","target":{"name":"chat-server"},"executable":"/t/chat-server"}"#,
            Some(("/t/chat-server", "0.1.0")),
        );
        check(
            r#"{"reason":"compiler-artifact","package_id":"path+file:///src/x#chat-server@0.2.0-rc.1","target":{"name":"chat-server"},"executable":"/t/chat-server"}"#,
            Some(("/t/chat-server", "0.2.0-rc.1")),
        );
        check(
            r#"{"reason":"compiler-artifact","package_id":"path+file:///src/chat-server#0.1.0","target":{"name":"chat_server"},"executable":null}"#,
            None,
        );
        check(r#"{"reason":"build-finished","success":true}"#, None);
        check("warning", None);
    }

    #[test]
    fn bars_become_counts_and_the_rest_is_kept() {
        let mut screen = Screen::default();
        let mut seen = Vec::new();
        let text = "   Compiling redb v4.5.0\n    Building [==>    ] 12/87: redb\u{2026}\r    Building [===>   ] 13/87\r\
            error[E0425]: cannot find value\n  --> src/main.rs:3\n\nerror: could not compile";
        screen.feed(text.as_bytes(), &mut |progress| seen.push(progress.clone()));
        let note = "Compiling redb v4.5.0".to_owned();
        assert_eq!(
            seen,
            [
                BuildProgress { units: None, note: note.clone() },
                BuildProgress { units: Some((12, 87)), note: note.clone() },
                BuildProgress { units: Some((13, 87)), note },
            ]
        );
        let lines =
            ["error[E0425]: cannot find value", "  --> src/main.rs:3", "", "error: could not compile"];
        assert_eq!(screen.into_last_lines(), lines);
    }

    proptest! {
        #[test]
        fn any_output_is_survived_and_bounded(bytes in proptest::collection::vec(any::<u8>(), 0..4000)) {
            let mut screen = Screen::default();
            screen.feed(&bytes, &mut |_| {});
            prop_assert!(screen.into_last_lines().len() <= KEPT_LINES);
        }
    }
}
