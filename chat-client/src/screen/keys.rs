//! What the keys, the wheel and pasting do.

use ratatui::crossterm::event::{
    Event as TerminalEvent, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseEvent, MouseEventKind,
};

use chat_core::secret::Secret;
use zeroize::Zeroize as _;

use super::completion::{Completion, Known};
use super::editor::{Editor, To};
use super::history::Recalled;
use super::{Act, Conversation, Screen, Search};
use crate::app::command::{self, Line, ScreenCommand};
use crate::app::{Event, Show};
use crate::driver::TabId;

/// What `/keys` shows on a terminal.
pub(super) const HELP: &str = "\
Return; Alt-Return, Ctrl-J           send; begin another line
Tab, Shift-Tab                       complete a command, its argument, a name; the next, the one before
Up, Down, Ctrl-P, Ctrl-N             what was typed before, in earlier sessions too
Ctrl-R                               what was typed before and has in it what is typed now; again, the one before
PageUp, PageDown, the wheel          scroll
Ctrl-Home; Ctrl-End, Esc             to the beginning; to the end
Alt-1 to Alt-9, Alt-Left, Alt-Right  another server's tab, and so do Ctrl-PageUp and Ctrl-PageDown
Ctrl-F, then Return or Ctrl-F; Esc   search, further up; end the search, with what was found in view
Ctrl-A E B F, Alt-B F                move, as in a shell
Ctrl-W U K D H, Alt-D; Ctrl-Y        delete, as in a shell; bring back
Ctrl-L, Ctrl-Z                       draw anew, suspend
Ctrl-C                               empty the line; on an empty one twice within five seconds: leave
Ctrl-D                               delete a letter; on an empty line twice: leave
the mouse with Shift                 select text (on macOS with Fn or Option)
";

/// How many rows the wheel scrolls.
const WHEEL_ROWS: usize = 3;

impl Screen {
    /// Takes what came from the terminal; returns what it leads to.
    pub fn handle(&mut self, event: TerminalEvent) -> Vec<Act> {
        match event {
            TerminalEvent::Key(key) if key.kind != KeyEventKind::Release => self.press(key),
            TerminalEvent::Key(_) => Vec::new(),
            TerminalEvent::Paste(mut text) => {
                self.paste(&text);
                text.zeroize();
                Vec::new()
            }
            TerminalEvent::Mouse(MouseEvent { kind: MouseEventKind::ScrollUp, .. }) => {
                self.conversation.log.scroll_up(WHEEL_ROWS);
                Vec::new()
            }
            TerminalEvent::Mouse(MouseEvent { kind: MouseEventKind::ScrollDown, .. }) => {
                self.conversation.log.scroll_down(WHEEL_ROWS);
                Vec::new()
            }
            TerminalEvent::Mouse(_) => Vec::new(),
            TerminalEvent::FocusGained | TerminalEvent::FocusLost => {
                self.focused = event == TerminalEvent::FocusGained;
                Vec::new()
            }
            TerminalEvent::Resize(..) => vec![Act::Redraw],
        }
    }

    /// Does what a command asks of the screen, in the tab where it was typed: by the time it is obeyed, another may be in
    /// view. Writing files is `desk`'s.
    pub fn command(&mut self, tab: TabId, command: &ScreenCommand) {
        match command {
            ScreenCommand::Search(text) if tab == self.tab() => self.begin_search(text),
            ScreenCommand::Search(_) => {
                self.remark(tab, &Show::Error("not searched: another tab was in view".to_owned()));
            }
            ScreenCommand::Fold => {
                let Some(conversation) = self.find(tab) else { return };
                let now = if conversation.log.toggle_fold() {
                    "folding is on: comings and goings that follow each other are one sentence"
                } else {
                    "folding is off: every coming and going has a line of its own"
                };
                self.remark(tab, &Show::Note(now.to_owned()));
            }
            ScreenCommand::Clear => {
                if let Some(conversation) = self.find(tab) {
                    conversation.log.clear();
                }
            }
            ScreenCommand::Keys => self.remark(tab, &Show::Help(self.keys.to_owned())),
            ScreenCommand::Export(_) => {}
        }
    }

    /// Shows something of the screen's own.
    fn remark(&mut self, tab: TabId, show: &Show) {
        // As late as whatever was shown last, so that it begins no day of its own.
        let at = self.last_shown;
        self.show(tab, at, show);
    }

    fn press(&mut self, key: KeyEvent) -> Vec<Act> {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        if key.code == KeyCode::Char('/') && key.modifiers.contains(KeyModifiers::ALT) {
            // Escape and a slash that arrive together. Were the slash lost, a command with a password would be a message.
            self.press(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE));
            return self.press(KeyEvent::new(KeyCode::Char('/'), KeyModifiers::NONE));
        }
        let again = std::mem::take(&mut self.ending);
        if !matches!(key.code, KeyCode::Tab | KeyCode::BackTab) {
            self.completion = None;
        }
        match key.code {
            KeyCode::Char('c') if ctrl => return self.interrupt(),
            KeyCode::Char('z') if ctrl => return vec![Act::Suspend],
            KeyCode::Char('l') if ctrl => return vec![Act::Redraw],
            KeyCode::Char('d') if ctrl && self.line().text().is_empty() => return self.end_of_input(again),
            _ => {}
        }
        if self.switch(key) || self.scroll(key) {
            return Vec::new();
        }
        if self.search.is_some() {
            self.press_in_search(key);
            return Vec::new();
        }
        self.press_in_line(key)
    }

    /// Obeys the keys that bring another conversation into view.
    fn switch(&mut self, key: KeyEvent) -> bool {
        let place = match key.code {
            KeyCode::Char(c @ '1'..='9') => {
                usize::try_from(u32::from(c) - u32::from('1')).unwrap_or_default()
            }
            _ => usize::MAX,
        };
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        match key.code {
            KeyCode::Char('1'..='9') if alt => self.select(place),
            KeyCode::Left | KeyCode::Right if alt => self.turn(key.code == KeyCode::Right),
            KeyCode::PageUp | KeyCode::PageDown if ctrl => self.turn(key.code == KeyCode::PageDown),
            _ => return false,
        }
        true
    }

    /// Obeys the keys that scroll, whatever is being typed.
    fn scroll(&mut self, key: KeyEvent) -> bool {
        let log = &mut self.conversation.log;
        let jumps = key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
        match key.code {
            KeyCode::PageUp => log.scroll_up(log.page()),
            KeyCode::PageDown => log.scroll_down(log.page()),
            KeyCode::Home if jumps => log.scroll_to_start(),
            KeyCode::End if jumps => log.scroll_to_end(),
            _ => return false,
        }
        true
    }

    fn press_in_line(&mut self, key: KeyEvent) -> Vec<Act> {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        let asked = self.conversation.question.is_some();
        match key.code {
            KeyCode::Enter if !asked && (alt || key.modifiers.contains(KeyModifiers::SHIFT)) => {
                self.break_line()
            }
            KeyCode::Char('j') if ctrl && !asked => self.break_line(),
            KeyCode::Enter => return self.submit(),
            KeyCode::Tab | KeyCode::BackTab if !asked => self.complete(key.code == KeyCode::Tab),
            KeyCode::Char('f') if ctrl && !asked => self.begin_search(""),
            KeyCode::Up if !asked => self.recall(true),
            KeyCode::Down if !asked => self.recall(false),
            KeyCode::Char('p') if ctrl && !asked => self.recall(true),
            KeyCode::Char('n') if ctrl && !asked => self.recall(false),
            KeyCode::Char('r') if ctrl && !asked => {
                let Conversation { draft, recalled, .. } = &mut self.conversation;
                if let Some(line) = self.history.older_like(recalled, draft.text()) {
                    draft.set(line);
                }
            }
            KeyCode::Esc => self.conversation.log.scroll_to_end(),
            _ => edit(self.line(), key),
        }
        Vec::new()
    }

    /// Returns what is being typed into.
    pub(super) fn line(&mut self) -> &mut Editor {
        match (&mut self.search, &mut self.conversation.question) {
            (Some(search), _) => &mut search.query,
            (None, Some(asked)) => &mut asked.answer,
            (None, None) => &mut self.conversation.draft,
        }
    }

    fn break_line(&mut self) {
        // One that is too long for another line has been refused by then.
        let _ = self.line().insert("\n");
    }

    fn paste(&mut self, text: &str) {
        self.completion = None;
        // A terminal sends pasted line ends as they were or as Return.
        if !self.line().insert(text) {
            self.remark(self.tab(), &Show::Error("not pasted: that is too long for a message".to_owned()));
        }
    }

    fn submit(&mut self) -> Vec<Act> {
        if let Some(mut asked) = self.conversation.question.take() {
            // There may be another question: a new password is asked for twice.
            self.conversation.ahead = asked.answer.is_hidden();
            return vec![Act::Tell(Event::Answer(Some(Secret::new(asked.answer.take()))))];
        }
        let mut line = self.conversation.draft.take();
        // What was copied often ends with the end of its line.
        line.truncate(line.trim_end_matches('\n').len());
        if self.awaits_password() && !is_command(&line) {
            line.zeroize();
            self.remark(self.tab(), &Show::Error("not taken: wait for the question".to_owned()));
            return Vec::new();
        }
        self.conversation.ahead |= command::asks_for_password(&line);
        if command::read(&line).is_err() {
            // The client says what is wrong with it; what was meant need not be typed again.
            self.conversation.draft.set(&line);
        }
        self.conversation.recalled = Recalled::default();
        self.conversation.log.scroll_to_end();
        self.conversation.log.unmark();
        let mut acts = Vec::new();
        if self.history.add(&line) {
            acts.push(Act::Remember(line.clone()));
        }
        if std::mem::take(&mut self.conversation.wanted) {
            acts.push(Act::Tell(Event::Line(line)));
        } else {
            self.conversation.waiting.push_back(line);
        }
        acts
    }

    /// Tells whether a question for a password is to come, so that what is typed may be its answer, ahead of it.
    fn awaits_password(&self) -> bool {
        let Conversation { ahead, status, .. } = &self.conversation;
        *ahead || status.as_ref().is_some_and(|status| status.awaits_password)
    }

    fn interrupt(&mut self) -> Vec<Act> {
        if self.search.take().is_some() {
            return Vec::new();
        }
        if self.conversation.question.take().is_none() && !self.conversation.draft.text().is_empty() {
            self.conversation.draft.kill_all();
            self.conversation.recalled = Recalled::default();
            return Vec::new();
        }
        vec![Act::Tell(Event::Interrupt)]
    }

    /// Leaves, if that was wanted `again`: one time too many is easily pressed while a line is deleted.
    fn end_of_input(&mut self, again: bool) -> Vec<Act> {
        if self.search.take().is_some() {
            return Vec::new();
        }
        if self.conversation.question.take().is_some() {
            return vec![Act::Tell(Event::Answer(None))];
        }
        if again {
            return vec![Act::Tell(Event::EndOfInput)];
        }
        self.ending = true;
        self.remark(self.tab(), &Show::Note("Ctrl-D again leaves, and so does /exit".to_owned()));
        Vec::new()
    }

    /// Takes back what was asked: somebody has interrupted the client from elsewhere.
    pub fn withdraw_question(&mut self) {
        self.conversation.question = None;
    }

    fn recall(&mut self, older: bool) {
        let Conversation { draft, recalled, .. } = &mut self.conversation;
        if draft.go_line(older) {
            return;
        }
        if older {
            if let Some(line) = self.history.older(recalled, draft.text()) {
                draft.set(line);
            }
        } else if let Some(line) = self.history.newer(recalled) {
            draft.set(&line);
        }
    }

    fn complete(&mut self, forward: bool) {
        let addresses = self.conversations().filter_map(|tab| Some(tab.status.as_ref()?.address.to_string()));
        let mut servers: Vec<String> = addresses.collect();
        servers.sort();
        servers.dedup();
        servers.splice(..0, self.look.servers.iter().cloned());
        let draft = &mut self.conversation.draft;
        match &mut self.completion {
            Some(completion) => completion.turn(forward),
            None => {
                let status = self.conversation.status.as_ref();
                let known = Known {
                    names: status.and_then(|status| status.users.as_deref()).unwrap_or_default(),
                    servers,
                };
                self.completion = Completion::begin(draft.text(), draft.cursor(), &known);
            }
        }
        if let Some(completion) = &self.completion {
            draft.replace(completion.start, completion.text());
        }
    }

    /// Begins a search; with something to look for, looks at once.
    fn begin_search(&mut self, query: &str) {
        let mut search = Search { query: Editor::new(false), found: None, exhausted: false };
        search.query.set(query);
        self.search = Some(search);
        if !query.is_empty() {
            self.search_on();
        }
    }

    fn press_in_search(&mut self, key: KeyEvent) {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            // What was found stays in view; Esc again leads to the end.
            KeyCode::Esc => self.search = None,
            KeyCode::Enter | KeyCode::Up => self.search_on(),
            KeyCode::Char('f' | 'r' | 'p') if ctrl => self.search_on(),
            _ => {
                let line = self.line();
                edit(line, key);
                // Another word is looked for from the end again.
                if let Some(search) = &mut self.search {
                    (search.found, search.exhausted) = (None, false);
                }
            }
        }
    }

    fn search_on(&mut self) {
        let Some(search) = &mut self.search else { return };
        let query = search.query.text();
        if query.is_empty() {
            return;
        }
        let found = self
            .conversation
            .log
            .find_above(search.found, |entry| !super::view::find(&entry.text(), query).is_empty());
        search.exhausted = found.is_none();
        search.found = found.or(search.found);
    }
}

/// Tells whether a line is a command, or nothing at all.
fn is_command(line: &str) -> bool {
    line.trim().is_empty() || matches!(command::read(line), Ok(Line::Command(_)))
}

/// Obeys the keys of readline.
fn edit(line: &mut Editor, key: KeyEvent) {
    let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    let to = if ctrl { (To::WordLeft, To::WordRight) } else { (To::Left, To::Right) };
    match key.code {
        KeyCode::Left => line.go(to.0),
        KeyCode::Right => line.go(to.1),
        KeyCode::Home => line.go(To::LineStart),
        KeyCode::End => line.go(To::LineEnd),
        KeyCode::Up => {
            line.go_line(true);
        }
        KeyCode::Down => {
            line.go_line(false);
        }
        KeyCode::Backspace if alt || ctrl => line.kill(To::WordLeft),
        KeyCode::Backspace => line.delete(To::Left),
        KeyCode::Delete if ctrl => line.kill(To::WordRight),
        KeyCode::Delete => line.delete(To::Right),
        KeyCode::Char(c) if ctrl => edit_with_ctrl(line, c),
        KeyCode::Char('b') if alt => line.go(To::WordLeft),
        KeyCode::Char('f') if alt => line.go(To::WordRight),
        KeyCode::Char('d') if alt => line.kill(To::WordRight),
        KeyCode::Char(c) if !alt => {
            line.insert(c.encode_utf8(&mut [0; 4]));
        }
        _ => {}
    }
}

fn edit_with_ctrl(line: &mut Editor, c: char) {
    match c {
        'a' => line.go(To::LineStart),
        'e' => line.go(To::LineEnd),
        'b' => line.go(To::Left),
        'f' => line.go(To::Right),
        'd' => line.delete(To::Right),
        'h' => line.delete(To::Left),
        'k' => line.kill(To::LineEnd),
        'u' => line.kill(To::LineStart),
        'w' => line.kill_argument(),
        'y' => line.yank(),
        _ => {}
    }
}
