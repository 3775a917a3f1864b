//! Load: what the server costs in CPU and memory, beside a bare floor server that does the same work and nothing else.
//!
//! Every case starts the server under test as a process of its own on one CPU, loads it from one thread on another, and reads
//! what that cost from /proc. The floor is measured in the same run, since machines differ from hour to hour.
//! docs/performance.md says how to run this and what came of it.
//!
//! `floor` is that server, `fleet` are the clients with their ciphers, `cases` what they do, `process` the servers as processes,
//! `report` medians and tables.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a benchmark that cannot run has nothing better to do than to stop"
)]

mod cases;
mod fleet;
mod floor;
mod process;
mod report;

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::Parser;

use cases::{Case, Sizes};
use fleet::Encryption;
use process::Subject;
use report::Report;

/// Measures the chat server beside a bare floor server.
#[derive(Parser)]
struct Arguments {
    /// What to measure; everything unless named
    #[arg(value_enum)]
    cases: Vec<Case>,
    /// The chat-server to measure, in place of the one that was built with this program
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_chat-server"))]
    server: PathBuf,
    /// Runs of each; medians are shown
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Measure without encryption only
    #[arg(long)]
    plain: bool,
    #[command(flatten)]
    sizes: Sizes,
    /// Be the floor server, on this port (what this program starts for itself)
    #[arg(long, value_name = "PORT", hide = true)]
    floor_server: Option<u16>,
    /// What cargo bench passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    match arguments.floor_server {
        Some(port) => floor::serve(port),
        None => measure(&arguments),
    }
}

fn measure(arguments: &Arguments) {
    process::prepare();
    let mut report = Report::default();
    let cases = if arguments.cases.is_empty() { Case::ALL } else { &arguments.cases };
    for run in 1..=arguments.runs {
        for &case in cases {
            for subject in subjects(case, arguments) {
                let figures = case.run(&subject, &arguments.sizes);
                eprintln!("run {run}, {}, {}: {figures}", case.name(), subject.name());
                report.add(case, subject.name(), figures);
            }
        }
    }
    io::stdout().write_all(report.tables().as_bytes()).unwrap();
}

/// What a case is measured on: the floor, and the server with each kind of encryption that makes a difference to it.
fn subjects(case: Case, arguments: &Arguments) -> Vec<Subject> {
    let ours = |encryption| Subject::Ours { program: arguments.server.clone(), encryption };
    let mut subjects = Vec::new();
    if case.has_floor() {
        subjects.push(Subject::Floor);
    }
    subjects.push(ours(Encryption::Plain));
    if !arguments.plain {
        subjects.extend(case.encryptions().iter().copied().map(ours));
    }
    subjects
}
