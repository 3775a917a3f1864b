//! Use in a pipe, and by people who prefer lines to a screen: lines in, lines out.
//!
//! Standard input is read by a thread of its own, one line whenever one is wanted: what is not wanted yet stays in the
//! pipe. `script` is for those who need less than that. Data goes to standard output, all remarks to standard error;
//! `output` writes them.

mod output;
mod script;

use std::io::{self, BufRead, IsTerminal as _, Read as _};
use std::sync::mpsc as blocking;
use std::time::{Duration, Instant};

use chat_core::frame::MAX_PACKET_LEN;
use chat_core::secret::Secret;
use jiff::Timestamp;
use regex_lite::Regex;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use self::output::Output;
pub use self::script::Input;
use self::script::Script;
use crate::app::{Event, Exit, Question, Show, Status};
use crate::display::{self, Medium, Stream};
use crate::driver::{Front, TabId};
use crate::job::{self, Sign, Signs};
use crate::json;
use crate::replies::Reply;
use crate::screen::names;

/// Longer lines fit no packet.
const MAX_LINE_BYTES: u64 = MAX_PACKET_LEN as u64;
/// The bell rings so often at most.
const RING_EVERY: Duration = Duration::from_secs(2);
/// How long a client that was told to stop still waits for its reader.
const FLUSH_PATIENCE: Duration = Duration::from_millis(200);
/// How long one whose time is up does: that has to be said, and nobody sits there who waits.
const LAST_WORDS_PATIENCE: Duration = Duration::from_secs(2);

/// The width of a terminal that does not say how wide it is.
const USUAL_COLUMNS: usize = 80;

/// How the lines are used.
#[derive(Debug, Default)]
pub struct Usage {
    /// A person types them, and can be asked.
    pub person: bool,
    /// Ring the bell when somebody names this client's user.
    pub bell: bool,
    /// Events are JSON.
    pub json: bool,
    /// Only what went wrong is said.
    pub quiet: bool,
    /// Where lines come from.
    pub input: Input,
    /// Leave when a line like this has come.
    pub wait_for: Option<Regex>,
    /// Give up after this long.
    pub timeout: Option<Duration>,
}

/// The front for pipes.
#[derive(Debug)]
pub struct Lines {
    wanted: blocking::Sender<()>,
    events: mpsc::UnboundedReceiver<Event>,
    waiting: bool,
    /// Whether the output has failed and the app knows.
    cut: bool,
    output: Output,
    usage: Usage,
    script: Script,
    /// What was said of how things stand.
    followed: Option<String>,
    /// What this client's user is called.
    me: Option<String>,
    /// When the bell may ring again.
    next_ring: Instant,
    /// The next line is the answer to a question.
    asking: bool,
    hidden: Option<Hidden>,
    interrupts: Signal,
    terminations: Signal,
    /// For a person, of whom a password may be asked; a program is stopped as any other.
    signs: Option<Signs>,
}

impl Lines {
    /// Takes over standard input. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// What the system said when signals cannot be received.
    pub fn start(mut usage: Usage) -> io::Result<Self> {
        let (wanted, wishes) = blocking::channel();
        // Holds one event at most: the reader waits for a wish before each.
        let (sender, events) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            // Ctrl-D ends what was typed so far; on a terminal more may come.
            let goes_on = io::stdin().is_terminal();
            read_lines(&mut io::stdin().lock(), goes_on, &wishes, &sender);
        });
        let interrupts = signal(SignalKind::interrupt())?;
        let terminations = signal(SignalKind::terminate())?;
        let signs = if usage.person { Some(Signs::start()?) } else { None };
        let output = Output::start(output::write_standard);
        let (asking, hidden, waiting, cut) = (false, None, false, false);
        let input = std::mem::take(&mut usage.input);
        let script = Script::new(input, usage.wait_for.take(), usage.timeout);
        let (followed, me, next_ring) = (None, None, Instant::now());
        Ok(Self {
            wanted,
            events,
            waiting,
            cut,
            output,
            usage,
            script,
            followed,
            me,
            next_ring,
            asking,
            hidden,
            interrupts,
            terminations,
            signs,
        })
    }

    /// Waits until everything is written, and returns how the program ends: as it was going to, or stopped by a signal
    /// while the reader stood still.
    ///
    /// # Errors
    ///
    /// What the system said when something could not be written.
    pub async fn finish(mut self, exit: Exit) -> io::Result<Exit> {
        let exit = if self.script.timed_out() { Exit::TimedOut } else { exit };
        if let (Exit::TimedOut, Some(timeout)) = (exit, self.usage.timeout) {
            let text = format!("time was up after {} s", timeout.as_secs_f64());
            self.show(TabId::FIRST, &Show::Error(text))?;
        }
        let patience = flush_patience(exit);
        tokio::select! {
            written = self.output.written() => written.map(|()| exit),
            () = tokio::time::sleep(patience.unwrap_or_default()), if patience.is_some() => Ok(exit),
            _ = self.interrupts.recv() => Ok(Exit::Interrupted),
            _ = self.terminations.recv() => Ok(Exit::Interrupted),
        }
    }
}

impl Front for Lines {
    fn show(&mut self, _tab: TabId, show: &Show) -> io::Result<()> {
        let (stream, text) = display::render(show, Medium::Pipe);
        let said = Said::of(show, self.me.as_deref());
        if stream == Stream::Data && said != Said::ByMe {
            self.script.hear(&text);
        }
        if self.usage.quiet && !matches!(show, Show::Error(_) | Show::Hint(_)) {
            return Ok(());
        }
        if self.usage.json {
            return self.output.write(Stream::Data, json::show(Timestamp::now(), show));
        }
        // Who came or went has been said.
        if matches!(show, Show::UsersChanged(_)) {
            return Ok(());
        }
        if said == Said::ToMe {
            self.ring()?;
        }
        // Whoever asked for it: what counts is where it is written to.
        match columns(stream) {
            Some(columns) => self.output.write(stream, display::fit(&text, columns)),
            None => self.output.write(stream, text),
        }
    }

    fn follow(&mut self, _tab: TabId, status: Status) {
        self.me.clone_from(&status.me);
        if !self.usage.json || self.usage.quiet {
            return;
        }
        // Said only where it differs from what was said before.
        let said = json::status(Timestamp::UNIX_EPOCH, &status);
        if self.followed.as_ref() != Some(&said) {
            self.followed = Some(said);
            // Whoever reads no more is noticed when the next event is shown.
            let _ = self.output.write(Stream::Data, json::status(Timestamp::now(), &status));
        }
    }

    fn want_line(&mut self, _tab: TabId) {
        self.script.want_line();
        if self.script.reads_input() && !self.waiting {
            // After the end of input nobody takes the wish, and nothing more comes.
            self.waiting = self.wanted.send(()).is_ok();
        }
    }

    fn ask(&mut self, _tab: TabId, question: Question) {
        // Only people are asked; who cannot be told the question will not answer it.
        let _ = self.output.write(Stream::Remark, display::sanitise(&question.prompt, Medium::Terminal));
        self.asking = true;
        self.hidden = question.hidden.then(Hidden::begin).flatten();
        if !self.waiting {
            self.waiting = self.wanted.send(()).is_ok();
        }
    }

    fn room(&self) -> impl Future<Output = ()> + 'static {
        self.output.room()
    }

    async fn next(&mut self) -> (TabId, Event) {
        (TabId::FIRST, self.next_event().await)
    }
}

impl Lines {
    /// Calls the person, unless that was just done: thousands in a second are one call.
    fn ring(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if !self.usage.bell || now < self.next_ring {
            return Ok(());
        }
        self.next_ring = now + RING_EVERY;
        self.output.write(Stream::Data, "\x07".to_owned())
    }

    async fn next_event(&mut self) -> Event {
        loop {
            let (room, failed) = (self.output.room(), self.output.failed());
            return tokio::select! {
                // With nobody to write for, there is nobody to read for; `finish` says what went wrong.
                () = failed, if !self.cut => {
                    self.cut = true;
                    Event::EndOfInput
                }
                event = self.script.next() => event,
                Some(event) = async { room.await; self.events.recv().await } => {
                    self.waiting = false;
                    if matches!(event, Event::EndOfInput) && self.script.outlasts_input() {
                        // The program ends by what it waits for; on a terminal more may be typed until then.
                        continue;
                    }
                    self.answer_or(event)
                }
                _ = self.interrupts.recv() => {
                    (self.asking, self.hidden) = (false, None);
                    Event::Interrupt
                }
                _ = self.terminations.recv() => Event::Terminate,
                sign = next_sign(&mut self.signs) => match self.obey(sign) {
                    Some(event) => event,
                    None => continue,
                },
            };
        }
    }

    /// Does what a shell or its terminal wants; returns what the client is to hear, if anything.
    fn obey(&self, sign: Sign) -> Option<Event> {
        match sign {
            Sign::End => return Some(Event::Terminate),
            Sign::Continue => {}
            Sign::Stop => {
                if let Some(hidden) = &self.hidden {
                    hidden.lift();
                }
                // Where nothing can be stopped, everything goes on.
                let _ = job::stop();
            }
        }
        // The shell has shown what is typed, and some let programs find it so.
        if let Some(hidden) = &self.hidden {
            hidden.apply();
        }
        None
    }

    /// Makes an answer of a line, if a question was asked.
    fn answer_or(&mut self, event: Event) -> Event {
        if !std::mem::take(&mut self.asking) {
            return event;
        }
        if self.hidden.take().is_some() {
            // The line end was not shown either.
            let _ = self.output.write(Stream::Remark, "\n".to_owned());
        }
        match event {
            Event::Line(line) => Event::Answer(Some(Secret::new(line))),
            _ => Event::Answer(None),
        }
    }
}

async fn next_sign(signs: &mut Option<Signs>) -> Sign {
    match signs {
        Some(signs) => signs.next().await,
        None => std::future::pending().await,
    }
}

/// What a message is to this client's user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// They said it.
    ByMe,
    /// It names them.
    ToMe,
    /// Neither, or no message.
    Otherwise,
}

impl Said {
    fn of(show: &Show, me: Option<&str>) -> Self {
        let (Show::Text { kind, text }, Some(me)) = (show, me) else { return Self::Otherwise };
        match Reply::read(*kind, text) {
            Some(Reply::Message { sender }) if sender == me => Self::ByMe,
            Some(Reply::Message { sender }) if names(text.get(sender.len()..).unwrap_or_default(), me) => {
                Self::ToMe
            }
            _ => Self::Otherwise,
        }
    }
}

/// Returns how many columns the terminal has that a stream leads to; `None` if it leads elsewhere.
fn columns(stream: Stream) -> Option<usize> {
    let (is_terminal, size) = match stream {
        Stream::Data => (io::stdout().is_terminal(), tcgetwinsize(io::stdout())),
        Stream::Remark => (io::stderr().is_terminal(), tcgetwinsize(io::stderr())),
    };
    let columns = size.map_or(0, |size| usize::from(size.ws_col));
    // Some terminals do not say.
    is_terminal.then_some(if columns == 0 { USUAL_COLUMNS } else { columns })
}

/// Keeps what is typed from being shown, until dropped.
#[derive(Debug)]
struct Hidden(Termios);

impl Hidden {
    /// `None` if this is no terminal.
    fn begin() -> Option<Self> {
        let hidden = Self(tcgetattr(io::stdin()).ok()?);
        hidden.apply();
        Some(hidden)
    }

    fn apply(&self) {
        let mut hiding = self.0.clone();
        hiding.local_modes.remove(LocalModes::ECHO);
        // Nothing can be done about a terminal that has gone away.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &hiding);
    }

    fn lift(&self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        self.lift();
    }
}

/// Returns how long a client that ends waits for its reader, unless that is as long as it takes.
fn flush_patience(exit: Exit) -> Option<Duration> {
    match exit {
        Exit::Interrupted => Some(FLUSH_PATIENCE),
        Exit::TimedOut => Some(LAST_WORDS_PATIENCE),
        Exit::Done | Exit::Failed | Exit::Closed => None,
    }
}

/// Reads one event for each wish, until nobody wants any more or nothing more can come; behind an end of the input that
/// `goes_on`, more may.
fn read_lines(
    input: &mut impl BufRead,
    goes_on: bool,
    wishes: &blocking::Receiver<()>,
    events: &mpsc::UnboundedSender<Event>,
) {
    let mut broken = false;
    while wishes.recv().is_ok() {
        let event = match read_line(input) {
            _ if broken => Event::EndOfInput,
            Ok(event) => event,
            Err(error) => {
                broken = true;
                Event::BadLine(format!("standard input cannot be read: {error}"))
            }
        };
        let last = matches!(event, Event::EndOfInput) && (broken || !goes_on);
        if events.send(event).is_err() || last {
            return;
        }
    }
}

/// Reads a line and takes its end off. What cannot be a message is skipped whole.
fn read_line(input: &mut impl BufRead) -> io::Result<Event> {
    let mut line = Vec::new();
    if input.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
        return Ok(Event::EndOfInput);
    }
    if line.pop_if(|last| *last == b'\n').is_some() {
        line.pop_if(|last| *last == b'\r');
    } else if line.len() as u64 == MAX_LINE_BYTES {
        input.skip_until(b'\n')?;
        return Ok(Event::BadLine(format!("a line has at most {MAX_LINE_BYTES} bytes")));
    }
    let not_text = |_| Event::BadLine("the line is not UTF-8 text".to_owned());
    Ok(String::from_utf8(line).map_or_else(not_text, Event::Line))
}

#[cfg(test)]
mod tests {
    use chat_core::packet::PacketType;

    use super::*;

    /// What somebody types: nothing is Ctrl-D, which ends what was typed so far.
    struct Typed(Vec<&'static [u8]>);

    impl io::Read for Typed {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let typed = if self.0.is_empty() { &[][..] } else { self.0.remove(0) };
            buffer[..typed.len()].copy_from_slice(typed);
            Ok(typed.len())
        }
    }

    #[test]
    fn on_a_terminal_more_may_be_typed_behind_an_end() {
        for (goes_on, expected) in [(true, &["a", "end", "b", "end"][..]), (false, &["a", "end"])] {
            let (wanted, wishes) = blocking::channel();
            (0..4).for_each(|_| wanted.send(()).unwrap());
            drop(wanted);
            let (sender, mut events) = mpsc::unbounded_channel();
            let mut input = io::BufReader::new(Typed(vec![b"a\n", b"", b"b\n"]));
            read_lines(&mut input, goes_on, &wishes, &sender);
            drop(sender);
            let mut seen = Vec::new();
            while let Ok(event) = events.try_recv() {
                seen.push(if let Event::Line(line) = event { line } else { "end".to_owned() });
            }
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn who_says_why_it_ends_waits_longer_for_the_reader_than_who_is_told_to_stop() {
        assert_eq!(flush_patience(Exit::Interrupted), Some(Duration::from_millis(200)));
        assert_eq!(flush_patience(Exit::TimedOut), Some(Duration::from_secs(2)));
        assert_eq!(flush_patience(Exit::Done), None);
    }

    fn lines(mut input: &[u8]) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            match read_line(&mut input).unwrap() {
                Event::Line(line) => seen.push(line),
                Event::BadLine(reason) => seen.push(format!("bad: {reason}")),
                _ => return seen,
            }
        }
    }

    #[test]
    fn lines_lose_their_ends_and_nothing_else() {
        assert_eq!(lines(b"/join\nhello \r\n\n  x"), ["/join", "hello ", "", "  x"]);
        assert!(lines(b"").is_empty());
    }

    #[test]
    fn whom_a_message_names_is_told_apart_from_who_said_it() {
        let said = |text: &str, me| {
            let show = Show::Text { kind: PacketType::MESSAGE, text: text.to_owned() };
            Said::of(&show, me)
        };
        assert_eq!(said("bob: hello\n", Some("bob")), Said::ByMe);
        assert_eq!(said("alice: hello, Bob!\n", Some("bob")), Said::ToMe);
        assert_eq!(said("bob: bobsleigh\n", Some("alice")), Said::Otherwise);
        assert_eq!(said("alice: hello, bob\n", None), Said::Otherwise);
        assert_eq!(Said::of(&Show::Note("bob".to_owned()), Some("bob")), Said::Otherwise);
    }

    #[test]
    fn what_cannot_be_a_message_is_skipped_whole() {
        assert_eq!(lines(b"a\n\xff\nb\n"), ["a", "bad: the line is not UTF-8 text", "b"]);
        let long = [vec![b'x'; 3 * MAX_PACKET_LEN], b"\nnext\n".to_vec()].concat();
        assert_eq!(lines(&long), ["bad: a line has at most 1048576 bytes", "next"]);
    }
}
