//! One thing in the message pane: what it says, how parts of it are to look, and its rows once it has been laid out.

use std::borrow::Cow;
use std::ops::Range;

use chat_core::packet::PacketType;
use jiff::civil::DateTime;

use super::help;
use super::text::{self, Ruler};
use crate::app::Show;
use crate::display::{self, Medium};
use crate::replies::Reply;

/// So many comings and goings are one entry at most; the next ones begin another.
const MAX_CHANGES: usize = 50;
/// So many links and pieces of code in one entry look like what they are.
const MAX_MARKS: usize = 256;
/// What is longer is cut. Laid out it takes up to sixteen times as much memory, so not even one can take the screen's time
/// or memory.
const MAX_TEXT_BYTES: usize = 64 * 1024;
/// No name of ours is as long.
const MAX_NAME_BYTES: usize = 1024;
/// Rows after the first are set off by this many letters.
pub(crate) const INDENT: usize = 2;
const TAB: &str = "    ";

/// What kind of thing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Somebody said something.
    Message {
        /// This client's user did.
        own: bool,
        /// It names this client's user.
        mention: bool,
    },
    /// A text of the server.
    Server,
    /// People came, went, logged in or out.
    Presence,
    /// A remark of the program.
    Note,
    /// Something went wrong.
    Error,
    /// What can be done about it.
    Hint,
    /// What was asked of the program itself.
    Help,
}

impl Kind {
    /// Returns the sign in the column beside the time, where nothing that somebody says can stand: what is marked there is
    /// told apart from messages without colours, too.
    pub(crate) fn mark(self) -> &'static str {
        match self {
            Self::Message { .. } => " ",
            Self::Server => "=",
            Self::Presence => "~",
            Self::Note => "*",
            Self::Error => "!",
            Self::Hint => ">",
            Self::Help => "?",
        }
    }
}

/// How a part of a text is to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// As its kind looks.
    Plain,
    /// The name of who said it.
    Name,
    /// A link.
    Link,
    /// Something between back quotes.
    Code,
}

/// A part of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    pub(crate) role: Role,
    pub(crate) text: &'a str,
    /// What it is a part of, where that goes on in other rows: all of a link.
    pub(crate) whole: &'a str,
}

/// Somebody came, went, or is called otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    who: String,
    /// Where in that the name begins of whoever it concerns, in bytes.
    name_at: usize,
    what: What,
}

impl Change {
    fn name(&self) -> &str {
        self.who.get(self.name_at..).unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Joined,
    Left,
    LoggedIn,
    LoggedOut,
}

/// What the text is made of, if it is not always the same.
#[derive(Clone, Debug)]
enum Source {
    /// It is.
    Text,
    /// Comings and goings, which are one sentence or many.
    Changes(Vec<Change>),
    /// An explanation, whose columns depend on the width.
    Help(String),
}

/// One thing in the message pane.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// When it was there.
    pub(crate) at: DateTime,
    pub(crate) kind: Kind,
    /// Everything it says; can do nothing but be read.
    text: String,
    /// How much of the beginning of the text is the name of who said it, in bytes.
    name_len: usize,
    source: Source,
    layout: Option<Layout>,
}

#[derive(Clone, Debug)]
struct Layout {
    width: usize,
    folded: bool,
    rows: Vec<Range<usize>>,
    marks: Vec<(Range<usize>, Role)>,
}

impl Entry {
    /// Makes an entry of something to show; `None` if it has no place in the message pane. `me` is what this client's user
    /// is called.
    pub(super) fn new(at: DateTime, show: &Show, me: Option<&str>) -> Option<Self> {
        let remark = |kind, text: &str| Self::with(at, kind, one_line(text), 0);
        Some(match show {
            Show::Text { kind, text } => Self::of_server(at, *kind, text, me),
            Show::Users { asked: false, .. } | Show::UsersChanged(_) => return None,
            Show::Users { .. } => {
                let (_, text) = display::render(show, Medium::Terminal);
                Self::with(at, Kind::Help, safe(&text), 0)
            }
            Show::Help(text) => {
                let entry = Self::with(at, Kind::Help, safe(text), 0);
                Self { source: Source::Help(entry.text.clone()), ..entry }
            }
            Show::Note(text) => remark(Kind::Note, text),
            Show::Error(text) => remark(Kind::Error, text),
            Show::Hint(text) => remark(Kind::Hint, text),
        })
    }

    fn with(at: DateTime, kind: Kind, text: String, name_len: usize) -> Self {
        let text = cut(text, MAX_TEXT_BYTES);
        Self { at, kind, text, name_len, source: Source::Text, layout: None }
    }

    fn of_server(at: DateTime, kind: PacketType, text: &str, me: Option<&str>) -> Self {
        let change = |before: &str, name: &str, what| {
            let (before, name) = (cut(one_line(before), MAX_NAME_BYTES), cut(one_line(name), MAX_NAME_BYTES));
            let change = Change { who: format!("{before}{name}"), name_at: before.len(), what };
            let source = Source::Changes(vec![change]);
            Self { source, ..Self::with(at, Kind::Presence, String::new(), 0) }
        };
        match Reply::read(kind, text) {
            Some(Reply::Message { sender }) => {
                let body = text.get(sender.len()..).unwrap_or_default();
                let own = me == Some(sender);
                let mention = !own && me.is_some_and(|me| names(body, me));
                let sender = cut(one_line(sender), MAX_NAME_BYTES);
                let text = format!("{sender}{}", safe(body));
                Self::with(at, Kind::Message { own, mention }, text, sender.len())
            }
            Some(Reply::Joined(who)) => change("", who, What::Joined),
            Some(Reply::Left(who)) => change("", who, What::Left),
            Some(Reply::LoggedIn { client, user }) => {
                change(&format!("{client} logged in as "), user, What::LoggedIn)
            }
            Some(Reply::LoggedOut(who)) => change("", who, What::LoggedOut),
            _ => Self::with(at, Kind::Server, safe(text.strip_prefix("Server: ").unwrap_or(text)), 0),
        }
    }

    /// Returns everything it says, whether it was ever laid out and however much of it is in one sentence then.
    pub(super) fn text(&self) -> Cow<'_, str> {
        match &self.source {
            Source::Text => self.text.as_str().into(),
            Source::Changes(changes) => unfold(changes).into(),
            Source::Help(text) => text.as_str().into(),
        }
    }

    /// Returns the name of who said it.
    pub(crate) fn name(&self) -> Option<&str> {
        matches!(self.kind, Kind::Message { .. }).then(|| self.text.get(..self.name_len)).flatten()
    }

    /// Returns about how much memory it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        // Only what is in view is laid out, so that is not counted. The text of comings and goings is made of the names, in either way.
        let source = match &self.source {
            Source::Text => self.text.len(),
            Source::Changes(changes) => {
                2 * changes.iter().map(|change| change.who.len() + size_of::<Change>()).sum::<usize>()
            }
            Source::Help(text) => 2 * text.len(),
        };
        size_of::<Self>() + 64 + source
    }

    /// Tells whether another entry can be a part of this one: both tell of comings and goings on one day.
    pub(super) fn absorbs(&self, other: &Self) -> bool {
        match (&self.source, &other.source) {
            (Source::Changes(changes), Source::Changes(_)) => {
                self.at.date() == other.at.date() && changes.len() < MAX_CHANGES
            }
            _ => false,
        }
    }

    /// Takes another entry in.
    pub(super) fn absorb(&mut self, other: Self) {
        if let (Source::Changes(changes), Source::Changes(more)) = (&mut self.source, other.source) {
            changes.extend(more);
        }
        self.layout = None;
    }

    /// Lays the entry out for rows of this width, unless that has been done. `folded` puts comings and goings into one
    /// sentence.
    pub(super) fn lay_out(&mut self, width: usize, folded: bool, ruler: &Ruler) {
        if self.layout.as_ref().is_some_and(|layout| layout.width == width && layout.folded == folded) {
            return;
        }
        match &self.source {
            Source::Text => {}
            Source::Changes(changes) => self.text = if folded { fold(changes) } else { unfold(changes) },
            Source::Help(text) => self.text = help::lay_out(text, width, ruler),
        }
        let rest = width.saturating_sub(ruler.indent(self.indent(1)));
        let rows = text::wrap(&self.text, width, rest, ruler);
        self.layout = Some(Layout { width, folded, rows, marks: self.marks() });
    }

    /// Forgets how it was laid out, until somebody looks at it again.
    pub(super) fn forget_layout(&mut self) {
        self.layout = None;
    }

    #[cfg(test)]
    pub(super) fn is_laid_out(&self) -> bool {
        self.layout.is_some()
    }

    /// Counts the rows; one if it has not been laid out.
    pub(super) fn rows(&self) -> usize {
        self.layout.as_ref().map_or(1, |layout| layout.rows.len())
    }

    /// Returns by how many letters a row is set off.
    pub(crate) fn indent(&self, row: usize) -> usize {
        // Explanations have been set off already.
        if row > 0 && !matches!(self.source, Source::Help(_)) { INDENT } else { 0 }
    }

    /// Goes through the parts of a row: what they say and how they look.
    pub(crate) fn parts(&self, row: usize) -> impl Iterator<Item = Part<'_>> {
        let layout = self.layout.as_ref();
        let range = layout.and_then(|layout| layout.rows.get(row)).cloned().unwrap_or_default();
        let marks = layout.map_or(&[][..], |layout| &layout.marks);
        marks.iter().filter_map(move |(mark, role)| {
            let (start, end) = (mark.start.max(range.start), mark.end.min(range.end));
            (start < end).then(|| Part {
                role: *role,
                text: self.text.get(start..end).unwrap_or_default(),
                whole: self.text.get(mark.clone()).unwrap_or_default(),
            })
        })
    }

    /// Finds out how the parts of the text look; they cover all of it, in order.
    fn marks(&self) -> Vec<(Range<usize>, Role)> {
        let body = self.text.get(self.name_len..).unwrap_or_default();
        let mut marks = vec![(0..self.name_len, Role::Name)];
        let mut plain_from = self.name_len;
        let mut mark = |range: Range<usize>, role| {
            let range = self.name_len + range.start..self.name_len + range.end;
            marks.push((plain_from..range.start, Role::Plain));
            plain_from = range.end;
            marks.push((range, role));
        };
        if matches!(self.kind, Kind::Message { .. } | Kind::Server) {
            for (range, role) in find_marks(body) {
                mark(range, role);
            }
        }
        marks.push((plain_from..self.text.len(), Role::Plain));
        marks
    }
}

/// Finds links and what stands between back quotes, in one pass: anybody may send a text made of nothing but their
/// beginnings.
fn find_marks(body: &str) -> Vec<(Range<usize>, Role)> {
    let mut found = Vec::new();
    let (mut code, mut link) = (find_code(body, 0), find_link(body, 0));
    while found.len() < MAX_MARKS {
        let (range, role) = match (code, link) {
            (Some((start, _)), Some((link, end))) if link < start => (link..end, Role::Link),
            (Some((start, end)), _) => (start..end, Role::Code),
            (None, Some((start, end))) => (start..end, Role::Link),
            (None, None) => break,
        };
        let at = range.end;
        found.push((range, role));
        // What was found further on stays found.
        if code.is_some_and(|(start, _)| start < at) {
            code = find_code(body, at);
        }
        if link.is_some_and(|(start, _)| start < at) {
            link = find_link(body, at);
        }
    }
    found
}

/// Finds the first text between back quotes from a place on, on one line and not empty.
fn find_code(body: &str, mut at: usize) -> Option<(usize, usize)> {
    loop {
        let start = at + body.get(at..)?.find('`')?;
        let inside = body.get(start + 1..)?;
        let len = inside.find(['`', '\n'])?;
        if len > 0 && inside.get(len..)?.starts_with('`') {
            return Some((start, start + len + 2));
        }
        at = start + len + 2;
    }
}

/// Finds the first link from a place on.
fn find_link(body: &str, mut at: usize) -> Option<(usize, usize)> {
    loop {
        let start = at + body.get(at..)?.find("http")?;
        let rest = body.get(start..)?;
        if rest.starts_with("https://") || rest.starts_with("http://") {
            let word = rest.split(char::is_whitespace).next()?;
            // What usually ends a sentence does not belong to the link in it.
            let word = word.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '\'', '"', '>']);
            return Some((start, start + word.len()));
        }
        at = start + "http".len();
    }
}

/// Tells whether a text has a name in it as a word of its own, in capitals or not.
pub(crate) fn names(text: &str, name: &str) -> bool {
    let (text, name) = (text.to_lowercase(), name.to_lowercase());
    let borders = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
    text.match_indices(&name).any(|(at, name)| {
        let (before, after) = (text.get(..at), text.get(at + name.len()..));
        borders(before.and_then(|before| before.chars().next_back()))
            && borders(after.and_then(|after| after.chars().next()))
    })
}

fn safe(text: &str) -> String {
    let text = display::sanitise(text.trim_end_matches('\n'), Medium::Terminal);
    text::trim_letters(&text).replace('\t', TAB)
}

/// Shortens a text that is longer than anybody reads, and says by how much.
fn cut(mut text: String, max_bytes: usize) -> String {
    if text.len() > max_bytes {
        let end = text.floor_char_boundary(max_bytes);
        let rest = text.len() - end;
        text.truncate(end);
        text += &format!("… ({rest} bytes more)");
    }
    text
}

/// Names and remarks are one line, whoever wrote them.
fn one_line(text: &str) -> String {
    safe(text).replace('\n', "\u{fffd}")
}

/// Puts comings and goings into one sentence: what has become of each person, whatever was in between, and each outcome
/// once, in the order in which they began.
fn fold(changes: &[Change]) -> String {
    let mut outcomes: Vec<Outcome<'_>> = Vec::new();
    for change in changes {
        let known = outcomes.iter().position(|outcome| outcome.continues_with(change));
        if let Some(outcome) = known.and_then(|at| outcomes.get_mut(at))
            && change.what.is_movement()
        {
            outcome.change = change;
            continue;
        }
        // Who logged in and out and in again is told of where the last of it was.
        if let Some(at) = known {
            outcomes.remove(at);
        }
        outcomes.push(Outcome { first: change.what, change });
    }
    let mut kinds: Vec<&str> = Vec::new();
    for verb in outcomes.iter().map(Outcome::verb) {
        if !kinds.contains(&verb) {
            kinds.push(verb);
        }
    }
    let of_kind = |verb: &str| {
        let outcomes = outcomes.iter().filter(|outcome| outcome.verb() == verb);
        let who: Vec<&str> = outcomes.map(|outcome| outcome.change.who.as_str()).collect();
        match who.as_slice() {
            [first, second, third, _, _, ..] => {
                let more = who.len() - 3;
                format!("{first}, {second}, {third} and {more} more{verb}")
            }
            _ => format!("{}{verb}", who.join(", ")),
        }
    };
    kinds.into_iter().map(of_kind).collect::<Vec<_>>().join("; ")
}

/// What has become of somebody.
struct Outcome<'a> {
    first: What,
    /// The last thing that happened.
    change: &'a Change,
}

impl Outcome<'_> {
    /// Tells whether it was the same person, and the same kind of thing: who logs out may stay.
    fn continues_with(&self, change: &Change) -> bool {
        self.change.name() == change.name() && self.first.is_movement() == change.what.is_movement()
    }

    fn verb(&self) -> &'static str {
        match (self.first, self.change.what) {
            (What::Joined, What::Left) => " joined and left",
            (What::Left, What::Joined) => " left and came back",
            (_, last) => last.verb(),
        }
    }
}

fn unfold(changes: &[Change]) -> String {
    let lines: Vec<_> =
        changes.iter().map(|change| format!("{}{}", change.who, change.what.verb())).collect();
    lines.join("\n")
}

impl What {
    fn is_movement(self) -> bool {
        matches!(self, Self::Joined | Self::Left)
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Joined => " joined",
            Self::Left => " left",
            Self::LoggedIn => "",
            Self::LoggedOut => " logged out",
        }
    }
}
