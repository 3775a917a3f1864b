//! A soak and fault test: a real server under thousands of clients that join, leave, vanish, stall, send garbage and are
//! killed, with some well-behaved ones among them, whose conversation must not suffer.
//!
//! What is checked: every message of a well-behaved client reaches every well-behaved client, once and in order; afterwards
//! the server has as many descriptors as before, no more memory than after a first wave, and never had more than its limits
//! explain; in a run of 30 seconds and 300 clients or more, each limit has acted; and the server ends cleanly when asked to.
//! `good` are the well-behaved clients, `chaos` the others, `wire` their connections, `process` is the server, `limits` what it
//! is told, and `usage` what it uses.
//!
//! ```sh
//! cargo build --release -p chat-server && cargo run --release -p chat-tests --example soak -- --seconds 300 --clients 2000
//! ```

mod chaos;
mod good;
mod limits;
mod process;
mod usage;
mod wire;

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use limits::Limits;
use process::ServerProcess;
use usage::{Acted, Usage};

/// Clients whose conversation is checked.
const GOOD_CLIENTS: usize = 24;

/// The seconds that the first wave takes, whose memory the rest is compared with: a quarter of the rest, and within these. It has
/// to be long enough for the allocator to have seen the worst, which takes minutes.
const FIRST_WAVE_SECONDS: (u64, u64) = (15, 300);

/// How long the server may take to notice that everybody has gone.
const AFTERMATH: Duration = Duration::from_secs(30);

/// What may be in memory above what was after the first wave: the allocator's own business.
const SPARE_BYTES: u64 = 16 * 1024 * 1024;

/// From so many seconds and clients on, every limit has to have acted.
const ALL_LIMITS_ACT: (u64, usize) = (30, 300);

/// Runs a server and lets well-behaved and other clients loose on it.
#[derive(Debug, Parser)]
struct Args {
    /// How long the others behave as they do, in seconds
    #[arg(long, default_value_t = 120)]
    seconds: u64,

    /// How many of them are connected at a time
    #[arg(long, default_value_t = 1000)]
    clients: usize,

    /// Makes a run repeat the same behaviour, as far as time allows
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// The server's program [default: chat-server beside the folder of this one]
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match tokio::task::LocalSet::new().block_on(&runtime, soak(&args)) {
        Ok(report) => {
            writeln!(std::io::stdout(), "{report}")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            wire::note(&format!("error: {error}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn soak(args: &Args) -> Result<String, Box<dyn Error>> {
    let program = match &args.server {
        Some(program) => program.clone(),
        None => beside_this_one()?,
    };
    let limits = Limits::for_clients(args.clients + GOOD_CLIENTS);
    let server = ServerProcess::start(&program, &limits)?;
    let conversation = good::Conversation::start(server.address(), GOOD_CLIENTS).await?;
    let before = server.usage()?;

    let mut crowd = chaos::Crowd::new(server.address(), args.seed);
    let (shortest, longest) = FIRST_WAVE_SECONDS;
    let first_wave = (args.seconds / 4).clamp(shortest, longest).min(args.seconds);
    crowd.behave(args.clients, Duration::from_secs(first_wave)).await;
    let first = settled(&server, before.descriptors).await?;
    let started = Instant::now();
    crowd.behave(args.clients, Duration::from_secs(args.seconds)).await;
    let last = settled(&server, before.descriptors).await?;

    let said = conversation.finish().await?;
    let acted = server.acted()?;
    let report = format!(
        "{} clients for {} s: {crowd}\n{GOOD_CLIENTS} well-behaved clients: {said}\nat the start {before}; after the first wave \
         {first}; at the end {last}\nat most {} KiB, of {} KiB that are allowed\n{acted}",
        args.clients,
        started.elapsed().as_secs(),
        last.peak_bytes / 1024,
        limits.peak_bytes() / 1024,
    );
    judge(args, &limits, first, last, &acted).map_err(|why| format!("{why}\n{report}"))?;
    server.stop()?;
    Ok(report)
}

/// Says what is wrong with what the server uses and has done, if anything.
fn judge(args: &Args, limits: &Limits, first: Usage, last: Usage, acted: &Acted) -> Result<(), String> {
    if last.resident_bytes > first.resident_bytes + first.resident_bytes / 4 + SPARE_BYTES {
        return Err(format!("memory grew from {first} to {last}"));
    }
    if last.peak_bytes > limits.peak_bytes() {
        return Err(format!("it took {} KiB, more than its limits explain", last.peak_bytes / 1024));
    }
    let (seconds, clients) = ALL_LIMITS_ACT;
    match acted.idle() {
        Some(name) if args.seconds >= seconds && args.clients >= clients => Err(format!("{name} is 0")),
        _ => Ok(()),
    }
}

/// Waits until the server has as many descriptors as before, and says what it uses then.
async fn settled(server: &ServerProcess, descriptors: usize) -> Result<Usage, Box<dyn Error>> {
    let deadline = Instant::now() + AFTERMATH;
    loop {
        let usage = server.usage()?;
        if usage.descriptors <= descriptors {
            return Ok(usage);
        }
        if Instant::now() > deadline {
            return Err(format!("all have gone, and the server still has {usage}, not {descriptors}").into());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// `target/PROFILE/examples/soak` has `target/PROFILE/chat-server` beside its folder.
fn beside_this_one() -> Result<PathBuf, Box<dyn Error>> {
    let this = std::env::current_exe()?;
    let folder = this.parent().and_then(|folder| folder.parent()).ok_or("this program is nowhere")?;
    let program = folder.join("chat-server");
    if !program.exists() {
        return Err(format!("{} is not there: build it, or name one with --server", program.display()).into());
    }
    Ok(program)
}
