//! A soak and fault test: a real server under thousands of clients that join, leave, vanish, stall, send garbage and are
//! killed, with some well-behaved ones among them, whose conversation must not suffer.
//!
//! What is checked: every message of a well-behaved client reaches every well-behaved client, once and in order; afterwards
//! the server has as many descriptors as before, no more memory than after a first wave, and ends cleanly when asked to.
//! `good` are the well-behaved clients, `chaos` the others, `wire` their connections, `process` is the server.
//!
//! ```sh
//! cargo build --release -p chat-server && cargo run --release -p chat-tests --example soak -- --seconds 300 --clients 2000
//! ```

mod chaos;
mod good;
mod process;
mod wire;

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use process::ServerProcess;

/// Clients whose conversation is checked.
const GOOD_CLIENTS: usize = 24;

/// How long the first wave takes, whose memory the rest is compared with.
const FIRST_WAVE: Duration = Duration::from_secs(15);

/// How long the server may take to notice that everybody has gone.
const AFTERMATH: Duration = Duration::from_secs(30);

/// What may be in memory above what was after the first wave: the allocator's own business.
const SPARE_BYTES: u64 = 16 * 1024 * 1024;

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
    let report = tokio::task::LocalSet::new().block_on(&runtime, soak(&args))?;
    writeln!(std::io::stdout(), "{report}")?;
    Ok(ExitCode::SUCCESS)
}

async fn soak(args: &Args) -> Result<String, Box<dyn Error>> {
    let program = match &args.server {
        Some(program) => program.clone(),
        None => beside_this_one()?,
    };
    let server = ServerProcess::start(&program, args.clients + GOOD_CLIENTS)?;
    let conversation = good::Conversation::start(server.address(), GOOD_CLIENTS).await?;
    let before = server.usage()?;

    let mut crowd = chaos::Crowd::new(server.address(), args.seed);
    crowd.behave(args.clients, FIRST_WAVE.min(Duration::from_secs(args.seconds))).await;
    let first = settled(&server, before.descriptors).await?;
    let started = Instant::now();
    crowd.behave(args.clients, Duration::from_secs(args.seconds)).await;
    let last = settled(&server, before.descriptors).await?;

    let said = conversation.finish().await?;
    if last.resident_bytes > first.resident_bytes + first.resident_bytes / 4 + SPARE_BYTES {
        return Err(format!("memory grew from {first} to {last}").into());
    }
    server.stop()?;
    Ok(format!(
        "{} clients for {} s: {crowd}\n{GOOD_CLIENTS} well-behaved clients: {said}\nat the start {before}; after the first wave \
         {first}; at the end {last}",
        args.clients,
        started.elapsed().as_secs(),
    ))
}

/// Waits until the server has as many descriptors as before, and says what it uses then.
async fn settled(server: &ServerProcess, descriptors: usize) -> Result<process::Usage, Box<dyn Error>> {
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
