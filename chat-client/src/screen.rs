//! The full screen as a pure state machine: what is said and typed goes in, a picture and what the person wants come out.
//!
//! `entry`, `help` and `log` are the messages, `editor`, `history`, `completion` and `keys` the typing, `view`, `status` and `theme`
//! the picture on a terminal, `panes` what a window draws, `text` how wide things are. The terminal itself is `terminal`'s,
//! the window `window`'s, files and the clock are `desk`'s.
//!
//! Invariant: what a peer sent is made harmless when it becomes an entry or a status, before anything else looks at it.

mod completion;
mod editor;
mod entry;
mod help;
mod history;
mod keys;
mod log;
#[cfg(feature = "window")]
pub(crate) mod panes;
mod status;
pub(crate) mod text;
mod theme;
mod view;

use std::collections::VecDeque;
use std::time::Instant;

use jiff::civil::DateTime;
use ratatui::buffer::Buffer;
use ratatui::layout::Position;

use self::completion::Completion;
use self::editor::Editor;
use self::entry::{Entry, Kind};
use self::history::{History, Recalled};
use self::log::Log;
use self::theme::Part;
use crate::app::{Event, Question, Show, Status};
use crate::display::{self, Medium};
use crate::driver::TabId;

pub(crate) use self::entry::names;
pub use self::history::HISTORY_LINES;
pub use self::log::Scrollback;
pub use self::text::Ruler;
pub use self::theme::{Colours, Theme};

/// How the screen is to look.
#[derive(Clone, Debug)]
pub struct Look {
    /// Its colours.
    pub theme: Theme,
    /// Colours in place of those. [`Theme::Plain`] has none.
    pub colours: Colours,
    /// Show when things were said, if there is room for it.
    pub timestamps: bool,
    /// Show who is in the room at the right, if there is room for it.
    pub users: bool,
    /// Put comings and goings into one sentence.
    pub fold: bool,
    /// What the title of the terminal's window begins with.
    pub title: String,
    /// What the settings call servers, for completion.
    pub servers: Vec<String>,
    /// How much is kept.
    pub scrollback: Scrollback,
    /// What letters are measured with.
    pub ruler: Ruler,
}

impl Look {
    /// Returns the colours in place of the theme's; where there are to be none, there are none.
    pub(crate) fn colours(&self) -> Colours {
        if self.theme == Theme::Plain { Colours::default() } else { self.colours }
    }
}

impl Default for Look {
    fn default() -> Self {
        Self {
            theme: Theme::default(),
            colours: Colours::default(),
            timestamps: true,
            users: true,
            fold: true,
            title: "chat".to_owned(),
            servers: Vec::new(),
            scrollback: Scrollback { entries: 10_000, bytes: 32 * 1024 * 1024 },
            ruler: Ruler::default(),
        }
    }
}

/// What the person wants, and what the terminal has to do for it.
#[derive(Debug)]
pub enum Act {
    /// The client is to hear this.
    Tell(Event),
    /// Later sessions are to know this line.
    Remember(String),
    /// The program is to be stopped until the shell continues it.
    Suspend,
    /// Everything is to be drawn anew.
    Redraw,
}

/// Who is talked with, what was said, and what is being typed.
#[derive(Debug)]
struct Conversation {
    tab: TabId,
    log: Log,
    status: Option<Status>,
    draft: Editor,
    recalled: Recalled,
    question: Option<Asked>,
    /// Lines that nobody wants yet.
    waiting: VecDeque<String>,
    /// A line is wanted.
    wanted: bool,
    /// What was typed last may let the client ask for a password, and it has not reacted yet.
    ahead: bool,
}

impl Conversation {
    fn new(tab: TabId, look: &Look) -> Self {
        Self {
            tab,
            log: Log::new(look.scrollback, look.fold, look.ruler.clone()),
            status: None,
            draft: Editor::new(false),
            recalled: Recalled::default(),
            question: None,
            waiting: VecDeque::new(),
            wanted: false,
            ahead: false,
        }
    }
}

/// A question and the answer so far.
#[derive(Debug)]
struct Asked {
    prompt: String,
    answer: Editor,
}

/// A search through what was said.
#[derive(Debug)]
struct Search {
    query: Editor,
    /// The entry that was found last.
    found: Option<u64>,
    /// There is none above that.
    exhausted: bool,
}

/// The screen.
#[derive(Debug)]
pub struct Screen {
    look: Look,
    /// What `/keys` shows.
    keys: &'static str,
    /// The conversations left of the one in view, which is apart so that there always is one, and right of it.
    left: Vec<Conversation>,
    conversation: Conversation,
    right: VecDeque<Conversation>,
    history: History,
    /// When something was shown last.
    last_shown: DateTime,
    completion: Option<Completion>,
    search: Option<Search>,
    /// Ctrl-D was pressed on an empty line, and nothing since.
    ending: bool,
    /// The terminal has the person's attention, as far as it knows.
    focused: bool,
}

impl Screen {
    /// Makes an empty screen. `history` are the lines of earlier sessions, oldest first.
    #[must_use]
    pub fn new(look: Look, history: Vec<String>) -> Self {
        Self {
            left: Vec::new(),
            conversation: Conversation::new(TabId::FIRST, &look),
            right: VecDeque::new(),
            look,
            keys: keys::HELP,
            history: History::new(history),
            last_shown: DateTime::default(),
            completion: None,
            search: None,
            ending: false,
            focused: true,
        }
    }

    /// Returns which tab is in view: what is typed is for it.
    #[must_use]
    pub fn tab(&self) -> TabId {
        self.conversation.tab
    }

    /// Shows something that is there since `at`; tells whether it should call the person, because it names them.
    pub fn show(&mut self, tab: TabId, at: DateTime, show: &Show) -> bool {
        let attended = self.tab() == tab && self.is_attended();
        self.last_shown = at;
        let Some(conversation) = self.find(tab) else { return false };
        let me = conversation.status.as_ref().and_then(|status| status.me.as_deref());
        let Some(entry) = Entry::new(at, show, me) else { return false };
        let calls = matches!(entry.kind, Kind::Message { mention: true, .. });
        let explains = entry.kind == Kind::Help;
        conversation.log.push(entry, attended);
        if explains {
            conversation.log.scroll_to_newest();
        }
        calls
    }

    /// Takes note of how things stand. A tab that was not there comes into view: the person has just asked for it.
    pub fn follow(&mut self, tab: TabId, status: Status) {
        if self.find(tab).is_none() {
            self.right.push_back(Conversation::new(tab, &self.look));
            self.select(usize::MAX);
        }
        if let Some(conversation) = self.find(tab) {
            conversation.status = Some(status);
        }
    }

    /// Takes a tab out, unless it is the last.
    pub fn close(&mut self, tab: TabId) {
        self.left.retain(|conversation| conversation.tab != tab);
        self.right.retain(|conversation| conversation.tab != tab);
        if self.tab() == tab
            && let Some(next) = self.right.pop_front().or_else(|| self.left.pop())
        {
            self.conversation = next;
            (self.search, self.completion) = (None, None);
        }
    }

    /// Takes note that the client wants a line, and has reacted to all that it was told; returns one that was typed before.
    pub fn want_line(&mut self, tab: TabId) -> Option<Event> {
        let conversation = self.find(tab)?;
        let line = conversation.waiting.pop_front();
        conversation.wanted = line.is_none();
        conversation.ahead &= !conversation.wanted;
        line.map(Event::Line)
    }

    /// Asks a question; what is being typed comes back after it.
    pub fn ask(&mut self, tab: TabId, question: &Question) {
        let prompt = display::sanitise(&question.prompt, Medium::Terminal);
        if let Some(conversation) = self.find(tab) {
            conversation.question = Some(Asked { prompt, answer: Editor::new(question.hidden) });
            conversation.ahead = false;
        }
        if self.tab() == tab {
            (self.search, self.completion) = (None, None);
        }
    }

    /// Draws the screen onto all of a buffer; returns where the cursor is to be.
    pub fn draw(&mut self, buffer: &mut Buffer, now: Instant) -> Option<Position> {
        let cursor = view::draw(self, buffer, now);
        if self.is_attended() {
            self.conversation.log.read();
        }
        cursor
    }

    /// Returns the title of the terminal's window: how much is unread, and where. It can do nothing but be read.
    #[must_use]
    pub fn title(&self) -> String {
        let unread = self.conversations().map(|conversation| conversation.log.unread());
        let unread = unread.fold((0, 0), |sum, (unread, mentions)| (sum.0 + unread, sum.1 + mentions));
        status::title(&self.look.title, self.conversation.status.as_ref(), unread)
    }

    /// Tells whether the picture changes by itself, because it counts seconds.
    #[must_use]
    pub fn is_counting(&self) -> bool {
        self.conversation.status.as_ref().is_some_and(status::is_counting)
    }

    /// Writes down everything that is kept of a tab, one line and its further lines per entry.
    #[must_use]
    pub fn transcript(&self, tab: TabId) -> String {
        let conversation = self.conversations().find(|conversation| conversation.tab == tab);
        let entries = conversation.into_iter().flat_map(|conversation| conversation.log.entries());
        let lines = entries.map(|entry| {
            let at = entry.at.strftime("%Y-%m-%d %H:%M:%S");
            format!("{at} {} {}\n", entry.kind.mark(), entry.text().replace('\n', "\n    "))
        });
        lines.collect()
    }

    /// Goes through the conversations, from left to right.
    fn conversations(&self) -> impl Iterator<Item = &Conversation> {
        self.left.iter().chain([&self.conversation]).chain(&self.right)
    }

    fn find(&mut self, tab: TabId) -> Option<&mut Conversation> {
        let all = self.left.iter_mut().chain([&mut self.conversation]).chain(&mut self.right);
        all.into_iter().find(|conversation| conversation.tab == tab)
    }

    /// Brings the conversation at a place into view, counted from 0 at the left, or the last one.
    fn select(&mut self, place: usize) {
        while self.left.len() > place
            && let Some(before) = self.left.pop()
        {
            self.right.push_front(std::mem::replace(&mut self.conversation, before));
        }
        while self.left.len() < place
            && let Some(next) = self.right.pop_front()
        {
            self.left.push(std::mem::replace(&mut self.conversation, next));
        }
        (self.search, self.completion) = (None, None);
    }

    /// Brings the conversation beside the one in view into view, round and round.
    fn turn(&mut self, forward: bool) {
        let (place, count) = (self.left.len(), self.left.len() + 1 + self.right.len());
        self.select((place + if forward { 1 } else { count - 1 }) % count);
    }

    /// Says how a conversation looks in the line of tabs.
    fn tab_part(&self, conversation: &Conversation) -> Part {
        match conversation.log.unread() {
            _ if conversation.tab == self.tab() => Part::CurrentTab,
            (_, 1..) => Part::StatusWarning,
            _ => Part::Status,
        }
    }

    /// Tells whether somebody sees what comes.
    fn is_attended(&self) -> bool {
        self.focused && self.conversation.log.is_at_end()
    }
}

#[cfg(test)]
mod tests;
