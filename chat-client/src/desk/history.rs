//! The file that keeps typed lines for later sessions. Which lines, `screen` says.

use std::fs::DirBuilder;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use etcetera::BaseStrategy as _;

use crate::private_file;
use crate::screen::HISTORY_LINES;

/// What the first line of files by earlier versions says. The lines below it are written as ours are.
const EARLIER_HEADER: &str = "#V2";

/// A history file.
#[derive(Debug)]
pub(super) struct HistoryFile {
    path: PathBuf,
}

impl HistoryFile {
    /// Reads the user's own file, `chat-client/history` in `XDG_STATE_HOME` (default `~/.local/state`); returns the lines
    /// as well, oldest first. `None` if there cannot be one: lines are then remembered for one session.
    pub(super) fn of_user() -> Option<(Self, Vec<String>)> {
        let directories = etcetera::choose_base_strategy().ok()?;
        Self::at(directories.state_dir()?.join("chat-client").join("history")).ok()
    }

    fn at(path: PathBuf) -> io::Result<(Self, Vec<String>)> {
        if let Some(directory) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let mut file = private_file::append(&path)?;
        // Two clients that start at once must not both cut what has grown too long, nor lose what is added meanwhile.
        file.lock()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let mut lines: Vec<&str> = text.lines().filter(|line| *line != EARLIER_HEADER).collect();
        if lines.len() > 2 * HISTORY_LINES {
            lines.drain(..lines.len() - HISTORY_LINES);
            file.set_len(0)?;
            file.write_all(format!("{}\n", lines.join("\n")).as_bytes())?;
        }
        Ok((Self { path }, lines.into_iter().map(unescape).collect()))
    }

    /// Adds a line. A history that cannot be written is no reason to disturb a conversation.
    pub(super) fn append(&self, line: &str) {
        let _ = private_file::append(&self.path).and_then(|mut file| {
            file.lock()?;
            file.write_all(format!("{}\n", escape(line)).as_bytes())
        });
    }
}

/// A line of several lines is one in the file.
fn escape(line: &str) -> String {
    line.replace('\\', "\\\\").replace('\n', "\\n")
}

fn unescape(line: &str) -> String {
    let mut text = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(match chars.next() {
                Some('n') => '\n',
                Some(other) => other,
                None => '\\',
            }),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn lines_survive_a_session_whatever_is_in_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chat-client").join("history");
        let (file, lines) = HistoryFile::at(path.clone()).unwrap();
        assert!(lines.is_empty());
        for line in ["hello", "two\nlines", "back\\slash\\n", "#V2 is no header here"] {
            file.append(line);
        }
        let (_, lines) = HistoryFile::at(path.clone()).unwrap();
        assert_eq!(lines, ["hello", "two\nlines", "back\\slash\\n", "#V2 is no header here"]);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_has_grown_is_cut_and_an_earlier_one_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history");
        let long: String = (0..3 * HISTORY_LINES).map(|i| format!("{i}\n")).collect();
        std::fs::write(&path, format!("{EARLIER_HEADER}\n{long}")).unwrap();
        for _ in 0..2 {
            let (_, lines) = HistoryFile::at(path.clone()).unwrap();
            assert_eq!((lines.len(), lines.first().map(String::as_str)), (HISTORY_LINES, Some("2000")));
        }
    }

    #[test]
    fn a_file_that_others_could_read_is_for_its_owner_alone_from_then_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history");
        std::fs::write(&path, "old\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        HistoryFile::at(path.clone()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
