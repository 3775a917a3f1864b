//! The program `chat-client`: reads the command line, runs what it asks for and ends with a status that says how it went.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use chat_client::app::{App, Event, Exit};
use chat_client::cli::{self, Action, Cli};
use chat_client::driver;
use chat_client::lines::Lines;
use chat_client::pins::{Pins, PinsError};
use chat_client::screen::{Look, Theme};
use chat_client::terminal::{Terminal, Wishes};
use chat_core::known_servers::ServerAddress;
use clap::Parser as _;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::Failed) => ExitCode::FAILURE,
        Ok(Exit::Interrupted) => ExitCode::from(130),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<Exit> {
    match &cli.action {
        Some(Action::Pins) => list_pins(),
        Some(Action::Forget(address)) => forget(&address.into()),
        Some(Action::Connect(_)) | None => chat(cli),
    }
}

fn chat(cli: &Cli) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start")?;
    let status = runtime.block_on(async {
        // Without a name for the zone the server can only be asked for universal time.
        let zone = iana_time_zone::get_timezone().unwrap_or_else(|_| "Etc/UTC".to_owned());
        let terminal = if cli::is_interactive() { Terminal::start(wishes(&zone)).ok() } else { None };
        start_log(terminal.is_some());
        let server = cli.server();
        let first = Event::Start { connect: server.is_some() };
        let config = cli.options.config(server, terminal.is_some(), zone);
        let target = cli.options.target(config.address.clone())?;
        let app = App::new(config, seed());
        let ended = match terminal {
            Some(mut terminal) => driver::run(app, target, &mut terminal, first).await,
            None => {
                let mut lines = Lines::start().context("cannot receive signals")?;
                match driver::run(app, target, &mut lines, first).await {
                    Ok(exit) => lines.finish(exit).await,
                    Err(error) => Err(error),
                }
            }
        };
        ended.context("cannot write to standard output")
    });
    // A name look-up that hangs must not keep the program from ending.
    runtime.shutdown_background();
    status
}

/// Says how the screen is to be.
fn wishes(zone: &str) -> Wishes {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let theme = if is_set("NO_COLOR") { Theme::Plain } else { Theme::Dark };
    Wishes { look: Look { theme, ..Look::default() }, zone: zone.to_owned(), mouse: true, bell: true }
}

/// Logs to standard error what the environment asks for; on a terminal, where it would tear the screen, nothing else.
fn start_log(interactive: bool) {
    let default = if interactive { "off" } else { "warn" };
    let filter = EnvFilter::try_from_env("CHAT_CLIENT_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false).init();
}

/// Returns a number that differs between processes.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn list_pins() -> anyhow::Result<Exit> {
    let pins = Pins::of_user()?;
    let mut out = io::stdout().lock();
    for (address, fingerprint) in pins.read()?.pins() {
        writeln!(out, "{address} {fingerprint}")?;
    }
    Ok(Exit::Done)
}

fn forget(address: &ServerAddress) -> anyhow::Result<Exit> {
    let known = Pins::of_user()?.forget(address)?;
    let said = if known { "is forgotten; its next identity will be pinned" } else { "was not known" };
    writeln!(io::stderr(), "{address} {said}")?;
    Ok(if known { Exit::Done } else { Exit::Failed })
}

/// Prints the chain of causes once, and what can be done.
fn report(error: &anyhow::Error) {
    // Nowhere is left to say that standard error is closed.
    let _ = writeln!(io::stderr(), "error: {error:#}");
    if let Some(error) = error.chain().find_map(|cause| cause.downcast_ref::<PinsError>()) {
        let _ = writeln!(io::stderr(), "hint: {}", error.hint());
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
