//! The program `chat-client`: reads the command line, runs what it asks for and ends with a status that says how it went.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use chat_client::app::command::Account;
use chat_client::app::{App, Event, Exit, error_chain};
use chat_client::cli::{self, Action, Cli, User};
use chat_client::display::{self, Medium};
use chat_client::driver::{self, Ended};
use chat_client::lines::{Input, Lines};
use chat_client::link::Target;
use chat_client::manual;
use chat_client::password;
use chat_client::pins::{Pins, PinsError};
use chat_client::screen::{Look, Ruler, Scrollback, Theme};
use chat_client::settings::{self, Origin, Settings, Sources};
use chat_client::terminal::{Terminal, Wishes};
use chat_client::transcript::Transcript;
use chat_core::known_servers::ServerAddress;
use clap::{CommandFactory as _, Parser as _};
use etcetera::BaseStrategy as _;
use tracing_subscriber::EnvFilter;

/// No message is longer.
const MAX_STANDARD_INPUT: u64 = 1024 * 1024;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(Exit::Done | Exit::Closed) => ExitCode::SUCCESS,
        Ok(Exit::Failed) => ExitCode::FAILURE,
        Ok(Exit::TimedOut) => ExitCode::from(4),
        Ok(Exit::Interrupted) => ExitCode::from(130),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<Exit> {
    match &cli.action {
        Some(Action::Pins) => list_pins(),
        Some(Action::Forget(address)) => forget(&load_settings(cli)?.0.destination(address.into()).address),
        Some(Action::Completions { shell }) => {
            // Into memory first: clap panics when its output cannot be written, as when `head` has seen enough.
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "chat-client", &mut script);
            io::stdout().write_all(&script)?;
            Ok(Exit::Done)
        }
        Some(Action::Man) => {
            manual::write(Cli::command(), &mut io::stdout().lock())?;
            Ok(Exit::Done)
        }
        Some(Action::Config { example: true }) => {
            write!(io::stdout(), "{}", settings::example())?;
            Ok(Exit::Done)
        }
        Some(Action::Config { example: false }) => {
            let (_, origins) = load_settings(cli)?;
            show_settings(&origins)
        }
        Some(Action::Connect(_) | Action::Send { .. } | Action::Watch(_)) | None => {
            chat(cli, &load_settings(cli)?.0)
        }
        #[cfg(feature = "window")]
        Some(Action::Window(_)) => chat_in_window(cli, &load_settings(cli)?.0),
        #[cfg(not(feature = "window"))]
        Some(Action::Window(_)) => Err(NoWindow.into()),
    }
}

fn chat(cli: &Cli, settings: &Settings) -> anyhow::Result<Exit> {
    run_with_runtime(converse(cli, settings))
}

fn run_with_runtime<T>(chat: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start")?;
    let status = runtime.block_on(chat);
    // A name look-up that hangs must not keep the program from ending.
    runtime.shutdown_background();
    status
}

/// This program was built without a window.
#[cfg(not(feature = "window"))]
#[derive(Debug, thiserror::Error)]
#[error(
    "this chat-client was built without a window; `cargo install --path chat-client --features window` makes one that has it"
)]
struct NoWindow;

/// Opens a window. It stays on this thread, as some systems want it; the client gets another.
#[cfg(feature = "window")]
fn chat_in_window(cli: &Cli, settings: &Settings) -> anyhow::Result<Exit> {
    let zone = zone(settings);
    start_log(false);
    let (app, target, first) = client(cli, settings, login(cli)?, User::AtScreen, &zone)?;
    let wishes = chat_client::window::Wishes {
        look: wishes(settings, &zone).look,
        theme: settings.theme,
        zone: zone.clone(),
        bell: settings.bell,
        font: settings.font_name.clone(),
        font_size: f32::from(settings.font_size),
    };
    let log = settings.log.clone();
    let ended = chat_client::window::run(wishes, move |window| {
        run_with_runtime(async {
            let home = etcetera::home_dir().ok();
            let window = window.listen().context("cannot receive signals")?;
            let mut front = Transcript::start(window, log.as_deref(), home.as_deref(), &zone)?;
            Ok(driver::run(app, target, &mut front, first).await?)
        })
    })??;
    Ok(say_last_words(ended))
}

/// Makes the client, how it connects, and what it hears first.
fn client(
    cli: &Cli,
    settings: &Settings,
    login: Option<Account>,
    user: User,
    zone: &str,
) -> anyhow::Result<(App, Target, Event)> {
    let destination = cli.destination(settings);
    let first = Event::Start { connect: destination.is_some() };
    let mut config = cli.options.config(settings, destination, user, zone.to_owned());
    config.login = login;
    let target = cli.options.target(&config.destination)?;
    Ok((App::new(config, seed()), target, first))
}

/// Without a name for the zone the server can only be asked for universal time.
fn zone(settings: &Settings) -> String {
    let zone = settings.zone.clone().or_else(|| iana_time_zone::get_timezone().ok());
    zone.unwrap_or_else(|| "Etc/UTC".to_owned())
}

async fn converse(cli: &Cli, settings: &Settings) -> anyhow::Result<Exit> {
    let zone = zone(settings);
    // Before there is a screen: a command that fetches a password may have to ask for another.
    let login = login(cli)?;
    let is_scripted = matches!(cli.action, Some(Action::Send { .. } | Action::Watch(_)));
    let is_scripted = is_scripted || cli.options.is_for_programs();
    let is_person = cli::is_interactive() && !is_scripted;
    let may_ask = cli::can_be_asked() && !is_scripted;
    let wants_screen = is_person && !cli.options.wants_lines();
    let terminal = if wants_screen { Terminal::start(wishes(settings, &zone)).ok() } else { None };
    start_log(terminal.is_some());
    let user = match (&terminal, is_person) {
        (Some(_), _) => User::AtScreen,
        (None, true) => User::WithLines,
        (None, false) if may_ask => User::AtKeyboard,
        (None, false) => User::Program,
    };
    let (app, target, first) = client(cli, settings, login, user, &zone)?;
    let home = etcetera::home_dir().ok();
    let (log, home) = (settings.log.as_deref(), home.as_deref());
    let ended = match terminal {
        Some(terminal) => {
            let mut front = Transcript::start(terminal, log, home, &zone)?;
            let ended = driver::run(app, target, &mut front, first).await;
            // The screen goes, and the shell's is back.
            drop(front);
            ended.map(say_last_words)
        }
        None => {
            let mut usage = cli.options.usage(settings, user, cli.action.as_ref());
            if let Some(Action::Send { message, .. }) = &cli.action {
                usage.input = Input::Given(vec![to_send(message)?]);
            }
            let lines = Lines::start(usage).context("cannot receive signals")?;
            let mut front = Transcript::start(lines, log, home, &zone)?;
            match driver::run(app, target, &mut front, first).await {
                Ok(Ended { exit, .. }) => front.into_front().finish(exit).await,
                Err(error) => Err(error),
            }
        }
    };
    ended.context("cannot write to standard output")
}

/// Says on standard error what a screen that is gone showed last: what was never sent, above all.
fn say_last_words(Ended { exit, last_words }: Ended) -> Exit {
    for show in last_words {
        let (_, text) = display::render(&show, Medium::Terminal);
        // Whoever closed the terminal does not read it.
        let _ = io::stderr().write_all(text.as_bytes());
    }
    exit
}

/// Returns the line that sends a message: a slash at its beginning makes no command of it.
fn to_send(words: &[String]) -> anyhow::Result<String> {
    let mut text = words.join(" ");
    if words.is_empty() {
        let read = io::stdin().lock().take(MAX_STANDARD_INPUT).read_to_string(&mut text);
        read.context("cannot read the message from standard input")?;
        text.truncate(text.trim_end_matches('\n').len());
    }
    // A command that failed says nothing; nobody wants to hear that.
    anyhow::ensure!(!text.is_empty(), "nothing is sent: the message is empty");
    let indent = text.len() - text.trim_start().len();
    if text.get(indent..).is_some_and(|rest| rest.starts_with('/')) {
        text.insert(indent, '/');
    }
    Ok(text)
}

/// Finds out whom to log in as from the start. Without a password a person is asked for it later.
fn login(cli: &Cli) -> anyhow::Result<Option<Account>> {
    let Some((user, source)) = cli.options.login() else { return Ok(None) };
    Ok(Some(Account { user: user.to_owned(), password: password::read(source)?, keep: false }))
}

/// Reads the settings from everywhere they may be. The usual file need not exist; one that is named must.
fn load_settings(cli: &Cli) -> anyhow::Result<(Settings, Vec<Origin>)> {
    let named = cli.options.config_file().map(Path::to_owned);
    let usual =
        || Some(etcetera::choose_base_strategy().ok()?.config_dir().join("chat-client").join("config.toml"));
    let is_named = named.is_some();
    let file = match named.or_else(usual) {
        Some(path) => match std::fs::read_to_string(&path) {
            Ok(text) => Some((path, text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_named => None,
            Err(error) => {
                return Err(error).context(Usage(format!("cannot read the settings in {}", path.display())));
            }
        },
        None => None,
    };
    let sources = Sources { flags: cli.options.flags(), file };
    settings::resolve(sources, |name| std::env::var(name).ok())
        .map_err(|error| Usage(error.to_string()).into())
}

/// Something is wrong with how the program was called or set up.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

fn show_settings(origins: &[Origin]) -> anyhow::Result<Exit> {
    let mut out = io::stdout().lock();
    for Origin { name, value, source } in origins {
        let line = format!("{name} = {value}");
        writeln!(out, "{line:<40} # {source}")?;
    }
    Ok(Exit::Done)
}

/// Says how the screen is to be.
fn wishes(settings: &Settings, zone: &str) -> Wishes {
    let Settings { timestamps, users, fold, colours, .. } = *settings;
    let scrollback = Scrollback { entries: settings.scrollback, ..Look::default().scrollback };
    let theme = settings.theme.unwrap_or_else(|| {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Theme::detect(&colours, variable("NO_COLOR").is_some(), variable("COLORFGBG").as_deref())
    });
    Wishes {
        look: Look {
            theme,
            colours,
            timestamps,
            users,
            fold,
            title: settings.title.clone(),
            servers: settings.servers.keys().cloned().collect(),
            scrollback,
            ruler: Ruler::default(),
        },
        zone: zone.to_owned(),
        mouse: settings.mouse,
        bell: settings.bell,
        notify: settings.notify,
    }
}

/// Logs to standard error what the environment asks for; on a terminal, where it would tear the screen, nothing else.
fn start_log(interactive: bool) {
    // What winit warns of are displays that it finds strange, which nobody can do anything about.
    let default = if interactive { "off" } else { "warn,winit=error" };
    // Not CHAT_CLIENT_LOG, which is the setting `log`.
    let filter = EnvFilter::try_from_env("CHAT_CLIENT_TRACE").unwrap_or_else(|_| EnvFilter::new(default));
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
    let _ = writeln!(io::stderr(), "error: {}", error_chain(error.as_ref()));
    if let Some(error) = error.chain().find_map(|cause| cause.downcast_ref::<PinsError>()) {
        let _ = writeln!(io::stderr(), "hint: {}", error.hint());
    }
    #[cfg(feature = "window")]
    if let Some(error) =
        error.chain().find_map(|cause| cause.downcast_ref::<chat_client::window::WindowError>())
    {
        let _ = writeln!(io::stderr(), "hint: {}", error.hint());
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
