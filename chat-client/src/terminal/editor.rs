//! The line editor: rustyline on a thread of its own.
//!
//! Lines with a password are shown masked from the first letter of the password on, and never enter the history; nor does
//! what may be a mistyped one.

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc as blocking;

use chat_core::secret::Secret;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{ColorMode, Config, Context, Editor, ExternalPrinter, Helper};
use tokio::sync::mpsc;

use crate::app::Event;
use crate::app::command;

const PROMPT: &str = "> ";
const HISTORY_LINES: usize = 1000;

/// What the editor is to read next.
#[derive(Debug)]
pub(super) enum Wish {
    /// A line of the chat.
    Line,
    /// The answer to a question.
    Answer {
        /// What stands before the cursor.
        prompt: String,
        /// Nothing of it may be seen.
        hidden: bool,
    },
}

/// Starts the editor and returns what prints above its line.
pub(super) fn start(
    history: Option<PathBuf>,
    wishes: blocking::Receiver<Wish>,
    events: mpsc::UnboundedSender<Event>,
) -> io::Result<impl ExternalPrinter + Send + 'static> {
    let config = Config::builder()
        .max_history_size(HISTORY_LINES)
        .map_err(io::Error::other)?
        // Masking is colouring to the editor; it uses no colours.
        .color_mode(ColorMode::Forced)
        .build();
    let mut editor = Editor::with_config(config).map_err(io::Error::other)?;
    editor.set_helper(Some(Assistant::default()));
    let printer = editor.create_external_printer().map_err(io::Error::other)?;
    // Without a history file the lines are remembered for this session.
    let history = history.filter(|path| prepare(path).is_ok() && editor.load_history(path).is_ok());
    let mut reader = Reader { editor, history };
    std::thread::spawn(move || {
        while let Ok(wish) = wishes.recv() {
            if events.send(reader.read(wish)).is_err() {
                return;
            }
        }
    });
    Ok(printer)
}

/// Makes an empty history file that only its owner can read, unless there is one.
fn prepare(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(drop)
}

struct Reader {
    editor: Editor<Assistant, FileHistory>,
    history: Option<PathBuf>,
}

impl Reader {
    fn read(&mut self, wish: Wish) -> Event {
        match wish {
            Wish::Line => match self.editor.readline(PROMPT) {
                Ok(line) => {
                    self.remember(&line);
                    Event::Line(line)
                }
                Err(ReadlineError::Interrupted) => Event::Interrupt,
                Err(_) => Event::EndOfInput,
            },
            Wish::Answer { prompt, hidden } => {
                self.set_hidden(hidden);
                let answer = self.editor.readline(&prompt);
                self.set_hidden(false);
                Event::Answer(answer.ok().map(Secret::new))
            }
        }
    }

    fn set_hidden(&mut self, hidden: bool) {
        if let Some(assistant) = self.editor.helper_mut() {
            assistant.hidden = hidden;
        }
    }

    fn remember(&mut self, line: &str) {
        if line.trim().is_empty() || !command::is_memorable(line) {
            return;
        }
        let added = self.editor.add_history_entry(line);
        if let (Ok(true), Some(path)) = (added, &self.history) {
            // A history that cannot be written is no reason to disturb a conversation.
            let _ = self.editor.append_history(path);
        }
    }
}

/// Completes commands and masks passwords.
#[derive(Default)]
struct Assistant {
    /// The whole line is a secret.
    hidden: bool,
}

impl Assistant {
    fn secret_start(&self, line: &str) -> Option<usize> {
        if self.hidden { Some(0) } else { command::password_start(line) }
    }
}

impl Helper for Assistant {}
impl Hinter for Assistant {
    type Hint = String;
}
impl Validator for Assistant {}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, _cursor: usize) -> Cow<'l, str> {
        let Some((shown, secret)) = self.secret_start(line).and_then(|start| line.split_at_checked(start))
        else {
            return Cow::Borrowed(line);
        };
        Cow::Owned(format!("{shown}{}", "*".repeat(secret.chars().count())))
    }

    fn highlight_char(&self, line: &str, _cursor: usize, _kind: CmdKind) -> bool {
        self.secret_start(line).is_some()
    }
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..cursor).unwrap_or_default();
        let is_command = !self.hidden && typed.starts_with('/') && !typed.contains(char::is_whitespace);
        let names = command::names().filter(|name| is_command && name.starts_with(typed));
        Ok((0, names.map(|name| format!("{name} ")).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_letter_by_letter() {
        let check = |hidden, line: &str, expected: &str| {
            assert_eq!(Assistant { hidden }.highlight(line, 0), expected);
        };
        check(false, "/login alice s3crét", "/login alice ******");
        check(false, "/login alice", "/login alice");
        check(false, "hello alice s3cret", "hello alice s3cret");
        check(true, "pässword", "********");
    }

    #[test]
    fn what_may_hold_a_password_does_not_reach_the_history_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history");
        prepare(&path).unwrap();
        let mut editor = Editor::with_config(Config::default()).unwrap();
        editor.set_helper(Some(Assistant::default()));
        let mut reader = Reader { editor, history: Some(path.clone()) };
        for line in ["hello", "/login alice s3cret", " /login alice s3cret", "/log alice s3cret", "/join"] {
            reader.remember(line);
        }
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.ends_with("hello\n/join\n") && !text.contains("s3cret"), "{text}");
    }

    #[test]
    fn a_history_file_is_for_its_owner() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chat-client").join("history");
        prepare(&path).unwrap();
        prepare(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
