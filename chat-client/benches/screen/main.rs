//! The full screen under load: how soon a key is seen while 10,000 messages come in a second, how often the screen is drawn,
//! what that costs, and how soon the first picture is there.
//!
//! The program runs on a real pseudo-terminal, beside a *floor* (`cat`, with the kernel's own echo) and other chat clients for
//! terminals, if they are installed. docs/performance.md says how to run this and what came of it.
//!
//! `subject` is what runs on the terminal, `terminal` that terminal and who sits at it, `flood` where the messages come from.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a benchmark that cannot run has nothing better to do than to stop"
)]

mod flood;
mod subject;
mod terminal;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use flood::{END, Place};
use subject::Subject;
use terminal::{KEY, Person, Terminal};

/// Before the program is measured it may do what it does at its start.
const SETTLING: Duration = Duration::from_secs(1);
/// Keys that are pressed where nothing else happens.
const KEYS_AT_REST: usize = 50;

/// Measures the client's full screen.
#[derive(Parser)]
struct Arguments {
    /// Messages a second
    #[arg(long, default_value_t = 10_000)]
    rate: u32,
    /// How long they come, twice in a run
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Runs of each program
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// How often the start is measured
    #[arg(long, default_value_t = 20)]
    starts: usize,
    /// The chat-client to measure, in place of the one that was built with this program
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_chat-client"))]
    client: PathBuf,
    /// What cargo bench passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// What some runs have measured.
#[derive(Default)]
struct Measured {
    at_rest: Vec<Duration>,
    under_load: Vec<Duration>,
    /// Pictures in the second with most of them.
    most_frames: usize,
    /// Of one processor, in per cent.
    cpu: Vec<f64>,
    /// How long after the last message was sent it was seen.
    behind: Vec<Duration>,
    /// Resident before, after a flood, and after another.
    megabytes: [Vec<f64>; 3],
}

fn main() {
    let arguments = Arguments::parse();
    let mut out = String::from(
        "| | key seen, at rest: median, p99 | key seen, under load: median, p99 | most pictures in a second | CPU | \
         last message seen after | MB before, after one flood, after two |\n|---|---|---|---|---|---|---|\n",
    );
    for subject in Subject::installed(&arguments.client) {
        let mut measured = Measured::default();
        for run in 1..=arguments.runs {
            eprintln!("{}, run {run}", subject.name());
            measured.run(&subject, &arguments);
        }
        measured.write_row(subject.name(), &mut out);
    }
    out.push_str("\n| | from exec to the first picture: median, lowest to highest |\n|---|---|\n");
    for subject in [Subject::Nothing, Subject::Ours(arguments.client.clone())] {
        let mut starts: Vec<_> = (0..arguments.starts).map(|_| first_picture(&subject)).collect();
        starts.sort_unstable();
        let (lowest, highest) = (short(starts[0]), short(starts[starts.len() - 1]));
        let median = short(quantile(&mut starts, 0.5));
        let _ = writeln!(out, "| {} | {median}, {lowest} to {highest} |", subject.name());
    }
    io::stdout().write_all(out.as_bytes()).unwrap();
}

impl Measured {
    fn run(&mut self, subject: &Subject, arguments: &Arguments) {
        let place = Place::new(subject.speaks());
        let home = tempfile::tempdir().unwrap();
        let terminal = Terminal::start(&subject.command(place.port(), home.path()), home.path());
        let mut person = terminal.begin();
        let mut sender = place.sender();
        thread::sleep(SETTLING);
        subject.arrange(&mut person);
        // Whether it shows what is said is seen by whether it does.
        while terminal.seen(|seen| seen.last_end).is_none() {
            sender.say(&END.to_string());
            thread::sleep(Duration::from_millis(100));
        }
        for _ in 0..KEYS_AT_REST {
            self.at_rest.push(press(&terminal, &mut person));
        }
        self.megabytes[0].push(terminal.resident_megabytes());
        for flood in 1..=2 {
            let (cpu, started) = (terminal.cpu(), Instant::now());
            let (rate, duration) = (arguments.rate, Duration::from_secs(arguments.seconds));
            let (sent, typed) = thread::scope(|scope| {
                let flooding = scope.spawn(|| sender.flood(rate, duration));
                let mut typed = Vec::new();
                while !flooding.is_finished() {
                    typed.push(press(&terminal, &mut person));
                }
                (flooding.join().unwrap(), typed)
            });
            // Older ones may have been drawn again before that, while they scrolled out of view.
            let all_seen = terminal.await_seen(|seen| seen.last_end.filter(|at| *at >= sent));
            self.under_load.extend(typed);
            self.behind.push(all_seen.saturating_duration_since(sent));
            self.cpu.push((terminal.cpu() - cpu).as_secs_f64() / started.elapsed().as_secs_f64() * 100.0);
            self.most_frames = self.most_frames.max(terminal.most_frames_in_a_second(started));
            self.megabytes[flood].push(terminal.resident_megabytes());
        }
    }

    fn write_row(mut self, name: &str, out: &mut String) {
        let latency = |durations: &mut Vec<Duration>| {
            format!("{}, {}", short(quantile(durations, 0.5)), short(quantile(durations, 0.99)))
        };
        let (at_rest, under_load) = (latency(&mut self.at_rest), latency(&mut self.under_load));
        let frames = if self.most_frames > 0 { self.most_frames.to_string() } else { "-".to_owned() };
        let behind = short(quantile(&mut self.behind, 0.5));
        let cpu = quantile(&mut self.cpu, 0.5);
        let megabytes = self.megabytes.each_mut().map(|values| format!("{:.1}", quantile(values, 0.5)));
        let megabytes = megabytes.join(", ");
        let _ = writeln!(
            out,
            "| {name} | {at_rest} | {under_load} | {frames} | {cpu:.0} % | {behind} | {megabytes} |"
        );
    }
}

/// Presses a key, after a moment that has nothing to do with when pictures are drawn; returns how long it took to be seen.
fn press(terminal: &Terminal, person: &mut Person) -> Duration {
    let before = terminal.seen(|seen| seen.echoes.len());
    if before % 50 == 49 {
        person.empty_the_line();
    }
    thread::sleep(Duration::from_micros(20_000 + (before as u64 * 7919) % 30_000));
    let pressed = Instant::now();
    person.press(KEY);
    terminal.await_seen(|seen| seen.echoes.get(before).copied()).saturating_duration_since(pressed)
}

fn first_picture(subject: &Subject) -> Duration {
    let home = tempfile::tempdir().unwrap();
    let terminal = Terminal::start(&subject.command(0, home.path()), home.path());
    // The shell that becomes the program waits for this.
    thread::sleep(Duration::from_millis(50));
    let started = Instant::now();
    let _person = terminal.begin();
    terminal.await_seen(|seen| seen.frames.first().copied()).saturating_duration_since(started)
}

fn quantile<T: Copy + PartialOrd>(values: &mut [T], at: f64) -> T {
    values.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap());
    values[((values.len() - 1) as f64 * at) as usize]
}

fn short(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1000.0;
    if milliseconds < 10.0 { format!("{milliseconds:.1} ms") } else { format!("{milliseconds:.0} ms") }
}
