//! What the subcommands do; what those do that administer users is in `commands/users.rs`.

mod users;

use std::cell::Cell;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chat_core::noise::Identity;
use chat_core::rsa::KeySpec;
use chat_server::accounts::Accounts;
use chat_server::clock::Clock;
use chat_server::config::{Layers, Settings};
use chat_server::data::{DataDirectory, DataError, classic_keys, existing_identity};
use chat_server::{Reload, ReloadRequests, Server, ServiceManager, control, import};
use num_bigint::BigUint;
use num_traits::FromPrimitive as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Cli, Command, KeygenArgs, SettingsArgs, StatusArgs, UsersCommand};
use crate::{Outcome, UsageError, activation, descriptors, logging};

/// The pairs of `keygen` are this long unless something else is asked for, in bits.
const DEFAULT_BITS: u64 = 32;

/// A server that starts has made its identity that long after it took its data directory, even on a busy machine.
const STARTING: Duration = Duration::from_secs(10);

/// Runs the command that was typed.
///
/// # Errors
///
/// Whatever went wrong, for `main` to report.
pub(crate) fn run(cli: Cli, environment: Vec<(OsString, OsString)>) -> anyhow::Result<Outcome> {
    let settings = |args: &SettingsArgs| args.layers(environment.clone()).resolve();
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => serve(args.layers(environment.clone()), &environment),
        Command::CheckConfig(args) => print(&settings(&args)?.to_toml()),
        Command::Identity(args) => identity(&settings(&args)?),
        Command::Status(args) => status(&args, &settings(&args.settings)?),
        Command::Metrics(args) => print(&control::metrics(&settings(&args.settings)?.data)?),
        Command::Users(UsersCommand::List(args)) => users::list(&args, &settings(&args.settings)?),
        Command::Users(UsersCommand::Show(args)) => users::show(&args, &settings(&args.settings)?),
        Command::Users(UsersCommand::ResetPassword(args)) => {
            users::reset_password(&args, &settings(&args.user.settings)?)
        }
        Command::Users(UsersCommand::Remove(args)) => users::remove(&args, &settings(&args.settings)?),
        Command::Kick(args) => {
            control::kick(&settings(&args.settings)?.data, &args.who)?;
            Ok(Outcome::Done)
        }
        Command::Drain(args) => {
            control::drain(&settings(&args.settings)?.data, args.seconds)?;
            Ok(Outcome::Done)
        }
        Command::ImportUsers(args) => import_users(&args.file, &settings(&args.settings)?),
        Command::Keygen(args) => keygen(&args),
    }
}

fn serve(layers: Layers, environment: &[(OsString, OsString)]) -> anyhow::Result<Outcome> {
    let settings = layers.resolve()?;
    // First of all, while the process has opened nothing itself and has one thread.
    let handed_over = activation::take(environment)?;
    // Dropped last: then all lines are out, and an error may be printed after them.
    let (_log, set_log_level) = logging::start(&settings.log)?;
    descriptors::raise_limit(settings.limits.max_connections);
    let mut server = match handed_over {
        Some(listener) => {
            tracing::info!(
                "listening on the socket that was handed over; host and port of the settings do not count"
            );
            Server::take_over(listener, settings, Clock::system())?
        }
        None => Server::bind(settings, Clock::system())?,
    };
    match ServiceManager::from_environment(environment, std::process::id()) {
        Ok(Some(manager)) => server.report_to(manager),
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the service manager cannot be told anything"
            );
        }
    }
    let (requests, reload) = Reload::new(layers, set_log_level);
    server.reload_from(reload);
    let interrupted = Rc::new(Cell::new(false));
    server.run(stop_signal(Rc::clone(&interrupted), requests))?;
    Ok(if interrupted.get() { Outcome::Interrupted } else { Outcome::Done })
}

/// Ready when the process is asked to stop: by SIGTERM from a service manager, or by SIGINT from a keyboard, which
/// `interrupted` then tells. Until then, SIGHUP asks for the settings to be read again.
async fn stop_signal(interrupted: Rc<Cell<bool>>, reload: ReloadRequests) {
    let caught = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    match caught {
        [Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)] => loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return interrupted.set(true),
                _ = hangup.recv() => reload.send(),
            }
        },
        [Err(error), ..] | [_, Err(error), _] | [.., Err(error)] => {
            tracing::warn!(%error, "signals cannot be caught: stopping will be abrupt");
            std::future::pending().await
        }
    }
}

fn identity(settings: &Settings) -> anyhow::Result<Outcome> {
    // Read without the directory's lock, so that a running server is no obstacle.
    let identity = match existing_identity(&settings.data)? {
        Some(identity) => identity,
        // Asked without --data for a server that has another one, a new identity would only mislead.
        None if settings.data == Settings::default().data => {
            let path = settings.data.display();
            return Err(UsageError(format!(
                "no server has run with {path}; name its data directory with --data"
            ))
            .into());
        }
        None => match DataDirectory::open(&settings.data) {
            Ok(data) => {
                let identity = data.identity()?;
                writeln!(io::stderr(), "made a new identity in {}", settings.data.display())?;
                identity
            }
            Err(error @ DataError::InUse { .. }) => identity_of_starting(&settings.data)?.ok_or(error)?,
            Err(error) => return Err(error.into()),
        },
    };
    print(&format!("{}\n", identity.fingerprint()))
}

/// Waits for the identity of a server that has the directory and has not come to making one yet.
fn identity_of_starting(data: &Path) -> Result<Option<Identity>, DataError> {
    let until = Instant::now() + STARTING;
    loop {
        let identity = existing_identity(data)?;
        if identity.is_some() || Instant::now() >= until {
            return Ok(identity);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn status(args: &StatusArgs, settings: &Settings) -> anyhow::Result<Outcome> {
    let status = control::status(&settings.data)?;
    print(&if args.json { serde_json::to_string(&status)? + "\n" } else { status.to_string() })
}

fn import_users(file: &Path, settings: &Settings) -> anyhow::Result<Outcome> {
    let users = import::read(file)?;
    let data = DataDirectory::open(&settings.data)?;
    let accounts = Accounts::open(&data.accounts_path(), &settings.accounts)?;
    let report = import::store(&users, &accounts)?;
    print(&report.to_string())
}

fn keygen(args: &KeygenArgs) -> anyhow::Result<Outcome> {
    let spec = match &args.max {
        Some(max) => KeySpec::primes_in(args.pairs, prime(args.min.as_deref().unwrap_or("2"))?..=prime(max)?),
        None => KeySpec::bits(args.pairs, args.bits.unwrap_or(DEFAULT_BITS)),
    };
    let keys = classic_keys::make(&spec.map_err(|error| UsageError(error.to_string()))?)?;
    let [public, private] = classic_keys::write(&args.directory, &keys)?;
    print(&format!("Created key pair in {} and {}\n", public.display(), private.display()))
}

/// A bound on primes: a whole number, or, as the original takes them, one such as `1e6` or `99.5`.
fn prime(text: &str) -> anyhow::Result<BigUint> {
    let whole = text.parse().ok();
    let number = whole.or_else(|| text.parse().ok().and_then(BigUint::from_f64));
    number
        .with_context(|| format!("{text:?} is no number"))
        .map_err(|error| UsageError(error.to_string()).into())
}

fn print(text: &str) -> anyhow::Result<Outcome> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(Outcome::Done)
}
